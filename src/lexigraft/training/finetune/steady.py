"""The same weights move from the first step to the last."""

from dataclasses import dataclass

from lexigraft.models.classifier import Classifier
from lexigraft.training.finetune.moving import HEAD, let_move
from lexigraft.training.strategy import Strategy


@dataclass(frozen=True)
class Full(Strategy):
    """Every weight moves."""


@dataclass(frozen=True)
class Frozen(Strategy):
    """What was pretrained stays as it is: the transplanted rows, and the body of a pretrained encoder.

    Nothing below the head then needs a gradient, so a backbone is run without keeping its activations.
    """

    def apply(self, model: Classifier, epoch: int) -> None:
        """Hold what came from a source."""
        held = {name for name, _ in model.pretrained_parameters()}
        let_move(model, lambda name: name not in held)


@dataclass(frozen=True)
class EmbeddingOnly(Strategy):
    """The embedding (word rows and their projection), the pooling and the heads move; the encoder stays."""

    def apply(self, model: Classifier, epoch: int) -> None:
        """Hold the encoder."""
        let_move(model, lambda name: name.startswith(("embedding.", *HEAD)))
