import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from lexigraft.training.observing.bar import Bar, TimeLeft
from tests.training.tiny import batches, module, trainer


def shown(seconds: float | None) -> str:
    console = Console(file=io.StringIO(), width=80)
    progress = Progress(TimeLeft(lambda: seconds), console=console)
    progress.add_task("", total=1)
    console.print(progress.get_renderable())
    return console.file.getvalue().strip()  # type: ignore[attr-defined]


def test_the_time_of_the_whole_run() -> None:
    assert shown(3723.4) == "1:02:03 left"
    assert shown(None) == ""


@pytest.mark.filterwarnings("ignore")
def test_the_bar_of_lightning_has_it_as_a_column(tmp_path: Path) -> None:
    bar = Bar(lambda: 7.0)
    running = trainer(tmp_path, epochs=1)
    running.callbacks.append(bar)
    running.fit(module(), batches())
    assert bar.progress is not None
    (left,) = (column for column in bar.progress.columns if isinstance(column, TimeLeft))
    assert left.render(bar.progress.tasks[0]).plain == "0:00:07 left"
