from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from torch.utils.data import DataLoader, TensorDataset

from lexigraft.studies.search.storage import open_study
from lexigraft.training.pruning import Pruning
from lexigraft.training.trial import TrialReference

optuna = pytest.importorskip("optuna")

MEDIAN = {"name": "median", "epochs": 6, "settings": {"n_startup_trials": 1, "n_warmup_steps": 0}}


class Scripted(pl.LightningModule):
    """Its dev accuracy is what a list says, epoch by epoch."""

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.values = list(values)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return (self.weight * batch[0]).sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("dev/accuracy", torch.tensor(self.values[self.current_epoch]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(
    folder: Path, values: Sequence[float], *callbacks: Callback, resume: Path | None = None, **settings: Any
) -> pl.Trainer:
    loader = DataLoader(TensorDataset(torch.ones(2, 1)))
    defaults = {"max_epochs": len(values), "accelerator": "cpu", "logger": False, "enable_checkpointing": False}
    trainer = pl.Trainer(
        **defaults | settings, callbacks=list(callbacks), enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(Scripted(values), loader, loader, ckpt_path=resume)
    return trainer


def begin(spec: str, pruner: dict[str, Any] | None = None) -> tuple[Any, int, Pruning]:
    """A study, the number of a new trial in it, and the callback of the trial's job."""
    study = open_study(spec, "s", ["maximize"], {})
    number = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}).number
    return study, number, Pruning("accuracy", TrialReference(spec, "s", number, pruner or MEDIAN))


@pytest.fixture(params=["x.journal", "x.db"])
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{'sqlite:///' if request.param == 'x.db' else ''}{tmp_path / request.param}"


def good_trial(spec: str, folder: Path) -> None:
    study, number, pruning = begin(spec)
    fit(folder, [0.5, 0.6, 0.7, 0.8, 0.9, 0.9], pruning)
    study.tell(number, 0.9)
    assert not pruning.pruned


def test_a_poor_trial_is_ended_and_a_good_one_is_not(spec: str, tmp_path: Path) -> None:
    good_trial(spec, tmp_path)
    study, number, pruning = begin(spec)
    trainer = fit(tmp_path, [0.6, 0.65, 0.4, 0.9, 0.9, 0.9], pruning)
    assert pruning.pruned
    assert trainer.current_epoch == 3
    study.tell(number, state=optuna.trial.TrialState.PRUNED)
    assert study.trials[0].intermediate_values == pytest.approx({1: 0.5, 2: 0.6, 3: 0.7, 4: 0.8, 5: 0.9, 6: 0.9})
    assert study.trials[1].intermediate_values == pytest.approx({1: 0.6, 2: 0.65, 3: 0.4})
    assert study.trials[1].value == pytest.approx(0.4)


def test_the_last_epoch_is_reported_and_never_pruned(tmp_path: Path) -> None:
    spec = str(tmp_path / "x.journal")
    good_trial(spec, tmp_path)
    study, number, pruning = begin(spec)
    fit(tmp_path, [0.6, 0.7, 0.1], pruning)
    assert not pruning.pruned
    assert list(study.trials[number].intermediate_values) == [1, 2, 3]


def test_a_run_that_stops_early_anyway_is_finished_and_not_pruned(tmp_path: Path) -> None:
    spec = str(tmp_path / "x.journal")
    good_trial(spec, tmp_path)
    _, _, pruning = begin(spec)
    trainer = fit(tmp_path, [0.6, 0.5, 0.9, 0.9], EarlyStopping("dev/accuracy", patience=1, mode="max"), pruning)
    assert trainer.current_epoch == 2
    assert not pruning.pruned


def test_asha_lets_the_best_third_go_on(tmp_path: Path) -> None:
    spec = str(tmp_path / "x.journal")
    asha = {"name": "asha", "epochs": 4, "settings": {}}
    ends = []
    for first in (0.5, 0.4, 0.3, 0.6, 0.2, 0.7):
        study, number, pruning = begin(spec, asha)
        trainer = fit(tmp_path, [first] * 4, pruning)
        state = optuna.trial.TrialState.PRUNED if pruning.pruned else None
        study.tell(number, None if pruning.pruned else first, state=state)
        ends.append(trainer.current_epoch)
    assert ends == [4, 1, 1, 4, 1, 4]


def test_a_trial_that_goes_on_reports_no_epoch_twice(tmp_path: Path) -> None:
    spec = str(tmp_path / "x.journal")
    good_trial(spec, tmp_path)
    study, number, pruning = begin(spec)
    trainer = fit(tmp_path, [0.6, 0.7], pruning, enable_checkpointing=True)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    # Killed after it had told of the third epoch, before that was saved.
    trial = optuna.trial.Trial(study, study.trials[number]._trial_id)
    trial.report(0.75, 3)
    again = Pruning("accuracy", pruning._reference)
    fit(tmp_path, [0.0, 0.0, 0.8, 0.85, 0.95, 0.95], again, resume=tmp_path / "last.ckpt")
    assert study.trials[number].intermediate_values == pytest.approx(
        {1: 0.6, 2: 0.7, 3: 0.75, 4: 0.85, 5: 0.95, 6: 0.95}
    )
    assert not again.pruned


def test_a_trial_that_was_to_end_and_was_killed_then_ends_after_all(tmp_path: Path) -> None:
    spec = str(tmp_path / "x.journal")
    asha = {"name": "asha", "epochs": 4, "settings": {}}
    study, number, pruning = begin(spec, asha)
    fit(tmp_path, [0.9] * 4, pruning)
    study.tell(number, 0.9)
    _, number, first = begin(spec, asha)
    assert fit(tmp_path, [0.5] * 4, first).current_epoch == 1
    second = Pruning("accuracy", first._reference)  # its folder holds no epoch
    assert fit(tmp_path, [0.5] * 4, second).current_epoch == 1
    assert first.pruned
    assert second.pruned


def test_an_epoch_without_a_value_is_not_compared(tmp_path: Path) -> None:
    spec = str(tmp_path / "x.journal")
    good_trial(spec, tmp_path)
    study, number, pruning = begin(spec)
    fit(tmp_path, [0.6, float("nan"), 0.8, 0.8], pruning)
    assert list(study.trials[number].intermediate_values) == [1, 3, 4]


def test_the_reference_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LEXIGRAFT_TRIAL", raising=False)
    assert Pruning.from_environment("accuracy") is None
    study, number, pruning = begin(str(tmp_path / "x.journal"))
    for name, value in pruning._reference.variables().items():
        monkeypatch.setenv(name, value)
    found = Pruning.from_environment("accuracy")
    assert found is not None
    fit(tmp_path, [0.5, 0.6], found)
    assert len(study.trials[number].intermediate_values) == 2


def test_with_two_devices_rank_0_decides_for_both(tmp_path: Path) -> None:
    spec = str(tmp_path / "x.journal")
    good_trial(spec, tmp_path)
    study, number, pruning = begin(spec)

    class Tell(Callback):
        def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            (tmp_path / f"rank{trainer.global_rank}").write_text(f"{trainer.current_epoch} {pruning.pruned}")

    fit(tmp_path, [0.5, 0.3, 0.9, 0.9], pruning, Tell(), strategy="ddp_fork", devices=2)
    assert [(tmp_path / f"rank{rank}").read_text() for rank in (0, 1)] == ["2 True", "2 True"]
    assert list(study.trials[number].intermediate_values) == [1, 2]
