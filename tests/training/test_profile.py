import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader

from lexigraft.training import profile
from lexigraft.training.profile import StepProfiler


class Slow(pl.LightningModule):
    """Lets the clock go on in each phase by a time of its own, and long in validation."""

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self.clock = clock
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        self.clock[0] += 0.02
        return self.layer(batch).mean()

    def validation_step(self, batch: Tensor, _: int) -> None:
        self.clock[0] += 0.5

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        super().optimizer_step(*arguments, **options)
        self.clock[0] += 0.01

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Batches(DataLoader[Any]):
    """Each one takes 5 ms."""

    clock: list[float]

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for batch in super().__iter__():
            self.clock[0] += 0.005
            yield batch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(profile, "_now", lambda: now[0])
    return now


def profiled(clock: list[float], folder: Path, epochs: int, **options: int) -> tuple[StepProfiler, str]:
    said = io.StringIO()
    profiler = StepProfiler(folder, Console(file=said, width=200), **options)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", profiler=profiler, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    batches = Batches(torch.randn(12, 2), batch_size=2)
    batches.clock = clock
    trainer.fit(Slow(clock), batches, DataLoader(torch.randn(2, 2), batch_size=2))
    return profiler, said.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_ten_lines_tell_where_the_time_went(tmp_path: Path, clock: list[float]) -> None:
    profiler, said = profiled(clock, tmp_path / "run", epochs=3, skip=2, timed=8, traced=2)
    lines = said.splitlines()
    assert len(lines) == 10
    assert (tmp_path / "run" / "profile.txt").read_text() == said
    assert lines[0] == "profile     35.00 ms a step, the mean of 8"
    phases = {line.split()[0]: (line.split()[1], line.split()[3]) for line in lines[1:6]}
    assert phases == {
        "data": ("5.00", "14.3%"),
        "forward": ("20.00", "57.1%"),
        "backward": ("0.00", "0.0%"),
        "optimizer": ("10.00", "28.6%"),
        "rest": ("0.00", "0.0%"),
    }
    assert profiler.steps == 8


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_trace_holds_the_operators_of_the_traced_steps(tmp_path: Path, clock: list[float]) -> None:
    _, said = profiled(clock, tmp_path, epochs=2, skip=0, timed=3, traced=2)
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert sum(event.get("name") == "aten::linear" for event in events) == 2
    assert str(tmp_path / "trace.json") in said


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_short_training_is_told_so(tmp_path: Path, clock: list[float]) -> None:
    _, said = profiled(clock, tmp_path, epochs=1, skip=6)
    assert said == "profile     nothing to tell: training ended within the 6 steps that are left out\n"
    assert not (tmp_path / "trace.json").exists()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_epoch_that_ends_early_ends_the_trace(tmp_path: Path, clock: list[float]) -> None:
    _, said = profiled(clock, tmp_path, epochs=1, skip=1, timed=4, traced=50)
    assert len(said.splitlines()) == 10
    assert (tmp_path / "trace.json").is_file()


def test_parts_of_a_batch_go_backward_within_the_step(clock: list[float], tmp_path: Path) -> None:
    profiler = StepProfiler(tmp_path, Console(file=io.StringIO()), skip=0, timed=1)
    profiler.start("[Loop].train_dataloader_next")
    profiler.stop("[Loop].train_dataloader_next")
    for action in ("run_training_batch", "[Strategy]Single.training_step"):
        profiler.start(action)
    clock[0] += 0.02
    with profiler.profile("[Strategy]parts.backward"):
        clock[0] += 0.03
    for action in ("[Strategy]Single.training_step", "run_training_batch"):
        profiler.stop(action)
    profiler.start("[Callback]X.on_train_epoch_end")
    summary = profiler.summary()
    assert re.search(r"forward +20.00 ms", summary)
    assert re.search(r"backward +30.00 ms", summary)
