"""What changes training texts anew in every epoch: the protocol, and the chain of those that a run uses."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

from lexigraft.data.augment.draws import Draws
from lexigraft.data.encoded import Encoded
from lexigraft.vocab.vocabulary import Vocabulary


@dataclass(frozen=True)
class Tokens:
    """The n tokens of some texts, end to end, as an augmentation sees them; all are `[n]` but `starts`.

    `ids` int32; `starts` int64 `[segments + 1]`, where each text, or each of the two of a pair, begins; `texts` int64,
    what tells the text that a token is of from others; `places` int64, where it stands in that text; `movable`
    bool, whether it may be changed: it is ordinary, and of a text that this augmentation was drawn for.
    """

    ids: np.ndarray
    starts: np.ndarray
    texts: np.ndarray
    places: np.ndarray
    movable: np.ndarray

    def per_segment(self, values: np.ndarray) -> np.ndarray:
        """The sum of `values` `[n]` in each segment, `[segments]`."""
        return np.diff(_sums(values)[self.starts])

    def segments(self) -> np.ndarray:
        """Which segment, from 0, each token is in, int64 `[n]`."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


class Change:
    """What is done to the tokens of training texts; no text becomes longer or empty. Here: nothing."""

    def change(self, tokens: Tokens, draws: Draws) -> tuple[np.ndarray, np.ndarray | None]:
        """The new ids `[n]`, and which tokens stay, bool `[n]` (None: all)."""
        return tokens.ids, None

    def introduces(self) -> np.ndarray:
        """Ids that it may write into a text that did not hold them, int64."""
        return np.empty(0, np.int64)

    def report(self) -> dict[str, Any]:
        """What is worth knowing of it before training, in plain values."""
        return {}


class Augmentation(Protocol):
    """An option of `conf/augment/`.

    `share` is the share of the texts that it changes in an epoch. `keeps_tags`: every token stays where it is, so that
    the tags of tagged texts still fit.
    """

    @property
    def share(self) -> float: ...

    @property
    def keeps_tags(self) -> bool: ...

    def prepared(self, vocabulary: Vocabulary, rows: torch.Tensor, used: np.ndarray) -> Change:
        """Ready for a vocabulary of V tokens, its transplanted rows `[V, D]` and the ids that train uses, ascending."""
        ...


@dataclass(frozen=True)
class Augmented:
    """The augmentations of a run by name, in order, with the share of the texts that each changes.

    It can be sent to other processes.
    """

    steps: dict[str, tuple[float, Change]]
    ordinary: np.ndarray
    seed: int

    def __call__(self, batch: Encoded, index: np.ndarray, epoch: int) -> Encoded:
        """Some texts, changed as those of that epoch are; `index` int64 `[B]` tells them apart.

        Special tokens stay. The change of a text depends on (seed, epoch, its index) and on nothing else of the batch.
        """
        for name, (share, step) in self.steps.items():
            draws = Draws(self.seed, epoch, name)
            ids, stays = step.change(self._tokens(batch, np.asarray(index, np.int64), share, draws), draws)
            batch = replace(batch, ids=ids)
            if stays is not None:
                types, units = (None if extra is None else extra[stays] for extra in (batch.types, batch.units))
                batch = Encoded(ids[stays], _sums(stays)[batch.starts], types, units)
        return batch

    def introduces(self) -> np.ndarray:
        """Every id that may stand in an augmented text though not in the text itself, ascending, int64."""
        return np.unique(
            np.concatenate([np.empty(0, np.int64), *(step.introduces() for _, step in self.steps.values())])
        )

    def report(self) -> dict[str, Any]:
        """What is worth knowing of each, in plain values."""
        return {name: step.report() for name, (_, step) in self.steps.items()}

    def _tokens(self, batch: Encoded, index: np.ndarray, share: float, draws: Draws) -> Tokens:
        lengths = batch.lengths()
        places = np.arange(len(batch.ids)) - np.repeat(batch.starts[:-1], lengths)
        movable = self.ordinary[batch.ids]
        if share < 1:
            movable = movable & np.repeat(draws.uniform(index, 0, purpose=1) < share, lengths)
        begins = places == 0
        if batch.types is not None:
            begins[1:] |= batch.types[1:] != batch.types[:-1]
        starts = np.append(np.flatnonzero(begins), len(places))
        return Tokens(batch.ids, starts, np.repeat(index, lengths), places, movable)


def augmented(
    chosen: Mapping[str, Augmentation],
    *,
    kind: str,
    vocabulary: Vocabulary,
    rows: torch.Tensor,
    used: np.ndarray,
    seed: int,
) -> Augmented | None:
    """The augmentations of a run, None where there are none.

    `used` are the ids that train uses; an augmentation also meets those that one before it introduces. `ValueError` for
    one that moves tokens away from their tags.
    """
    if not chosen:
        return None
    moving = [name for name, step in chosen.items() if not step.keeps_tags]
    if kind == "tags" and moving:
        raise ValueError(
            f"augment={moving[0]} moves tokens or takes them out, and their tags would no longer fit: with tagged "
            "texts use augment=[masking] or augment=[neighbours]"
        )
    steps: dict[str, tuple[float, Change]] = {}
    for name, step in chosen.items():
        change = step.prepared(vocabulary, rows, used)
        used = np.union1d(used, change.introduces())
        steps[name] = (step.share, change)
    return Augmented(steps, vocabulary.ordinary, seed)


def check_probability(name: str, probability: float, share: float) -> None:
    """`ValueError` for a probability or share of `augment.<name>` that is none."""
    for key, value in (("probability", probability), ("share", share)):
        if not 0 <= value <= 1:
            raise ValueError(f"augment.{name}.{key} is {value}; a number from 0 to 1 is expected, such as 0.1")


def _sums(values: np.ndarray) -> np.ndarray:
    """The sums of the first 0, 1, ... n of `values` `[n]`, int64 `[n + 1]`."""
    return np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
