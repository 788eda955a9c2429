"""What a search may choose: Hydra's sweep syntax as ranges of values, and chosen values as words of a command line."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from lexigraft.config.errors import ConfigError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """One of some words, each as it stands on a command line, quotes included."""

    words: tuple[str, ...]

    @property
    def ends(self) -> tuple[str, ...]:
        """Values which, composed, show whether the range fits the config."""
        return self.words

    def values(self) -> tuple[str, ...]:
        return self.words

    def distribution(self) -> "BaseDistribution":
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.words)

    def word(self, value: Any) -> str:
        return str(value)


@dataclass(frozen=True)
class Number:
    """Numbers from `low` to `high`, both included: whole ones, those some steps above `low`, or any (`step` None)."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int)

    @property
    def ends(self) -> tuple[float, ...]:
        return (self.low,) if self.low == self.high else (self.low, self.high)

    def values(self) -> tuple[float, ...] | None:
        """All values in ascending order; None where they are not countable."""
        if self.step is None:
            return None
        return tuple(self._nth(n) for n in range(self._nearest(self.high) + 1))

    def distribution(self) -> "BaseDistribution":
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def word(self, value: Any) -> str:
        """Without the dust of binary fractions where the values have steps: 0.3 and not 0.30000000000000004."""
        if self.whole:
            return str(int(value))
        return repr(float(value)) if self.step is None else repr(self._nth(self._nearest(value)))

    def _nearest(self, value: float) -> int:
        return round((value - self.low) / (self.step or 1))

    def _nth(self, n: int) -> float:
        exact = _decimal(self.low) + n * _decimal(self.step or 1)
        return int(exact) if self.whole else float(exact)


@dataclass(frozen=True)
class Space:
    """The ranges by key, and the words that are the same in every trial."""

    ranges: Mapping[str, Choice | Number]
    fixed: tuple[str, ...] = ()

    def distributions(self) -> dict[str, "BaseDistribution"]:
        return {key: of.distribution() for key, of in self.ranges.items()}

    def words(self, params: Params) -> tuple[str, ...]:
        """The words that set the chosen values, in the order of the space."""
        return tuple(f"{key}={of.word(params[key])}" for key, of in self.ranges.items())

    def probes(self) -> Iterator[Params]:
        """Few values that show whether every range fits the config: both ends of each, and each of its choices."""
        first = {key: of.ends[0] for key, of in self.ranges.items()}
        yield first
        for key, of in self.ranges.items():
            yield from ({**first, key: value} for value in of.ends[1:])

    def grid(self) -> Iterator[Params]:
        """Every combination, the last key changing fastest; `ConfigError` where a range is not countable."""
        lists = []
        for key, of in self.ranges.items():
            values = of.values()
            if values is None:
                raise ConfigError(
                    f"sampler=grid tries every value, but {key} may be any number from {of.ends[0]} to {of.ends[-1]}: "
                    "list them, or write a range(start,stop,step)"
                )
            lists.append(values)
        return (dict(zip(self.ranges, values)) for values in itertools.product(*lists))

    def described(self) -> dict[str, str]:
        """The ranges in words of our own, to tell whether a space has changed."""
        return {key: _description(of) for key, of in self.ranges.items()}


def read_space(words: Sequence[str]) -> Space:
    """The space of override words: those with several values are searched over, the others are the same for all.

    `key=a,b` and `choice(...)`: one of these; `range(start,stop,step)`: numbers without `stop`; `interval(low,high)`:
    any number between, `int(interval(...))`: whole ones; `tag(log,...)` around a range or an interval: drawn by their
    logarithms. Of a key that is given twice the later word counts. `ConfigError` with a sentence for every word that
    cannot be searched over, and if none is.
    """
    ranges: dict[str, Choice | Number] = {}
    fixed: list[str] = []
    problems: list[str] = []
    for word in words:
        try:
            override = _parsed(word)
            key = override.get_key_element()
            if not override.is_sweep_override():
                ranges.pop(key, None)
                fixed.append(word)
            elif key in ranges:
                raise ConfigError(f"'{key}' has several values twice: leave one of them out")
            elif override.is_hydra_override():
                raise ConfigError(f"'{word}': Hydra's own settings cannot be searched over")
            else:
                ranges[key] = _range(override, word)
        except ConfigError as error:
            problems += error.problems
    if not problems and not ranges:
        problems = [
            "there is nothing to search over: give at least one key several values, such as "
            "'optimizer.lr=tag(log,interval(1e-4,1e-2))' or model=textcnn,bigru"
        ]
    if problems:
        raise ConfigError(*problems)
    return Space(ranges, tuple(fixed))


def _parsed(word: str) -> Override:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException as error:
        text = str(error).splitlines()[0]
        if "NoneType is incompatible" in text:
            raise ConfigError(f"'{word}': choice() takes no null; write key=a,null instead") from error
        raise ConfigError(f"cannot read '{word}' as something to search over: {text}") from error


def _range(override: Override, word: str) -> Choice | Number:
    value = override.value()
    tags: set[str] = getattr(value, "tags", set())
    if unknown := sorted(tags - {"log"}):
        raise ConfigError(f"'{word}': the tag '{unknown[0]}' is not known; there is only log")
    log = "log" in tags
    if isinstance(value, RangeSweep):
        return _from_range(value, log, word)
    if isinstance(value, IntervalSweep):
        return _from_interval(value, log, word)
    if log:
        raise ConfigError(f"'{word}': log is for numbers between two ends; put it around interval() or range()")
    try:
        return Choice(tuple(dict.fromkeys(override.sweep_string_iterator())))
    except HydraException as error:  # glob(*), which needs the folders of the config
        raise ConfigError(f"'{word}': name the options to choose from, {override.key_or_group}=a,b") from error


def _from_range(sweep: RangeSweep, log: bool, word: str) -> Number:
    assert sweep.start is not None
    assert sweep.stop is not None
    _require_finite(word, sweep.start, sweep.stop, sweep.step)
    start, stop, step = _decimal(sweep.start), _decimal(sweep.stop), _decimal(sweep.step)
    if step == 0:
        raise ConfigError(f"'{word}': the step of a range cannot be 0")
    count = math.ceil((stop - start) / step)
    if count < 1:
        raise ConfigError(f"'{word}': no number lies in this range; the step leads from start towards stop")
    low, high = sorted((start, start + (count - 1) * step))
    whole = all(isinstance(part, int) for part in (sweep.start, sweep.stop, sweep.step))
    if log and (not whole or abs(step) != 1):
        raise ConfigError(f"'{word}': with log, a range has whole numbers and the step 1; or use an interval")
    _require_above_zero(log, low, word)
    kind = int if whole else float
    return Number(kind(low), kind(high), kind(abs(step)), log)


def _from_interval(sweep: IntervalSweep, log: bool, word: str) -> Number:
    low, high = sweep.start, sweep.end
    assert low is not None
    assert high is not None
    _require_finite(word, low, high)
    if low >= high:
        raise ConfigError(f"'{word}': the first end of an interval should be below the second")
    _require_above_zero(log, low, word)
    return Number(low, high, 1 if isinstance(low, int) else None, log)


def _require_finite(word: str, *numbers: float) -> None:
    if any(isinstance(number, bool) or not math.isfinite(number) for number in numbers):
        raise ConfigError(f"'{word}': the ends and the step should be finite numbers")


def _require_above_zero(log: bool, low: float | Decimal, word: str) -> None:
    if log and low <= 0:
        raise ConfigError(f"'{word}': with log, both ends should be above 0, because 0 has no logarithm")


def _description(of: Choice | Number) -> str:
    if isinstance(of, Choice):
        return ", ".join(of.words)
    step = f", step {of.step}" if of.step is not None else ""
    return f"{of.low!r} to {of.high!r}{step}{', log' if of.log else ''}"


def _decimal(number: float) -> Decimal:
    """The number as it was typed: 0.1, not the binary fraction next to it."""
    return Decimal(repr(number))
