"""Tables and the figure of kim-cnn out of its run folders.

    python experiments/kim-cnn/collect.py outputs/kim-cnn

writes runs.csv (a line per run), results.csv (a line per data set and variant), table.md and figure.png beside itself.
"""

import csv
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib
import yaml
from scipy.stats import t

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from lexigraft.evaluation.style import BLUE, GREY, VERMILION, figure_style

HERE = Path(__file__).parent
VARIANTS = {"random": GREY, "static": BLUE, "nonstatic": VERMILION}
# random, static and non-static of the replication of Kim (2014) at github.com/harvardnlp/sent-conv-torch (README).
PUBLISHED = {
    "mr": ("MR", 75.9, 80.5, 81.3),
    "sst5": ("SST-1", 42.2, 44.8, 46.7),
    "sst2_phrases": ("SST-2", 83.5, 85.6, 87.0),
    "subj": ("SUBJ", 89.2, 93.0, 93.4),
    "trec": ("TREC", 88.2, 91.8, 92.8),
    "cr": ("CR", 78.3, 83.3, 84.4),
    "mpqa": ("MPQA", 84.6, 89.6, 89.7),
}
CROSS_VALIDATED = ("mr", "subj", "cr", "mpqa")
FOLDS = 10


def main(folder: Path) -> None:
    runs = [run(path) for path in sorted(folder.glob("*/*/result.json"))]
    if not runs:
        sys.exit(f"no finished run in {folder}: run experiments/kim-cnn/run.sh first")
    write("runs.csv", sorted(runs, key=lambda r: (r["data"], r["variant"], r["fold"], r["seed"])))
    cells: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for each in runs:
        cells[each["data"], each["variant"]].append(each)
    rows = [row(data, variant, cells) for data in PUBLISHED for variant in VARIANTS if (data, variant) in cells]
    write("results.csv", rows)
    (HERE / "table.md").write_text(table(rows), encoding="utf-8")
    figure(rows)
    print(table(rows))


def run(result: Path) -> dict[str, Any]:
    """One run: what it was and what it came to, accuracies in per cent."""
    read = json.loads(result.read_text(encoding="utf-8"))
    config = yaml.safe_load((result.parent / "config.yaml").read_text(encoding="utf-8"))
    summary = json.loads((result.parent / "transplant" / "summary.json").read_text(encoding="utf-8"))
    counts = read["counts"]["texts"]
    # The random control has no coverage; older summaries would count its rows as covered.
    known = [sum(n for tier, n in summary[f"{what}_per_tier"].items() if tier in ("exact", "normalised"))
             for what in ("tokens", "occurrences")]  # fmt: skip
    return {
        "data": config["data"]["name"],
        "variant": result.parent.parent.name,
        "fold": config["data"]["fold"],
        "seed": config["seed"],
        "dev": round(100 * read["metrics"]["dev"]["accuracy"], 3),
        "test": round(100 * read["metrics"]["test"]["accuracy"], 3),
        "best_epoch": read["best"]["epoch"],
        "epochs": len(read["history"]),
        "train_texts": counts["train"],
        "dev_texts": counts["dev"],
        "test_texts": counts["test"],
        "vocabulary": summary["target_tokens"],
        "covered_types": round(100 * known[0] / summary["target_tokens"], 2),
        "covered_occurrences": round(100 * known[1] / sum(summary["occurrences_per_tier"].values()), 2),
        "seconds": read["seconds"]["total"],
    }


def row(data: str, variant: str, cells: dict[tuple[str, str], list[dict[str, Any]]]) -> dict[str, Any]:
    """A cell of the table; what is paired is paired by fold and seed."""
    runs = cells[data, variant]
    published = PUBLISHED[data][1 + list(VARIANTS).index(variant)]
    folds = data in CROSS_VALIDATED
    mean, half = interval([r["test"] for r in runs], folds)
    control = {(r["fold"], r["seed"]): r["test"] for r in cells.get((data, "random"), [])}
    paired = [r["test"] - control[r["fold"], r["seed"]] for r in runs if (r["fold"], r["seed"]) in control]
    gain, gain_half = interval(paired, folds) if variant != "random" and len(paired) > 1 else (None, None)
    of = {
        key: round(statistics.mean(r[key] for r in runs), 2) for key in ("dev", "best_epoch", "seconds", "vocabulary")
    }
    return {
        "data": data,
        "variant": variant,
        "repeats": f"{len(runs)} {'fold' if folds else 'seed'}{'s' if len(runs) > 1 else ''}",
        "test": round(mean, 2),
        "std": round(statistics.stdev([r["test"] for r in runs]), 2) if len(runs) > 1 else None,
        "half_interval": rounded(half),
        "published": published,
        "from_published": round(mean - published, 2),
        "gain": rounded(gain),
        "gain_half_interval": rounded(gain_half),
        **of,
        "covered_types": round(statistics.mean(r["covered_types"] for r in runs), 1),
        "covered_occurrences": round(statistics.mean(r["covered_occurrences"] for r in runs), 1),
    }


def interval(values: list[float], folds: bool) -> tuple[float, float | None]:
    """Mean and half of its 95 % t interval.

    Over folds the variance is that of Nadeau & Bengio (2003), since the train splits of folds overlap: 1/n + 1/(n - 1)
    in place of 1/n. Over seeds the interval is about the seeds alone, on one test split.
    """
    n, mean = len(values), statistics.mean(values)
    if n < 2:
        return mean, None
    shrink = 1 / n + (1 / (FOLDS - 1) if folds else 0)
    return mean, float(t.ppf(0.975, n - 1)) * statistics.stdev(values) * shrink**0.5


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def write(name: str, rows: list[dict[str, Any]]) -> None:
    with open(HERE / name, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def table(rows: list[dict[str, Any]]) -> str:
    by = {(r["data"], r["variant"]): r for r in rows}
    lines = [
        "| data | repeats | covered types, occurrences | random (published) | static (published) "
        "| non-static (published) | static - random | non-static - random |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for data, (name, *_) in PUBLISHED.items():
        if not any((data, variant) in by for variant in VARIANTS):
            continue
        cells = [by.get((data, variant)) for variant in VARIANTS]
        grafted = cells[2] or cells[1]
        covered = f"{grafted['covered_types']:.0f} %, {grafted['covered_occurrences']:.0f} %" if grafted else ""
        values = [f"{c['test']:.1f}{pm(c['half_interval'])} ({c['published']})" if c else "" for c in cells]
        gains = [
            f"{c['gain']:+.1f}{pm(c['gain_half_interval'])}" if c and c["gain"] is not None else "" for c in cells[1:]
        ]
        counts = [c["repeats"].split()[0] for c in cells if c]
        repeats = f"{counts[0] if len(set(counts)) == 1 else ', '.join(counts)} "
        repeats += ("fold" if data in CROSS_VALIDATED else "seed") + ("" if set(counts) == {"1"} else "s")
        lines.append(f"| {' | '.join([name, repeats, covered, *values, *gains])} |")
    return "\n".join(lines) + "\n"


def pm(half: float | None) -> str:
    return "" if half is None else f" ± {half:.1f}"


def figure(rows: list[dict[str, Any]]) -> None:
    """Ours with intervals beside the published figures, a line per data set and variant."""
    names = {data: of[0] for data, of in PUBLISHED.items() if any(r["data"] == data for r in rows)}
    with figure_style():
        drawing, axes = plt.subplots(figsize=(7.5, 0.72 * len(names) + 0.9))
        for place, data in enumerate(names):
            for shift, (variant, colour) in zip((0.24, 0.0, -0.24), VARIANTS.items()):
                found = next((r for r in rows if (r["data"], r["variant"]) == (data, variant)), None)
                if found is None:
                    continue
                y = -place + shift
                axes.errorbar(
                    found["test"], y, xerr=found["half_interval"], fmt="o", color=colour, ms=5, capsize=2.5, lw=1.2
                )
                axes.plot(found["published"], y, "D", mfc="white", mec=colour, ms=5)
        for variant, colour in VARIANTS.items():
            axes.plot([], [], "o", color=colour, label={"nonstatic": "non-static"}.get(variant, variant))
        axes.plot([], [], "D", mfc="white", mec=GREY, label="published")
        axes.set_yticks([-i for i in range(len(names))], names.values())
        axes.set_xlabel("test accuracy, % (95 % interval over folds or seeds)")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.legend(loc="lower left")
        drawing.savefig(HERE / "figure.png")
        plt.close(drawing)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
