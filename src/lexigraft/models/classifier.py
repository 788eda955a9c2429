"""The whole network: transplanted embedding, encoder, pooling and linear heads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.ngrams import HashedNgrams
from lexigraft.models.pooling import First
from lexigraft.models.pretrained import Pretrained


@dataclass(frozen=True)
class Head:
    """A linear head of so many outputs, on the pooled text or, `per_token`, on every token."""

    outputs: int
    per_token: bool = False


class Classifier(nn.Module):
    """Token ids and mask `[B, T]` -> outputs `[B, C]`, or `[B, T, C]` of a head that is `per_token`.

    `encoder` maps `[B, T, embedding.dim]` to `[B, T, encoder.width]`, `pooling` that to `[B, encoder.width]`. `heads`
    share all below them and are told apart by name; a run of one task has the head "main".
    `ValueError` for pooling the first token of a backbone that only looks back.
    """

    def __init__(
        self,
        embedding: TransplantedEmbedding,
        encoder: nn.Module,
        pooling: nn.Module,
        heads: Mapping[str, Head],
        head_dropout: float = 0.0,
    ):
        super().__init__()
        pooled = any(not head.per_token for head in heads.values())
        if pooled and isinstance(encoder, Pretrained) and encoder.causal and isinstance(pooling, First):
            raise ValueError(
                "pooling takes the first token, which sees no other one in a backbone that reads left to right: "
                "use model/pooling=last or mean"
            )
        width = encoder.width
        assert isinstance(width, int)
        self.embedding = embedding
        self.encoder = encoder
        self.pooling = pooling if pooled else nn.Identity()
        self.dropout = nn.Dropout(head_dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(width, head.outputs) for name, head in heads.items()})
        self._per_token = {name: head.per_token for name, head in heads.items()}

    def forward(self, input_ids: Tensor, mask: Tensor, types: Tensor | None = None, task: str = "main") -> Tensor:
        """Outputs of the head `task` for texts padded on the right.

        `mask` is true at their tokens; `types` `[B, T]` is 1 in the second text of a pair.
        """
        return self.outputs(self.features(self.embed(input_ids, mask), mask, types), mask, task)

    def embed(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Word vectors `[B, T, D]`, zero outside the mask; with those of n-grams where the encoder has some."""
        vectors = self.embedding(input_ids, mask)
        return self.encoder.join(vectors, input_ids, mask) if isinstance(self.encoder, HashedNgrams) else vectors

    def features(self, vectors: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """What the encoder makes of word vectors: `[B, T, W]`."""
        if types is not None and isinstance(self.encoder, Pretrained):
            return self.encoder(vectors, mask, types)
        return self.encoder(vectors, mask)

    def outputs(self, features: Tensor, mask: Tensor, task: str = "main") -> Tensor:
        """What the head `task` says of features: `[B, C]`, or `[B, T, C]` if it is per token."""
        if not self._per_token[task]:
            features = self.pooling(features, mask)
        return self.heads[task](self.dropout(features))

    def pretrained_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Name and parameter of all that came from a source: the embedding rows and a pretrained backbone."""
        for name, parameter in self.named_parameters():
            body = name.startswith("encoder.") and isinstance(self.encoder, Pretrained)
            if body or name.startswith("embedding.lookup."):
                yield name, parameter
