"""One training step: word vectors, labels, and the outputs and the loss that follow from them."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from lexigraft.data.batches import Batch
from lexigraft.models.classifier import Classifier
from lexigraft.tasks.task import Task
from lexigraft.training.distributed.shares import shared


@dataclass
class Step:
    """A batch on its way through a model; what regularisers read and `dataclasses.replace`.

    `vectors` `[B, T, D]` are its word vectors with their graph, `mask` bool `[B, T]`. `labels` are weighted
    targets (weight, labels): one of weight 1, unless texts were mixed.
    """

    model: Classifier
    task: Task
    batch: Batch
    vectors: Tensor
    mask: Tensor
    labels: list[tuple[float | Tensor, Tensor]]

    @classmethod
    def of(cls, model: Classifier, task: Task, batch: Batch) -> "Step":
        """The step of a batch."""
        vectors = model.embed(batch["input_ids"], batch["mask"])
        return cls(model, task, batch, vectors, batch["mask"], [(1.0, batch["labels"])])

    @cached_property
    def features(self) -> Tensor:
        """What the encoder makes of the vectors: `[B, T, W]`."""
        return self.model.features(self.vectors, self.mask, self.batch.get("types"))

    @cached_property
    def outputs(self) -> Tensor:
        """What the head says: `[B, C]` or `[B, T, C]`."""
        return self.model.outputs(self.features, self.mask, self.batch["task"])

    @cached_property
    def loss(self) -> Tensor:
        """The loss of the outputs."""
        return self.loss_of(self.outputs)

    def run(self, vectors: Tensor) -> Tensor:
        """The outputs for other vectors, or for these under other dropout masks."""
        features = self.model.features(vectors, self.mask, self.batch.get("types"))
        return self.model.outputs(features, self.mask, self.batch["task"])

    def loss_of(self, outputs: Tensor) -> Tensor:
        """The loss of any outputs, by this step's labels; of several ranks, times what this one's share counts."""
        share: float = self.batch.get("loss_share", 1.0)
        return shared(lambda: self._mean_of(outputs), outputs, share)

    @property
    def text_share(self) -> float:
        """What a mean over this rank's texts (per token: counted tokens) is multiplied by; 1 of one process."""
        share: float = self.batch.get("text_share", 1.0)
        return share

    @property
    def completes(self) -> bool:
        """Whether terms without texts are added: of a batch that is trained in parts, in the last one alone."""
        last: bool = self.batch.get("completes", True)
        return last

    def _mean_of(self, outputs: Tensor) -> Tensor:
        (weight, labels), *others = self.labels
        loss = self.task.loss(outputs, labels)
        if not others:
            return loss
        return weight * loss + sum(w * self.task.loss(outputs, each) for w, each in others)
