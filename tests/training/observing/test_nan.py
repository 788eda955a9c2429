import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lexigraft.training.observing.nan import StopAtNaN, save_batch
from lexigraft.training.random_state import set_random_state
from lexigraft.training.regularise.rdrop import RDrop
from tests.training.tiny import batches, module, trainer

pytestmark = pytest.mark.filterwarnings("ignore")


class Poison(pl.Callback):
    """Makes a weight NaN after a batch, so that the next one's loss is; notes what the weights were before."""

    def __init__(self, after: int) -> None:
        self.after, self.losses = after, list[float]()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.after:
            with torch.no_grad():
                pl_module.model.heads["main"].weight.fill_(torch.nan)  # type: ignore[union-attr,operator]


@pytest.mark.parametrize("every", [None, 3, 1000])
def test_the_very_step_is_named_and_its_batch_kept(tmp_path: Path, every: int | None) -> None:
    with pytest.raises(ValueError, match="became nan at step 13") as stopped:
        trainer(tmp_path, Poison(12), StopAtNaN(tmp_path / "replay", every)).fit(module(), batches())
    message = str(stopped.value)
    assert "(epoch 1): lower optimizer.lr, set trainer.gradient_clip, or check the source matrix" in message
    (file,) = re.findall(r"kept in (\S+):", message)
    kept = torch.load(file, weights_only=True)
    assert file == str(tmp_path / "replay" / "step_13.pt")
    assert (kept["step"], kept["epoch"]) == (13, 1)
    data = batches()
    expected = data.train.__getitems__(data.batches.batches(1)[4])  # 8 batches an epoch: the fifth of the second
    assert kept["batch"].keys() == expected.keys()
    assert torch.equal(kept["batch"]["input_ids"], expected["input_ids"])
    assert kept["batch"]["task"] == "main"
    (code,) = re.findall(r'python -c "(.*)"', message)
    exec(code)  # the line that is told works


def test_random_streams_are_those_before_the_step(tmp_path: Path) -> None:
    seen: list[torch.Tensor] = []

    class Draws(pl.Callback):
        def on_before_zero_grad(self, *_: Any) -> None:
            seen.append(torch.rand(3))

    with pytest.raises(ValueError, match="step 5"):
        trainer(tmp_path, Poison(4), Draws(), StopAtNaN(tmp_path, every=4)).fit(module(), batches())
    set_random_state(torch.load(tmp_path / "step_5.pt", weights_only=True)["random"])
    assert torch.equal(torch.rand(3), seen[4])
    assert len(seen) == 8


def test_no_checkpoint_is_written_of_what_came_after(tmp_path: Path) -> None:
    class Saves(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step % 2 == 0:
                trainer.save_checkpoint(tmp_path / f"{trainer.global_step}.ckpt")

    with pytest.raises(ValueError, match="step 5"):
        trainer(tmp_path, Poison(4), StopAtNaN(every=100), Saves()).fit(module(), batches())
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["2.ckpt", "4.ckpt"]
    assert torch.load(tmp_path / "2.ckpt", weights_only=True)["global_step"] == 2


def test_a_training_that_goes_well_keeps_nothing_and_its_bits(tmp_path: Path) -> None:
    weights = []
    for callbacks in ([], [StopAtNaN(tmp_path / "replay", every=3)]):
        trained = module(partial(torch.optim.AdamW, lr=0.01), [RDrop(1.0)])
        trainer(tmp_path, *callbacks, epochs=2).fit(trained, batches())
        weights.append(trained.state_dict())
    assert all(torch.equal(weights[0][name], of) for name, of in weights[1].items())
    assert not (tmp_path / "replay").exists()


def test_a_kept_batch_holds_plain_things_alone(tmp_path: Path) -> None:
    batch = {"ids": torch.ones(2, requires_grad=True), "path": tmp_path, "more": (1, None, torch.zeros(1))}
    save_batch(tmp_path / "a" / "b.pt", batch, step=1, epoch=0, weights={"w": torch.ones(1)})
    kept = torch.load(tmp_path / "a" / "b.pt", weights_only=True)
    assert kept["batch"]["path"] == str(tmp_path)
    assert kept["batch"]["more"] == [1, None, torch.zeros(1)]
    assert not kept["batch"]["ids"].requires_grad
    assert kept["weights"] == {"w": torch.ones(1)}
    assert "random" not in kept
