"""A corpus in a vocabulary, and its loaders as Lightning wants them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset

from lexigraft.data.batches import Batch, BucketedBatches, train_loader
from lexigraft.data.encoded import Encoded
from lexigraft.data.pretraining.corpus import Corpus
from lexigraft.data.pretraining.objective import Asked, Objective, stands_for_text
from lexigraft.data.pretraining.pieces import packed, pieces_of
from lexigraft.data.pretraining.texts import OwnRows, PretrainingTexts
from lexigraft.data.pretraining.words import encoded_documents
from lexigraft.vocab.tokenizer import Tokenizer


@dataclass(frozen=True)
class PretrainingSplits:
    """Train and dev as batches, and what is to be known of them.

    `tokens_per_byte` is that of dev: tokens that stand for text, the unknown one included and special ones left out,
    by the UTF-8 bytes of the text. `report` counts, in plain values, documents, tokens, pieces and rows.
    """

    train: PretrainingTexts
    dev: PretrainingTexts
    tokens_per_byte: float
    report: dict[str, Any]


def pretraining_splits(
    corpus: Corpus, tokenizer: Tokenizer, objective: Objective, *, max_tokens: int, pack: bool = True, seed: int = 0
) -> PretrainingSplits:
    """The corpus cut into pieces of at most `max_tokens`, and, with `pack`, packed into rows of that many.

    `ValueError` if the tokenizer lacks a token that is needed, leaves nothing of a split, or `max_tokens` is too few.
    """
    asked = objective.prepared(tokenizer.vocabulary, seed)
    documents = {
        "train": encoded_documents(tokenizer, corpus.train, corpus.language, objective.words),
        "dev": encoded_documents(tokenizer, corpus.dev, corpus.language, objective.words),
    }
    texts = {}
    report: dict[str, Any] = {}
    for name, of_split in documents.items():
        pieces = pieces_of(of_split, max_tokens, tokenizer.around)
        if not len(pieces):
            raise ValueError(f"corpus {corpus.name}: this tokenizer leaves no token of {name}; choose another")
        texts[name] = _texts(pieces, asked, tokenizer.pad_id, max_tokens if pack else None, seed)
        report[name] = _counted(of_split, texts[name], tokenizer, max_tokens)
    per_byte = report["dev"]["text_tokens"] / sum(len(d.encode("utf-8", "surrogatepass")) for d in corpus.dev)
    report["dev"]["tokens_per_byte"] = per_byte
    return PretrainingSplits(texts["train"], texts["dev"], per_byte, report)


class PretrainingData(pl.LightningDataModule):
    """Loaders of train and dev; no one draws from the global random stream.

    Training batches come from `batches`, which a resumed run positions with `at`: `batch_size` rows of similar length,
    or as many as have at most `batch_tokens` cells, padding included, in the same number every epoch. With several
    `ranks`, each gets its rows of every training batch, and whole batches of dev.
    """

    def __init__(
        self,
        splits: PretrainingSplits,
        *,
        batch_size: int,
        eval_batch_size: int,
        seed: int,
        workers: int = 0,
        batch_tokens: int | None = None,
        sorted_batches: int = 50,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        super().__init__()
        assert 0 <= rank < ranks
        self.splits, self.eval_batch_size, self.workers = splits, eval_batch_size, workers
        self.batch_tokens = batch_tokens
        self.rank, self.ranks = rank, ranks
        self.batches = BucketedBatches(
            splits.train.lengths(), batch_size, seed, pool=sorted_batches, tokens=batch_tokens
        )

    @property
    def tokens_per_byte(self) -> float:
        """Tokens of dev by its bytes: nats per token times this, over ln 2, are bits per byte."""
        return self.splits.tokens_per_byte

    def train_dataloader(self) -> DataLoader[Any]:
        data: Dataset[Batch] = self.splits.train
        if self.ranks > 1:
            data = OwnRows(self.splits.train, self.rank, self.ranks)
        return train_loader(data, self.batches, workers=self.workers)

    def val_dataloader(self) -> DataLoader[Any]:
        """Dev from its longest rows to its shortest; "index" tells where a row stood.

        Where there are fewer batches than ranks, one is seen twice: count every index once.
        """
        batches = _longest_first(self.splits.dev.lengths(), self.eval_batch_size, self.batch_tokens)
        own: Any = batches[self.rank :: self.ranks] or [batches[self.rank % len(batches)]]
        return train_loader(self.splits.dev, own, workers=self.workers)


def _texts(pieces: Encoded, asked: Asked, pad_id: int, room: int | None, seed: int) -> PretrainingTexts:
    rows = None if room is None else packed(pieces.lengths(), room, seed)
    return PretrainingTexts(pieces, asked, pad_id=pad_id, rows=rows)


def _counted(documents: Encoded, texts: PretrainingTexts, tokenizer: Tokenizer, max_tokens: int) -> dict[str, Any]:
    counts = documents.counts(len(tokenizer.vocabulary))
    text = int(counts[stands_for_text(tokenizer.vocabulary)].sum())
    unknown = int(counts[tokenizer.vocabulary.roles["unk"]]) if "unk" in tokenizer.vocabulary.roles else 0
    tokens = int(texts.pieces.starts[-1])
    found = {
        "documents": len(documents),
        "empty_documents": int((documents.lengths() == 0).sum()),
        "text_tokens": text,
        "unknown_share": unknown / max(1, text),
        "pieces": len(texts.pieces),
        "tokens": tokens,
        "rows": len(texts),
    }
    return found | ({"padding_share": 1 - tokens / (len(texts) * max_tokens)} if texts.packed else {})


def _longest_first(lengths: np.ndarray, batch_size: int, tokens: int | None) -> list[Sequence[int]]:
    """Rows in batches of at most so many rows and cells, but at least one row, the longest rows first."""
    order = np.argsort(-lengths, kind="stable")
    found: list[Sequence[int]] = []
    start = 0
    while start < len(order):
        fitting = batch_size if tokens is None else max(1, tokens // int(lengths[order[start]]))
        found.append(order[start : start + min(batch_size, fitting)].tolist())
        start += len(found[-1])
    return found
