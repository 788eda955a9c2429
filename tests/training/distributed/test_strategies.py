"""Two ranks take the steps of one process."""

from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from lexigraft.data.batches import EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.models.active import ActiveRows, activate
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Identity
from lexigraft.models.pooling import Mean
from lexigraft.process_group import Place, rank, world_size
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.inference import Seen
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.training.distributed.datamodule import SharedData
from lexigraft.training.distributed.gathering import SeenByAll, from_first, mean_over_ranks, measured
from lexigraft.training.distributed.shares import shared
from lexigraft.training.distributed.strategies import Ranks, strategy_of
from lexigraft.training.distributed.streams import own_streams
from lexigraft.training.finetune.phases import EmbeddingFirst
from lexigraft.training.module import SupervisedModule
from lexigraft.training.schedule import Constant
from lexigraft.training.strategy import Strategy
from tests.training.distributed.forked import together
from tests.training.tiny import LABELS, texts

WEIGHTS = (1.0, 3.0)
SGD = partial(torch.optim.SGD, lr=0.3, momentum=0.9)
ADAMW = partial(torch.optim.AdamW, lr=0.02, weight_decay=0.1)


class Weighed(Classification):
    def weigh(self, labels):
        return float(torch.tensor(WEIGHTS)[labels].sum())


class Module(SupervisedModule):
    """Its loss alone, multiplied by the rank's share."""

    def training_step(self, batch, batch_idx):
        outputs = self.model(batch["input_ids"], batch["mask"], task=batch["task"])
        task = self.tasks[batch["task"]]
        return shared(lambda: task.loss(outputs, batch["labels"]), outputs, batch.get("loss_share", 1.0))

    def on_validation_epoch_end(self):
        self.metrics = {name: measured(self.tasks[name], seen) for name, seen in self._seen.items()}
        self._seen.clear()

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self._seen.setdefault(batch["task"], SeenByAll(False))
        super().validation_step(batch, batch_idx)


class Losses(Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.seen.append(outputs["loss"].detach() * trainer.accumulate_grad_batches)


def trained(optimizer, *, active=False, heads=("main",), finetune=None, accumulate=1, batch_size=9, epochs=7):
    """Losses, weights and dev metrics of a run in this group, or on its own: of 8 batches an epoch, one of one text."""
    torch.manual_seed(0)
    model = Classifier(
        TransplantedEmbedding(torch.randn(40, 6), 0), Identity(6), Mean(6), {name: Head(2) for name in heads}
    )
    model.encoder.linear = torch.nn.Linear(6, 6)
    model.encoder.never = torch.nn.Linear(6, 6)
    model.encoder.forward = lambda vectors, mask, types=None: vectors + model.encoder.linear(vectors)
    if active:
        activate(model.embedding, torch.arange(20))
        assert isinstance(model.embedding.lookup, ActiveRows)
    encoded, labels = Encoded.of(texts()), np.array(LABELS)
    splits = {
        task: {
            name: EncodedText(encoded.take(np.arange(start, stop)), labels[start:stop], pad_id=0, task=task)
            for name, start, stop in (("train", 0, 64), ("dev", 64, 80))
        }
        for task in heads
    }
    data = TextDataModule(splits, batch_size=batch_size, eval_batch_size=6, seed=0)
    loss = CrossEntropy(class_weights=WEIGHTS)
    tasks = {name: Weighed(loss=loss, classes=("no", "yes"), train=LABELS) for name in heads}
    module = Module(model, tasks, optimizer, Constant(), finetune or Strategy(), weight_decay=0.1)
    ranks, losses = world_size(), Losses()
    trainer = pl.Trainer(
        accelerator="cpu", devices=ranks, strategy=strategy_of("cpu", ranks, heads=len(heads)),
        max_epochs=epochs, callbacks=[losses], logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False, gradient_clip_val=1.0,
        accumulate_grad_batches=accumulate, check_val_every_n_epoch=epochs,
    )  # fmt: skip
    trainer.fit(module, datamodule=data if ranks == 1 else SharedData(data, tasks, rank(), ranks))
    weights = {name: weight.clone().numpy() for name, weight in model.state_dict().items()}
    return mean_over_ranks(torch.stack(losses.seen)).numpy(), weights, module.metrics


RUNS = {
    "sgd": {"optimizer": SGD},
    "adamw": {"optimizer": ADAMW},
    "active rows": {"optimizer": ADAMW, "active": True, "epochs": 2},
    "accumulated": {"optimizer": SGD, "accumulate": 3, "epochs": 2},
    "two heads": {"optimizer": ADAMW, "heads": ("main", "other"), "epochs": 2},
    "phases": {"optimizer": ADAMW, "finetune": EmbeddingFirst(epochs=1), "epochs": 3},
}


def everything():
    """All runs of a rank, one after the other, and what else a group does."""
    found = {name: trained(**settings) for name, settings in RUNS.items()}
    torch.manual_seed(0)
    own_streams(0, rank())
    drawn = torch.rand(()).item(), np.random.rand()
    return found, gathered(), from_first(lambda: f"of rank {rank()}"), drawn


TAGS = {0: [1, -100], 1: [0, 1], 2: [-100, -100], 3: [1, 1]}


def gathered():
    """What ranks have seen of texts and of tokens; text 1 came to both."""
    of_texts, of_tokens = SeenByAll(False), SeenByAll(True)
    for batch in [[[3, 1], [2]], [[1, 0]]][rank()]:
        index = torch.tensor(batch)
        of_texts.add(torch.stack([index, -index], 1).float(), {"labels": index % 2, "index": index})
        labels = torch.tensor([TAGS[i] for i in batch])
        scores = (10 * index[:, None] + torch.arange(2))[..., None].float()
        of_tokens.add(scores, {"labels": labels, "index": index})
    return [[None if each is None else each.numpy() for each in seen.in_order()] for seen in (of_texts, of_tokens)]


@pytest.fixture(scope="module")
def ranks():
    return together(everything)


@pytest.mark.parametrize("name", RUNS)
def test_two_ranks_take_the_steps_of_one_process(ranks, name):
    losses, weights, metrics = trained(**RUNS[name])
    (first, *_), (second, *_) = ranks
    assert len(losses) == 8 * RUNS[name].get("epochs", 7) * len(RUNS[name].get("heads", (1,)))
    assert losses[0] > 1.5 * losses[-1] or len(losses) < 50
    for of_losses, of_weights, of_metrics in (first[name], second[name]):
        assert np.abs(of_losses - losses).max() < 1e-5
        assert of_metrics == metrics
        for key, weight in weights.items():
            assert np.abs(of_weights[key] - weight).max() < 1e-5, key
    for key, weight in first[name][1].items():
        assert np.array_equal(weight, second[name][1][key]), key


def test_scores_of_all_ranks_stand_in_the_order_of_the_texts_each_once(ranks):
    for _, ((scores, labels, lengths), _), *_ in ranks:
        assert scores.tolist() == [[0, 0], [1, -1], [2, -2], [3, -3]]
        assert labels.tolist() == [0, 1, 0, 1]
        assert lengths is None
    for _, (_, (scores, labels, lengths)), *_ in ranks:
        assert scores[:, 0].tolist() == [0, 10, 11, 30, 31]
        assert labels.tolist() == [1, 0, 1, 1, 1]
        assert lengths.tolist() == [1, 2, 0, 2]


def test_what_the_first_rank_made_all_have(ranks):
    assert [said for _, _, said, _ in ranks] == ["of rank 0"] * 2


def test_ranks_draw_different_numbers_and_the_first_those_of_one_process(ranks):
    torch.manual_seed(0)
    first, second = (drawn for *_, drawn in ranks)
    assert first[0] == torch.rand(()).item()
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_alone_a_process_gathers_what_it_has():
    seen, by_all = Seen(False), SeenByAll(False)
    for each in (seen, by_all):
        each.add(
            torch.tensor([[0.1, 0.9], [0.4, 0.6]]), {"labels": torch.tensor([1, 0]), "index": torch.tensor([1, 0])}
        )
    assert [each.tolist() for each in by_all.in_order()[:2]] == [each.tolist() for each in seen.in_order()[:2]]
    assert strategy_of("cpu", 1) == "auto"


def test_a_group_of_another_size_than_the_config_s_is_told():
    with pytest.raises(ValueError, match="make a run of 4 processes, but this process is on its own: start"):
        strategy_of("cpu", 2, 2)


def test_lightning_takes_a_rank_s_place_from_the_group_and_starts_nothing():
    environment = Ranks(Place(3, 4, 1, 2, 1, "somewhere", 1234))
    environment.set_global_rank(0)
    environment.set_world_size(1)
    assert environment.creates_processes_externally is True
    told = (environment.global_rank(), environment.world_size(), environment.local_rank(), environment.node_rank())
    assert told == (3, 4, 1, 1)
    assert (environment.main_address, environment.main_port) == ("somewhere", 1234)
