"""Our test accuracies beside the published ones: a Markdown table, and figure.png.

    python experiments/kim-cnn/published.py

Reads results.csv, as `lexigraft report` writes it. Published are the rows of github.com/harvardnlp/sent-conv-torch.
"""

import csv
from pathlib import Path

import matplotlib.pyplot as plt

HERE = Path(__file__).parent
ROWS = {"random": "0.4", "static": "#0072b2", "non-static": "#d55e00"}
PUBLISHED = {
    "MR": (75.9, 80.5, 81.3), "SST-1": (42.2, 44.8, 46.7), "SST-2": (83.5, 85.6, 87.0), "SUBJ": (89.2, 93.0, 93.4),
    "TREC": (88.2, 91.8, 92.8), "CR": (78.3, 83.3, 84.4), "MPQA": (84.6, 89.6, 89.7),
}  # fmt: skip


def main() -> None:
    with open(HERE / "results.csv", encoding="utf-8") as file:
        found = {(line["data"], line["rows"]): line for line in csv.DictReader(file)}
    print(
        "| data | repeats | random (published) | static (published) | non-static (published) | static - random | ",
        end="",
    )
    print("non-static - random |\n|---|---|---|---|---|---|---|")
    for data, published in PUBLISHED.items():
        lines = [found[data, rows] for rows in ROWS]
        cells = [
            f"{_percent(line['mean'])} ± {_half(line, 'low', 'high')} ({of})" for line, of in zip(lines, published)
        ]
        gains = [
            f"{_percent(line['difference'], '+')} ± {_half(line, 'difference_low', 'difference_high')}"
            for line in lines[1:]
        ]
        print("|", " | ".join([data, lines[0]["n"], *cells, *gains]), "|")
    draw(found)


def draw(found: dict[tuple[str, str], dict[str, str]]) -> None:
    """A dot with its interval for each, and a diamond for the published figure."""
    figure, axes = plt.subplots(figsize=(6.5, 4.7), layout="constrained")
    for place, (data, published) in enumerate(PUBLISHED.items()):
        for row, ((rows, colour), of) in enumerate(zip(ROWS.items(), published)):
            mean, low, high = (100 * float(found[data, rows][key]) for key in ("mean", "low", "high"))
            y = place + (row - 1) * 0.24
            axes.errorbar(mean, y, xerr=[[mean - low], [high - mean]], fmt="o", ms=5, capsize=3, color=colour)
            axes.plot(of, y, "D", ms=6, mfc="white", color=colour)
    for rows, colour in ROWS.items():
        axes.plot([], [], "o", color=colour, label=rows)
    axes.plot([], [], "D", ms=6, mfc="white", color="0.4", label="published")
    axes.set_yticks(range(len(PUBLISHED)), list(PUBLISHED))
    axes.invert_yaxis()
    axes.set_xlabel("test accuracy, % (95 % interval over folds or seeds)")
    axes.grid(axis="x", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left")
    figure.savefig(HERE / "figure.png", dpi=150)


def _percent(value: str, sign: str = "") -> str:
    return f"{100 * float(value):{sign}.1f}"


def _half(line: dict[str, str], low: str, high: str) -> str:
    return f"{50 * (float(line[high]) - float(line[low])):.1f}"


if __name__ == "__main__":
    main()
