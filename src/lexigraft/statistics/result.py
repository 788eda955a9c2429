"""What a test of two systems says."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class TestResult:
    """`difference` is the mean of the first system less that of the second, `low` and `high` its interval at 1 - alpha.

    `p` is two-sided; None where the test has none, or cannot be made, which `note` then says. `adjusted_p` is that
    after a correction for several comparisons. `epsilon` is the least violation of almost stochastic order.
    """

    name: str
    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    adjusted_p: float | None = None
    note: str = ""
    epsilon: float | None = None

    def with_note(self, *sentences: str) -> "TestResult":
        """With sentences after its own; empty ones leave it as it is."""
        return replace(self, note=" ".join(each for each in (self.note, *sentences) if each))
