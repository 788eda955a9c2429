"""Ends a trial of a search that is poor compared with the others, at the end of an epoch."""

from typing import TYPE_CHECKING

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from lexigraft.training.trial import TrialReference

if TYPE_CHECKING:
    from optuna.trial import Trial

PRUNED_AT = "pruned_at"  # the attribute of a trial that says after which epoch it was to end


class Pruning(Callback):
    """Reports the dev metric `monitor` after each epoch and stops training where the pruner says so.

    `pruned` then is True. The last epoch is reported but never pruned, nor is an epoch after which training ends
    anyway: such a run is finished. With several devices, rank 0 reports and decides for all.
    """

    def __init__(self, monitor: str, reference: TrialReference) -> None:
        self.pruned = False
        self._monitor, self._reference = monitor, reference
        self._trial: Trial | None = None

    @classmethod
    def from_environment(cls, monitor: str) -> "Pruning | None":
        """The callback of the trial that this process runs; None outside a search, and in one without a pruner."""
        reference = TrialReference.from_environment()
        return None if reference is None else cls(monitor, reference)

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        if stage == "fit" and trainer.is_global_zero:
            self._trial = _trial(self._reference)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        ends_anyway = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        stop = self._trial is not None and self._judged(self._trial, trainer, ends_anyway)
        if trainer.strategy.broadcast(stop):
            self.pruned = trainer.should_stop = True

    def _judged(self, trial: "Trial", trainer: pl.Trainer, ends_anyway: bool) -> bool:
        """Report the epoch, unless a process did that was killed after it; whether the trial is to end."""
        epoch = trainer.current_epoch + 1
        told = trial.study.get_trials(deepcopy=False)[trial.number]
        value = trainer.callback_metrics.get(f"dev/{self._monitor}")
        # An epoch whose metric is not defined is not compared.
        if value is None or value.isnan():
            return False
        if epoch not in told.intermediate_values:
            trial.report(value.item(), epoch)
        if ends_anyway:
            return False
        # Asked twice about an epoch, a pruner may answer differently.
        if PRUNED_AT in told.user_attrs or trial.should_prune():
            trial.set_user_attr(PRUNED_AT, epoch)
            return True
        return False


def _trial(reference: TrialReference) -> "Trial":
    """The trial in its storage. The sampler is one that does nothing: the values were chosen long ago."""
    from lexigraft.studies.search.sampling import pruner
    from lexigraft.studies.search.storage import import_optuna, open_storage

    optuna = import_optuna()
    study = optuna.load_study(
        study_name=reference.study,
        storage=open_storage(reference.storage),
        sampler=optuna.samplers.RandomSampler(),
        pruner=pruner(**reference.pruner),
    )
    found = study.get_trials(deepcopy=False)[reference.trial]
    trial: Trial = optuna.trial.Trial(study, found._trial_id)
    return trial
