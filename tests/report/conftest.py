import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from lexigraft.report.writing import write_report
from tests.report.study import Made, written


@pytest.fixture
def no_warning() -> Iterator[None]:
    """A missing glyph or a squeezed layout is a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The study with a cell that failed, one that crashed and one that was never started."""
    unlike = {("sst2", "random", "1"): "failed", ("sst2", "random", "2"): "new", ("影评", "random", "0"): "running"}
    return written(
        tmp_path_factory.mktemp("study"), ends=lambda cell: unlike.get(tuple(cell.labels.values()), "finished")
    )


@pytest.fixture(scope="package")
def report(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report's folder, written without a warning; tests must not change it."""
    output = tmp_path_factory.mktemp("report")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_report(made.study, made.cells, made.results, folder=made.folder, output=output, overrides=["seed=0,1,2"])
    return output
