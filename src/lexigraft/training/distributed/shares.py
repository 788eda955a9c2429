"""What each rank takes of every batch, and how much its mean loss counts: n ranks take the steps of one process.

The gradients of n ranks are averaged. The loss of a whole batch is a sum over its texts divided by a number N: of its
texts, of its counted tokens, or of the weights of their classes (`Weigh`). Rank r sums over its own texts and divides
by its own N_r, so its loss has to be multiplied by n N_r / N: then the average of the gradients is that of the whole.
Every rank knows the labels of the whole batch, so nothing has to be sent. Terms without texts are not multiplied.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lexigraft.data.batches import NOT_COUNTED, Batch, EncodedText, Turn
from lexigraft.data.mixed import JoinedTexts

Weigh = Callable[[Tensor], float]  # labels of a batch -> what its mean loss was divided by


class SharedTexts(Dataset[Batch]):
    """A rank's texts of each batch: those in the places `rank`, `rank` + `ranks`, and so on.

    Beside what batches hold, "loss_share" is the factor of the loss of its task and "text_share" that of a mean over
    texts (per token: over counted tokens). A rank for which there is no text gets one of the others' with factors 0.
    """

    def __init__(self, data: Dataset[Batch], weighs: Mapping[str, Weigh], rank: int, ranks: int) -> None:
        self.data, self.weighs, self.rank, self.ranks = data, weighs, rank, ranks

    def __len__(self) -> int:
        return len(self.data)  # type: ignore[arg-type]  # both kinds have a length

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """The rank's share of the batch of these texts."""
        own = own_texts(indices, self.rank, self.ranks)
        batch: Batch = self.data.__getitems__(own or own_texts(indices, 0, len(indices)))  # type: ignore[attr-defined]
        whole, share = labels_of(self.data, indices), labels_of(self.data, own) if own else None
        for name, weigh in ("loss_share", self.weighs[batch["task"]]), ("text_share", count):
            batch[name] = 0.0 if share is None else _factor(weigh(share), weigh(whole), self.ranks)
        return batch


def own_texts(indices: Sequence[int], rank: int, ranks: int) -> Sequence[int]:
    """The rank's share of a batch's texts, in their order."""
    own = list(indices[rank::ranks])
    if not isinstance(indices, Turn):
        return own
    return Turn(own, indices.epoch, None if indices.again is None else indices.again[rank::ranks])


def own_batches(batches: Sequence[Sequence[int]], rank: int, ranks: int) -> list[Sequence[int]]:
    """The rank's share of the batches of an evaluation, which stay whole, so that scores are the same bits.

    Where there are fewer batches than ranks, one is seen twice, since every rank has to evaluate something:
    `SeenByAll` leaves out what came twice.
    """
    return list(batches[rank::ranks]) or list(batches[rank % max(1, len(batches)) :][:1])


def labels_of(data: Dataset[Batch], indices: Sequence[int] | np.ndarray) -> Tensor:
    """The labels of some texts: `[n]`, `[n, C]`, or, per token, those of all their tokens one after the other."""
    places = np.asarray(indices, np.int64)
    if isinstance(data, JoinedTexts):
        part = int(np.searchsorted(data.starts, places[0], side="right")) - 1
        return labels_of(data.parts[part], places - int(data.starts[part]))
    assert isinstance(data, EncodedText)
    if data.per_token:
        places, _ = data.encoded.places(places)
    return data.targets[torch.from_numpy(places)]


def weigh_of(task: Any) -> Weigh:
    """What the mean loss of a task is divided by: `task.weigh` if it has that, else the number of texts or tokens."""
    return getattr(task, "weigh", count)


def count(labels: Tensor) -> float:
    """How many texts or counted tokens there are."""
    return float(len(labels)) if labels.ndim > 1 or labels.is_floating_point() else float((labels != NOT_COUNTED).sum())


def _factor(own: float, whole: float, ranks: int) -> float:
    return own * ranks / whole if whole else 0.0


def shared(loss: Callable[[], Tensor], outputs: Tensor, share: float) -> Tensor:
    """A mean of the rank's outputs times its factor; zero, with gradients of zero, where nothing of the rank counts."""
    # A mean over nothing may be NaN, and NaN times 0 is NaN.
    return loss() * share if share else outputs.float().sum() * 0.0
