import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from rich.console import Console

from lexigraft.data.encoded import Encoded
from lexigraft.training.observing.phases import WARM_UP
from lexigraft.training.observing.telling import lines
from lexigraft.training.observing.watch import Watch
from tests.training.tiny import batches, module, trainer

pytestmark = pytest.mark.filterwarnings("ignore")


class Ticking:
    """A clock that goes on by a second each time that it is read."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def watched(folder: Path, epochs: int = 3, data: Any = None, **options: Any) -> tuple[Watch, str, Any]:
    said = io.StringIO()
    watch = Watch(Console(file=said, width=300), **options)
    trained = module(partial(torch.optim.AdamW, lr=0.01))
    trainer(folder, watch, epochs=epochs, profiler=watch.phases).fit(trained, data or batches())
    return watch, said.getvalue(), trained.state_dict()


def test_what_was_measured(tmp_path: Path) -> None:
    watch, _, _ = watched(tmp_path)
    summary = watch.summary()
    data = batches()
    order = [turn for epoch in range(3) for turn in data.batches.batches(epoch)][WARM_UP:]
    masks = [data.train.__getitems__(turn)["mask"] for turn in order]
    real, cells = sum(int(m.sum()) for m in masks), sum(m.numel() for m in masks)
    assert summary["batches"] == len(order) == 21
    assert summary["padding"] == pytest.approx(1 - real / cells, abs=1e-4)
    seconds = summary["seconds"]
    parts = sum(of for name, of in seconds.items() if name != "total")
    assert seconds["total"] == pytest.approx(parts, abs=1e-3)
    assert all(seconds[name] > 0 for name in ("warm_up", "data", "forward", "backward", "optimizer", "validation"))
    assert seconds["communication"] == 0
    train = parts - seconds["warm_up"] - seconds["validation"] - seconds["checkpoint"]
    assert summary["step_ms"] == pytest.approx(1e3 * train / 21, rel=0.02)
    assert summary["samples_per_second"] == pytest.approx(sum(map(len, order)) / train, rel=0.02)
    assert summary["tokens_per_second"] == pytest.approx(real / train, rel=0.02)
    assert summary["measured_by"] == "clock"
    assert summary["mfu"] is summary["gpu_busy"] is None
    assert summary["peak_memory_bytes"] > 2**20
    assert len(lines(summary)) == 2


def test_watching_changes_no_bit(tmp_path: Path) -> None:
    _, _, weights = watched(tmp_path)
    plain = module(partial(torch.optim.AdamW, lr=0.01))
    trainer(tmp_path, epochs=3).fit(plain, batches())
    state = torch.get_rng_state()
    assert all(torch.equal(weights[name], of) for name, of in plain.state_dict().items())
    watched(tmp_path)
    plain = module(partial(torch.optim.AdamW, lr=0.01))
    trainer(tmp_path, epochs=3).fit(plain, batches())
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_slow_is_told_once_with_its_remedy(tmp_path: Path) -> None:
    clock, data = Ticking(), batches()

    def slowly(encoded: Encoded, texts: np.ndarray, epoch: int) -> Encoded:
        clock.now += 10
        return encoded

    data.train.change = slowly
    _, said, _ = watched(tmp_path, epochs=6, data=data, clock=clock)
    assert said.count("warning: training waits ") == said.count("raise trainer.workers (now 0)") == 1


def test_too_short_a_training_says_nothing(tmp_path: Path) -> None:
    said = io.StringIO()
    watch = Watch(Console(file=said))
    trainer(tmp_path, watch, epochs=1, profiler=watch.phases, limit_train_batches=2).fit(module(), batches())
    summary = watch.summary()
    assert summary["batches"] == 0
    assert summary["step_ms"] is summary["padding"] is summary["tokens_per_second"] is None
    assert summary["seconds"]["total"] > 0
    assert lines(summary) == []
    assert said.getvalue() == ""


def test_the_time_that_is_left_shrinks_with_the_batches_that_are(tmp_path: Path) -> None:
    told: list[tuple[int, float | None]] = []
    watch = Watch(Console(file=io.StringIO()), clock=Ticking())
    assert watch.remaining() is None

    class Notes(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            told.append((trainer.global_step, watch.remaining()))

    trainer(tmp_path, watch, Notes(), epochs=2, profiler=watch.phases).fit(module(), batches())
    assert [left for step, left in told if step < WARM_UP] == [None, None]
    per_batch = {round(left / (16 - step), 6) for step, left in told if WARM_UP < step <= 8 and left is not None}
    assert len(told) == 16
    assert len(per_batch) == 1  # every batch takes as many looks at the clock
    assert told[-1][1] == 0
