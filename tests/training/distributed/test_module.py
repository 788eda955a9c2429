"""`SupervisedModule` itself in two ranks: the steps, the curves and the dev metrics of one process."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback
from rich.console import Console

from lexigraft.process_group import rank, world_size
from lexigraft.training.callbacks import EpochLines
from lexigraft.training.distributed.datamodule import SharedData
from lexigraft.training.distributed.gathering import mean_over_ranks
from lexigraft.training.distributed.strategies import strategy_of
from lexigraft.training.regularise.adversarial import FGM
from tests.training import tiny
from tests.training.distributed.forked import together


class Curves(Callback):
    def __init__(self):
        self.losses, self.logged, self.dev = [], [], []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].detach())
        self.logged.append(float(trainer.callback_metrics["train/loss"]))

    def on_validation_end(self, trainer, module):
        self.dev.append({k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("dev/")})


def trained():
    ranks, curves = world_size(), Curves()
    module, data = tiny.module(partial(torch.optim.AdamW, lr=0.02), [FGM(epsilon=0.3)]), tiny.batches(9)
    trainer = tiny.pl.Trainer(
        accelerator="cpu", devices=ranks, strategy=strategy_of("cpu", ranks), max_epochs=3, logger=False,
        callbacks=[curves], enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, use_distributed_sampler=False, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(module, datamodule=data if ranks == 1 else SharedData(data, module.tasks, rank(), ranks))
    losses = mean_over_ranks(torch.stack(curves.losses)).tolist()
    return losses, curves.logged, curves.dev


@pytest.fixture(scope="module")
def ranks():
    return together(trained)


def test_two_ranks_tell_the_losses_and_metrics_of_one_process(ranks):
    losses, logged, dev = trained()
    assert losses == logged
    for of_losses, of_logged, of_dev in ranks:
        assert np.allclose(of_losses, losses, atol=1e-5)
        assert np.allclose(of_logged, losses, atol=1e-5)
        assert [each.keys() for each in of_dev] == [each.keys() for each in dev]
        for own, expected in zip(of_dev, dev):
            assert own == pytest.approx(expected, abs=2e-6)
    assert ranks[0] == ranks[1]


def resumed_losses():
    """What an epoch's lines know of its losses when a run goes on from what rank 0 has saved."""
    dist.init_process_group("gloo", rank=rank(), world_size=world_size())
    lines, trainer = EpochLines(Console(quiet=True)), SimpleNamespace(accumulate_grad_batches=1)
    for loss in (1.0, 2.0):
        lines.on_train_batch_end(trainer, None, {"loss": torch.tensor(loss + 10 * rank())}, None, 0)
    saved = [lines.state_dict()]
    dist.broadcast_object_list(saved)
    again = EpochLines(Console(quiet=True))
    again.load_state_dict(saved[0])
    again.on_train_batch_end(trainer, None, {"loss": torch.tensor(3.0 + 10 * rank())}, None, 0)
    return again.state_dict()["losses"].tolist()


def test_the_losses_of_a_resumed_epoch_are_those_of_all_ranks():
    assert together(resumed_losses) == [[6.0, 7.0, 8.0], [6.0, 7.0, 8.0]]
