"""What a run said of every text of a split, kept in Parquet so that runs can be compared later, item by item.

A file has a row for each text, or, of tags, for each unit. Columns: `index` (place of the text in the split), `text`
(16 hexadecimal digits of the SHA-256 of it), of tags `unit` (place in the text), `gold` and `predicted` (names of
classes, lists of them, or numbers; null for a unit that got no tag), and, but for numbers, `scores`, float32, one for
each class.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lexigraft.data.encoded import Encoded
from lexigraft.data.text_data import Split

if TYPE_CHECKING:
    import pyarrow as pa

NO_TAG = -1  # predicted of a unit that has no token
_KEY = b"lexigraft.predictions"


@dataclass(frozen=True)
class Predictions:
    """What was said of N texts, or of n units of N texts.

    `texts` `[N]` tells the texts apart (see `text_id`), `lengths` int64 `[N]` is how many units each has, None but for
    tags. `gold` and `predicted` are classes int32 `[N]` (`[n]` of units), bool `[N, C]` of any number of classes, or
    float32 `[N]` of numbers. `scores` float32 `[N, C]`, NaN for a unit without a tag; None of numbers.
    """

    kind: str
    classes: tuple[str, ...]
    texts: tuple[str, ...]
    gold: np.ndarray
    predicted: np.ndarray
    scores: np.ndarray | None = None
    lengths: np.ndarray | None = None

    def __post_init__(self) -> None:
        rows = len(self.texts) if self.lengths is None else int(self.lengths.sum())
        assert len(self.gold) == len(self.predicted) == rows
        assert self.scores is None or self.scores.shape == (rows, len(self.classes))
        assert self.lengths is None or len(self.lengths) == len(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self, texts: np.ndarray) -> np.ndarray:
        """Where the rows of some texts stand, in the given order of the texts."""
        if self.lengths is None:
            return texts
        lengths = self.lengths[texts]
        ends = np.cumsum(lengths)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        return np.repeat((np.cumsum(self.lengths) - self.lengths)[texts], lengths) + within

    def take(self, texts: np.ndarray) -> "Predictions":
        """Those of some texts, in the given order."""
        rows = self.rows(texts)
        return replace(
            self,
            texts=tuple(self.texts[i] for i in texts.tolist()),
            gold=self.gold[rows],
            predicted=self.predicted[rows],
            scores=None if self.scores is None else self.scores[rows],
            lengths=None if self.lengths is None else self.lengths[texts],
        )


def told(
    kind: str,
    classes: Sequence[str],
    split: Split,
    encoded: Encoded,
    scores: Any,
    threshold: float = 0.5,
) -> Predictions:
    """The predictions that scores stand for, as `tasks.inference.predictions` returned them for a split.

    The class of the largest score; all above `threshold` where any number of classes applies; the median of ranks.
    Units that have no token, because the text was cut, are kept and have no tag.
    """
    scores = np.asarray(scores, np.float32)
    texts = tuple(text_id(text, second) for text, second in split.rows())
    labels = split.labels
    if kind == "number":
        return Predictions(kind, (), texts, np.asarray(labels, np.float32), scores)
    classes = tuple(classes)
    if kind == "several":
        gold = np.zeros((len(texts), len(classes)), bool)
        for row, label in zip(gold, labels):
            row[list(label)] = True  # type: ignore[arg-type]
        return Predictions(kind, classes, texts, gold, scores > threshold, scores)
    if kind == "tags":
        return _told_of_units(classes, texts, split, encoded, scores)
    chosen = (scores[:, :-1].cumsum(-1) < 0.5).sum(-1) if kind == "order" else scores.argmax(-1)
    return Predictions(kind, classes, texts, np.asarray(labels, np.int32), chosen.astype(np.int32), scores)


def text_id(text: str, second: str = "") -> str:
    """16 hexadecimal digits of the SHA-256 of a text, or of a pair of texts."""
    # The length keeps a pair from looking like another one that is cut elsewhere.
    return hashlib.sha256(f"{len(text)}\t{text}\n{second}".encode()).hexdigest()[:16]


def save_predictions(path: Path, predictions: Predictions) -> None:
    """Write a Parquet file, whole or not at all; equal predictions give equal bytes under one version of pyarrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq  # a third of a second

    p = predictions
    lengths = np.ones(len(p), np.int64) if p.lengths is None else p.lengths
    index = np.repeat(np.arange(len(p), dtype=np.int32), lengths)
    columns: dict[str, Any] = {"index": index, "text": pa.array(p.texts, pa.string()).take(pa.array(index))}
    if p.lengths is not None:
        columns["unit"] = (np.arange(len(index)) - np.repeat(np.cumsum(lengths) - lengths, lengths)).astype(np.int32)
    columns |= {"gold": _labels(p.gold, p), "predicted": _labels(p.predicted, p)}
    if p.scores is not None:
        values = pa.array(p.scores.reshape(-1), pa.float32())
        columns["scores"] = pa.FixedSizeListArray.from_arrays(values, len(p.classes))
    about: dict[str, Any] = {"kind": p.kind, "classes": p.classes}
    if p.lengths is not None:  # of texts without a unit, which have no row
        about |= {"texts": len(p), "empty": {int(i): p.texts[i] for i in np.flatnonzero(p.lengths == 0)}}
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(about, ensure_ascii=False).encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        pq.write_table(
            table,
            file,
            compression="zstd",
            use_dictionary=["text", "gold", "predicted"] if p.kind == "tags" else ["gold", "predicted"],
            write_page_checksum=True,
        )
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_predictions(path: Path) -> Predictions:
    """What `save_predictions` wrote; `FileNotFoundError` without the file, `ValueError` where it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path}: the run has not finished, or was made before predictions were kept; train it again "
            "with rerun=true"
        )
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        what = " ".join(str(error).split())
        raise ValueError(f"{path} is damaged or no Parquet file ({what}): copy the folder again") from error
    if _KEY not in (table.schema.metadata or {}):
        raise ValueError(f"{path} holds no predictions, but the columns {', '.join(table.column_names)}")
    about = json.loads(table.schema.metadata[_KEY])
    kind, classes = about["kind"], tuple(about["classes"])
    ids = table["text"].to_pylist()
    lengths = None
    if kind == "tags":
        index = table["index"].to_numpy()
        lengths = np.bincount(index, minlength=about["texts"])
        named = dict(zip(index.tolist(), ids)) | {int(i): text for i, text in about["empty"].items()}
        ids = [named[i] for i in range(about["texts"])]
    scores = None
    if "scores" in table.column_names:
        scores = table["scores"].combine_chunks().flatten().to_numpy().reshape(-1, len(classes))
    gold, predicted = (_read_labels(table[name], kind, classes) for name in ("gold", "predicted"))
    return Predictions(kind, classes, tuple(ids), gold, predicted, scores, lengths)


def paired(a: Predictions, b: Predictions) -> tuple[Predictions, Predictions]:
    """Both, `b` in the order of `a`; `ValueError` if they are not of the same items with the same labels."""
    if (a.kind, a.classes) != (b.kind, b.classes):
        raise ValueError(
            f"predictions of {_what(a)} were given together with those of {_what(b)}: only runs on the same labels "
            "can be compared item by item"
        )
    if a.texts != b.texts:
        missing = sum((Counter(a.texts) - Counter(b.texts)).values())
        if missing or len(a) != len(b):
            raise ValueError(
                f"the predictions are of different items: {len(a)} texts and {len(b)}, and {missing} of the first are "
                "not among the second; compare runs on the same split, of the same fold"
            )
        b = b.take(_order(b.texts)[np.argsort(_order(a.texts))])
    same = a.gold.shape == b.gold.shape and (a.lengths is None or np.array_equal(a.lengths, b.lengths))  # type: ignore[arg-type]
    if not (same and np.array_equal(a.gold, b.gold)):
        raise ValueError(
            "the predictions are of the same texts, but their labels differ: was one run made before the data were "
            "corrected? Train it again with rerun=true"
        )
    return a, b


def _told_of_units(
    classes: tuple[str, ...], texts: tuple[str, ...], split: Split, encoded: Encoded, scores: np.ndarray
) -> Predictions:
    """`scores` `[n, C]` are those of the units that have a token."""
    assert encoded.units is not None
    labels = [label for label in split.labels if isinstance(label, tuple)]
    lengths = np.array([len(label) for label in labels], np.int64)
    gold = np.array([tag for label in labels for tag in label], np.int32)
    first = encoded.units >= 0
    text = np.repeat(np.arange(len(encoded)), encoded.lengths())[first]
    place = (np.cumsum(lengths) - lengths)[text] + encoded.units[first]
    predicted = np.full(len(gold), NO_TAG, np.int32)
    predicted[place] = scores.argmax(-1)
    of_all = np.full((len(gold), len(classes)), np.nan, np.float32)
    of_all[place] = scores
    return Predictions("tags", classes, texts, gold, predicted, of_all, lengths)


def _labels(values: np.ndarray, p: Predictions) -> "pa.Array":
    """A column of names of classes, of lists of them, or of numbers."""
    import pyarrow as pa

    if p.kind == "number":
        return pa.array(values, pa.float32())
    names = pa.array(p.classes, pa.string())
    if p.kind == "several":
        starts = np.concatenate([[0], np.cumsum(values.sum(1))]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(starts), names.take(pa.array(np.nonzero(values)[1])))
    return names.take(pa.array(values, pa.int32(), mask=values == NO_TAG))


def _read_labels(column: "pa.ChunkedArray", kind: str, classes: tuple[str, ...]) -> np.ndarray:
    if kind == "number":
        return column.to_numpy()
    place: Mapping[str | None, int] = {None: NO_TAG} | {name: i for i, name in enumerate(classes)}
    if kind == "several":
        values = np.zeros((len(column), len(classes)), bool)
        for row, names in zip(values, column.to_pylist()):
            row[[place[name] for name in names]] = True
        return values
    return np.array([place[name] for name in column.to_pylist()], np.int32)


def _order(texts: Sequence[str]) -> np.ndarray:
    """The places of texts in the order of their names; equal ones as they stand."""
    return np.argsort(np.array(texts), kind="stable")


def _what(p: Predictions) -> str:
    return f"kind {p.kind!r}" + (f" with the classes {', '.join(p.classes)}" if p.classes else "")
