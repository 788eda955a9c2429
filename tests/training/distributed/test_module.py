"""`SupervisedModule` itself in two ranks: the steps, the curves and the dev metrics of one process."""

from functools import partial

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import Callback

from lexigraft.process_group import rank, world_size
from lexigraft.training.distributed.gathering import mean_over_ranks
from lexigraft.training.distributed.shares import SharedData
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
