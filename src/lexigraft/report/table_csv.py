"""A result table as CSV: a line per place and metric, numbers in full."""

import csv
import io

from lexigraft.studies.table import Comparison, ResultTable, Score


def table_csv(table: ResultTable) -> str:
    """The lines with a heading: axes, metric, n, mean, std, interval, the runs' values, and the comparison.

    Values are raw (0.915, not 91.5), and None is empty. `difference` is to the baseline; each test has its p value,
    the one adjusted for the number of comparisons, and its statistic.
    """
    tests = list(dict.fromkeys(test.name for comparison in table.comparisons for test in comparison.tests))
    head = [*table.row_axes, *table.column_axes, "metric", "n", "expected_n", "mean", "std", "low", "high", "best"]
    head += ["values", "runs"]
    if table.comparisons:
        head += ["baseline", "pairs", "difference", "difference_low", "difference_high"]
        head += [f"{test}_{what}" for test in tests for what in ("p", "adjusted_p", "statistic")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    found = {(of.row, of.column, of.metric): of for of in table.comparisons}
    for (row, column, metric), score in _in_order(table):
        line: list[object] = [
            *row,
            *column,
            metric,
            score.n,
            score.expected_n,
            score.mean,
            score.std,
            score.low,
            score.high,
        ]
        line += [int(score.best)]
        line += [" ".join(map(repr, score.values)), " ".join(score.runs)]
        if table.comparisons:
            line += _compared(found.get((row, column, metric)), tests)
        writer.writerow(line)
    return text.getvalue()


def _in_order(table: ResultTable) -> list[tuple[tuple[tuple[str, ...], tuple[str, ...], str], Score]]:
    keys = ((row, column, of.name) for row in table.rows for column in table.columns for of in table.metrics)
    return [(key, table.cells[key]) for key in keys if key in table.cells]


def _compared(comparison: Comparison | None, tests: list[str]) -> list[object]:
    if comparison is None:
        return [None] * (5 + 3 * len(tests))
    of = {test.name: test for test in comparison.tests}
    against = " ".join(label for place in comparison.against for label in place)
    line: list[object] = [against, comparison.pairs, comparison.difference, comparison.low, comparison.high]
    for name in tests:
        line += [of[name].p, of[name].adjusted, of[name].statistic] if name in of else [None] * 3
    return line
