"""metrics.csv: a row for each time that something is logged, whole lines at any moment, continued by a resumed run."""

import csv
import errno
import io
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from lexigraft.runs.folder import write_text

NAME = "metrics.csv"
FIRST = ("epoch", "step")


class MetricsCsv(Logger):
    """Writes each row as it comes. A new run begins the file anew; a resumed one keeps the rows before its step."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._columns: list[str] | None = None
        self._resumed: int | None = None
        self._kept: int | None = None
        self.rows = 0  # that the file has

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self._folder)

    def after_resume(self, step: int, rows: int | None = None) -> None:
        """Training goes on after `step` optimizer steps, whose rows are numbered from 0 to `step` - 1.

        `rows`: how many there were, if that is known. The last step's validation may be still to come.
        """
        self._resumed, self._kept, self.rows = step, rows, rows or 0

    def log_hyperparams(self, *arguments: Any, **named: Any) -> None:
        """config.yaml has them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Append a row; NaN and infinity are written as Python writes them. `OSError` names the file."""
        row = {key: getattr(value, "item", lambda value=value: value)() for key, value in metrics.items()}
        if step is not None:
            row["step"] = step
        path = self._folder / NAME
        try:
            self._append(path, row)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error

    def _append(self, path: Path, row: dict[str, Any]) -> None:
        if self._columns is None:
            kept = read_rows(self._folder, self._resumed) if self._resumed is not None else []
            kept = kept[: self._kept]
            self._begin(path, [*kept, row])
            self.rows = len(kept)
        elif row.keys() <= set(self._columns):
            # One write of a whole line: a killed process leaves all of it or nothing.
            file = os.open(path, os.O_WRONLY | os.O_APPEND)
            try:
                line = _lines([row], self._columns).encode()
                if os.write(file, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(file)
        else:
            self._begin(path, [*read_rows(self._folder), row])
        self.rows += 1

    def _begin(self, path: Path, rows: list[dict[str, Any]]) -> None:
        """The whole file anew: a header is known when its rows are."""
        keys = dict.fromkeys(key for row in rows for key in row)
        self._columns = [*(key for key in FIRST if key in keys), *(key for key in keys if key not in FIRST)]
        write_text(path, _lines([dict(zip(self._columns, self._columns)), *rows], self._columns))


def read_rows(folder: Path, before: int | None = None) -> list[dict[str, Any]]:
    """The rows of a run's metrics.csv, numbers where they are numbers; those of steps `before` one, if given.

    A line without its end is left out: a full disk can tear the last one.
    """
    path = folder / NAME
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    rows = [{k: _number(v) for k, v in row.items() if k and v} for row in csv.DictReader(io.StringIO(whole))]
    return [row for row in rows if before is None or row.get("step", -1) < before]


def _lines(rows: list[dict[str, Any]], columns: list[str]) -> str:
    out = io.StringIO()
    csv.DictWriter(out, columns, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _number(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if math.isfinite(number) and number.is_integer() and text.lstrip("-").isdecimal() else number
