"""Encoded texts to padded batches, in an order that only the seed and the epoch decide."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

Batch = dict[str, torch.Tensor]


class EncodedText(Dataset[dict[str, Any]]):
    """Token ids of texts and their class indices."""

    def __init__(self, input_ids: Sequence[list[int]], labels: Sequence[int]) -> None:
        assert len(input_ids) == len(labels)
        self.input_ids, self.labels = input_ids, labels

    def __len__(self) -> int:
        return len(self.input_ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"index": index, "input_ids": self.input_ids[index], "label": self.labels[index]}

    def lengths(self) -> np.ndarray:
        """Tokens per text, int64 `[N]`."""
        return np.fromiter(map(len, self.input_ids), np.int64, len(self.input_ids))


class BucketedBatches(Sampler[list[int]]):
    """Batches of indices of similar length; their order depends on (seed, epoch) alone.

    Indices are shuffled, sorted by length within pools of `pool` batches, cut into batches, and the batches shuffled.
    Every index comes once an epoch; one batch may be smaller. The sampler counts its epochs itself, from the first
    batch that is asked for, since Lightning opens the iterator before it would call a `set_epoch`.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int, pool: int = 50) -> None:
        _at_least_one("batch_size", batch_size)
        self.lengths, self.batch_size, self.seed, self.pool = lengths, batch_size, seed, pool
        self.epoch, self.done = 0, 0

    def at(self, epoch: int, done: int = 0) -> None:
        """Let the next iteration be that of `epoch`, without its first `done` batches: for exact resumption."""
        self.epoch, self.done = epoch, done

    def __len__(self) -> int:
        """Batches of a whole epoch, also when the next one is resumed."""
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        epoch, done = self.epoch, self.done
        self.epoch, self.done = epoch + 1, 0
        yield from self.batches(epoch)[done:]

    def batches(self, epoch: int) -> list[list[int]]:
        """All batches of an epoch, in order."""
        random = np.random.default_rng((self.seed, epoch))
        order = random.permutation(len(self.lengths))
        size = self.batch_size * self.pool
        for start in range(0, len(order), size):
            pool = order[start : start + size]
            # Stable: texts of equal length stay shuffled.
            order[start : start + size] = pool[np.argsort(self.lengths[pool], kind="stable")]
        cut = [order[i : i + self.batch_size].tolist() for i in range(0, len(order), self.batch_size)]
        return [cut[i] for i in random.permutation(len(cut))]


def train_loader(data: EncodedText, batches: BucketedBatches, *, pad_id: int, workers: int = 0) -> DataLoader[Any]:
    """The loader of the training batches."""
    return _loader(data, pad_id, workers, batch_sampler=batches)


def eval_loader(
    input_ids: Sequence[list[int]], labels: Sequence[int], *, pad_id: int, batch_size: int, workers: int = 0
) -> DataLoader[Any]:
    """A loader from the longest text to the shortest, which pads least; "index" tells where a text stood."""
    _at_least_one("batch_size", batch_size)
    data = EncodedText(input_ids, labels)
    longest_first = np.argsort(-data.lengths(), kind="stable").tolist()
    return _loader(Subset(data, longest_first), pad_id, workers, batch_size=batch_size)


def collate(pad_id: int) -> Callable[[list[dict[str, Any]]], Batch]:
    """The function that pads B items on the right to T tokens.

    Its batches hold "input_ids" int64 `[B, T]`, "mask" bool `[B, T]` (True where a token stands), "labels" int64
    `[B]`, and "index" int64 `[B]`, the texts' places in their data set. A text without tokens becomes one padding
    token that the mask lets through, so that pooling always has something to pool.
    """
    return partial(_collate, pad_id=pad_id)


def _collate(items: list[dict[str, Any]], pad_id: int) -> Batch:
    rows = [item["input_ids"] or [pad_id] for item in items]
    longest = max(map(len, rows))
    return {
        "input_ids": torch.tensor([ids + [pad_id] * (longest - len(ids)) for ids in rows]),
        "mask": torch.arange(longest) < torch.tensor([len(ids) for ids in rows])[:, None],
        "labels": torch.tensor([item["label"] for item in items]),
        "index": torch.tensor([item["index"] for item in items]),
    }


def _loader(data: Dataset[Any], pad_id: int, workers: int, **batching: Any) -> DataLoader[Any]:
    return DataLoader(
        data,
        collate_fn=collate(pad_id),
        num_workers=workers,
        persistent_workers=workers > 0,
        # Without one, opening an iterator draws a seed from the global stream: validating would change training.
        generator=torch.Generator().manual_seed(0),
        **batching,
    )


def _at_least_one(name: str, size: int) -> None:
    if size < 1:
        raise ValueError(f"{name} is {size}; 1 or more is expected")
