"""The parts of a batch take the step of the whole."""

from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy
from torch import nn
from torch.nn.functional import cross_entropy

from lexigraft.data.batches import NOT_COUNTED, EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.models.active import activate
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import TextCNN
from lexigraft.models.pooling import Mean
from lexigraft.process_group import rank, world_size
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.tasks.number_losses import Corn, SquaredError
from lexigraft.tasks.ordinal import Ordinal
from lexigraft.tasks.regression import Regression
from lexigraft.tasks.tagging import Tagging
from lexigraft.training.batch_size import FittingMicroBatch, longest_texts
from lexigraft.training.distil.answers import Answers
from lexigraft.training.distil.distiller import Distiller
from lexigraft.training.distributed.datamodule import SharedData
from lexigraft.training.distributed.gathering import mean_over_ranks
from lexigraft.training.distributed.shares import count
from lexigraft.training.distributed.strategies import strategy_of
from lexigraft.training.micro_batches import (
    accumulated,
    largest_part,
    require_splittable,
    require_whole_model,
    split,
    with_parts,
)
from lexigraft.training.module import SupervisedModule
from lexigraft.training.regularise.adversarial import FGM, PGD
from lexigraft.training.regularise.l2_to_source import L2ToSource
from lexigraft.training.regularise.max_norm import MaxNorm
from lexigraft.training.regularise.mixup import Mixup
from lexigraft.training.regularise.rdrop import RDrop
from lexigraft.training.schedule import Constant
from lexigraft.training.strategy import Strategy
from tests.training.distributed.forked import together
from tests.training.tiny import LABELS, texts

TEXTS, TOKENS = 10, 6


def batch_of(labels=None, **more):
    ids = torch.arange(TEXTS * TOKENS).reshape(TEXTS, TOKENS)
    return {
        "input_ids": ids, "mask": torch.ones_like(ids, dtype=torch.bool), "index": torch.arange(TEXTS), "task": "main",
        "labels": torch.arange(TEXTS) % 3 if labels is None else labels,
    } | more  # fmt: skip


@pytest.mark.parametrize(
    ("size", "lengths"), [(10, [10]), (64, [10]), (9, [5, 5]), (4, [3, 3, 4]), (3, [2, 3, 2, 3]), (1, [1] * 10)]
)
def test_parts_are_as_equal_as_can_be_and_keep_the_order(size, lengths):
    batch = batch_of(weight=torch.tensor(0.5), other=torch.zeros(3))
    parts = split(with_parts(batch, size, count))
    assert [len(part["index"]) for part in parts] == lengths
    assert max(lengths) == largest_part(TEXTS, size)
    for name in ("index", "input_ids", "mask", "labels"):
        assert torch.equal(torch.cat([part[name] for part in parts]), batch[name])
    assert all(part["task"] == "main" and part["weight"] == 0.5 and len(part["other"]) == 3 for part in parts)
    assert [part.get("completes", True) for part in parts] == [False] * (len(lengths) - 1) + [True]


def test_a_part_counts_what_the_loss_is_divided_by_in_it():
    weights = torch.tensor([1.0, 2.0, 5.0])  # of texts 0 1 2 0 1 | 2 0 1 2 0
    parts = split(with_parts(batch_of(), 5, lambda labels: float(weights[labels].sum())))
    assert [part["loss_share"] for part in parts] == [11 / 25, 14 / 25]
    assert [part["text_share"] for part in parts] == [0.5, 0.5]


def test_of_tokens_those_count_that_have_a_label_and_a_rank_s_share_stays():
    labels = torch.full((TEXTS, TOKENS), NOT_COUNTED)
    labels[0, :4], labels[9] = 1, 0
    batch = batch_of(labels, loss_share=0.5, text_share=2.0)
    parts = split(with_parts(batch, 4, count, per_token=True))
    assert [part["loss_share"] for part in parts] == [0.2, 0, 0.3]
    assert [part["text_share"] for part in parts] == [0.8, 0, 1.2]
    nothing = with_parts(batch_of(torch.full((TEXTS, TOKENS), NOT_COUNTED)), 4, count, per_token=True)
    assert [part["loss_share"] for part in split(nothing)] == [0, 0, 0]


def test_all_but_the_last_part_are_through_when_the_loss_is_told():
    given, through = [torch.tensor(x, requires_grad=True) for x in (0.25, 0.5, 4.0)], []
    loss = accumulated([0, 1, 2], given.__getitem__, lambda loss: through.append(loss.item()))
    assert through == [0.25, 0.5]
    assert loss.item() == 4.75
    loss.backward()
    assert [each.grad for each in given] == [None, None, 1.0]
    assert accumulated([0], given.__getitem__, pytest.fail) is given[0]


def test_mixed_precision_is_no_other_than_without_parts():
    torch.manual_seed(0)
    model, batch = nn.Sequential(nn.Embedding(60, 8), nn.Linear(8, 3)), batch_of()

    def made(size):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = accumulated(split(with_parts(batch, size, count)), loss_of, lambda loss: loss.backward())
        loss.backward()
        return loss.item(), [p.grad.clone() for p in model.parameters()]

    def loss_of(part):
        loss = cross_entropy(model(part["input_ids"]).mean(1).float(), part["labels"])
        return loss * part.get("loss_share", 1.0)

    whole, parts = made(10), made(3)
    assert parts[0] == pytest.approx(whole[0], rel=1e-2)
    for one, other in zip(parts[1], whole[1]):
        assert one.dtype == torch.float32
        assert torch.allclose(one, other, atol=2e-3)


def tags(drawn):
    """A tag for every second token; texts of one token have none."""
    return np.concatenate([[NOT_COUNTED if i % 2 == 0 else token % 2 for i, token in enumerate(of)] for of in drawn])


TASKS = {
    "class": lambda: Classification(loss=CrossEntropy(), classes=("no", "yes"), train=LABELS),
    "weighed": lambda: Classification(loss=CrossEntropy(class_weights=(1, 5)), classes=("no", "yes"), train=LABELS),
    "tags": lambda: Tagging(loss=CrossEntropy(class_weights=(1, 5)), classes=("B", "I"), train=[(0, 1)]),
    "number": lambda: Regression(loss=SquaredError(), classes=(), train=[float(i) for i in LABELS]),
    "order": lambda: Ordinal(loss=Corn(), classes=("0", "1", "2"), train=[i % 3 for i in range(80)]),
}
SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
ADAMW = partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.1)


def trained(
    folder,
    micro_batch,
    *,
    tasks=("weighed",),
    optimizer=SGD,
    regularisers=list,
    active=False,
    fitting=None,
    batch_size=9,
    **settings,
):
    """Losses and weights of a module of some tasks after an epoch of 8 batches each, the last one of a single text."""
    torch.manual_seed(0)
    drawn, names = texts(), [name if i else "main" for i, name in enumerate(tasks)]
    made = dict(zip(names, [TASKS[name]() for name in tasks]))
    rows = TransplantedEmbedding(torch.randn(40 if active else 20, 6), 0)
    encoder = TextCNN(6, kernel_sizes=[2], channels=8)
    if "tags" in tasks:
        encoder = nn.Identity()
        encoder.width, encoder.forward = 6, lambda vectors, mask, types=None: vectors
    heads = {name: Head(task.outputs(), task.per_token) for name, task in made.items()}
    model = Classifier(rows, encoder, Mean(encoder.width), heads)
    if active:
        activate(model.embedding, torch.arange(20))
    beside = regularisers()
    for each in beside:
        each.start(model)
    encoded, splits = Encoded.of(drawn), {}
    targets = {"number": np.array(LABELS, np.float32), "order": np.arange(80) % 3}
    for name, kind in zip(names, tasks):
        per_token = made[name].per_token
        whole = tags(drawn) if per_token else targets.get(kind, np.array(LABELS))
        ends = encoded.starts if per_token else np.arange(81)
        splits[name] = {
            split: EncodedText(
                encoded.take(np.arange(a, b)), whole[ends[a] : ends[b]], pad_id=0, per_token=per_token, task=name
            )
            for split, a, b in (("train", 0, 64), ("dev", 64, 80))
        }
    data = TextDataModule(splits, batch_size=batch_size, eval_batch_size=8, seed=0)
    module = SupervisedModule(
        model, made, optimizer, Constant(), Strategy(), beside, weight_decay=0.1, micro_batch=micro_batch
    )
    seen, ranks = Losses(), world_size()
    trainer = pl.Trainer(
        accelerator="cpu", devices=ranks, max_epochs=1,
        strategy=strategy_of("cpu", ranks, heads=len(tasks), in_parts=bool(micro_batch or fitting)),
        callbacks=[seen, *([] if fitting is None else [fitting(data)])], limit_val_batches=0, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        use_distributed_sampler=False, **settings,
    )  # fmt: skip
    trainer.fit(module, datamodule=data if ranks == 1 else SharedData(data, made, rank(), ranks))
    weights = {name: weight.detach().clone() for name, weight in module.state_dict().items()}
    return mean_over_ranks(torch.stack(seen.losses)), weights, seen.largest


class Losses(Callback):
    """The loss of each batch, and the most texts that went through the encoder together."""

    def __init__(self):
        self.losses, self.largest = [], 0

    def on_fit_start(self, trainer, module):
        module.model.encoder.register_forward_pre_hook(self._saw)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"] * trainer.accumulate_grad_batches)

    def _saw(self, encoder, arguments):
        self.largest = max(self.largest, len(arguments[0]))


def distiller():
    torch.manual_seed(1)
    answers = Answers(torch.randn(64, 2), torch.randn(64, 5), torch.randn(64, 6))
    return [Distiller(answers, hidden=0.5, embeddings=0.5)]


RUNS = {
    "class weights, sgd": {},
    "class weights, adamw": {"optimizer": ADAMW},
    "active rows": {"optimizer": ADAMW, "active": True},
    "tags, sgd": {"tasks": ("tags",)},
    "tags, adamw": {"tasks": ("tags",), "optimizer": ADAMW},
    "several tasks": {"tasks": ("weighed", "number", "tags", "order"), "optimizer": ADAMW},
    "accumulated": {"accumulate_grad_batches": 3},
    "clipped": {"gradient_clip_val": 0.05},
    "fgm": {"regularisers": lambda: [FGM(epsilon=0.3)]},
    "pgd": {"regularisers": lambda: [PGD(epsilon=0.3, steps=2, step_size=0.2)]},
    "rdrop": {"regularisers": lambda: [RDrop()]},
    "rdrop of tags": {"regularisers": lambda: [RDrop()], "tasks": ("tags",)},
    "l2": {"regularisers": lambda: [L2ToSource(0.05)]},
    "max norm": {"regularisers": lambda: [MaxNorm(0.3)]},
    "teacher": {"regularisers": distiller, "tasks": ("class",)},
    "all": {
        "regularisers": lambda: [RDrop(), FGM(epsilon=0.3), L2ToSource(0.05), MaxNorm(0.5)],
        "accumulate_grad_batches": 2,
        "optimizer": ADAMW,
    },
}


@pytest.mark.parametrize(("name", "size"), [*((name, 4) for name in RUNS), ("tags, sgd", 1), ("all", 1)])
def test_steps_are_those_of_whole_batches(tmp_path, name, size):
    losses, weights, largest = trained(tmp_path, None, **RUNS[name])
    in_parts, same, largest_part = trained(tmp_path, size, **RUNS[name])
    assert (largest, largest_part) == (9, min(size, 3))
    assert torch.allclose(in_parts, losses, rtol=1e-6)
    for key, weight in weights.items():
        assert torch.linalg.vector_norm(same[key] - weight) <= 1e-6 * torch.linalg.vector_norm(weight), key


OF_RANKS = {
    "adamw": {"optimizer": ADAMW, "regularisers": lambda: [RDrop(), L2ToSource(0.05)]},
    "active rows": {"optimizer": ADAMW, "active": True, "gradient_clip_val": 0.05},
    "accumulated": {"accumulate_grad_batches": 3, "batch_size": 8},
    "several tasks": {"tasks": ("weighed", "tags"), "optimizer": ADAMW},
    "whole batches alone": {"batch_size": 8},  # so that the first one is in parts
}


SEARCHED = OF_RANKS["several tasks"]


class Limited(FittingMicroBatch):
    """A search on ranks with memory for different numbers of texts."""

    def _train(self, trainer, module, size):
        super()._train(trainer, module, size)
        if size > (4, 2)[rank()]:
            raise torch.OutOfMemoryError("CUDA out of memory")


def of_rank(folder):
    """Of a rank: all runs, in parts of at most 2 texts, whereof the ranks have 3 and 2 in each batch; and a search."""
    runs = {name: trained(folder, 2, **settings) for name, settings in OF_RANKS.items()}
    searched = []

    def fitting(data):
        searched.append(Limited(lambda size: longest_texts(data.tasks, size), 5))
        return searched[0]

    runs["found"] = trained(folder, None, fitting=fitting, **SEARCHED)
    plain = {
        name: (losses.numpy(), {key: weight.numpy() for key, weight in weights.items()}, largest)
        for name, (losses, weights, largest) in runs.items()
    }
    return plain, searched[0].found


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return together(of_rank, tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("name", [*OF_RANKS, "found"])
def test_parts_of_two_ranks_take_the_steps_of_one_process(ranks, tmp_path, name):
    losses, weights, _ = trained(tmp_path, None, **OF_RANKS.get(name, SEARCHED))
    for runs, found in ranks:
        assert found == 2  # the least of both
        of_losses, of_weights, largest = runs[name]
        assert largest == 2 or name == "found"  # the search tried more
        assert np.allclose(of_losses, losses, rtol=2e-6)
        for key, weight in weights.items():
            assert np.linalg.norm(of_weights[key] - weight.numpy()) <= 2e-6 * torch.linalg.vector_norm(weight), key


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (Mixup(), r"but regularise=\[mixup\] mixes texts of the whole batch: use trainer.micro_batch=null"),
        (nn.Sequential(nn.BatchNorm1d(3)), "but the encoder has batch normalisation"),
    ],
)
def test_what_brings_texts_together_is_refused(part, says):
    with pytest.raises(ValueError, match=says):
        require_splittable(part.modules())
    require_splittable(nn.Sequential(RDrop(), nn.LayerNorm(3)).modules())


def test_processes_that_share_one_model_are_refused():
    require_whole_model(DDPStrategy())
    with pytest.raises(ValueError, match="trainer.micro_batch is not for processes that share one model"):
        require_whole_model(ModelParallelStrategy())
