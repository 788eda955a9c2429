import io

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from lexigraft.data.text_data import Split, TextData
from lexigraft.evaluation.metrics import evaluate_predictions
from lexigraft.evaluation.multilabel import evaluate_labels
from lexigraft.evaluation.ordinal import evaluate_ranks
from lexigraft.evaluation.regression import evaluate_numbers
from lexigraft.evaluation.tables import (
    HEADLINES,
    class_table,
    coverage_table,
    data_text,
    findings,
    neighbours_table,
    norms_table,
    notes_text,
    result_table,
    source_text,
    warning_text,
)
from lexigraft.evaluation.tagging import evaluate_tags

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


def test_every_task_has_its_own_headline():
    ones = torch.eye(2)[[0, 1, 1]]
    ranks, several = evaluate_ranks(ones, torch.tensor([0, 1, 1]), "ab"), evaluate_labels(ones, ones, "ab")
    numbers = evaluate_numbers(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0])) | {"loss": 0.0}
    tags, lengths = np.array([0, 1, 1]), np.array([3])
    entities, speech = (evaluate_tags(tags, tags, lengths, names) | {"loss": 0.0} for names in (["B-X", "O"], "ab"))
    headlines = {
        "micro F1 macro F1 exact match mAP ROC-AUC loss texts": several,
        "MSE MAE R2 pearson spearman loss texts": numbers,
        "MAE kappa accuracy F1 loss texts": ranks,
        "F1 precision recall accuracy loss units": entities,
        "accuracy F1 loss units": speech,
    }
    for headline, metrics in headlines.items():
        header, row = printed(result_table({"metrics": {"dev": metrics}}))
        assert " ".join(header) == f"split {headline}"
        assert row[0] == "dev"
        assert row[-1] == ("2" if metrics is numbers else "3")
        assert len(row) == 2 + len(shown(metrics))


def shown(metrics):
    """The metrics of a headline, found by the key that only such a task has."""
    return next(columns for key, columns in HEADLINES.items() if key in metrics)


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


def test_coverage_of_output_rows_that_were_made_in_another_way():
    summary = {
        "tokens_per_tier": {"omp": 3, "exact": 1},
        "coverage_of_types": 1.0,
        "output_tokens_per_tier": {"exact": 1, "normal": 3},
        "output_coverage_of_types": 0.25,
    }
    header, *rows = printed(coverage_table(summary))
    assert header == ["rows", "made", "by", "tokens", "share", "output", "rows", "share"]
    assert rows[:3] == [
        ["omp", "3", "75.0", "%", "0", "0.0", "%"],
        ["exact", "1", "25.0", "%", "1", "25.0", "%"],
        ["normal", "0", "0.0", "%", "3", "75.0", "%"],
    ]
    assert rows[3][-4:] == ["100.0", "%", "25.0", "%"]


def test_source_tells_what_was_fetched():
    origin = {"name": "bert", "rows": 21128, "dim": 768, "repairs": {}}
    text = source_text(origin | {"fetched": {"bytes": 93_800_000, "of": 440_449_768}})
    assert text.splitlines()[1:] == ["            fetched 93.8 MB of 440 MB"]
    text = source_text(origin | {"fetched": {"bytes": 999, "of": 2_500_000_000}, "repairs": {"zero_rows": 2}})
    assert text.splitlines()[1:] == ["            fetched 999 bytes of 2.5 GB", "            repairs: zero rows 2"]


def test_notes_of_the_steps():
    omp = {"atoms": 16000, "error": 0.19277116656303406, "skipped": 0}
    summary = {"notes": {"omp": omp, "output": "not used", "knn": {}}}
    assert notes_text(summary).splitlines() == ["omp         atoms 16,000, error 0.1928", "output      not used"]
    assert notes_text({}) == ""


def test_a_warning_is_plain_in_a_file_and_its_brackets_are_kept():
    file = io.StringIO()
    Console(file=file, width=20, soft_wrap=True).print(warning_text("2 rows of [b]donor[/b] longer than the others"))
    assert file.getvalue() == "warning: 2 rows of [b]donor[/b] longer than the others\n"


def test_norms():
    header, source, tier = printed(
        norms_table({
            "source": {"rows": 1200, "low": 0.123456, "median": 1, "high": 12.3456},
            "omp": {"rows": 7, "low": 1, "median": 2, "high": 3},
        })
    )  # fmt: skip
    assert header == ["norms", "of", "rows", "5", "%", "median", "95", "%"]
    assert source == ["source", "1,200", "0.1235", "1", "12.35"]
    assert tier[:2] == ["omp", "7"]


def test_neighbours_stand_below_one_another_whatever_their_script():
    near = [{"token": "店", "cosine": 0.7379}, {"token": "[red]", "cosine": -0.1}]
    far = [{"token": "hotel", "cosine": 1.0}, {"token": "酒", "cosine": 0.5}]
    rows = [{"token": "酒店", "tier": "omp", "nearest": near}, {"token": "[b]inn", "tier": "knn", "nearest": far}]
    file = io.StringIO()
    Console(file=file, width=80).print(neighbours_table(rows))
    one, other = file.getvalue().splitlines()[3:5]
    assert one.split() == ["酒店", "omp", "店", "0.74", "[red]", "-0.10"]
    assert other.split() == ["[b]inn", "knn", "hotel", "1.00", "酒", "0.50"]
    assert one.index("[red]") + 3 == other.index("酒")  # three wide characters stand before it, of two cells each
    assert "seen" not in file.getvalue()
    header, first, _ = printed(neighbours_table([row | {"occurrences": 4322} for row in rows]))
    assert header[:5] == ["new", "token", "made", "by", "seen"]
    assert first[2] == "4,322"


def test_findings_tell_the_unremarkable_too():
    rows = {
        "zero_rows": 1,
        "not_finite_rows": 0,
        "duplicate_rows": {"copies_of_one_source_row": 1659, "sums_of_the_same_rows": 2, "accidental": 3},
    }
    none = {"long": 0, "close": 0, "not_finite": 0, "longest": [], "closest": []}
    diagnosis = {
        "digits": {"source": "single digits", "target": None},
        "outliers": {"donor": none | {"long": 1, "longest": [{"token": "》", "times_the_median": 9}]}, "source": none},
        "untrained": {
            "tokens": 2,
            "of": 9,
            "new_rows": 1,
            "worst": [{"token": "a", "why": ""}, {"token": "b", "why": ""}],
        },
        "unreachable": {"source": {"tokens": 7, "examples": ["##中"]}, "target": {"tokens": 0, "examples": []}},
    }
    found = dict(findings(rows | {"output_rows": rows}, diagnosis))
    assert found["rows"] == found["output rows"]
    assert "1 zero" in found["rows"]
    assert "1,659 copies of one source row" in found["rows"]
    assert found["digits"] == "source: single digits, target: none"
    assert found["outliers of donor"] == "1 very long, 0 close to all others, 0 not finite (》)"
    assert found["outliers of source"].endswith("0 not finite")
    assert found["untrained"] == "2 source tokens, 1 new rows made of them (a b)"
    assert found["unreachable"] == "source 7 (##中), target 0"
