"""The embedding layer: transplanted rows, optionally projected, zero outside the mask."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lexigraft.models.dropout import EmbeddingDropout
from lexigraft.transplant.resize import principal_axes

if TYPE_CHECKING:
    from lexigraft.models.active import ActiveRows


class TransplantedEmbedding(nn.Module):
    """Token ids `[B, T]` -> vectors `[B, T, dim]`, exactly zero outside the mask.

    `rows` `[V, D]` are copied to float32. The padding row is zero and stays zero in training.
    `project_to` adds a linear map D -> project_to without bias, learned in training. It starts as `projection`
    `[D, project_to]`; without one, as the principal directions of the rows (PCA without the centring), or, if
    project_to > D, as a random isometry. The rates of dropout are those of `EmbeddingDropout`.
    `ValueError` if `rows` is not a matrix, or `pad_id` or `project_to` is out of range.
    """

    def __init__(
        self,
        rows: Tensor,
        pad_id: int,
        *,
        project_to: int | None = None,
        projection: Tensor | None = None,
        dropout: float = 0.0,
        variational_dropout: float = 0.0,
        word_dropout: float = 0.0,
    ):
        super().__init__()
        if rows.ndim != 2:
            raise ValueError(f"embedding rows have the shape {tuple(rows.shape)}; a matrix [V, D] is expected")
        size, width = rows.shape
        if not 0 <= pad_id < size:
            raise ValueError(f"pad_id {pad_id} is not the id of one of the {size} embedding rows")
        if project_to is not None and project_to < 1:
            raise ValueError(f"project_to={project_to} was given; a width of at least 1 is expected, or null")

        weight = rows.detach().to(device="cpu", dtype=torch.float32, copy=True)
        weight[pad_id] = 0
        whole = nn.Embedding.from_pretrained(weight, freeze=False, padding_idx=pad_id)
        self.lookup: nn.Embedding | ActiveRows = whole  # models/active.py changes one for the other
        self.projection: nn.Linear | None = None
        if project_to is not None:
            self.projection = nn.Linear(width, project_to, bias=False)
            if projection is None:
                _start_as_pca(self.projection, torch.cat([weight[:pad_id], weight[pad_id + 1 :]]))
            else:
                self.projection.weight.data.copy_(projection.T)
        self.dropout = EmbeddingDropout(dropout, variational_dropout, word_dropout)
        self.dim = width if project_to is None else project_to

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors `[B, T, dim]` of ids `[B, T]`; `mask` `[B, T]` is true at the text's tokens."""
        # The row looked up outside the mask is zero: cheaper than to make vectors [B, T, D] zero afterwards.
        assert self.lookup.padding_idx is not None
        ids = input_ids.masked_fill(~mask.bool(), self.lookup.padding_idx)
        vectors = self.lookup(ids)
        if self.projection is not None:
            vectors = self.projection(vectors)
        return self.dropout(vectors, ids)


@torch.no_grad()
def _start_as_pca(projection: nn.Linear, rows: Tensor) -> None:
    """Set the weight to the directions along which `rows` `[V, D]` vary most."""
    if projection.out_features > projection.in_features:
        nn.init.orthogonal_(projection.weight)
        return
    projection.weight.copy_(principal_axes(rows)[: projection.out_features])
