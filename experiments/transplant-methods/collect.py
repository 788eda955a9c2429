"""Tables and the figure of this study out of its measurements.

    python experiments/transplant-methods/collect.py WORK

writes results.csv (one line a measurement), table.md and figure.png beside this file.
"""

import csv
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
SWAPS = {"same": "same model: byte-level BPE to Unigram", "cross": "cross model: byte-level BPE to MiniLM's WordPiece"}
CONTROLS = ("original", "random", "shuffled", "zero", "mean", "normal")
SIZES = ("100", "1k", "all")
Values = dict[tuple[str, ...], list[float]]


def measurements(work: Path) -> list[tuple[str, str, str, str, str, float]]:
    """(swap, method, what, detail, seed, value)."""
    found = []
    for swap in SWAPS:
        for line in (work / f"results-{swap}.jsonl").read_text().splitlines():
            entry = json.loads(line)
            _, what, method, *rest = entry["key"]
            if what == "made":
                found.append((swap, method, "seconds", "", "", entry["seconds"]))
            elif what == "reconstruct":
                for side in ("input", "output"):
                    found += [(swap, method, f"held-out {k}", side, "", v) for k, v in entry[side].items()]
            elif what == "step0":
                found.append((swap, method, "bits per byte", "0", "", entry["bpb"]))
            elif what == "probe":
                found += [(swap, method, "probe", step, rest[0], v) for step, v in entry["curve"].items()]
            elif what in ("tuned", "frozen"):
                size, seed = rest
                found += [(swap, method, f"{what} {s}", size, seed, 100 * entry[s]) for s in ("dev", "test")]
            elif what == "failed":
                print(f"failed: {swap} {method} {rest}: {entry['error']}", file=sys.stderr)
    return list(dict.fromkeys(found))


def shown(values: list[float], digits: int) -> str:
    if not values:
        return ""
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def table(swap: str, of: Values) -> list[str]:
    """Markdown, the best at step 0 first."""
    methods = sorted({k[1] for k in of if k[0] == swap}, key=lambda m: of.get((swap, m, "bits per byte", "0"), [99])[0])
    head = ["method", "error in", "cos in", "error out", "cos out", "bpb 0", "bpb 50", "bpb 200"]
    head += [f"{kind} {size}" for kind in ("frozen", "tuned") for size in SIZES] + ["seconds"]
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    for m in methods:
        cells = [f"*{m}*" if m in CONTROLS else m]
        for side in ("input", "output"):
            cells += [shown(of.get((swap, m, f"held-out {k}", side), []), 2) for k in ("error", "cosine")]
        cells.append(shown(of.get((swap, m, "bits per byte", "0"), []), 2))
        cells += [shown(of.get((swap, m, "probe", step), []), 2) for step in ("50", "200")]
        for kind in ("frozen", "tuned"):
            cells += [shown(of.get((swap, m, f"{kind} test", size), []), 1) for size in SIZES]
        cells.append(shown(of.get((swap, m, "seconds", ""), [])[:1], 1))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def figure(of: Values, path: Path) -> None:
    """A line per method, the best at step 0 of the cross-model swap first; bars are one standard deviation."""
    measures = {
        ("bits per byte", "0"): "bits per byte, step 0",
        ("probe", "200"): "bits per byte, 200 steps",
        ("frozen test", "all"): "frozen, 4,000 examples: accuracy (%)",
        ("tuned test", "1k"): "tuned, 1,000 examples: accuracy (%)",
    }
    found = {k[1] for k in of if k[2] == "bits per byte"}
    methods = sorted(found, key=lambda m: -of.get(("cross", m, "bits per byte", "0"), [99])[0])
    plots = plt.subplots(1, 4, figsize=(16, 0.3 * len(methods) + 1.2), sharey=True, layout="constrained")[1]
    for axes, (key, label) in zip(plots, measures.items()):
        for (swap, title), colour, shift in zip(SWAPS.items(), ("tab:blue", "tab:orange"), (0.14, -0.14)):
            at = [(y, of[swap, m, *key]) for y, m in enumerate(methods) if (swap, m, *key) in of]
            spread = [statistics.stdev(v) if len(v) > 1 else 0 for _, v in at]
            x, y = [statistics.mean(v) for _, v in at], [y + shift for y, _ in at]
            axes.errorbar(x, y, xerr=spread, fmt="o", ms=4.5, lw=1, color=colour, label=title)
        axes.set_title(label, fontsize=10)
        axes.grid(alpha=0.25)
    plots[0].set_xscale("log")
    plots[0].set_xticks([2, 2.5, 3, 4, 6, 8], ["2", "2.5", "3", "4", "6", "8"])
    plots[0].minorticks_off()
    plots[0].set_yticks(range(len(methods)), [f"{m} (control)" if m in CONTROLS else m for m in methods])
    plots[0].set_ylim(-0.6, len(methods) - 0.4)
    plots[1].legend(handles=plots[0].get_legend_handles_labels()[0], loc="center right", fontsize=8)
    plt.savefig(path, dpi=110)


def main(work: Path) -> None:
    found = measurements(work)
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["swap", "method", "what", "detail", "seed", "value"])
        writer.writerows((*key, round(value, 5)) for *key, value in sorted(found))
    of: Values = defaultdict(list)
    for swap, method, what, detail, _, value in found:
        of[swap, method, what, detail].append(value)
    of = dict(of)
    parts = [line for swap, title in SWAPS.items() for line in (f"### {title}", "", *table(swap, of), "")]
    (HERE / "table.md").write_text("\n".join(parts), encoding="utf-8")
    figure(of, HERE / "figure.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
