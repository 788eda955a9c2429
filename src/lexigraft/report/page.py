"""report.html: all of a study in one file, which needs nothing else and no network."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from lexigraft.report.drawing import Drawing
from lexigraft.report.form import caption, legend
from lexigraft.report.html_tables import comparisons_html, pairs_html, results_html, runs_html
from lexigraft.report.inline_svg import inline_svg, tips_of
from lexigraft.report.runs import CellRun
from lexigraft.studies.table import ResultTable

KINDS = ("pdf", "svg", "png")


@dataclass(frozen=True)
class Page:
    """What a page shows. `commands` make the report again; `made_with` are versions and code, by name."""

    table: ResultTable
    runs: Sequence[CellRun]
    drawings: Sequence[Drawing] = ()
    question: str = ""
    progress: str = ""
    warnings: Sequence[str] = ()
    commands: Sequence[str] = ()
    made_with: Mapping[str, str] | None = None


def page_html(page: Page, output: Path) -> str:
    """The page for the folder `output`, where the figures are saved; it links to them and to the runs."""
    drawn = {of.name: (output / "figures" / f"{of.name}.svg").read_text(encoding="utf-8") for of in page.drawings}
    results, tips = results_html(page.table)
    compared, further = comparisons_html(page.table)
    tips |= further
    sections = {
        "Results": _results(page, results),
        "Comparisons": compared,
        "Figures": "".join(_figure(of, drawn[of.name]) for of in page.drawings),
        "Runs": runs_html(page.runs, page.table.metrics, output),
        "Reproduce": _reproduce(page),
    }
    for drawing in page.drawings:
        tips |= tips_of(drawing)
    shown = {name: text for name, text in sections.items() if text}
    main = "".join(f'<section id="{_id(n)}"><h2>{n}</h2>{text}</section>\n' for n, text in shown.items())
    return Template(_file("page.html")).substitute(
        title=escape(page.table.title or "Study"),
        question=f'<p class="question">{escape(page.question)}</p>' if page.question else "",
        progress=escape(page.progress),
        nav="".join(f'<a href="#{_id(name)}">{name}</a>' for name in shown),
        main=_list("warnings", page.warnings) + main,
        data=safe_json({"tips": tips}),
        css=_file("page.css").rstrip(),
        js=_file("page.js").rstrip(),
    )


def safe_json(value: object) -> str:
    """JSON that no text in it can end the script element of."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")


def _results(page: Page, html: str) -> str:
    """The table; warnings stand at the page's top already."""
    table = page.table
    notes = [note for note in table.notes if note not in page.warnings]
    told = f"{caption(table)} Point at a cell, or tap it, for its runs and its {100 * table.level:g} % interval."
    return f"<p class=caption>{escape(told)}</p>{html}{_list('notes', [*legend(table), *notes])}"


def _figure(drawing: Drawing, svg: str) -> str:
    files = " ".join(f'<a href="figures/{drawing.name}.{kind}">{kind.upper()}</a>' for kind in KINDS)
    return (
        f'<h3>{escape(drawing.title)}</h3><figure aria-label="{escape(drawing.title)}"><div class=scroll tabindex=0>'
        f"{inline_svg(drawing, svg)}</div><figcaption>{escape(drawing.caption)}. {files}</figcaption></figure>\n"
    )


def _reproduce(page: Page) -> str:
    commands = escape("\n".join(page.commands))
    text = f"<pre><code>{commands}</code></pre>" if commands else ""
    return text + (pairs_html(page.made_with) if page.made_with else "")


def _list(kind: str, texts: Sequence[str]) -> str:
    return f'<ul class="{kind}">{"".join(f"<li>{escape(text)}</li>" for text in texts)}</ul>' if texts else ""


def _id(section: str) -> str:
    return section.lower()


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
