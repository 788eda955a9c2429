"""Two ranks, each with a piece of every weight, take the steps of one process, and their checkpoints load on either."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from lexigraft.models.active import activate
from lexigraft.process_group import rank, world_size
from lexigraft.training import optimizers
from lexigraft.training.distributed.datamodule import SharedData
from lexigraft.training.finetune.adapters import LoRA
from lexigraft.training.finetune.phases import EmbeddingFirst
from lexigraft.training.fit import fit
from lexigraft.training.module import SupervisedModule
from lexigraft.training.regularise.adversarial import FGM
from lexigraft.training.regularise.l2_to_source import L2ToSource
from lexigraft.training.regularise.max_norm import MaxNorm
from lexigraft.training.regularise.rdrop import RDrop
from lexigraft.training.regularise.regulariser import Regulariser
from tests.training import tiny
from tests.training.distributed.forked import together

EPOCHS = 2


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(6, 6)

    def forward(self, vectors):
        return vectors + self.linear(vectors)


class Body(torch.nn.Module):
    width = 6

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(Block() for _ in range(2))
        self.norm = torch.nn.LayerNorm(6)

    def forward(self, vectors, mask):
        for layer in self.layers:
            vectors = layer(vectors)
        return self.norm(vectors)


class Own(Regulariser):
    """Has a weight of its own, as a student's map to its teacher's features."""

    def start(self, model, new_rows=None):
        self.map = torch.nn.Linear(6, 3)

    def term(self, step):
        return step.text_share * self.map(step.features.mean(1)).square().mean()


ADAMW = partial(torch.optim.AdamW, lr=0.02, weight_decay=0.1, fused=True)
SGD = partial(torch.optim.SGD, lr=0.3, momentum=0.9, fused=True)
RUNS = {
    "all rows": {"active": False, "clip": 0.05, "optimizer": SGD},
    "active rows": {"regularisers": [Own], "recomputed": True},
    "clipped by value": {"clip": 0.01, "clip_by": "value", "accumulate": 2},
    "regularised": {"regularisers": [RDrop, partial(FGM, 0.5), partial(L2ToSource, 0.1), partial(MaxNorm, 0.3)]},
    "lion": {"optimizer": partial(optimizers.lion, lr=0.02)},
    "phases": {"finetune": EmbeddingFirst(epochs=1)},
    "adapters": {"finetune": LoRA(r=2)},
}


def trained(
    folder, *, epochs=EPOCHS, optimizer=ADAMW, active=True, regularisers=(), finetune=None, recomputed=False, clip=1.0,
    clip_by="norm", accumulate=1,
):  # fmt: skip
    """History, weights as `best.ckpt` has them, and what parts of the weights this process trained."""
    made, ranks = tiny.module(finetune=finetune), world_size()
    torch.manual_seed(0)
    made.model.encoder = Body()
    if finetune is not None:
        finetune.prepare(made.model)
    if active:
        activate(made.model.embedding, torch.arange(2, 20))
    terms = [each() for each in regularisers]
    for each in terms:
        each.start(made.model)
    module = SupervisedModule(
        made.model, made.tasks, optimizer, made._schedule, made._finetune, terms, 0.1, decay_embeddings=True
    )
    data = tiny.batches(9)
    held = {}

    def look(*_):
        held.update({name: (tuple(p.shape), getattr(p, "_local_tensor", p).numel()) for name, p in named(module)})

    module.on_train_end = look
    fitted = fit(
        module, data if ranks == 1 else SharedData(data, made.tasks, rank(), ranks),
        checkpoints=Path(folder) / "checkpoints", loggers=[], console=Console(quiet=True), epochs=epochs,
        monitor="accuracy", patience=None, gradient_clip=clip, gradient_clip_by=clip_by, accumulate=accumulate,
        bar=False, accelerator="cpu", devices=ranks, strategy="fsdp", activation_checkpointing=recomputed,
        precision="32",
    )  # fmt: skip
    return fitted.history, best(folder), held


def named(module):
    return list(module.named_parameters())


def best(folder):
    if rank():
        return None
    saved = torch.load(Path(folder) / "checkpoints" / "best.ckpt", weights_only=True)
    assert saved.keys() == {"state_dict"}
    return {name: weight.numpy() for name, weight in saved["state_dict"].items()}


def close(found, expected):
    (history, weights, _), (of_one, expected_weights, _) = found, expected
    assert [row["step"] for row in history] == [row["step"] for row in of_one]
    for key in ("train_loss", "dev_loss", "dev_accuracy"):
        assert [row[key] for row in history] == pytest.approx([row[key] for row in of_one], abs=1e-5)
    assert weights.keys() == expected_weights.keys()
    for name, weight in expected_weights.items():
        assert np.abs(weights[name] - weight).max() < 1e-5, name


def everything(folder):
    """All runs of a rank, and some that are gone on with: by two ranks, and later by other numbers."""
    found = {name: trained(folder / name, **settings) for name, settings in RUNS.items()}
    settings = RUNS["active rows"]
    for name in ("two then two", "two then one", "two, one, two"):
        trained(folder / name, **settings, epochs=1)
    found["two then two"] = trained(folder / "two then two", **settings)
    return found


def later(folder):
    settings = RUNS["active rows"]
    return {name: trained(folder / name, **settings, epochs=3) for name in ("one then two", "two, one, two")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sharded")


@pytest.fixture(scope="module")
def ranks(folder):
    return together(everything, folder)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("alone"), **RUNS["active rows"], epochs=3)


@pytest.mark.parametrize("name", RUNS)
def test_sharded_ranks_take_the_steps_of_one_process(ranks, name, tmp_path):
    close(ranks[0][name], trained(tmp_path, **RUNS[name]))


def test_each_rank_holds_a_part_of_every_weight_and_of_active_rows_alone(ranks):
    first, second = (of["active rows"][2] for of in ranks)
    assert first["model.embedding.lookup.weight"] == ((19, 6), 10 * 6)
    assert second["model.embedding.lookup.weight"] == ((19, 6), 9 * 6)
    assert {"model.encoder.layers.1.linear.weight", "regularisers.0.map.weight"} < first.keys()
    for name, (shape, count) in first.items():
        assert count + second[name][1] == np.prod(shape), name
        assert count == -(-shape[0] // 2) * np.prod(shape[1:]), name


def test_resumed_ranks_end_with_the_bits_of_ranks_that_were_not_interrupted(ranks):
    (history, weights, _), (straight, expected, _) = ranks[0]["two then two"], ranks[0]["active rows"]
    assert history == straight
    assert weights.keys() == expected.keys()
    assert all(np.array_equal(weights[name], expected[name]) for name in expected)


def test_checkpoints_load_on_other_numbers_of_ranks(ranks, folder, alone):
    settings = RUNS["active rows"]
    close(trained(folder / "two then one", **settings, epochs=3), alone)
    trained(folder / "two, one, two", **settings)
    trained(folder / "one then two", **settings, epochs=1)
    found = together(later, folder)[0]
    close(found["one then two"], alone)
    close(found["two, one, two"], alone)


def test_ranks_write_their_pieces_and_nothing_is_left_of_older_ones(ranks, folder):
    there = folder / "active rows" / "checkpoints"
    (of_last,) = (there / "pieces").iterdir()
    pieces = [torch.load(of_last / f"rank_{i}.ckpt", weights_only=True)["values"] for i in (0, 1)]
    assert pieces[0].keys() == pieces[1].keys()
    assert pieces[0]["state_dict/model.embedding.lookup.weight"].shape == (10, 6)
    states = [name for name in pieces[1] if name.startswith("optimizer_states/0/state/") and name.endswith("/exp_avg")]
    assert len(states) == len(ranks[0]["active rows"][2])
    assert sorted(path.name for path in there.iterdir()) == ["best.ckpt", "last.ckpt", "pieces"]
