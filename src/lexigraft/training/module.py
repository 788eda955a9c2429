"""The training loop's view of a classifier: loss, metrics, optimizer."""

from collections.abc import Callable
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lexigraft.evaluation.metrics import evaluate_predictions
from lexigraft.models.classifier import Classifier
from lexigraft.models.parameters import parameter_groups


class Finetuning(Protocol):
    """A strategy of `conf/finetune/`."""

    def apply(self, model: Classifier, epoch: int) -> None: ...


Schedule = Callable[[torch.optim.Optimizer, int], torch.optim.lr_scheduler.LRScheduler]

# Metrics of an evaluated split that are logged as a curve; the others are tables.
CURVES = ("loss", "accuracy", "macro_f1", "roc_auc")


class ClassificationModule(pl.LightningModule):
    """Trains a `Classifier` with cross-entropy and measures it on whole splits, sample by sample.

    `optimizer` takes parameter groups; `schedule` the optimizer and the number of steps.
    """

    def __init__(
        self,
        model: Classifier,
        classes: tuple[str, ...],
        optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        schedule: Schedule,
        finetune: Finetuning,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.classes = classes
        self._optimizer, self._schedule, self._finetune = optimizer, schedule, finetune
        self._weight_decay = weight_decay
        self._seen: list[tuple[Tensor, Tensor]] = []

    def on_train_epoch_start(self) -> None:
        self._finetune.apply(self.model, self.current_epoch)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        loss = cross_entropy(self.model(batch["input_ids"], batch["mask"]), batch["labels"])
        self.log("train/loss", loss, on_step=True, on_epoch=False, prog_bar=True, batch_size=len(batch["labels"]))
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        logits = self.model(batch["input_ids"], batch["mask"])
        self._seen.append((logits.float().softmax(-1).cpu(), batch["labels"].cpu()))

    def on_validation_epoch_end(self) -> None:
        probabilities, labels = (torch.cat(parts) for parts in zip(*self._seen))
        self._seen.clear()
        metrics = evaluate_predictions(probabilities, labels, self.classes)
        self.log_dict({f"dev/{k}": metrics[k] for k in CURVES if metrics[k] is not None}, prog_bar=False)

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer(parameter_groups(self.model, self._weight_decay))
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = self._schedule(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
