"""The whole network: transplanted embedding, encoder, pooling and a linear head."""

from collections.abc import Iterator

from torch import Tensor, nn

from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.pooling import First
from lexigraft.models.pretrained import Pretrained


class Classifier(nn.Module):
    """Token ids and mask `[B, T]` -> logits `[B, C]`.

    `encoder` maps `[B, T, embedding.dim]` to `[B, T, encoder.width]`, `pooling` that to `[B, encoder.width]`.
    `ValueError` for fewer than two classes, and for pooling the first token of a backbone that only looks back.
    """

    def __init__(
        self,
        embedding: TransplantedEmbedding,
        encoder: nn.Module,
        pooling: nn.Module,
        classes: int,
        head_dropout: float = 0.0,
    ):
        super().__init__()
        if classes < 2:
            raise ValueError(f"a classifier of {classes} class was asked for; at least 2 are expected")
        if isinstance(encoder, Pretrained) and encoder.causal and isinstance(pooling, First):
            raise ValueError(
                "pooling takes the first token, which sees no other one in a backbone that reads left to right: "
                "use model/pooling=last or mean"
            )
        width = encoder.width
        assert isinstance(width, int)
        self.embedding = embedding
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = nn.Dropout(head_dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Logits `[B, C]` of texts padded on the right; `mask` is true at their tokens."""
        features = self.encoder(self.embedding(input_ids, mask), mask)
        return self.head(self.dropout(self.pooling(features, mask)))

    def pretrained_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Name and parameter of all that came from a source: the embedding rows and a pretrained backbone."""
        for name, parameter in self.named_parameters():
            body = name.startswith("encoder.") and isinstance(self.encoder, Pretrained)
            if body or name.startswith("embedding.lookup."):
                yield name, parameter
