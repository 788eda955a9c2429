"""Tables and the figure of thucnews out of its run folders.

    python experiments/thucnews/collect.py outputs/thucnews

writes runs.csv (a line per run), results.csv (a line per model), table.md and figure.png beside this file.
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

from lexigraft.evaluation.style import GREY, VERMILION, figure_style

HERE = Path(__file__).parent
MODELS = {
    "textcnn": "TextCNN",
    "bilstm": "BiLSTM, max",
    "bilstm-attention": "BiLSTM, attention",
    "rcnn": "RCNN",
    "dpcnn": "DPCNN",
    "fasttext": "fastText, 2- and 3-grams",
    "transformer": "Transformer",
}
ROWS = {"random": GREY, "Tencent": VERMILION}


def main(folder: Path) -> None:
    runs = [run(path) for path in sorted(folder.glob("*/*/result.json"))]
    if not runs:
        sys.exit(f"no finished run in {folder}: run experiments/thucnews/run.sh first")
    write("runs.csv", sorted(runs, key=lambda r: (list(MODELS).index(r["model"]), r["rows"], r["seed"])))
    cells: dict[tuple[str, str], dict[int, dict[str, Any]]] = defaultdict(dict)
    for each in runs:
        cells[each["model"], each["rows"]][each["seed"]] = each
    lines = [line(model, cells) for model in MODELS if all((model, rows) in cells for rows in ROWS)]
    write("results.csv", lines)
    (HERE / "table.md").write_text(table(lines), encoding="utf-8")
    figure(lines)
    print(table(lines))


def run(result: Path) -> dict[str, Any]:
    """One run: what it was and what it came to, accuracies in per cent."""
    read = json.loads(result.read_text(encoding="utf-8"))
    config = yaml.safe_load((result.parent / "config.yaml").read_text(encoding="utf-8"))
    return {
        "model": result.parent.parent.name,
        "rows": "Tencent" if config["transplant"]["match"] else "random",
        "seed": config["seed"],
        "dev": round(100 * read["metrics"]["dev"]["accuracy"], 3),
        "test": round(100 * read["metrics"]["test"]["accuracy"], 3),
        "test_macro_f1": round(100 * read["metrics"]["test"]["macro_f1"], 3),
        "dev_by_epoch": " ".join(f"{100 * epoch['dev_accuracy']:.2f}" for epoch in read["history"]),
        "lr": config["optimizer"]["lr"],
        "parameters": read["counts"]["parameters"],
        "seconds": read["seconds"]["total"],
    }


def line(model: str, cells: dict[tuple[str, str], dict[int, dict[str, Any]]]) -> dict[str, Any]:
    """Both cells of a model, and the gain paired by seed."""
    found: dict[str, Any] = {"model": model}
    for rows in ROWS:
        runs = list(cells[model, rows].values())
        for split in ("dev", "test"):
            values = [r[split] for r in runs]
            found[f"{rows}_{split}"] = round(statistics.mean(values), 2)
            found[f"{rows}_{split}_std"] = round(statistics.stdev(values), 2) if len(values) > 1 else None
        found[f"{rows}_seeds"] = len(runs)
    control, grafted = cells[model, "random"], cells[model, "Tencent"]
    gains = [grafted[seed]["test"] - control[seed]["test"] for seed in grafted if seed in control]
    found["gain"] = round(statistics.mean(gains), 2)
    found["gain_half_interval"] = half_interval(gains)
    found["lr"], found["parameters"] = runs[0]["lr"], runs[0]["parameters"]
    found["seconds"] = round(statistics.mean(r["seconds"] for rows in ROWS for r in cells[model, rows].values()), 1)
    return found


def half_interval(values: list[float]) -> float | None:
    """Half of the 95 % t interval of the mean."""
    n = len(values)
    return round(float(t.ppf(0.975, n - 1)) * statistics.stdev(values) / n**0.5, 2) if n > 1 else None


def write(name: str, rows: list[dict[str, Any]]) -> None:
    with open(HERE / name, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def table(lines: list[dict[str, Any]]) -> str:
    out = ["| model | parameters | random | Tencent | gain (95 % interval) |", "|---|---|---|---|---|"]
    for found in lines:
        cells = [f"{found[f'{rows}_test']:.1f}{pm(found[f'{rows}_test_std'])}" for rows in ROWS]
        gain = f"{found['gain']:+.1f}{pm(found['gain_half_interval'])}"
        out.append(f"| {MODELS[found['model']]} | {found['parameters'] / 1e6:.1f} M | {' | '.join(cells)} | {gain} |")
    return "\n".join(out) + "\n"


def pm(spread: float | None) -> str:
    return "" if spread is None else f" ± {spread:.1f}"


def figure(lines: list[dict[str, Any]]) -> None:
    """Mean and standard deviation over seeds, random against transplanted rows, a line per model."""
    with figure_style():
        drawing, axes = plt.subplots(figsize=(7, 0.45 * len(lines) + 0.9))
        for place, found in enumerate(lines):
            axes.plot([found[f"{rows}_test"] for rows in ROWS], [-place] * 2, color="#cccccc", lw=1.5, zorder=1)
            for rows, colour in ROWS.items():
                axes.errorbar(
                    found[f"{rows}_test"],
                    -place,
                    xerr=found[f"{rows}_test_std"],
                    fmt="o",
                    color=colour,
                    ms=6,
                    capsize=2.5,
                )
        for rows, colour in ROWS.items():
            axes.plot([], [], "o", color=colour, label=f"{rows} rows")
        axes.set_yticks([-i for i in range(len(lines))], [MODELS[found["model"]] for found in lines])
        axes.set_xlabel("test accuracy, % (mean and standard deviation over seeds)")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.legend(loc="best")
        drawing.savefig(HERE / "figure.png")
        plt.close(drawing)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
