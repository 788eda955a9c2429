"""All files of a study's report, written beside each other."""

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lexigraft.report.drawing import save
from lexigraft.report.figures import figures
from lexigraft.report.latex import latex
from lexigraft.report.markdown import markdown
from lexigraft.report.page import Page, page_html
from lexigraft.report.runs import CellRun, data_axes, read_runs
from lexigraft.report.table_csv import table_csv
from lexigraft.runs.folder import require_writable, write_text
from lexigraft.studies.cell import Cell
from lexigraft.studies.results import Results, write_records
from lexigraft.studies.status import STATES
from lexigraft.studies.study import Study
from lexigraft.studies.tabulating import result_table


def write_report(
    study: Study, cells: Sequence[Cell], results: Results, *, folder: Path, output: Path, overrides: Sequence[str] = ()
) -> list[Path]:
    """Write tables, figures and report.html of the study in `folder` to `output`; their paths.

    `overrides` are the words that were added to every cell. `ValueError` where nothing can be written, and
    `ConfigError` for axes that the study does not have.
    """
    require_writable(output, "--output")
    table = result_table(study, results)
    runs = read_runs(results)
    drawings = figures(
        runs,
        table.metrics[0],
        rows=table.row_axes,
        data=[axis for axis in data_axes(cells) if axis not in study.repeats],
        repeats=study.repeats,
        alpha=study.compare.alpha if study.compare else 0.05,
    )
    saved = [path for each in drawings for path in save(each, output / "figures")]
    page = Page(
        table=table,
        runs=runs,
        drawings=drawings,
        question=question_of(folder),
        progress=progress(results),
        warnings=results.warnings,
        commands=[shlex.join(["lexigraft", name, str(folder), *overrides]) for name in ("study", "report")],
        made_with=made_with(runs),
    )
    output.mkdir(parents=True, exist_ok=True)
    texts = {
        "table.tex": latex(table, _slug(study.name)),
        "table.md": markdown(table),
        "results.csv": table_csv(table),
        "report.html": page_html(page, output),
    }
    for name, text in texts.items():
        write_text(output / name, text)
    write_records(results, output / "runs.csv")
    paths = [output / name for name in ("table.tex", "table.md", "results.csv", "runs.csv")]
    return [*paths, *saved, output / "report.html"]


def progress(results: Results) -> str:
    """`12 cells: 10 done, 1 failed, 1 left`."""
    counts = Counter(record.run.state for record in results.records)
    told = ", ".join(f"{counts[state]} {STATES[state]}" for state in STATES if counts[state])
    return f"{len(results.records)} cells: {told}"


def unfinished(results: Results) -> str:
    """One sentence about cells without a result; "" where there are none."""
    missing = sum(not record.finished for record in results.records)
    total = len(results.records)
    return f"{missing} of {total} cells have no result yet: tables mark them, figures leave them out" if missing else ""


def question_of(folder: Path) -> str:
    """What a study asks: the paragraph "**Question.**" of its README.md, else the first comment of its study.yaml."""
    file = folder if folder.suffix in (".yaml", ".yml") else folder / "study.yaml"
    readme = file.parent / "README.md"
    if readme.is_file():
        found = re.search(r"^\*\*Question[.:]?\*\*[.:]?\s*(.+?)(?:\n\s*\n|\Z)", readme.read_text("utf-8"), re.M | re.S)
        if found:
            return " ".join(found[1].split())
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("#").strip())
    return " ".join(comment)


def made_with(runs: Sequence[CellRun]) -> dict[str, str]:
    """Versions, code and hardware of the finished runs; where they differ, each with the number of its runs."""
    found: dict[str, Counter[str]] = {}
    for run in {run.run.id: run for run in runs if run.finished}.values():
        for name, value in _facts(run.provenance).items():
            found.setdefault(name, Counter())[value] += 1
    return {
        name: next(iter(counts))
        if len(counts) == 1
        else ", ".join(f"{of} ({n} runs)" for of, n in counts.most_common())
        for name, counts in found.items()
    }


def _facts(provenance: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    code, hardware = provenance.get("code", {}), provenance.get("hardware", {})
    facts: dict[str, object] = {"code (SHA-256)": code.get("package_sha256")}
    if code.get("git_commit"):
        facts["commit"] = f"{code['git_commit']}{' and uncommitted changes' if code.get('git_diff') else ''}"
    facts |= {key: hardware.get(key) for key in ("platform", "processor")}
    facts |= dict(provenance.get("versions", {}))
    return {name: str(value) for name, value in facts.items() if value}


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "study"
