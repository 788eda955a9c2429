"""What a language model is trained to say, the options of `conf/objective/`: masked words, the next, or replaced ones.

Each is the exercise that the data makes of a text too, so it goes to `PretrainingData` and to `PretrainingModule`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from lexigraft.data.batches import Batch
from lexigraft.data.pretraining.causal import Causal as NextTokens
from lexigraft.data.pretraining.masking import Masking
from lexigraft.models.language import LanguageModel
from lexigraft.models.language_replaced import ReplacedModel, replaced
from lexigraft.training.pretraining.said import asked, inputs, sums, word_loss, word_sums


class Objective(Protocol):
    """A loss and its measures. `kind` is that of `new_language_model`; `monitors`: dev metrics, the default first."""

    kind: ClassVar[Literal["masked", "causal", "replaced"]]
    monitors: ClassVar[tuple[str, ...]]

    def loss(self, model: Any, batch: Batch) -> Tensor:
        """The loss of a batch `[]`; of several ranks, times what this one's share counts."""
        ...

    def measured(self, model: Any, batch: Batch) -> Tensor:
        """Sums over a batch from which metrics follow, float64 `[S]`; the global random stream is left alone."""
        ...

    def metrics(self, sums: Sequence[float], tokens_per_byte: float) -> dict[str, float]:
        """The metrics of a split from the sums over its batches, and how many tokens are said for a byte of text."""
        ...


class _Words:
    """Words are said from what a model sees of the text."""

    monitors: ClassVar[tuple[str, ...]] = ("loss", "bits_per_byte", "accuracy")

    def loss(self, model: LanguageModel, batch: Batch) -> Tensor:
        """The mean cross entropy of the words that are asked for, in nats."""
        places, words = asked(batch)
        features = _features(model, batch)
        return word_loss(lambda some: model.outputs(features, some), places, words, _size(model)) * _share(batch)

    def measured(self, model: LanguageModel, batch: Batch) -> Tensor:
        """Cross entropy, words asked for, words that were right."""
        places, words = asked(batch)
        features = _features(model, batch)
        return word_sums(lambda some: model.outputs(features, some), places, words, _size(model))

    def metrics(self, sums: Sequence[float], tokens_per_byte: float) -> dict[str, float]:
        """`loss` in nats for each word asked for, `accuracy`, and `bits_per_byte`, which compares vocabularies."""
        return _of_words(sums, tokens_per_byte)


@dataclass(frozen=True)
class Masked(_Words, Masking):
    """The masked words from all others (Devlin et al. 2019, "BERT")."""

    kind: ClassVar[Literal["masked"]] = "masked"


@dataclass(frozen=True)
class Causal(_Words, NextTokens):
    """Each token from those before it (Radford et al. 2019, "GPT-2")."""

    kind: ClassVar[Literal["causal"]] = "causal"


@dataclass(frozen=True)
class Replaced(Masking):
    """Which tokens a generator has put into the text (Clark et al. 2020, "ELECTRA").

    The generator, `generator` as large as the backbone, is trained on the masked words and draws one for each place
    from what it takes for likely, without a gradient. The loss is the generator's, plus `weight` times the binary
    cross entropy over all tokens of whether they are the text's.
    """

    random: float = 0.0
    keep: float = 0.0
    weight: float = 50.0
    generator: float = 0.25

    kind: ClassVar[Literal["replaced"]] = "replaced"
    monitors: ClassVar[tuple[str, ...]] = ("replaced_loss", "replaced_accuracy", "loss", "bits_per_byte", "accuracy")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight <= 0:
            raise ValueError(f"objective.weight={self.weight}: a factor above 0 is expected, such as 50")

    def loss(self, model: ReplacedModel, batch: Batch) -> Tensor:
        """The generator's mean cross entropy, and `weight` times the discriminator's mean over all tokens."""
        places, words = asked(batch)
        guesses = model.guesses(batch["input_ids"], places=places, **inputs(batch))
        loss = F.cross_entropy(guesses.float(), words, reduction="sum") / max(1, len(places)) * _share(batch)
        doubts, wrong = self._doubts(model, batch, places, drawn(guesses.detach()))
        each = F.binary_cross_entropy_with_logits(doubts, wrong.float(), reduction="none") * batch["mask"]
        weights = batch.get("token_weight")
        weights = token_weight(batch) if weights is None else weights
        return loss + self.weight * (each.sum(1) * weights).sum()

    @torch.no_grad()
    def measured(self, model: ReplacedModel, batch: Batch) -> Tensor:
        """The generator's sums, and the discriminator's: binary cross entropy, tokens, tokens rightly told."""
        places, words = asked(batch)
        guesses = model.guesses(batch["input_ids"], places=places, **inputs(batch))
        own = torch.Generator(guesses.device).manual_seed(int(batch["index"][0]))
        doubts, wrong = self._doubts(model, batch, places, drawn(guesses, own))
        each = F.binary_cross_entropy_with_logits(doubts, wrong.float(), reduction="none")
        mask = batch["mask"]
        of_words = word_sums(lambda _: guesses, places, words, 1)
        return torch.cat([of_words, sums(each * mask, mask, ((doubts > 0) == wrong) & mask)])

    def metrics(self, sums: Sequence[float], tokens_per_byte: float) -> dict[str, float]:
        """The generator's metrics under the names of `Masked`, the discriminator's are `replaced_loss`, `_accuracy`."""
        loss, count, right = sums[3:]
        told = {"replaced_loss": _ratio(loss, count), "replaced_accuracy": _ratio(right, count)}
        return _of_words(sums[:3], tokens_per_byte) | told

    def _doubts(self, model: ReplacedModel, batch: Batch, places: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """The discriminator's logits `[B, T]` of the text with these words in it, and bool `[B, T]` where they lie."""
        ids, wrong = replaced(batch["input_ids"], batch["labels"], places, words)
        return model.suspicion(ids, **inputs(batch)).float(), wrong


@torch.no_grad()
def drawn(logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A word `[N]` for each of the distributions of logits `[N, V]`; None: from the global stream."""
    chances = logits.float().softmax(1)
    if chances.device.type != "cpu":
        return torch.multinomial(chances, 1, generator=generator).flatten()
    # `multinomial` draws a number for each word of the vocabulary, where one for each place will do.
    below = chances.cumsum(1)
    at = torch.rand(len(chances), 1, generator=generator) * below[:, -1:]
    return torch.searchsorted(below, at, right=True).flatten().clamp_(max=chances.shape[1] - 1)


def token_weight(batch: Batch) -> Tensor:
    """What a token's loss counts in a mean over all tokens of a batch, float32 `[B]`, the same for each row.

    Of several ranks, times what this one's share of the tokens counts, which is "token_share".
    """
    share = batch.get("token_share", _share(batch))
    return (share / batch["mask"].sum()).expand(len(batch["mask"]))


def _features(model: LanguageModel, batch: Batch) -> Tensor:
    read = inputs(batch)
    return model.features(model.embed(batch["input_ids"], read["mask"]), **read)


def _size(model: LanguageModel) -> int:
    """V, how many words it can say."""
    return int(model.embedding.lookup.weight.shape[0])


def _share(batch: Batch) -> float:
    share: float = batch.get("loss_share", 1.0)
    return share


def _of_words(sums: Sequence[float], tokens_per_byte: float) -> dict[str, float]:
    loss, count, right = sums
    nats = _ratio(loss, count)
    bits = nats / math.log(2) * tokens_per_byte
    return {"loss": nats, "accuracy": _ratio(right, count), "bits_per_byte": bits}


def _ratio(a: float, b: float) -> float:
    return a / b if b else math.nan
