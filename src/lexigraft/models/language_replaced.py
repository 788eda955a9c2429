"""ELECTRA: a small generator puts words into a text, and the model tells which ones are not its own."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.language import LanguageModel, require_width, word_vectors
from lexigraft.models.language_head import LanguageHead
from lexigraft.models.pretrained import Pretrained, built_config


class ReplacedModel(LanguageModel):
    """A generator and a discriminator over the same word rows (Clark et al. 2020, "ELECTRA").

    `encoder` is the discriminator's body and `heads.main` its head, which says of every token whether it was replaced.
    The generator, body and head, is `heads.generator`: where a body is held, it moves with the heads.
    """

    def __init__(
        self,
        embedding: TransplantedEmbedding,
        encoder: Pretrained,
        generator: "Generator",
        *,
        body_from_source: bool,
    ):
        nn.Module.__init__(self)
        require_width(embedding, generator.encoder, generator.head)
        self.embedding = embedding
        self.encoder = encoder
        self.heads = nn.ModuleDict({"main": Discriminator(encoder), "generator": generator})
        self._body_from_source = body_from_source

    def guesses(
        self,
        input_ids: Tensor,
        mask: Tensor,
        places: Tensor,
        documents: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """The generator's logits `[N, V]` of places `[N]`; the arguments are those of `forward`."""
        generator = self.heads["generator"]
        assert isinstance(generator, Generator)
        features = generator.encoder(self.embed(input_ids, mask), mask, None, documents, positions)
        return generator.head(features.flatten(0, 1).index_select(0, places), word_vectors(self.embedding))

    def suspicion(
        self, input_ids: Tensor, mask: Tensor, documents: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        """The discriminator's logits `[B, T]`: above 0 where it takes a token for one that was put there."""
        features = self.features(self.embed(input_ids, mask), mask, documents, positions)
        return self.heads["main"](features)

    def outputs(self, features: Tensor, places: Tensor) -> Tensor:
        """`[N]` logits of the discriminator at places `[N]` of features `[B, T, W]`."""
        return self.heads["main"](features.flatten(0, 1).index_select(0, places))


class Generator(nn.Module):
    """A smaller backbone of the discriminator's type, with a language model's head over the same `size` word rows.

    `share` of the discriminator's width, heads and feed-forward width (the paper: 1/4 to 1/2), with as many layers.
    `ValueError` for a `config` of another type than ELECTRA's.
    """

    def __init__(self, dim: int, *, config: Mapping[str, Any], share: float, size: int):
        super().__init__()
        _require_electra(config["model_type"])
        self.config = smaller(config, share)
        self.encoder = Pretrained(dim, config=self.config)
        self.head = LanguageHead(self.config, causal=False, size=size)


class Discriminator(nn.Module):
    """Hidden states `[..., W]` -> logits `[...]` of having been replaced: ELECTRA's own head, freshly drawn.

    `ValueError` for a backbone of another type, for which transformers has no such head.
    """

    def __init__(self, encoder: Pretrained):
        super().__init__()
        from transformers import ElectraForPreTraining

        config = encoder.config
        _require_electra(config.model_type)
        small = built_config({**config.to_dict(), "model_type": "electra"}, layers=1)
        small.vocab_size = max(1, (small.pad_token_id or 0) + 1)
        self.parts = ElectraForPreTraining(small).discriminator_predictions

    def forward(self, states: Tensor) -> Tensor:
        """`[..., W]` -> `[...]`."""
        return self.parts(states)


def smaller(config: Mapping[str, Any], share: float) -> dict[str, Any]:
    """The config with that share of the width, of the attention heads and of the feed-forward width.

    `ValueError` for a share that is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"objective.generator={share}: a share above 0 and at most 1 of the backbone is expected")
    heads = max(1, round(config["num_attention_heads"] * share))
    width = max(1, round(config["hidden_size"] * share / heads)) * heads
    inner = max(1, round(config["intermediate_size"] * share))
    return {**config, "num_attention_heads": heads, "hidden_size": width, "intermediate_size": inner}


@torch.no_grad()
def replaced(input_ids: Tensor, labels: Tensor, places: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Token ids `[B, T]` with the words `drawn` `[N]` at `places` `[N]`, and bool `[B, T]` where they are others.

    `labels` `[B, T]` are the text's own words at the places, anything elsewhere.
    """
    own = labels.flatten().index_select(0, places)
    ids = input_ids.flatten().index_copy(0, places, drawn).view_as(input_ids)
    wrong = torch.zeros_like(input_ids, dtype=torch.bool).flatten().index_copy_(0, places, drawn != own)
    return ids, wrong.view_as(input_ids)


def _require_electra(kind: str) -> None:
    if kind != "electra":
        raise ValueError(
            f"objective=replaced trains the type electra, the only one that transformers has the head of, and the "
            f"backbone is of the type {kind}: use backbone=electra, or objective=masked"
        )
