"""Which weights move, and when. A strategy sets `requires_grad` at the start of every epoch."""

from dataclasses import dataclass

from lexigraft.models.classifier import Classifier


@dataclass(frozen=True)
class Full:
    """Every weight moves from the first step."""

    def apply(self, model: Classifier, epoch: int) -> None:
        """Set which weights of the model move in this epoch (counted from 0)."""
        model.requires_grad_(True)


@dataclass(frozen=True)
class Frozen:
    """What was pretrained stays as it is: the transplanted rows, and the body of a pretrained encoder."""

    def apply(self, model: Classifier, epoch: int) -> None:
        """Set which weights of the model move in this epoch (counted from 0)."""
        model.requires_grad_(True)
        for _, parameter in model.pretrained_parameters():
            parameter.requires_grad_(False)


@dataclass(frozen=True)
class EmbeddingFirst:
    """The embedding, the pooling and the head alone for `epochs` epochs, then everything."""

    epochs: int = 1

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"finetune.epochs={self.epochs}: give at least 1 epoch, or use finetune=full")

    def apply(self, model: Classifier, epoch: int) -> None:
        """Set which weights of the model move in this epoch (counted from 0)."""
        model.requires_grad_(True)
        if epoch < self.epochs:
            model.encoder.requires_grad_(False)
