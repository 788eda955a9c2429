"""First the embedding, then everything."""

from dataclasses import dataclass

from lexigraft.models.classifier import Classifier
from lexigraft.training.finetune.moving import HEAD, let_move, require_epochs, require_positive
from lexigraft.training.strategy import Strategy


@dataclass(frozen=True)
class EmbeddingFirst(Strategy):
    """The embedding, the pooling and the heads alone for `epochs` epochs, then everything.

    `first_scale` is the factor of optimizer.lr as long as the encoder stays; `embedding_scale`, `body_scale` and
    `head_scale` those of the embedding, the encoder, and pooling and heads afterwards.
    `ValueError` for less than one epoch, and for a factor that is not above 0.
    """

    epochs: int = 1
    first_scale: float = 1.0
    embedding_scale: float = 1.0
    body_scale: float = 1.0
    head_scale: float = 1.0

    def __post_init__(self) -> None:
        require_epochs(self.epochs, "epochs")
        require_positive(
            first_scale=self.first_scale,
            embedding_scale=self.embedding_scale,
            body_scale=self.body_scale,
            head_scale=self.head_scale,
        )

    def apply(self, model: Classifier, epoch: int) -> None:
        """Hold the encoder in the first phase."""
        let_move(model, lambda name: epoch >= self.epochs or name.startswith(("embedding.", *HEAD)))

    def lr_scale(self, model: Classifier, name: str, epoch: int) -> float:
        """One factor in the first phase, one for each part in the second."""
        if epoch < self.epochs:
            return self.first_scale
        parts = {"embedding": self.embedding_scale, "encoder": self.body_scale}
        return parts.get(name.partition(".")[0], self.head_scale)
