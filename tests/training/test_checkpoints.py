"""Training that stops anywhere and goes on: the same bits as training that did not stop."""

import io
import os
import signal
from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from rich.console import Console
from torch.multiprocessing import ProcessExitedException

from lexigraft.data.augment.augmentation import Augmented
from lexigraft.data.augment.deletion import Deletion
from lexigraft.models.active import activate
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Identity
from lexigraft.models.pooling import Mean
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.training.averaging import ema, swa
from lexigraft.training.checkpoint_files import CheckpointFiles
from lexigraft.training.checkpoints import Checkpoints, take_best
from lexigraft.training.finetune.phases import EmbeddingFirst
from lexigraft.training.finetune.steady import Full
from lexigraft.training.fit import fit, quiet_lightning
from lexigraft.training.module import SupervisedModule
from lexigraft.training.preemption import Preempted
from lexigraft.training.regularise.mixup import Mixup
from lexigraft.training.regularise.rdrop import RDrop
from lexigraft.training.schedule import Cosine, Plateau
from lexigraft.training.tracking.metrics_csv import MetricsCsv
from tests.training.test_fit import CLASSES, batches

EVERY_STEP = 1e-9  # minutes
BATCHES = 6  # an epoch


class Killed(Exception):
    """What ends training here in the place of a signal."""


def module(schedule=None, finetune=None, regularisers=(), optimizer=None):
    torch.manual_seed(0)
    embedding = TransplantedEmbedding(torch.randn(30, 6), 0)
    model = Classifier(embedding, Identity(6), Mean(6), {"main": Head(2)}, head_dropout=0.3)
    activate(model.embedding, torch.arange(1, 20))
    optimizer = optimizer or partial(torch.optim.AdamW, lr=0.05)
    task = Classification(loss=CrossEntropy(), classes=CLASSES, train=[0, 1])
    return SupervisedModule(
        model, {"main": task}, optimizer, schedule or Cosine(), finetune or Full(), regularisers=regularisers,
        weight_decay=0.1,
    )  # fmt: skip


def train(folder, made, *, kill=None, data=None, **settings):
    """Train for three epochs; `kill` is (hook of the module, epoch, batch, what then happens).

    Only a run that is to be killed writes a checkpoint after every step.
    """
    if kill is not None:
        hook, epoch, batch, then = kill

        def killing(*arguments):
            at = arguments[1] if len(arguments) > 1 else 0
            if (made.current_epoch, at) == (epoch, batch):
                then()

        setattr(made, hook, killing)
    folder.mkdir(exist_ok=True)
    torch.manual_seed(1)
    out = io.StringIO()
    fitted = fit(
        made, data or batches(), checkpoints=folder / "checkpoints", loggers=[MetricsCsv(folder)],
        console=Console(file=out, width=200), bar=False, accelerator="cpu", devices=1, precision="32",
        **{"epochs": 3, "monitor": "accuracy", "patience": None, "checkpoint_every": kill and EVERY_STEP, **settings},
    )  # fmt: skip
    return fitted, out.getvalue(), torch.rand(3)


def die():
    raise Killed


def deleting():
    data = batches()
    data.train.change = Augmented({"deletion": (1.0, Deletion(0.3))}, np.arange(20) > 0, 0)
    return data


MID_EPOCH = ("on_train_batch_start", 1, 4)
MID_VALIDATION = ("on_validation_batch_start", 1, 1)
REGIMES = {
    "cosine": dict,
    "sgd": lambda: {"made": module(optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9))},
    "plateau": lambda: {"made": module(Plateau(monitor="loss", patience=0))},
    "phases": lambda: {"made": module(finetune=EmbeddingFirst(epochs=1))},
    "mixup": lambda: {"made": module(regularisers=[Mixup()])},
    "rdrop": lambda: {"made": module(regularisers=[RDrop()])},
    "augment": lambda: {"data": deleting()},
    "accumulate": lambda: {"accumulate": 2},
    "ema": lambda: {"averaging": ema(0.9)},
    "swa": lambda: {"averaging": swa(0.3)},
    "swa of steps": lambda: {"averaging": swa(0.0, every=4)},
    "workers": lambda: {"data": batches(workers=1)},
    "patience": lambda: {"patience": 1},
    "thread": lambda: {"checkpoint_async": True},
}


def fresh(regime):
    return {"made": module(), **REGIMES[regime]()}


@pytest.mark.parametrize("regime", REGIMES)
def test_resumed_training_ends_with_the_same_bits(tmp_path, regime):
    straight, resumed = fresh(regime), fresh(regime)
    expected, said, random = train(tmp_path / "straight", **straight)
    for place in (MID_EPOCH, MID_VALIDATION):
        with pytest.raises(Killed):
            train(tmp_path / "killed", **fresh(regime), kill=(*place, die))
    torch.manual_seed(99)
    found, told, random_after = train(tmp_path / "killed", **resumed)
    assert found.history == expected.history
    assert found.best == expected.best
    assert torch.equal(random_after, random)
    assert_equal(resumed["made"].state_dict(), straight["made"].state_dict())
    curves = [(tmp_path / name / "metrics.csv").read_bytes() for name in ("straight", "killed")]
    assert curves[0] == curves[1]
    last = [last_of(tmp_path / name) for name in ("straight", "killed")]
    assert_equal(*[of["optimizer_states"][0]["state"] for of in last])
    assert last[0]["lr_schedulers"] == last[1]["lr_schedulers"]
    assert_equal(*[of["lexigraft"]["random"][0] for of in last])
    assert told.splitlines() == said.splitlines()[1:]


@pytest.mark.parametrize(
    ("place", "every", "left"),
    [
        (MID_EPOCH, EVERY_STEP, (1, 4)),
        (MID_EPOCH, None, (1, 0)),
        (MID_VALIDATION, EVERY_STEP, (1, BATCHES)),
        (("on_train_batch_start", 0, 3), EVERY_STEP, (0, 3)),
        (("on_validation_batch_start", 2, 0), EVERY_STEP, (2, BATCHES)),
        (("on_train_epoch_start", 2, 0), None, (2, 0)),
    ],
)
def test_where_a_killed_run_goes_on(tmp_path, place, every, left):
    expected, _, _ = train(tmp_path / "straight", straight := module())
    with pytest.raises(Killed):
        train(tmp_path / "killed", module(), kill=(*place, die), checkpoint_every=every)
    saved = last_of(tmp_path / "killed")
    assert (saved["lexigraft"]["epochs"], saved["lexigraft"]["done"]) == left
    found, _, _ = train(tmp_path / "killed", resumed := module())
    assert found.history == expected.history
    assert_equal(resumed.state_dict(), straight.state_dict())


def test_between_the_batches_of_a_step_nothing_is_written(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, module(), kill=("on_train_batch_start", 1, 3, die), accumulate=2)
    assert last_of(tmp_path)["lexigraft"]["done"] == 2


def test_only_a_whole_epoch_becomes_the_best(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, module(), kill=("on_train_batch_start", 0, 5, die))
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()
    with pytest.raises(Killed):
        train(tmp_path, module(), kill=("on_train_batch_start", 1, 5, die))
    assert torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)["global_step"] == BATCHES


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
@pytest.mark.parametrize(("place", "left"), [(MID_EPOCH, (1, 5)), (("on_validation_batch_start", 1, 0), (1, 0))])
def test_a_signal_is_obeyed_after_the_step(tmp_path, number, place, left):
    before = signal.getsignal(number)
    expected, _, _ = train(tmp_path / "straight", straight := module())
    told = partial(os.kill, os.getpid(), number)
    with pytest.raises((Preempted, KeyboardInterrupt)) as stopped:
        train(tmp_path / "told", module(), kill=(*place, told), checkpoint_every=None)
    assert stopped.type is (KeyboardInterrupt if number == signal.SIGINT else Preempted)
    assert getattr(stopped.value, "code", 130) == 128 + number
    assert signal.getsignal(number) is before
    saved = last_of(tmp_path / "told")["lexigraft"]
    assert (saved["epochs"], saved["done"]) == left
    found, _, _ = train(tmp_path / "told", resumed := module())
    assert found.history == expected.history
    assert_equal(resumed.state_dict(), straight.state_dict())


def test_a_signal_amid_the_last_step_of_an_epoch_spares_its_validation(tmp_path):
    told = partial(os.kill, os.getpid(), signal.SIGTERM)
    with pytest.raises(Preempted):
        train(tmp_path, module(), kill=("on_train_batch_start", 0, 5, told), checkpoint_every=None)
    assert last_of(tmp_path)["lexigraft"]["done"] == BATCHES
    assert train(tmp_path, module())[0].history == train(tmp_path / "straight", module())[0].history


def test_ctrl_c_twice_does_not_wait(tmp_path):
    def twice():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("unreachable")

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, module(), kill=(*MID_EPOCH, twice), checkpoint_every=None)
    assert last_of(tmp_path)["lexigraft"]["epochs"] == 1


def test_a_damaged_checkpoint_is_told_of_and_the_one_before_it_used(tmp_path):
    expected, _, _ = train(tmp_path / "straight", module())
    with pytest.raises(Killed):
        train(tmp_path / "killed", module(), kill=(*MID_EPOCH, die))
    last, previous = (tmp_path / "killed" / "checkpoints" / f"{name}.ckpt" for name in ("last", "previous"))
    last.write_bytes(last.read_bytes()[:-100])
    kept = previous.read_bytes()
    with pytest.raises(Killed):
        train(tmp_path / "killed", module(), kill=("on_train_batch_start", 1, 3, die), checkpoint_every=None)
    found, told, _ = train(tmp_path / "killed", module())
    sentence = f"{last} is damaged: training goes on from previous.ckpt, the checkpoint before it"
    assert told.splitlines()[0] == sentence
    assert torch.load(io.BytesIO(kept), weights_only=True)["lexigraft"]["done"] == 3
    assert found.history == expected.history


def test_without_any_whole_checkpoint_training_begins_anew_and_says_so(tmp_path):
    expected, said, _ = train(tmp_path / "straight", module())
    with pytest.raises(Killed):
        train(tmp_path / "killed", module(), kill=(*MID_EPOCH, die))
    damaged = [tmp_path / "killed" / "checkpoints" / f"{name}.ckpt" for name in ("last", "previous")]
    for path in damaged:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    found, told, _ = train(tmp_path / "killed", module())
    assert told == f"{damaged[0]} and {damaged[1]} are damaged: training begins anew\n" + said
    assert (found.history, found.best) == (expected.history, expected.best)


def test_the_weights_of_the_best_epoch_have_to_be_there(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, module(), kill=(*MID_EPOCH, die))
    best = tmp_path / "checkpoints" / "best.ckpt"
    content = best.read_bytes()
    best.unlink()
    with pytest.raises(ValueError, match=r"best\.ckpt is gone, and the weights of the best epoch .* rerun=true"):
        train(tmp_path, module())
    best.write_bytes(content[:100])
    _, told, _ = train(tmp_path, module())
    assert told.startswith(f"{best} is damaged, and the weights in it are nowhere else: training begins anew\nepoch  1")


def test_other_numbers_of_processes_are_told_of(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, module(), kill=(*MID_EPOCH, die))
    for name in ("last", "previous"):
        path = tmp_path / "checkpoints" / f"{name}.ckpt"
        saved = torch.load(path, weights_only=True)
        saved["lexigraft"]["random"] *= 2
        torch.save(saved, path)
    _, told, _ = train(tmp_path, module())
    assert told.startswith(
        "ranks in the checkpoint: 2, now: 1; dropout and whatever else is drawn at random will not be"
    )


def two_ranks(folder, kill=None):
    """Train with two processes, which draw different numbers; SIGTERM at (epoch, batch, rank)."""
    made, files = module(), CheckpointFiles(folder)

    def before_a_step(batch, place):
        torch.rand(1 + made.global_rank)
        if kill == (made.current_epoch, place, made.global_rank):
            os.kill(os.getpid(), signal.SIGTERM)

    made.on_train_batch_start = before_a_step
    pl.seed_everything(1, verbose=False)
    with quiet_lightning():
        trainer = pl.Trainer(
            accelerator="cpu", devices=2, strategy="ddp_fork", plugins=[files], max_epochs=3, logger=False,
            callbacks=[Checkpoints(files, "accuracy")], default_root_dir=folder, enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
        )  # fmt: skip
        trainer.fit(made, datamodule=batches(), ckpt_path=files.resumable(pytest.fail), weights_only=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a process that knows a GPU cannot be forked")
def test_two_ranks_stop_after_the_same_step_and_go_on_each_with_its_own_streams(tmp_path):
    two_ranks(tmp_path / "straight")
    with pytest.raises(ProcessExitedException):
        two_ranks(tmp_path / "told", kill=(1, 3, 1))
    saved = torch.load(tmp_path / "told" / "last.ckpt", weights_only=True)["lexigraft"]
    assert (saved["epochs"], saved["done"]) == (1, 4)
    two_ranks(tmp_path / "told")
    one, other = (torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("straight", "told"))
    assert_equal(one["state_dict"], other["state_dict"])
    first, second = one["lexigraft"]["random"]
    assert_equal({"all": [first, second]}, {"all": other["lexigraft"]["random"]})
    assert not torch.equal(first["torch"], second["torch"])


def test_training_that_stopped_early_is_not_taken_up_again(tmp_path):
    first, told, _ = train(tmp_path, module(), patience=1, epochs=9)
    assert len(first.history) < 9
    again, silent, _ = train(tmp_path, module(), patience=1, epochs=9)
    assert (again.history, again.best, silent) == (first.history, first.best, "")
    assert told


def test_the_best_checkpoint_is_left_with_its_weights_alone(tmp_path):
    made = module()
    train(tmp_path, made)
    best = tmp_path / "checkpoints" / "best.ckpt"
    saved = torch.load(best, weights_only=True)
    assert saved.keys() == {"state_dict"}
    assert_equal(saved["state_dict"], made.state_dict())
    before = best.stat().st_mtime_ns
    take_best(made, CheckpointFiles(best.parent))
    assert_equal(made.state_dict(), saved["state_dict"])
    assert best.stat().st_mtime_ns == before
    assert sorted(path.name for path in best.parent.iterdir()) == ["best.ckpt", "last.ckpt"]


def last_of(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def assert_equal(one, other):
    """Two nested containers with the same tensors, bit for bit."""
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, dict):
            assert_equal(value, other[key])
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, other[key]), key
        elif isinstance(value, list):
            assert_equal(dict(enumerate(value)), dict(enumerate(other[key])))
        else:
            assert value == other[key], key
