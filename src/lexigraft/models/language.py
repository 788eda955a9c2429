"""A language model over transplanted rows: embedding, a transformers backbone and its head."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.language_head import LanguageHead
from lexigraft.models.pretrained import Pretrained


class LanguageModel(nn.Module):
    """Token ids and mask `[B, T]` -> logits over the vocabulary, of those places alone that are asked for.

    `head` is over the embedding's own rows unless it has others. Strategies of fine-tuning see the parts of a
    `Classifier`: `embedding`, `encoder`, and the head as `heads.main`. `body_from_source`: the backbone's weights were
    pretrained. `ValueError` for rows whose width is not the head's.
    """

    def __init__(
        self, embedding: TransplantedEmbedding, encoder: Pretrained, head: LanguageHead, *, body_from_source: bool
    ):
        super().__init__()
        require_width(embedding, encoder, head)
        self.embedding = embedding
        self.encoder = encoder
        self.heads = nn.ModuleDict({"main": head})
        self._body_from_source = body_from_source

    def forward(
        self,
        input_ids: Tensor,
        mask: Tensor,
        places: Tensor,
        documents: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Logits `[N, V]` of places `[N]`, counted through the rows of the batch; `documents`: see `Pretrained`."""
        features = self.features(self.embed(input_ids, mask), mask, documents, positions)
        return self.outputs(features, places)

    def embed(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Word vectors `[B, T, D]`, zero outside the mask."""
        return self.embedding(input_ids, mask)

    def features(
        self, vectors: Tensor, mask: Tensor, documents: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        """What the encoder makes of word vectors: `[B, T, W]`."""
        return self.encoder(vectors, mask, None, documents, positions)

    def outputs(self, features: Tensor, places: Tensor) -> Tensor:
        """Logits `[N, V]` of places `[N]` of features `[B, T, W]`."""
        return self.heads["main"](features.flatten(0, 1).index_select(0, places), word_vectors(self.embedding))

    def pretrained_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Name and parameter of all that came from a source, except of the heads."""
        for name, parameter in self.named_parameters():
            body = name.startswith("encoder.") and self._body_from_source
            if body or name.startswith("embedding.lookup."):
                yield name, parameter


def word_vectors(embedding: TransplantedEmbedding) -> Tensor:
    """What a head multiplies with: the vectors `[V, dim]` of all words. The padding row stays zero in training."""
    lookup = embedding.lookup
    assert isinstance(lookup, nn.Embedding), "a language model says any word: all rows are trained"
    assert lookup.padding_idx is not None
    rows = lookup.weight
    if rows.requires_grad and torch.is_grad_enabled():
        pad = torch.tensor([lookup.padding_idx], device=rows.device)
        rows = rows.view_as(rows)
        # The embedding layer keeps its own gradient off that row, a decoder does not.
        rows.register_hook(lambda gradient: gradient.index_fill(0, pad, 0))
    return rows if embedding.projection is None else embedding.projection(rows)


def require_width(embedding: TransplantedEmbedding, encoder: Pretrained, head: LanguageHead) -> None:
    """`ValueError` for rows that the decoder of a head cannot share."""
    if head.rows is None and head.dim != embedding.dim:
        raise ValueError(
            f"word vectors of width {embedding.dim} do not fit the head of {encoder.config.model_type}, which "
            f"speaks in {head.dim} dimensions: give the backbone that width"
        )
