"""Text to pretrain on: several corpora made one, each document once, some of them held out."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lexigraft.data.cleaning import Cleaning
from lexigraft.data.encoding import vocabulary_texts
from lexigraft.data.pretraining.keep_out import keep_out, normal
from lexigraft.data.splits import position
from lexigraft.data.text_data import Split, TextData

# The shortest text that counts as contained, and the shortest common run, in letters and digits: some 6 and 17 words.
SPACED = {"least": 30, "run": 80}
UNSPACED = {"least": 10, "run": 30}


@dataclass(frozen=True)
class Corpus:
    """Documents to learn from and to measure on, in order.

    `language` is an ISO 639-1 code. `report` counts, in plain values, what was read and left out.
    """

    name: str
    train: list[str]
    dev: list[str]
    language: str
    report: dict[str, Any]

    def record(self) -> dict[str, Any]:
        """What provenance tells of it; 16 hexadecimal digits of the SHA-256 of each split's documents, in order."""
        found = {}
        for name, documents in ("train", self.train), ("dev", self.dev):
            digest = hashlib.sha256()
            for document in documents:
                digest.update(f"{len(document)}\0{document}".encode("utf-8", "surrogatepass"))
            found[name] = digest.hexdigest()[:16]
        return {"name": self.name, "sha256": found, "report": self.report}


def joined(
    corpora: Mapping[str, Corpus], *, dev_share: float = 0.02, kept_out: Iterable[str] = (), near: float | None = 0.8
) -> Corpus:
    """All documents of some corpora, in order, a `dev_share` of them, chosen by a hash of their letters, as dev.

    Documents that differ in nothing but case, white space and punctuation count once. None holds, or nearly is, a text
    of `kept_out`, and none of train one of dev: see `keep_out`, whose similarity `near` is. `ValueError` if there is no
    corpus, or if train or dev is empty.
    """
    if not corpora:
        raise ValueError("there is no corpus to pretrain on: choose some, such as corpus=[text] corpus.text.path=FILE")
    if not 0 < dev_share < 1:
        raise ValueError(f"the share of documents held out is {dev_share}; a number between 0 and 1 is expected")
    documents: dict[str, str] = {}
    read = 0
    for corpus in corpora.values():
        for document in (*corpus.train, *corpus.dev):
            read += 1
            if letters := normal(document):
                documents.setdefault(letters, document)
    language = _language(corpora.values())
    lengths = UNSPACED if language in ("zh", "ja") else SPACED
    kept, held = keep_out(list(documents.values()), kept_out, near=near, **lengths)
    here = [position(normal(document), "pretraining dev") < dev_share for document in kept]
    dev = [document for document, chosen in zip(kept, here) if chosen]
    train, apart = keep_out([d for d, chosen in zip(kept, here) if not chosen], dev, near=near, **lengths)
    report = {
        "corpora": {name: corpus.report for name, corpus in corpora.items()},
        "documents": read,
        "empty_or_repeated": read - len(documents),
        "kept_out": held,
        "train_like_dev": apart,
        "splits": {"train": len(train), "dev": len(dev)},
    }
    name = "+".join(corpora)
    for split, of_split in ("train", train), ("dev", dev):
        if not of_split:
            raise ValueError(
                f"corpus {name}: no document is left for {split} (of {len(documents)} different ones, {dev_share:g} "
                "are to be held out): give more text, or another share"
            )
    return Corpus(name, train, dev, language, report)


def held_out(sets: Iterable[TextData]) -> list[str]:
    """Every text of dev and test of labelled data sets: what a model that is measured on them must not have read."""
    return [text for data in sets for split in (data.dev, data.test) for text in vocabulary_texts(split, data.kind)]


def cleaned(corpus: Corpus, cleaning: Cleaning) -> Corpus:
    """The corpus with its documents repaired, and those of train left out that `conf/cleaning/` leaves out."""
    train, dev, none = (Split(texts, [0] * len(texts)) for texts in (corpus.train, corpus.dev, []))
    data = cleaning(TextData(corpus.name, train, dev, none, (), corpus.language, corpus.report))
    return Corpus(corpus.name, data.train.texts, data.dev.texts, corpus.language, data.report)


def _language(corpora: Iterable[Corpus]) -> str:
    """The one of all; where they differ, one that is written without spaces, since its words are cut by jieba, which
    leaves spaced ones whole."""
    languages: Sequence[str] = [corpus.language for corpus in corpora]
    return "zh" if "zh" in languages else languages[0]
