"""The whole network: transplanted embedding, encoder, pooling and a linear head."""

from torch import Tensor, nn

from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.pooling import First
from lexigraft.models.pretrained import Pretrained


class Classifier(nn.Module):
    """Token ids and mask `[B, T]` -> logits `[B, C]`.

    `encoder` maps `[B, T, embedding.dim]` to `[B, T, encoder.width]`, `pooling` that to `[B, encoder.width]`.
    `ValueError` for fewer than two classes, and for the first token's vector of a backbone that only looks back.
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
                "pooling takes the first token, which sees no other token in a backbone that reads left to right: "
                "use model/pooling=last or mean"
            )
        self.embedding = embedding
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = nn.Dropout(head_dropout)
        width = encoder.width
        assert isinstance(width, int)
        self.head = nn.Linear(width, classes)

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Logits `[B, C]` of texts padded on the right; `mask` is true at their tokens."""
        features = self.encoder(self.embedding(input_ids, mask), mask)
        return self.head(self.dropout(self.pooling(features, mask)))

    def pretrained_parameters(self) -> dict[str, nn.Parameter]:
        """Name -> parameter of what came from a source: the embedding rows and a pretrained backbone."""
        prefixes = ("embedding.lookup.",)
        if isinstance(self.encoder, Pretrained):
            prefixes += ("encoder.",)
        return {name: p for name, p in self.named_parameters() if name.startswith(prefixes)}
