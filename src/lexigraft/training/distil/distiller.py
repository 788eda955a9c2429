"""Knowledge distillation: a student is trained towards what a teacher said of the same texts."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, kl_div, mse_loss

from lexigraft.models.classifier import Classifier
from lexigraft.models.masking import masked_mean
from lexigraft.tasks.task import Task
from lexigraft.training.distil.answers import Answers
from lexigraft.training.regularise.regulariser import Regulariser
from lexigraft.training.step import Step

KINDS = ("class", "several", "number", "order")  # of labels that outputs can be learned for


class Distiller(Regulariser):
    """(1 - alpha) loss + alpha T^2 KL(teacher, student) at temperature T (Hinton et al. 2015), and what is beside it.

    For several classes at once KL is that of each class being there or not, summed over the classes; for numbers the
    teacher's take the place of the labels. `hidden` weighs the distance of a learned linear map of the student's mean
    features from the teacher's, `embeddings` that of their mean word vectors. Both are mean squared errors in units of
    the teacher's variance over the training texts, so that 1 is the error of whoever always says the mean.

    The maps are parameters of the regulariser: they are trained with the model and are no part of it. Answers are
    found by the "index" of batches for the head "main"; how the teacher cut the texts into tokens does not matter.
    """

    def __init__(
        self,
        answers: Answers,
        *,
        alpha: float = 0.5,
        temperature: float = 2.0,
        hidden: float = 0.0,
        embeddings: float = 0.0,
    ):
        super().__init__()
        self.alpha, self.temperature, self.hidden, self.embeddings = alpha, temperature, hidden, embeddings
        self._answers = Answers(answers.outputs, _standard(answers.hidden), _standard(answers.vectors))

    def start(self, model: Classifier, new_rows: Tensor | None = None) -> None:
        """Make the maps from the student's widths to the teacher's."""
        if self.hidden:
            assert self._answers.hidden is not None
            width = model.encoder.width
            assert isinstance(width, int)
            self.hidden_map = nn.Linear(width, self._answers.hidden.shape[1])
        if self.embeddings:
            assert self._answers.vectors is not None
            self.embedding_map = nn.Linear(model.embedding.dim, self._answers.vectors.shape[1])

    def term(self, step: Step) -> Tensor | None:
        """What turns the loss of the step into the student's. `ValueError` for texts that were mixed."""
        if step.batch["task"] != "main":
            return None
        if len(step.labels) > 1:
            raise ValueError("regularise=[mixup] makes texts that no teacher has read: leave it out, or teacher=none")
        index = step.batch["index"]
        total, share = step.vectors.new_zeros(()), step.text_share
        if self.alpha:
            taught = self._taught(step, _of(self._answers.outputs, index))
            total = total + self.alpha * (share * taught - step.loss)
        if self.hidden:
            mapped = self.hidden_map(masked_mean(step.features, step.mask))
            total = total + share * self.hidden * mse_loss(mapped.float(), _of(self._answers.hidden, index))
        if self.embeddings:
            mapped = self.embedding_map(masked_mean(step.vectors, step.mask))
            total = total + share * self.embeddings * mse_loss(mapped.float(), _of(self._answers.vectors, index))
        return total

    def _taught(self, step: Step, wanted: Tensor) -> Tensor:
        """T^2 KL(teacher, student), the mean over the texts."""
        if step.task.kind == "number":
            return step.task.loss(step.outputs, wanted.flatten())
        t = self.temperature
        said = told(step.task, step.outputs) / t
        if step.task.kind == "several":
            chance = (wanted / t).sigmoid()
            crossed = binary_cross_entropy_with_logits(said, chance, reduction="sum")
            entropy = binary_cross_entropy_with_logits(wanted / t, chance, reduction="sum")
            return t**2 * (crossed - entropy) / len(wanted)
        meant = (wanted / t).log_softmax(-1)
        return t**2 * kl_div(said.log_softmax(-1), meant, reduction="batchmean", log_target=True)


def told(task: Task, outputs: Tensor) -> Tensor:
    """What a teacher hands on of a head's outputs: logits `[B, C]`, of ranks log-probabilities, or numbers `[B, 1]`."""
    if task.kind == "number":
        return task.scores(outputs).unsqueeze(-1)
    if task.kind == "order":  # heads of ranks have outputs of several forms
        return task.scores(outputs).clamp(min=1e-7).log()
    return outputs.float()


def places(classes: Sequence[str], of_teacher: Sequence[str], teacher: str) -> list[int]:
    """Where the teacher has each of the student's classes; `ValueError` unless both have the same names."""
    if sorted(classes) != sorted(of_teacher):
        raise ValueError(
            f"{teacher} tells the classes {', '.join(of_teacher)}, but the data set has {', '.join(classes)}: choose a "
            "teacher of these classes, or learn from its hidden states alone (teacher.alpha=0 teacher.hidden=1)"
        )
    return [list(of_teacher).index(name) for name in classes]


def _of(answers: Tensor | None, index: Tensor) -> Tensor:
    assert answers is not None
    return answers[index.cpu()].to(index.device, non_blocking=True)


def _standard(answers: Tensor | None) -> Tensor | None:
    """Shifted to the mean 0 and scaled to the variance 1 of all components together."""
    if answers is None:
        return None
    centred = answers.float() - answers.float().mean(dim=0)
    return centred / centred.square().mean().sqrt().clamp(min=torch.finfo(torch.float32).tiny)
