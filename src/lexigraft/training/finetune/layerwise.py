"""By layer: which ones are thawed, and how fast each learns."""

from dataclasses import dataclass

from lexigraft.models.classifier import Classifier
from lexigraft.models.stages import WORD_ROWS, Stages
from lexigraft.training.finetune.moving import let_move, require_epochs, require_positive
from lexigraft.training.strategy import Strategy


@dataclass(frozen=True)
class Gradual(Strategy):
    """The head alone, then `at_once` layers more from the top every `every` epochs, the embedding last of all.

    Gradual unfreezing of ULMFiT (Howard & Ruder 2018). An encoder without layers on each other thaws as a whole.
    Each stage learns `discriminative` times slower than the one above it (2.6 there; 1: all alike).
    `ValueError` for less than one epoch or layer, and for a `discriminative` below 1.
    """

    every: int = 1
    at_once: int = 1
    discriminative: float = 1.0

    def __post_init__(self) -> None:
        require_epochs(self.every, "every")
        if self.at_once < 1:
            raise ValueError(f"finetune.at_once={self.at_once}: at least 1 layer is expected")
        if self.discriminative < 1:
            raise ValueError(
                f"finetune.discriminative={self.discriminative}: a factor of at least 1 is expected, by which a stage "
                "learns slower than the one above it"
            )

    def apply(self, model: Classifier, epoch: int) -> None:
        """Hold the stages that are not thawed yet."""
        stages = Stages.of(model)
        lowest = stages.top - self.at_once * (epoch // self.every)
        let_move(model, lambda name: stages.stage(name) >= lowest)

    def lr_scale(self, model: Classifier, name: str, epoch: int) -> float:
        """The same in every epoch."""
        stages = Stages.of(model)
        return self.discriminative ** (stages.stage(name) - stages.top)


@dataclass(frozen=True)
class LayerwiseDecay(Strategy):
    """Everything moves; pooling and heads learn at optimizer.lr, each stage below at `decay` times the one above.

    The embedding is the lowest stage; `embedding_scale` sets the factor of the word rows instead.
    `ValueError` for a `decay` outside of 0 to 1.
    """

    decay: float = 0.9
    embedding_scale: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.decay <= 1:
            raise ValueError(
                f"finetune.decay={self.decay}: a factor above 0 and at most 1 is expected, such as 0.9, by which "
                "a layer learns slower than the one above it"
            )
        require_positive(embedding_scale=self.embedding_scale)

    def lr_scale(self, model: Classifier, name: str, epoch: int) -> float:
        """The same in every epoch."""
        if self.embedding_scale is not None and name.startswith(WORD_ROWS):
            return self.embedding_scale
        stages = Stages.of(model)
        return self.decay ** (stages.top - stages.stage(name))
