"""A study as one archive for reviewers: code, configs, results, versions, fingerprints, a command for the table."""

import json
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lexigraft.config.catalog import conf_folder
from lexigraft.config.schema import dotted, walk
from lexigraft.runs.folder import STATUS, read_json
from lexigraft.runs.manifest import package_sha256
from lexigraft.runs.reading import read_run
from lexigraft.studies.archive import Content, require_format, write_archive
from lexigraft.studies.cell import Cell
from lexigraft.studies.machine import Paths, locked
from lexigraft.studies.plan import plan
from lexigraft.studies.reading import read_study
from lexigraft.studies.study import Study

# Of a run folder: no texts, and no weights unless they are asked for.
RECORDS = (
    "config.yaml", "result.json", STATUS, "provenance.json", "model.json", "metrics.csv", "log.txt",
    "reproduction.json", "transplant/*.json", "predictions/**/*.parquet",
)  # fmt: skip
WEIGHTS = ("checkpoints/best.ckpt", "tokenizer/**/*")
CODE = ("src/**/*", "conf/**/*", "pyproject.toml", "constraints.txt", "LICENSE", "README.md")
LEFT_OUT = ("__pycache__", ".lock", ".tmp", "-wal", "-shm", ".pyc")


@dataclass(frozen=True)
class Bundle:
    """What was packed: the archive, its files and bytes, finished cells of all, and what a reader should be told."""

    path: Path
    files: int
    bytes: int
    cells: int
    of: int
    notes: tuple[str, ...]


def pack(
    folder: Path, output: Path, words: Sequence[str] = (), *, partial: bool = False, checkpoints: bool = False
) -> Bundle:
    """Pack the study of a folder; `words` are the overrides that it was run with.

    Equal content gives equal bytes. `ValueError` for cells that are not finished, unless `partial`, and for paths of
    this machine that the identity of runs depends on.
    """
    require_format(output)
    study = read_study(folder)
    cells = plan(study, words)
    finished = [cell for cell in cells if read_run(cell.folder).state == "finished"]
    if len(finished) < len(cells) and not partial:
        raise ValueError(
            f"{len(cells) - len(finished)} of the {len(cells)} cells of study {study.name} are not finished: run "
            f"lexigraft study {folder} first, or pack the others with --partial"
        )
    if not finished:
        raise ValueError(f"study {study.name} has no finished run to pack: run lexigraft study {folder} first")
    home = folder.parent if folder.suffix in (".yaml", ".yml") else folder
    place = f"experiments/{home.resolve().name}"
    paths = _paths(home, place, finished)
    told = [paths.replaced(word) for word in words if not word.startswith(("output_root=", "data.root="))]
    files: dict[str, Content] = {}
    files |= {f"{place}/{name}": _clean(path, paths) for name, path in _below(home, ("**/*",))}
    for cell in finished:
        wanted = (*RECORDS, *WEIGHTS) if checkpoints else RECORDS
        files |= {f"outputs/runs/{cell.id}/{name}": _clean(path, paths) for name, path in _below(cell.folder, wanted)}
    for root in dict.fromkeys(cell.folder.parents[1] for cell in finished):
        own = root / "studies" / study.name
        files |= {f"outputs/studies/{study.name}/{name}": _clean(path, paths) for name, path in _below(own, ("**/*",))}
    _same_runs(files, place, folder, told, cells)
    files |= {f"code/{name}": path for name, path in _code()}
    options = _options()
    files |= options
    provenance = [read_json(cell.folder / "provenance.json") for cell in finished]
    notes = _notes(study, cells, finished, provenance)
    what = place if folder is home else f"{place}/{folder.name}"
    files["requirements.lock"] = "".join(f"{line}\n" for line in locked()).encode()
    files["data.json"] = _json(_fingerprints(provenance))
    files["cells.json"] = _json([{"labels": dict(cell.labels), "run": cell.id} for cell in finished])
    files["remake.sh"] = _remake(what, told, sorted({name.split("/")[1] for name in options})).encode()
    files["README.txt"] = _readme(study, what, notes, checkpoints).encode()
    _require_clean(files, paths)
    size = write_archive(output, study.name, files)
    return Bundle(output, len(files), size, len(finished), len(cells), tuple(notes))


def _paths(home: Path, place: str, cells: Sequence[Cell]) -> Paths:
    """What paths of this machine are called in the archive; those that a config alone knows by their last name."""
    names: dict[Path, str] = {}
    for cell in cells:
        for _, value in walk(dict(cell.values)):
            if isinstance(value, str) and value.startswith("/") and len(Path(value).parts) > 1:
                names[Path(value)] = Path(value).name
    repository = conf_folder().parent.resolve()
    names |= {Path.home(): "~", Path.cwd(): ".", repository: "code", home.resolve(): place, home.absolute(): place}
    for cell in cells:
        if root := cell.values["data"].get("root"):
            names |= {Path(root).absolute(): "data"}
        names |= {cell.folder.parents[1].absolute(): "outputs", cell.folder.parents[1].resolve(): "outputs"}
    return Paths(names)


def _below(folder: Path, patterns: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Files of a folder by name, without hidden ones and what only a running program needs."""
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            name = path.relative_to(folder)
            hidden = any(part.startswith(".") or part.endswith((*LEFT_OUT, ".egg-info")) for part in name.parts)
            if path.is_file() and not hidden:
                yield name.as_posix(), path


def _clean(path: Path, paths: Paths) -> Content:
    """A file as it goes into the archive: texts without paths of this machine, a status without its name."""
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        return path
    if path.name == STATUS:
        text = json.dumps({**json.loads(text), "host": None, "pid": None}, ensure_ascii=False, indent=2) + "\n"
    return paths.replaced(text).encode()


def _code() -> Iterator[tuple[str, Path]]:
    """The source of this very package: of the repository, else of the installed package."""
    conf = conf_folder()
    if (conf.parent / "__init__.py").is_file():
        for name, path in _below(conf.parent, ("**/*",)):
            yield f"src/lexigraft/{name}", path
    else:
        yield from _below(conf.parent, CODE)


def _options() -> dict[str, Content]:
    """Folders of the user's own options, which compose the cells too."""
    folders = [Path(folder) for folder in os.environ.get("LEXIGRAFT_CONF", "").split(os.pathsep) if folder]
    return {
        f"options/{number}/{name}": path
        for number, folder in enumerate(folders)
        for name, path in _below(folder, ("**/*",))
    }


def _same_runs(
    files: Mapping[str, Content], place: str, folder: Path, words: Sequence[str], cells: Sequence[Cell]
) -> None:
    """`ValueError` unless the packed study composes the same runs: a path may be part of what a run is."""
    with TemporaryDirectory() as temporary:
        home = Path(temporary) / place
        for name, content in files.items():
            if name.startswith(f"{place}/") and name.endswith((".yaml", ".yml")) and isinstance(content, bytes):
                target = Path(temporary) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        packed = plan(read_study(home / folder.name if folder.suffix in (".yaml", ".yml") else home), words)
    for ours, theirs in zip(cells, packed, strict=True):
        if ours.id != theirs.id:
            mine, other = dict(walk(dict(ours.values))), dict(walk(dict(theirs.values)))
            changed = [
                dotted(path)
                for path, value in mine.items()
                if not isinstance(value, (dict, list))
                and value != other.get(path)
                and path[0] != "output_root"
                and path != ("data", "root")
            ]
            raise ValueError(
                f"{changed[0]} is a path of this machine, and part of what the study's runs are: give it relative to "
                "the folder where the study is started, and run the study again"
            )


def _notes(study: Study, cells: Sequence[Cell], finished: Sequence[Cell], provenance: Sequence[Any]) -> list[str]:
    """What is not as a reader would expect."""
    notes = []
    if len(finished) < len(cells):
        notes.append(f"{len(cells) - len(finished)} of {len(cells)} cells are not finished, and not in here.")
    other = Counter(of["code"]["package_sha256"] for of in provenance)
    other.pop(package_sha256(), None)
    if other:
        notes.append(f"{sum(other.values())} of {len(finished)} runs were made by other code than the one in code/.")
    versions: dict[str, set[str]] = {}
    for of in provenance:
        for name, version in of["versions"].items():
            versions.setdefault(name, set()).add(version)
    for name, found in sorted(versions.items()):
        if len(found) > 1:
            notes.append(f"The runs were made with different versions of {name}: {', '.join(sorted(found))}.")
    return notes


def _fingerprints(provenance: Sequence[Any]) -> list[dict[str, Any]]:
    """The data sets and matrices of the runs, each once: names and SHA-256, never what is in them."""
    found: dict[str, dict[str, Any]] = {}
    for of in provenance:
        source = {key: of["source"].get(key) for key in ("name", "sha256", "rows", "dim")}
        each = {"data": of["data"], "source": source, "target": of["target"]}
        found.setdefault(json.dumps(each, sort_keys=True), each)
    return [found[key] for key in sorted(found)]


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()


def _remake(what: str, words: Sequence[str], options: Sequence[str]) -> str:
    own = ":".join(f'"$PWD/options/{number}"' for number in options)
    return f"""\
#!/usr/bin/env bash
# Makes the study's table again out of the results of its runs; nothing is trained.
# PYTHON=... names an interpreter. What it lacks is installed into .venv, as requirements.lock says.
set -euo pipefail
cd "$(dirname "$0")"
python="${{PYTHON:-python3}}"
export PYTHONPATH="$PWD/code/src"
{f"export LEXIGRAFT_CONF={own}" if own else "unset LEXIGRAFT_CONF"}
if ! "$python" -c "import lexigraft.commands.study" 2>/dev/null; then
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    python=.venv/bin/python
    "$python" -m pip install --quiet --requirement requirements.lock
fi
exec "$python" -m lexigraft study {shlex.quote(what)} --table output_root=outputs {shlex.join(words)}
"""


def _readme(study: Study, what: str, notes: Sequence[str], checkpoints: bool) -> str:
    told = "".join(f"Note: {note}\n" for note in notes)
    return f"""\
{study.title or study.name}

    bash remake.sh

makes the table again from the results of the runs, on any machine with Python 3.11 to 3.13.
{told}
{what}/   the study: study.yaml says what was run
outputs/runs/<id>/   for each run its config, result, log, curves, predictions (texts as hashes) and provenance
outputs/studies/     what the study itself left
code/                the source that composes and runs it
cells.json           which run is which cell
requirements.lock    the versions of all packages
data.json            SHA-256 of each split and matrix; the data are not in here
SHA256SUMS           sha256sum -c SHA256SUMS, or lexigraft bundle --check FILE, tells whether all is as it was packed

The weights are {"in the run folders" if checkpoints else "not in here"}. Where the data are, the cells can be run
again: lexigraft study {what} data.root=FOLDER output_root=OTHER
"""


def _require_clean(files: Mapping[str, Content], paths: Paths) -> None:
    """`ValueError` for a text that still names a path of this machine, in the code the user's home."""
    home = Paths({Path.home(): "~"})
    for name, content in sorted(files.items()):
        try:
            text = (content if isinstance(content, bytes) else content.read_bytes()).decode()
        except UnicodeDecodeError:
            continue
        if found := (home if name.startswith("code/") else paths).first(text):
            raise ValueError(f"{name} would name {found}, a path of this machine: take it out of that file")
