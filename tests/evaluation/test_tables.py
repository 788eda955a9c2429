import io

import torch
from rich.console import Console
from rich.table import Table

from lexigraft.data.text_data import Split, TextData
from lexigraft.evaluation.metrics import evaluate_predictions
from lexigraft.evaluation.tables import class_table, coverage_table, data_text, result_table, source_text

DATA = TextData(
    "reviews",
    Split(["a"] * 1200, [0] * 1200),
    Split(["b"], [1]),
    Split(["c"], [0]),
    ("bad", "good"),
    "en",
    {"source": "x 1.0", "read": {"train": {"rows": 1300, "empty_text": 0}}, "odd": 0, "dropped": {"doubles": 100},
     "lines": 3, "splits": {"train": {"rows": 1200}}},
)  # fmt: skip
METRICS = evaluate_predictions(
    torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.7, 0.3, 0.0]]),
    [0, 1, 1, 0],
    ["负面", "正面", "[red] a rather long name of a class that says everything"],
)


def printed(table: Table) -> list[list[str]]:
    """The cells of each line, as they land in a file."""
    file = io.StringIO()
    Console(file=file, width=100).print(table)
    text = file.getvalue()
    assert "\x1b" not in text
    return [line.split() for line in text.splitlines() if line.strip() and "─" not in line]


def test_headline_of_each_split():
    header, dev, test = printed(result_table({"metrics": {"dev": METRICS, "test": METRICS}}))
    assert header == ["split", "accuracy", "F1", "precision", "recall", "ROC-AUC", "loss", "texts"]
    assert dev == ["dev", "0.7500", "0.7333", "0.8333", "0.7500", "-", "0.4004", "4"]
    assert test == ["test", *dev[1:]]


def test_classes_and_their_mean():
    header, first, second, third, mean = printed(class_table(METRICS))
    assert header == ["class", "precision", "recall", "F1", "texts"]
    assert first == ["负面", "0.6667", "1.0000", "0.8000", "2"]
    assert second == ["正面", "1.0000", "0.5000", "0.6667", "2"]
    assert third[0] == "[red]"
    assert third[-4:] == ["-", "-", "-", "0"]
    assert mean == ["macro", "mean", "0.8333", "0.7500", "0.7333", "4"]


def test_coverage_with_and_without_occurrences():
    summary = {"tokens_per_tier": {"normal": 250, "exact": 749, "padding": 1}, "coverage_of_types": 0.75}
    header, *rows = printed(coverage_table(summary))
    assert header == ["rows", "made", "by", "tokens", "share"]
    assert rows[0] == ["exact", "749", "74.9", "%"]
    assert rows[-1] == ["covered", "by", "the", "source", "75.0", "%"]

    summary |= {"occurrences_per_tier": {"exact": 1200}, "coverage_of_occurrences": None}
    header, *rows = printed(coverage_table(summary))
    assert header[-2:] == ["occurrences", "share"]
    assert rows[0][-3:] == ["1,200", "100.0", "%"]
    assert rows[1] == ["normal", "250", "25.0", "%", "0", "0.0", "%"]
    assert rows[-1][-3:] == ["75.0", "%", "-"]


def test_data_and_source_tell_their_counts_without_the_zeros() -> None:
    assert data_text(DATA).splitlines() == [
        "data        reviews: train 1,200, dev 1, test 1",
        "            source: x 1.0",
        "            read: train rows 1,300",
        "            dropped: doubles 100",
        "            lines: 3",
    ]
    origin = {"name": "lac", "rows": 16034, "dim": 128, "repairs": {"untrained": 4906, "empty": 0}}
    assert source_text(origin) == "source      lac: 16,034 rows of width 128\n            repairs: untrained 4,906"
    assert "\n" not in source_text(origin | {"repairs": {"empty": 0}})
