"""Documents of text files: a line each, or parted by blank lines."""

from collections.abc import Iterator, Sequence

from lexigraft.data.files import decoded_lines, find
from lexigraft.data.pretraining.corpus import Corpus

DIVIDED = ("lines", "blank_lines", "files")


def load(
    *,
    path: str | Sequence[str],
    root: str | None = None,
    by: str = "lines",
    name: str = "text",
    language: str = "zh",
) -> Corpus:
    """The documents of UTF-8 files (.txt or any other, plain or .gz), in order; nothing is held out.

    `by` says what a document is: a line, what stands between blank lines, or a file. `FileNotFoundError` and
    `ValueError` name the file and what was expected of it.
    """
    if by not in DIVIDED:
        raise ValueError(f"corpus {name}: by is {by!r}; one of {', '.join(DIVIDED)} is expected")
    documents: list[str] = []
    files, read, broken = [path] if isinstance(path, str) else list(path), 0, 0
    for file in files:
        lines, damaged = decoded_lines(find(root, file, "corpus.text.root"))
        read, broken = read + len(lines), broken + damaged
        documents += _documents(lines, by)
    if not documents:
        raise ValueError(f"corpus {name}: {', '.join(files)} holds no text; documents are expected, by={by}")
    report = {"files": len(files), "lines": read, "broken_unicode": broken, "documents": len(documents)}
    return Corpus(name, documents, [], language, report)


def _documents(lines: list[str], by: str) -> Iterator[str]:
    if by == "lines":
        yield from filter(None, (line.strip() for line in lines))
        return
    gathered: list[str] = []
    for line in (*lines, ""):
        if line.strip() or by == "files":
            gathered.append(line.rstrip("\r"))
        elif gathered:
            yield "\n".join(gathered).strip()
            gathered = []
    if whole := "\n".join(gathered).strip():
        yield whole
