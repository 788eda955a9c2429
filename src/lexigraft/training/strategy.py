"""Which weights move, when, and how fast: the base of the options of `conf/finetune/`."""

from torch import Tensor

from lexigraft.models.classifier import Classifier


class Strategy:
    """A fine-tuning regime; here, every weight moves at `optimizer.lr` from the first step."""

    def prepare(self, model: Classifier, new_rows: Tensor | None = None) -> None:
        """Change the network itself, once, before trained weights are loaded into it and the optimizer is made.

        `new_rows` bool `[V]` is true where the transplant made a row rather than copied it.
        """

    def finish(self, model: Classifier) -> None:
        """Take back what `prepare` changed of the network, so that the trained one is a plain one again."""

    def apply(self, model: Classifier, epoch: int) -> None:
        """Set which weights of the model move in this epoch (counted from 0)."""
        model.requires_grad_(True)

    def lr_scale(self, model: Classifier, name: str, epoch: int) -> float:
        """The factor of `optimizer.lr` for the parameter of that name in that epoch."""
        return 1.0
