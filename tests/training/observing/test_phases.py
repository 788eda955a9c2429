from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint
from pytorch_lightning.profilers import SimpleProfiler
from torch import Tensor
from torch.utils.data import DataLoader

from lexigraft.training.observing.gpu import EVERY, GpuSteps
from lexigraft.training.observing.phases import WARM_UP, Phases

from .test_gpu import Event, Stream


class Clock:
    """Stands still but for what is added to it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow(pl.LightningModule):
    """Lets the clock go on in each phase by a time of its own."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.layer = torch.nn.Linear(2, 1)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        self.clock.now += 1
        return batch

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        self.clock.now += 20
        return self.layer(batch).mean()

    def backward(self, loss: Tensor, *_: Any) -> None:  # type: ignore[override]
        self.clock.now += 30
        loss.backward()

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        super().optimizer_step(*arguments, **options)
        self.clock.now += 10

    def validation_step(self, batch: Tensor, _: int) -> None:
        self.clock.now += 500

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Batches(DataLoader[Any]):
    """Each one takes 5."""

    clock: Clock

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for batch in super().__iter__():
            self.clock.now += 5
            yield batch


class Checkpoints(Checkpoint):
    """Takes 70 beside what Lightning's own saving takes."""

    def __init__(self, clock: Clock, folder: Path) -> None:
        self.clock, self.folder = clock, folder

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.clock.now += 70
        trainer.save_checkpoint(self.folder / "a.ckpt")


class Runs(Callback):
    """Starts, warms up and stops the phases as `Watch` does."""

    def __init__(self, phases: Phases, clock: Clock) -> None:
        self.phases, self.clock, self.batches = phases, clock, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.phases.begin()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.clock.now += 2
        self.batches += 1
        if self.batches == WARM_UP:
            self.phases.warmed_up()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.phases.enter("validation")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.phases.leave()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.phases.end()
        self.clock.now += 10_000


def timed(folder: Path, inner: SimpleProfiler | None = None, **settings: Any) -> Phases:
    """The phases of two epochs of five batches."""
    clock = Clock()
    phases = Phases(inner, clock=clock)
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", profiler=phases, logger=False, num_sanity_val_steps=0,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        callbacks=[Runs(phases, clock), Checkpoints(clock, folder)], **settings,
    )  # fmt: skip
    batches = Batches(torch.randn(10, 2), batch_size=2)
    batches.clock = clock
    trainer.fit(Slow(clock), batches, DataLoader(torch.randn(2, 2), batch_size=2))
    return phases


EXPECTED = {
    "data": 35, "transfer": 7, "forward": 140, "backward": 210, "optimizer": 70,
    "validation": 1002, "checkpoint": 140, "rest": 14,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_every_instant_belongs_to_one_phase(tmp_path: Path) -> None:
    phases = timed(tmp_path)
    assert phases.warm_up == 3 * (5 + 1 + 20 + 30 + 10 + 2)
    assert phases.seconds == EXPECTED
    assert phases.elapsed() == sum(EXPECTED.values())


@pytest.mark.filterwarnings("ignore")
def test_batches_without_an_update_have_no_time_for_one(tmp_path: Path) -> None:
    phases = timed(tmp_path, accumulate_grad_batches=5)
    assert phases.seconds == EXPECTED | {"optimizer": 20}


@pytest.mark.filterwarnings("ignore")
def test_another_profiler_hears_all_that_lightning_says(tmp_path: Path) -> None:
    inner = SimpleProfiler(dirpath=tmp_path, filename="said")
    phases = timed(tmp_path, inner)
    assert phases.seconds == EXPECTED
    assert len(inner.recorded_durations["[_TrainingEpochLoop].train_dataloader_next"]) == 10
    assert len(inner.recorded_durations["run_training_batch"]) == 10
    assert "run_training_batch" in (tmp_path / "fit-said.txt").read_text()


def test_the_clock_stands_still_before_and_after() -> None:
    clock = Clock()
    phases = Phases(clock=clock)
    with phases.profile("run_training_batch"):
        clock.now += 1
    assert phases.elapsed() == 0
    phases.begin()
    with phases.profile("run_training_batch"), phases.profile("[Strategy]Single.backward"):
        clock.now += 1
    phases.end()
    clock.now += 1
    phases.read()
    assert phases.elapsed() == phases.seconds["backward"] == 1


def test_parts_of_a_batch_go_backward_within_the_step_and_it_is_no_time_of_forward() -> None:
    clock, stream = Clock(), Stream()
    gpu = GpuSteps(torch.device("cpu"), event=lambda: Event(stream), busy=lambda: 0.0)
    phases = Phases(gpu=gpu, clock=clock)

    def later(seconds: float) -> None:
        clock.now += seconds
        stream.now += 1e3 * seconds

    phases.begin()
    for _ in range(EVERY + 1):
        with phases.profile("run_training_batch"), phases.profile("[Strategy]Single.training_step"):
            later(2)
            with phases.profile("[Strategy]parts.backward"):
                later(3)
            later(4)
    gpu.finish()
    assert phases.seconds["forward"] == (EVERY + 1) * 6
    assert phases.seconds["backward"] == (EVERY + 1) * 3
    assert (gpu.sampled, gpu.milliseconds["forward"], gpu.milliseconds["backward"]) == (1, 6000, 3000)
