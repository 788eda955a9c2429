"""What is done to a training step beside its loss: the base of the options of `conf/regularise/`."""

from torch import Tensor, nn

from lexigraft.models.classifier import Classifier
from lexigraft.training.step import Step


class Regulariser(nn.Module):
    """A change of the step, a term of the loss, or both; parameters of its own are trained with the model's."""

    # Whether word rows get a gradient from it although no text holds them.
    pulls_rows = False
    # Whether it brings texts of a batch together, so that the batch cannot be trained in parts.
    mixes_texts = False

    def start(self, model: Classifier, new_rows: Tensor | None = None) -> None:
        """Look at the model once, before training; `new_rows` bool `[V]` is true where a row was made, not copied."""

    def change(self, step: Step) -> Step:
        """The step whose loss is to be taken."""
        return step

    def term(self, step: Step) -> Tensor | None:
        """What is added to the loss of the step; what is no mean over texts, where `step.completes` only."""
        return None

    def after_step(self, model: Classifier) -> None:
        """Change the weights after each step of the optimizer."""
