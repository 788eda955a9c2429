"""Two runs of one config: bit-identical, within tolerance or different, and where they part first."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lexigraft.runs.folder import RunFolder, read_json
from lexigraft.runs.predictions import load_predictions

Grade = Literal["identical", "within tolerance", "different"]
_LOSSES = ("loss", "mse", "mae")
GRADES: tuple[Grade, ...] = ("identical", "within tolerance", "different")


@dataclass(frozen=True)
class Tolerance:
    """How far two runs may be apart: losses, scores and weights relatively, predictions by their share of the items.

    A metric may move by ten times that share: one text can weigh more in it than in the accuracy.
    """

    relative: float
    share: float


# By the precision that both runs had: numbers are added up in another order on another machine or with another number
# of threads. Weights are measured against the largest value of their tensor.
TOLERANCES = {"64": Tolerance(1e-9, 0.0), "32": Tolerance(1e-5, 0.001), "half": Tolerance(1e-2, 0.01)}


@dataclass(frozen=True)
class Check:
    """What was compared, how it came out, and what was found; `result` False: a circumstance, which decides nothing."""

    name: str
    grade: Grade
    found: str = ""
    result: bool = True


@dataclass(frozen=True)
class Reproduction:
    """The checks in the order of cause and effect."""

    checks: tuple[Check, ...]
    tolerance: Tolerance = field(default=TOLERANCES["32"])

    @property
    def verdict(self) -> Grade:
        """The worst of the results; circumstances such as versions are named and decide nothing."""
        return max((check.grade for check in self.checks if check.result), key=GRADES.index)

    @property
    def first(self) -> Check | None:
        """Where the results part first; None where they do not."""
        return next((check for check in self.checks if check.result and check.grade != "identical"), None)

    @property
    def circumstances(self) -> list[Check]:
        """What was not as it had been, and may be the cause."""
        return [check for check in self.checks if not check.result and check.grade != "identical"]

    def as_values(self) -> dict[str, Any]:
        """Plain values, for reproduction.json."""
        return {
            "verdict": self.verdict,
            "first": None if self.first is None else asdict(self.first),
            "tolerance": asdict(self.tolerance),
            "checks": [asdict(check) for check in self.checks],
        }


def compare(original: Path, again: Path) -> Reproduction:
    """Hold two finished run folders against each other.

    In order: config, code, versions, hardware; data, source matrix, target vocabulary, transplanted rows; losses, dev
    metrics and weights epoch by epoch; the best weights; predictions; metrics. What a folder does not have is left out.
    `ValueError` if one is not a finished run.
    """
    a, b = _Run.read(original), _Run.read(again)
    tolerance = TOLERANCES["half"]
    for bits in ("64", "32"):
        if a.result["precision"].startswith(bits) and b.result["precision"].startswith(bits):
            tolerance = TOLERANCES[bits]
    checks = [*_circumstances(a, b), *_inputs(a, b), *_epochs(a, b, tolerance), *_weights(a, b, tolerance)]
    checks += [*_predictions(a, b, tolerance), _metrics(a, b, tolerance)]
    return Reproduction(tuple(checks), tolerance)


@dataclass(frozen=True)
class _Run:
    folder: RunFolder
    result: dict[str, Any]
    provenance: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "_Run":
        folder = RunFolder.open(path)
        result = folder.finished_result()
        if result is None:
            raise ValueError(f"{path} is not finished: run its line again, then reproduce it")
        return cls(folder, result, read_json(folder.provenance))


def _circumstances(a: _Run, b: _Run) -> Iterator[Check]:
    """What may be the cause of a difference."""
    code = "package_sha256"
    yield _equal("code", a.provenance["code"][code], b.provenance["code"][code], result=False)
    yield _equal("versions", a.provenance["versions"], b.provenance["versions"], result=False)
    yield _equal("hardware", a.provenance["hardware"], b.provenance["hardware"], result=False)
    yield _equal("precision", a.result["precision"], b.result["precision"], result=False)
    yield _equal("device", a.result["device"], b.result["device"], result=False)


def _inputs(a: _Run, b: _Run) -> Iterator[Check]:
    """What training starts from."""
    x, y = ({k: of for k, of in _leaves(run.provenance["data"]).items() if "sha256" in k} for run in (a, b))
    yield _equal("data", x, y)
    # Where a matrix lay is no part of what it is.
    keys = ("sha256", "rows", "dim", "repairs")
    x, y = ({key: run.provenance["source"].get(key) for key in keys} for run in (a, b))
    yield _equal("source matrix", x, y)
    ours, theirs = a.provenance["target"], b.provenance["target"]
    yield _equal("target vocabulary", ours.get("sha256"), theirs.get("sha256"))
    if ours.get("rows") and theirs.get("rows"):
        yield _equal("transplanted rows", ours["rows"], theirs["rows"])


def _epochs(a: _Run, b: _Run, tolerance: Tolerance) -> Iterator[Check]:
    """One check for each epoch until the runs part, then one for the worst of the others."""
    ours, theirs = a.result["history"], b.result["history"]
    worst = Check("history", "identical", f"{len(ours)} epochs")
    for x, y in zip(ours, theirs):
        check = _numbers(f"epoch {x['epoch']}", x, y, tolerance)
        if GRADES.index(check.grade) > GRADES.index(worst.grade):
            worst = check
            if check.grade != "different":
                yield check
    yield worst
    if len(ours) != len(theirs):
        yield Check("epochs", "different", f"{len(ours)}, again {len(theirs)}")


def _weights(a: _Run, b: _Run, tolerance: Tolerance) -> Iterator[Check]:
    """The first tensor, by name, that differs in the best checkpoint, and the one that differs most."""
    ours, theirs = (torch.load(run.folder.best, map_location="cpu", weights_only=True)["state_dict"] for run in (a, b))
    epoch = a.result["best"]["epoch"]
    name = f"weights of epoch {epoch}"
    if epoch != b.result["best"]["epoch"]:
        yield Check("best epoch", "different", f"{epoch}, again {b.result['best']['epoch']}")
        return
    if _shapes(ours) != _shapes(theirs):
        yield _equal(name, _shapes(ours), _shapes(theirs))
        return
    apart = {key: _apart(ours[key], theirs[key]) for key in ours if not _same_bits(ours[key], theirs[key])}
    if not apart:
        yield Check(name, "identical", f"{len(ours)} tensors")
        return
    first, most = next(iter(apart)), max(apart, key=lambda key: apart[key][1])
    largest, relative = apart[most]
    grade: Grade = "within tolerance" if relative <= tolerance.relative else "different"
    told = f"{len(apart)} of {len(ours)} tensors, first {first}"
    yield Check(name, grade, f"{told}; most {most}: {largest:.3g}, relatively {relative:.3g}")


def _predictions(a: _Run, b: _Run, tolerance: Tolerance) -> Iterator[Check]:
    """How many items of each split are said to be something else."""
    for path in sorted(a.folder.predictions.rglob("*.parquet")):
        below = path.relative_to(a.folder.predictions)
        other = b.folder.predictions / below
        name = f"predictions of {below.with_suffix('')}"
        if not other.is_file():
            yield Check(name, "different", "not there again")
            continue
        ours, theirs = load_predictions(path), load_predictions(other)
        if ours.texts != theirs.texts or ours.predicted.shape != theirs.predicted.shape:
            yield Check(name, "different", f"of other texts: {len(ours)}, again {len(theirs)}")
            continue
        scores = _scores(ours, theirs)
        if ours.kind == "number":
            yield _close(name, scores, tolerance)
            continue
        flags = ours.predicted != theirs.predicted
        differ = int((flags.any(-1) if flags.ndim > 1 else flags).sum())
        share = differ / max(1, len(ours.predicted))
        if differ:
            grade: Grade = "within tolerance" if share <= tolerance.share else "different"
            yield Check(name, grade, f"{differ:,} of {len(ours.predicted):,} items")
        else:
            yield _close(name, scores, tolerance, none=f"none of {len(ours.predicted):,} items")


def _metrics(a: _Run, b: _Run, tolerance: Tolerance) -> Check:
    """Of whole splits: which classes moved is seen of the predictions."""
    x, y = (
        {
            f"{split}/{key}": value
            for split, metrics in run.result["metrics"].items()
            for key, value in metrics.items()
            if not isinstance(value, (Mapping, list))
        }
        for run in (a, b)
    )
    return _numbers("metrics", x, y, tolerance)


def _numbers(name: str, ours: Mapping[str, Any], theirs: Mapping[str, Any], tolerance: Tolerance) -> Check:
    """The worst of several named values; of equally bad ones the first."""
    if ours.keys() != theirs.keys():
        return Check(name, "different", f"{_listed(ours.keys() ^ theirs.keys())} only in one of them")
    worst = Check(name, "identical")
    for key, x in ours.items():
        grade, told = _graded(key, x, theirs[key], tolerance)
        if GRADES.index(grade) > GRADES.index(worst.grade):
            worst = Check(name, grade, f"{key} {told}")
    return worst


def _graded(key: str, x: Any, y: Any, tolerance: Tolerance) -> tuple[Grade, str]:
    if x == y:
        return "identical", ""
    if key == "weights":
        # Their hash alone: by how much is seen of the best ones.
        return "within tolerance", f"{x}, again {y}"
    if not (isinstance(x, (int, float)) and isinstance(y, (int, float))):
        return "different", f"{x}, again {y}"
    apart = abs(x - y)
    close = apart <= (tolerance.relative * max(abs(x), abs(y)) if key.endswith(_LOSSES) else 10 * tolerance.share)
    return ("within tolerance" if close else "different"), f"{x:.8g}, again {y:.8g} ({apart:.2g} apart)"


def _scores(ours: Any, theirs: Any) -> float:
    """The largest difference of two runs' scores or predicted numbers, against the largest of them."""
    x, y = (np.asarray(each.predicted if each.scores is None else each.scores, np.float64) for each in (ours, theirs))
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    if same.all():
        return 0.0
    largest = float(np.nanmax(np.abs(x)))
    apart = float(np.abs(x - y)[~same].max())
    return math.inf if math.isnan(apart) else apart / max(largest, 1e-30)


def _close(name: str, relative: float, tolerance: Tolerance, none: str = "") -> Check:
    if relative == 0:
        return Check(name, "identical", none)
    grade: Grade = "within tolerance" if relative <= tolerance.relative else "different"
    return Check(name, grade, f"{none}{', ' if none else ''}scores relatively {relative:.2g} apart")


def _equal(name: str, ours: Any, theirs: Any, result: bool = True) -> Check:
    """Equal or different, and in which of its parts."""
    if ours == theirs:
        return Check(name, "identical", result=result)
    if not isinstance(ours, Mapping):
        return Check(name, "different", f"{_short(ours)}, again {_short(theirs)}", result)
    x, y = _leaves(ours), _leaves(theirs)
    parts = [key for key in {**x, **y} if x.get(key) != y.get(key)]
    told = [f"{key} {_short(x.get(key, 'none'))}, again {_short(y.get(key, 'none'))}" for key in parts]
    return Check(name, "different", "; ".join(told[:5]) + (f"; and {len(told) - 5} more" if told[5:] else ""), result)


def _leaves(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys and values; lists as they are."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 and text.isalnum() else text


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))


def _shapes(state: Mapping[str, Tensor]) -> dict[str, str]:
    return {name: f"{tuple(tensor.shape)} {tensor.dtype}" for name, tensor in state.items()}


def _same_bits(x: Tensor, y: Tensor) -> bool:
    bits: Callable[[Tensor], Tensor] = lambda each: each.contiguous().reshape(-1).view(torch.uint8)  # noqa: E731
    return torch.equal(bits(x), bits(y))


def _apart(x: Tensor, y: Tensor) -> tuple[float, float]:
    """The largest absolute difference of two tensors, and that against the largest value of the first."""
    x, y = x.double(), y.double()
    largest = (x - y).abs().max().item()
    return largest, largest / max(x.abs().max().item(), 1e-30) if not math.isnan(largest) else math.inf
