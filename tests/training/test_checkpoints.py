"""Training that stops between two epochs and goes on: the same bits as training that did not stop."""

import io
from functools import partial

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from rich.console import Console

from lexigraft.models.active import activate
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Identity
from lexigraft.models.pooling import Mean
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.training import averaging
from lexigraft.training.checkpoints import keep_weights_alone
from lexigraft.training.finetune.phases import EmbeddingFirst
from lexigraft.training.finetune.steady import Full
from lexigraft.training.fit import fit
from lexigraft.training.module import SupervisedModule
from lexigraft.training.regularise.mixup import Mixup
from lexigraft.training.schedule import Cosine, Plateau
from tests.training.test_fit import CLASSES, batches


class Killed(Exception):
    """What ends training here in the place of a signal."""


class KillAt(Callback):
    def __init__(self, epoch, hook):
        self.epoch = epoch
        setattr(self, hook, self.kill)

    def kill(self, trainer, *_):
        if trainer.current_epoch == self.epoch:
            raise Killed


def module(schedule, finetune=None, regularisers=()):
    torch.manual_seed(0)
    embedding = TransplantedEmbedding(torch.randn(30, 6), 0)
    model = Classifier(embedding, Identity(6), Mean(6), {"main": Head(2)}, head_dropout=0.3)
    activate(model.embedding, torch.arange(1, 20))
    optimizer = partial(torch.optim.AdamW, lr=0.05)
    task = Classification(loss=CrossEntropy(), classes=CLASSES, train=[0, 1])
    return SupervisedModule(
        model, {"main": task}, optimizer, schedule, finetune or Full(), regularisers=regularisers, weight_decay=0.1
    )


def train(folder, made, kill=None, **settings):
    torch.manual_seed(1)
    out = io.StringIO()
    fitted = fit(
        made, batches(), checkpoints=folder, loggers=[], console=Console(file=out, width=200), epochs=5,
        monitor="accuracy", bar=False, accelerator="cpu", devices=1, precision="32-true",
        **{"patience": None, "averaging": kill, **settings},
    )  # fmt: skip
    return fitted, out.getvalue(), torch.rand(3)


REGIMES = {
    "cosine": lambda: module(Cosine()),
    "plateau": lambda: module(Plateau(monitor="loss", patience=0)),
    "phases": lambda: module(Cosine(), EmbeddingFirst(epochs=2)),
    "mixup": lambda: module(Cosine(), regularisers=[Mixup()]),
}


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize(("epoch", "hook"), [(2, "on_train_batch_start"), (3, "on_validation_start")])
def test_resumed_training_ends_with_the_same_bits(tmp_path, regime, epoch, hook):
    straight = REGIMES[regime]()
    expected, said, random = train(tmp_path / "straight", straight)
    with pytest.raises(Killed):
        train(tmp_path / "killed", REGIMES[regime](), KillAt(epoch, hook))
    torch.manual_seed(99)
    resumed = REGIMES[regime]()
    found, told, random_after = train(tmp_path / "killed", resumed)
    assert found.history == expected.history
    assert found.best == expected.best
    assert torch.equal(random_after, random)
    assert_equal(resumed.state_dict(), straight.state_dict())
    last = [torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("straight", "killed")]
    assert_equal(*[of["optimizer_states"][0]["state"] for of in last])
    assert last[0]["lr_schedulers"] == last[1]["lr_schedulers"]
    assert len(told.splitlines()) == 5 - epoch == len(said.splitlines()) - epoch


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_averages_go_on_too(tmp_path, kind):
    def average():
        return averaging.ema(0.9) if kind == "ema" else averaging.swa(0.4)

    straight, killed, resumed = (module(Cosine()) for _ in range(3))
    expected, _, _ = train(tmp_path / "straight", straight, averaging=average())
    callback = average()
    callback.on_train_epoch_start = KillAt(3, "on_train_epoch_start").kill
    with pytest.raises(Killed):
        train(tmp_path / "killed", killed, averaging=callback)
    found, _, _ = train(tmp_path / "killed", resumed, averaging=average())
    assert found.history == expected.history
    assert_equal(resumed.state_dict(), straight.state_dict())


def test_training_that_stopped_early_is_not_taken_up_again(tmp_path):
    first, told, _ = train(tmp_path, module(Cosine()), patience=1)
    assert len(first.history) < 5
    again, silent, _ = train(tmp_path, module(Cosine()), patience=1)
    assert (again.history, again.best, silent) == (first.history, first.best, "")
    assert told


def test_the_best_checkpoint_is_left_with_its_weights_alone(tmp_path):
    made = module(Cosine())
    train(tmp_path, made)
    saved = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert saved.keys() == {"state_dict"}
    assert_equal(saved["state_dict"], made.state_dict())
    before = (tmp_path / "best.ckpt").stat().st_mtime_ns
    assert_equal(keep_weights_alone(tmp_path / "best.ckpt"), saved["state_dict"])
    assert (tmp_path / "best.ckpt").stat().st_mtime_ns == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]


def assert_equal(one, other):
    """Two nested containers with the same tensors, bit for bit."""
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, dict):
            assert_equal(value, other[key])
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, other[key]), key
        else:
            assert value == other[key], key
