"""What does not go with weights in pieces is told before anything is read."""

import pytest

from lexigraft.config.sharding import sharding_problems
from tests.config.test_schema import HARDWARE

FSDP = HARDWARE | {"accelerator": "cpu", "devices": 2, "strategy": "fsdp"}
TRAINER = {"batch_size": 64, "batch_tokens": None, "micro_batch": None, "checkpoint_async": False}
ADAMW = {"_target_": "torch.optim.AdamW"}


def problems(hardware=None, trainer=None, **groups):
    options = {"optimizer": ADAMW, "averaging": {"_target_": "lexigraft.training.averaging.none"}} | groups
    return sharding_problems({"hardware": FSDP | (hardware or {}), "trainer": TRAINER | (trainer or {}), **options})


@pytest.mark.parametrize("optimizer", ["torch.optim.SGD", "torch.optim.Adam", "lexigraft.training.optimizers.lion"])
def test_what_goes_together_is_not_told_of(optimizer):
    assert problems(optimizer={"_target_": optimizer}) == []
    assert problems({"precision": "bf16-mixed", "activation_checkpointing": True}) == []
    assert problems({"strategy": "ddp"}, {"checkpoint_async": True}, optimizer={"_target_": "x.Own"}) == []


@pytest.mark.parametrize(
    ("hardware", "says"),
    [
        ({"devices": 1}, "this run has one: use hardware.devices=2 or more, or hardware.strategy=ddp"),
        ({"cpu_offload": True}, "on a CPU all is in its memory anyway: leave it false"),
        ({"strategy": "ddp", "cpu_offload": True}, "hardware.strategy=ddp cuts none: use hardware=fsdp"),
    ],
)
def test_hardware_that_pieces_do_not_fit(hardware, says):
    [told] = problems(hardware)
    assert told.endswith(says)


def test_compiling(monkeypatch):
    monkeypatch.setenv("CXX", "sh")
    [told] = problems({"compile": True})
    assert told.endswith("whose pieces come and go: use hardware.compile=false")


@pytest.mark.parametrize(
    ("trainer", "says"),
    [
        ({"micro_batch": 8}, "trainer.micro_batch=8 is not with hardware.strategy=fsdp"),
        ({"micro_batch": "auto"}, "use trainer.micro_batch=null, with a lower trainer.batch_size"),
        ({"checkpoint_async": True}, "use trainer.checkpoint_async=false"),
    ],
)
def test_training_that_pieces_do_not_fit(trainer, says):
    [told] = problems(None, trainer)
    assert says in told


@pytest.mark.parametrize(
    ("group", "target", "says"),
    [
        ("optimizer", "lexigraft.training.muon.MuonWithAdamW", "needs whole matrices"),
        ("optimizer", "torch.optim.Adafactor", "use optimizer=adamw, or hardware.strategy=ddp"),
        ("optimizer", "mine.Own", "the optimizer mine.Own is not with hardware.strategy=fsdp"),
        ("averaging", "lexigraft.training.averaging.ema", "use averaging=none, or hardware.strategy=ddp"),
        ("finetune", "lexigraft.training.finetune.transfer.Transfer", "use finetune=embedding_first"),
    ],
)
def test_options_that_pieces_do_not_fit(group, target, says):
    [told] = problems(**{group: {"_target_": target}})
    assert says in told
