"""Several data sets in one stream of training batches, each batch from one of them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from torch.utils.data import Dataset

from lexigraft.data.batches import Batch, EncodedText, EpochBatches, Turn


class JoinedTexts(Dataset[Batch]):
    """Data sets end to end; a batch is of one of them, and its "index" is the place in that one."""

    def __init__(self, parts: Sequence[EncodedText]) -> None:
        self.parts = parts
        self.starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """The batch of texts of one data set, by their places in all."""
        part = int(np.searchsorted(self.starts, indices[0], side="right")) - 1
        start = int(self.starts[part])
        places = indices.moved(-start) if isinstance(indices, Turn) else np.asarray(indices, np.int64) - start
        return self.parts[part].__getitems__(places)


class MixedBatches(EpochBatches):
    """Batches of several data sets, shuffled together; the order depends on (seed, epoch) alone.

    An epoch has as many batches as all data sets have together. Each one's share is proportional to its number of
    batches to the power of 1 / `temperature`: 1 keeps the sizes, so that every text comes once an epoch; a high one
    gives all the same share (Raffel et al. 2020, T5, 3.5.2). One whose share is less than all of its batches goes on in
    the next epoch where it stopped, and one whose share is more begins anew: texts of one set come equally often.
    `ValueError` for a temperature below 1.
    """

    def __init__(
        self, parts: Mapping[str, EpochBatches], sizes: Sequence[int], seed: int, temperature: float = 1.0
    ) -> None:
        if temperature < 1:
            raise ValueError(
                f"trainer.sampling_temperature={temperature} was given; 1 (by size) or more (towards equal shares) is "
                "expected"
            )
        self.parts, self.seed = parts, seed
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        self.shares = _shares([len(part) for part in parts.values()], temperature)

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return sum(self.shares)

    def batches(self, epoch: int) -> list[Turn]:
        """All batches of an epoch, in order; indices are places in the joined data sets."""
        found = [
            batch.moved(start)
            for part, share, start in zip(self.parts.values(), self.shares, self.starts.tolist())
            for batch in _stretch(part, share * epoch, share)
        ]
        random = np.random.default_rng((self.seed, epoch, len(found)))
        return [found[i] for i in random.permutation(len(found))]


def _shares(sizes: Sequence[int], temperature: float) -> list[int]:
    """Batches an epoch of each data set, at least one; together as many as all sizes, but for rounding."""
    weights = np.asarray(sizes, np.float64) ** (1 / temperature)
    return np.maximum(1, np.round(weights / weights.sum() * sum(sizes))).astype(int).tolist()


def _stretch(part: EpochBatches, first: int, count: int) -> Iterator[Turn]:
    """So many batches from the `first` on, of a data set that is run through again and again."""
    length = len(part)
    for through in range(first // length, (first + count - 1) // length + 1):
        of_this = part.batches(through)
        yield from of_this[max(0, first - through * length) : first + count - through * length]
