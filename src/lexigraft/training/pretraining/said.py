"""What a language model says at the places of a batch where it is asked, and what that costs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lexigraft.data.batches import NOT_COUNTED, Batch

# Logits that are kept at once for the way back, 1 GiB in float32; of more places they are computed twice.
_LARGEST = 2**28

Say = Callable[[Tensor], Tensor]  # places [N] -> logits [N, V]


def asked(batch: Batch) -> tuple[Tensor, Tensor]:
    """Where something is to be said, places int64 `[N]` counted through the rows, and what: token ids `[N]`."""
    labels = batch["labels"].flatten()
    places = batch.get("places")
    if places is None:
        places = (labels != NOT_COUNTED).nonzero().flatten()
    return places, labels.index_select(0, places)


def inputs(batch: Batch) -> dict[str, Any]:
    """What a model reads of a batch, as the arguments of its methods after the token ids."""
    return {"mask": batch["mask"], "documents": batch.get("documents"), "positions": batch.get("positions")}


def word_loss(say: Say, places: Tensor, words: Tensor, size: int) -> Tensor:
    """The mean cross entropy of the words `[N]` at their places, in nats, float32; zero where there are none.

    `size` is that of the vocabulary.
    """
    at_once = max(1, _LARGEST // size)
    if len(places) <= at_once:
        total = _sum(say, places, words)
    else:
        parts = zip(places.split(at_once), words.split(at_once))
        sums: list[Any] = [checkpoint(_sum, say, *part, use_reentrant=False) for part in parts]
        total = torch.stack(sums).sum()
    return total / max(1, len(places))


@torch.no_grad()
def word_sums(say: Say, places: Tensor, words: Tensor, size: int) -> Tensor:
    """Sums over the places, float64 `[3]`: of the cross entropy, of places, and of words that were the likeliest."""
    at_once = max(1, _LARGEST // size)
    found = []
    for some, their in zip(places.split(at_once), words.split(at_once)):  # one part of nothing, if there are none
        logits = say(some).float()
        losses = F.cross_entropy(logits, their, reduction="none")
        found.append(sums(losses, torch.ones_like(their), logits.argmax(1) == their))
    return torch.stack(found).sum(0)


def sums(*each: Tensor) -> Tensor:
    """The sum of each, one number after the other, in double precision where the device has it."""
    kind = torch.float32 if each[0].device.type == "mps" else torch.float64
    return torch.stack([values.to(kind).sum() for values in each])


def _sum(say: Say, places: Tensor, words: Tensor) -> Tensor:
    return F.cross_entropy(say(places).float(), words, reduction="sum")
