"""Gather the finished runs of a folder of experiments into one table, a row per cell: mean and spread over seeds.

python experiments/first-graft/collect.py outputs/first-graft experiments/first-graft/results.csv
"""

import csv
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

import yaml

METRICS = ("accuracy", "macro_f1")
SPLITS = ("dev", "test")


def main(folder: Path, table: Path) -> None:
    cells = defaultdict(list)
    for result in sorted(folder.glob("**/result.json")):
        cells[cell(result.parent)].append(json.loads(result.read_text(encoding="utf-8")))
    if not cells:
        sys.exit(f"no finished run in {folder}: run experiments/first-graft/run.sh first")
    with open(table, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(
            ["data", "source", "model", "finetune", "transplant", "seeds"]
            + [f"{s}_{m}_{of}" for s in SPLITS for m in METRICS for of in ("mean", "std")]
            + ["coverage_of_occurrences", "seconds_mean"]
        )
        for key, runs in sorted(cells.items()):
            values = [
                round(of([100 * r["metrics"][s][m] for r in runs]), 2)
                for s in SPLITS
                for m in METRICS
                for of in (statistics.mean, spread)
            ]
            seconds = round(statistics.mean(r["seconds"]["total"] for r in runs), 1)
            rows.writerow([*key[:5], len(runs), *values, key[5], seconds])
    print(f"{sum(map(len, cells.values()))} runs in {len(cells)} cells -> {table}")


def cell(run: Path) -> tuple[str, ...]:
    """What a run is a repetition of: everything but its seed."""
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    summary = json.loads((run / "transplant" / "summary.json").read_text(encoding="utf-8"))
    provenance = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    source = provenance["source"]
    return (
        provenance["data"]["name"],
        "lac" if source["reader"] == "lac" else Path(source["path"]).parent.name,
        config["model"]["encoder"]["_target_"].rsplit(".", 1)[1],
        config["finetune"]["_target_"].rsplit(".", 1)[1],
        "transplanted" if config["transplant"].get("match", True) else "random",
        str(summary["coverage_of_occurrences"]),
    )


def spread(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else float("nan")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
