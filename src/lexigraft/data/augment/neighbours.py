"""Tokens replaced at random by those whose transplanted rows are nearest."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from lexigraft.data.augment.augmentation import Change, Tokens, check_probability
from lexigraft.data.augment.draws import Draws
from lexigraft.transplant.neighbours import nearest
from lexigraft.vocab.vocabulary import Vocabulary

EXAMPLES = 8  # tokens in the report


@dataclass(frozen=True)
class Neighbours:
    """Each token becomes, with `probability`, one of the `k` whose rows have the highest cosine to its own.

    Only neighbours of a cosine of at least `minimum` count, and that stand alike: words for words, continuations for
    continuations. They are looked for among the tokens that train uses, or, `among` "all", among the whole vocabulary,
    which lets rows learn whose tokens train lacks. `centred` takes the mean row out first, without which the rows of
    many models are all alike. Rows know what words are used in the same places, so opposites are neighbours too: look
    at the examples in the report.
    """

    probability: float = 0.1
    k: int = 5
    minimum: float = 0.5
    among: Literal["used", "all"] = "used"
    centred: bool = False
    share: float = 1.0
    keeps_tags: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_probability("neighbours", self.probability, self.share)
        if self.k < 1:
            raise ValueError(f"augment.neighbours.k is {self.k}; 1 or more neighbours are expected")
        if not -1 <= self.minimum <= 1:
            raise ValueError(f"augment.neighbours.minimum is {self.minimum}; a cosine from -1 to 1 is expected")

    def prepared(self, vocabulary: Vocabulary, rows: torch.Tensor, used: np.ndarray) -> "Replacement":
        """With the neighbours of the used tokens; `ValueError` where no token has one."""
        usable = vocabulary.ordinary & np.array([bool(token.text) for token in vocabulary])  # no part of a character
        usable[list(vocabulary.unreachable)] = False
        asked = np.asarray(used, np.int64)
        asked = asked[usable[asked]]
        offered = asked if self.among == "used" else np.flatnonzero(usable)
        mean = _rows(rows, asked).mean(0) if self.centred else torch.zeros(rows.shape[1])
        ids = np.full((len(vocabulary), self.k), -1, np.int64)
        cosines = np.full((len(vocabulary), self.k), -np.inf, np.float32)
        for stands, group in _by_start(vocabulary, asked).items():
            others = _by_start(vocabulary, offered)[stands]
            found, values = nearest(_rows(rows, group) - mean, _rows(rows, others) - mean, self.k + 1)
            found_ids = np.where(found.numpy() < 0, -1, others[found.numpy()])
            ids[group], cosines[group] = _without_self(group, found_ids, values.numpy())
        good = (ids >= 0) & (cosines >= self.minimum)  # the best come first, so these are the first of a row
        count = good.sum(1)
        tokens = np.flatnonzero(count)
        if not len(tokens):
            raise ValueError(
                f"augment.neighbours.minimum is {self.minimum}, but no two rows of the {len(asked)} tokens in use have "
                f"such a cosine (the highest is {float(cosines.max(initial=-1)):.2f}): choose a lower one"
            )
        told = {
            "tokens": len(asked),
            "with_neighbours": len(tokens),
            "mean_neighbours": round(float(count[tokens].mean()), 2),
            "examples": _examples(vocabulary, tokens, ids, cosines, count),
        }
        return Replacement(self.probability, tokens, ids[tokens], count[tokens], told)


@dataclass(frozen=True)
class Replacement(Change):
    """`Neighbours` with what it found.

    For each of T token ids, ascending int64 `[T]`, the first `count[i]` of `neighbours[i]` `[T, k]`.
    """

    probability: float
    tokens: np.ndarray
    neighbours: np.ndarray
    count: np.ndarray
    told: dict[str, Any]

    def introduces(self) -> np.ndarray:
        """Every neighbour."""
        return np.unique(self.neighbours[np.arange(self.neighbours.shape[1]) < self.count[:, None]])

    def report(self) -> dict[str, Any]:
        """How many of the tokens in use have neighbours, how many each, and examples with their cosines."""
        return self.told

    def change(self, tokens: Tokens, draws: Draws) -> tuple[np.ndarray, np.ndarray | None]:
        """The ids with some replaced; all tokens stay."""
        row = np.searchsorted(self.tokens, tokens.ids)
        row[row == len(self.tokens)] = 0
        has = self.tokens[row] == tokens.ids
        changed = tokens.movable & has & (draws.uniform(tokens.texts, tokens.places) < self.probability)
        at = np.flatnonzero(changed)
        which = draws.uniform(tokens.texts[at], tokens.places[at], purpose=2) * self.count[row[at]]
        ids = tokens.ids.copy()
        ids[at] = self.neighbours[row[at], which.astype(np.int64)]
        return ids, None


def _rows(rows: torch.Tensor, ids: np.ndarray) -> torch.Tensor:
    """Some rows, float32 `[n, D]`."""
    return rows.detach()[torch.from_numpy(ids).to(rows.device)].float().cpu()


def _by_start(vocabulary: Vocabulary, ids: np.ndarray) -> dict[bool | None, np.ndarray]:
    """Ids by how their tokens stand: at the start of a word, inside one, or in a place that says nothing."""
    groups: dict[bool | None, list[int]] = defaultdict(list)
    for i in ids.tolist():
        groups[vocabulary[i].starts_word].append(i)
    return {stands: np.array(group, np.int64) for stands, group in groups.items()}


def _without_self(group: np.ndarray, found: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The k best of k + 1 neighbours `[n, k + 1]` of each token other than itself."""
    others = found != group[:, None]
    others[others.all(1), -1] = False  # itself is not among them (equal rows of lower ids, or no vector)
    shape = (len(group), found.shape[1] - 1)
    return found[others].reshape(shape), values[others].reshape(shape)


def _examples(
    vocabulary: Vocabulary, tokens: np.ndarray, ids: np.ndarray, cosines: np.ndarray, count: np.ndarray
) -> str:
    """Some tokens, spread over the vocabulary, each with its neighbours."""
    texts = []
    for token in tokens[np.linspace(0, len(tokens) - 1, min(EXAMPLES, len(tokens))).astype(int)].tolist():
        near = (vocabulary[i].text for i in ids[token, : count[token]].tolist())
        listed = " ".join(f"{text} {cosine:.2f}" for text, cosine in zip(near, cosines[token].tolist()))
        texts.append(f"{vocabulary[token].text}: {listed}")
    return "; ".join(texts)
