"""R-Drop: two passes under different dropout masks are to agree."""

from torch import Tensor

from lexigraft.training.regularise.divergence import divergence
from lexigraft.training.regularise.regulariser import Regulariser
from lexigraft.training.step import Step


class RDrop(Regulariser):
    """The mean loss of two passes, and `alpha` times the divergence of their predictions (Liang et al. 2021).

    Both passes draw all dropout masks anew, those of the word vectors too; where texts were mixed, the second pass
    takes the same mixture of vectors. `ValueError` unless alpha > 0.
    """

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        if alpha <= 0:
            raise ValueError(f"regularise.rdrop.alpha={alpha} was given; a weight above 0 is expected")
        self.alpha = alpha

    def term(self, step: Step) -> Tensor:
        """What turns the loss of the step into that of both passes."""
        mixed = len(step.labels) > 1
        vectors = step.vectors if mixed else step.model.embed(step.batch["input_ids"], step.mask)
        again = step.run(vectors)
        apart = divergence(step.task, step.outputs, again, step.batch["labels"])
        return (step.loss_of(again) - step.loss) / 2 + self.alpha * step.text_share * apart
