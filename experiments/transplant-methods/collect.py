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
    """Per swap: bits per byte at step 0 against after 200 steps, and accuracy after fine-tuning on 1,000 examples."""
    plots = plt.subplots(2, 2, figsize=(13, 11), layout="constrained")[1]
    for row, (swap, title) in enumerate(SWAPS.items()):
        methods = [k[1] for k in of if k[0] == swap and k[2] == "bits per byte"]
        for column, (key, label) in enumerate(
            [
                (("probe", "200"), "bits per byte after 200 steps"),
                (("tuned test", "1k"), "test accuracy, tuned on 1,000 (%)"),
            ]
        ):
            axes = plots[row][column]
            for m in methods:
                x, y = of[swap, m, "bits per byte", "0"], of.get((swap, m, *key), [])
                if not y:
                    continue
                spread = statistics.stdev(y) if len(y) > 1 else 0
                colour = "tab:grey" if m in CONTROLS else "tab:blue"
                axes.errorbar(x[0], statistics.mean(y), yerr=spread, fmt="o", color=colour, ms=5, lw=1, alpha=0.8)
                axes.annotate(m, (x[0], statistics.mean(y)), xytext=(4, 3), textcoords="offset points", fontsize=7.5)
            axes.set_xscale("log")
            axes.set_xticks([2, 2.5, 3, 4, 6, 8], ["2", "2.5", "3", "4", "6", "8"])
            axes.minorticks_off()
            axes.set_xlabel("bits per byte at step 0")
            axes.set_ylabel(label)
            axes.set_title(title, fontsize=10)
            axes.grid(alpha=0.25)
    plt.savefig(path, dpi=130)


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
