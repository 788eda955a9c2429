"""Encoded texts to padded batches, in an order that only the seed and the epoch decide."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from lexigraft.data.encoded import Encoded

Batch = dict[str, Any]
NOT_COUNTED = -100  # the label of tokens that no loss and no metric looks at

Change = Callable[[Encoded, np.ndarray, int], Encoded]  # of some texts, by what tells them apart, and the epoch


class Turn(list[int]):
    """The places of a training batch's texts, and what workers cannot know: the epoch for which they are drawn.

    `again` says of each text how often the same epoch has shown it before; None: of no text more than once.
    """

    def __init__(self, places: Sequence[int], epoch: int, again: np.ndarray | None = None) -> None:
        super().__init__(places)
        self.epoch, self.again = epoch, again

    def moved(self, by: int) -> "Turn":
        """The same texts where places are counted from elsewhere."""
        return Turn([place + by for place in self], self.epoch, self.again)


class EncodedText(Dataset[Batch]):
    """Texts and what a model is to say of them: N targets `[N]` or `[N, C]`, or, `per_token`, one for each token.

    `pad_id` fills up shorter texts on the right; `task` is the name of the head that a batch is for. `change` is what
    texts go through before they are batched, another in each epoch; it leaves tokens with own targets in place.
    """

    def __init__(
        self,
        encoded: Encoded,
        targets: Any,
        *,
        pad_id: int,
        per_token: bool = False,
        task: str = "main",
        change: Change | None = None,
    ) -> None:
        self.encoded, self.targets = encoded, torch.as_tensor(targets)
        self.pad_id, self.per_token, self.task, self.change = pad_id, per_token, task, change
        assert len(self.targets) == (len(encoded.ids) if per_token else len(encoded))

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """The batch of some texts, padded on the right to T tokens.

        It holds "input_ids" int64 `[B, T]`, "mask" bool `[B, T]` (True where a token stands), "labels", "index" int64
        `[B]` (the texts' places), "types" int64 `[B, T]` where the texts are pairs, and "task". A text without tokens
        becomes one padding token that the mask lets through, so that pooling always has something to pool.
        """
        texts = np.asarray(indices, np.int64)
        encoded = self.encoded.take(texts)
        if self.change is not None and isinstance(indices, Turn):
            again = 0 if indices.again is None else indices.again
            encoded = self.change(encoded, texts + again * len(self), indices.epoch)
        lengths = encoded.lengths()
        columns = np.arange(max(1, int(lengths.max())))
        filled = columns < lengths[:, None]
        batch: Batch = {
            "input_ids": _padded(encoded.ids, filled, self.pad_id),
            "mask": torch.from_numpy(columns < np.maximum(lengths, 1)[:, None]),
            "index": torch.from_numpy(texts),
            "task": self.task,
        }
        if encoded.types is not None:
            batch["types"] = _padded(encoded.types, filled, 0)
        if self.per_token:
            flat, _ = self.encoded.places(texts)
            batch["labels"] = _padded(self.targets.numpy()[flat], filled, NOT_COUNTED)
        else:
            batch["labels"] = torch.from_numpy(self.targets.numpy()[texts])
        return batch


class EpochBatches(Sampler[list[int]]):
    """Batches of indices in an order that depends on the epoch alone, which can be entered anywhere.

    It counts its epochs itself, from the first batch that is asked for, since Lightning opens the iterator before it
    would call a `set_epoch`.
    """

    epoch, done = 0, 0

    def at(self, epoch: int, done: int = 0) -> None:
        """Let the next iteration be that of `epoch`, without its first `done` batches: for exact resumption."""
        self.epoch, self.done = epoch, done

    def __iter__(self) -> Iterator[list[int]]:
        epoch, done = self.epoch, self.done
        self.epoch, self.done = epoch + 1, 0
        yield from self.batches(epoch)[done:]

    def __len__(self) -> int:
        """Batches of a whole epoch, of any one, also when the next one is resumed."""
        raise NotImplementedError

    def batches(self, epoch: int) -> list[Turn]:
        """All batches of an epoch, in order."""
        raise NotImplementedError


class BucketedBatches(EpochBatches):
    """Batches of indices of similar length; their order depends on (seed, epoch) alone.

    Without `tokens`, indices are shuffled, sorted by length within pools of `pool` batches, cut into batches, and the
    batches shuffled; one batch may be smaller. With `tokens`, no batch has more cells (texts times the longest one's
    tokens) than that, nor more texts than `batch_size`: texts are shuffled within classes of about equal length, so
    that every epoch has the same number of batches of the same sizes. Every index comes once an epoch, unless `shown`
    names the indices that an epoch has, ascending, some perhaps several times, as many in each epoch. `ValueError` if a
    size is below 1, a text alone has more than `tokens`, or both `shown` and `tokens` are given.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        batch_size: int,
        seed: int,
        pool: int = 50,
        tokens: int | None = None,
        shown: Callable[[int], np.ndarray] | None = None,
    ) -> None:
        _at_least_one("batch_size", batch_size)
        if shown is not None and tokens is not None:
            raise ValueError(
                f"trainer.batch_tokens={tokens} was given with balance, whose epochs have texts of other lengths each "
                "time: use trainer.batch_tokens=null, or balance=none"
            )
        self.lengths, self.batch_size, self.seed, self.pool = lengths, batch_size, seed, pool
        self.shown = shown or (lambda epoch: np.arange(len(lengths)))
        if tokens is None:
            self._classes = None
            count = len(self.shown(0))
            self._ends = np.minimum(np.arange(batch_size, count + batch_size, batch_size), count)
        else:
            self._classes = _length_classes(lengths)
            self._ends = _within_budget(np.sort(self._classes), batch_size, tokens)

    def __len__(self) -> int:
        """Batches of a whole epoch, of any one, also when the next one is resumed."""
        return len(self._ends)

    def batches(self, epoch: int) -> list[Turn]:
        """All batches of an epoch, in order."""
        random = np.random.default_rng((self.seed, epoch))
        shown = self.shown(epoch)
        again = np.arange(len(shown)) - np.searchsorted(shown, shown)
        order = random.permutation(len(shown))
        sizes, size = self._classes, max(1, len(order))
        if sizes is None:
            sizes, size = self.lengths, self.batch_size * self.pool
        for start in range(0, len(order), size):
            pool = order[start : start + size]
            # Stable: texts of equal length stay shuffled.
            order[start : start + size] = pool[np.argsort(sizes[shown[pool]], kind="stable")]
        cut = np.split(order, self._ends[:-1]) if len(order) else []
        batches = [cut[i] for i in random.permutation(len(cut))]
        repeats = bool(again.any())
        return [Turn(shown[batch].tolist(), epoch, again[batch] if repeats else None) for batch in batches]


def train_loader(data: Dataset[Batch], batches: Sampler[list[int]], *, workers: int = 0) -> DataLoader[Any]:
    """The loader of the training batches."""
    return _loader(data, batches, workers)


def eval_loader(data: EncodedText, *, batch_size: int, workers: int = 0, tokens: int | None = None) -> DataLoader[Any]:
    """A loader from the longest text to the shortest, which pads least; "index" tells where a text stood.

    `tokens` bounds the cells of a batch; a text that alone has more is a batch of its own.
    """
    _at_least_one("batch_size", batch_size)
    lengths = data.encoded.lengths()
    order = np.argsort(-lengths, kind="stable")
    cut, start = [], 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        size = batch_size if tokens is None else min(batch_size, max(1, tokens // longest))
        cut.append(order[start : start + size].tolist())
        start += size
    return _loader(data, cut, workers)


def _length_classes(lengths: np.ndarray) -> np.ndarray:
    """The longest length of each text's class, int64 `[N]`; classes are some 6 % wide, so padding costs about 3 %."""
    steps = np.floor(np.log(np.maximum(lengths, 1)) / np.log(_CLASS_WIDTH)).astype(np.int64)
    longest = np.zeros(steps.max(initial=0) + 1, np.int64)
    np.maximum.at(longest, steps, np.maximum(lengths, 1))
    return longest[steps]


_CLASS_WIDTH = 1.06


def _within_budget(longest: np.ndarray, batch_size: int, tokens: int) -> np.ndarray:
    """Where batches of texts in ascending order end, so that none has more texts or more cells than allowed."""
    _at_least_one("batch_tokens", tokens)
    if len(longest) and longest[-1] > tokens:
        raise ValueError(
            f"batch_tokens is {tokens}, but a text has {longest[-1]} tokens: raise trainer.batch_tokens, or cut the "
            "texts (trainer.max_tokens)"
        )
    ends, start = [], 0
    while start < len(longest):
        # The cells of a batch from here on grow with its end: the last end that fits is found by halving.
        sizes = np.arange(1, min(batch_size, len(longest) - start) + 1)
        start += int(np.searchsorted(sizes * longest[start + sizes - 1], tokens, side="right"))
        ends.append(start)
    return np.array(ends, np.int64)


def _padded(values: np.ndarray, filled: np.ndarray, padding: int) -> torch.Tensor:
    """int64 `[B, T]` with the values, text after text, where `filled` is true.

    In NumPy, since torch spreads even this over threads, which costs more than the work where cores are busy.
    """
    out = np.full(filled.shape, padding, np.int64)
    out[filled] = values
    return torch.from_numpy(out)


def _loader(data: Dataset[Batch], batches: Any, workers: int) -> DataLoader[Any]:
    return DataLoader(
        data,
        batch_sampler=batches,
        collate_fn=_as_it_is,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # Without one, opening an iterator draws a seed from the global stream: validating would change training.
        generator=torch.Generator().manual_seed(0),
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def _at_least_one(name: str, size: int) -> None:
    if size < 1:
        raise ValueError(f"{name} is {size}; 1 or more is expected")
