import math

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from lexigraft.training.lr_finder import RateCurve, find_lr
from lexigraft.training.muon import MuonWithAdamW
from lexigraft.training.schedule import Linear


class Blobs(pl.LightningDataModule):
    """Two classes, one around (1, 1), the other around (-1, -1)."""

    def train_dataloader(self):
        random = torch.Generator().manual_seed(0)
        labels = torch.arange(128) % 2
        points = torch.randn(128, 2, generator=random) + (2.0 * labels - 1)[:, None]
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(points, labels), batch_size=32)


class Classifier(pl.LightningModule):
    """Two layers; what each step's rates and losses were."""

    def __init__(self, optimizer, schedule=None):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
        self.make, self.schedule, self.rates = optimizer, schedule, []

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

    def on_before_optimizer_step(self, optimizer):
        self.rates.append([group["lr"] for group in optimizer.param_groups])

    def configure_optimizers(self):
        optimizer = self.make(self.layers)
        if self.schedule is None:
            return optimizer
        return [optimizer], self.schedule.settings(optimizer, int(self.trainer.estimated_stepping_batches))


def sgd(layers):
    groups = [{"params": layers[0].parameters(), "lr": 0.02}, {"params": layers[2].parameters(), "lr": 0.1}]
    return torch.optim.SGD(groups, lr=0.1)


def test_the_lowest_loss_lies_inside_and_the_suggestion_before_it():
    curve = find_lr(Classifier(sgd), Blobs(), steps=120, first=1e-5, last=1e4, accelerator="cpu")
    assert curve.lowest is not None
    assert 1e-3 < curve.safe <= curve.steepest < curve.lowest < 1e3
    assert curve.smoothed[0] == pytest.approx(0.7, abs=0.15)
    assert min(curve.smoothed) < 0.4
    assert len(curve.rates) == len(curve.losses) == len(curve.smoothed)


def test_it_stops_where_the_loss_explodes():
    curve = find_lr(Classifier(sgd), Blobs(), steps=120, first=1e-5, last=1e4, accelerator="cpu")
    assert curve.exploded == curve.rates[-1] < 1e4
    assert len(curve.rates) < 120
    assert np.mean(curve.losses[-10:]) > 2 * np.mean(curve.losses[:10])


def test_rates_grow_by_one_ratio_and_groups_keep_theirs_whatever_the_schedule():
    module = Classifier(sgd, Linear(warmup=0.5))
    curve = find_lr(module, Blobs(), steps=21, first=1e-6, last=1e-4, accelerator="cpu")
    assert [rates[1] for rates in module.rates] == pytest.approx(curve.rates)
    assert [rates[0] for rates in module.rates] == pytest.approx([rate / 5 for rate in curve.rates])
    assert curve.rates == pytest.approx([10 ** (-6 + i / 10) for i in range(21)])


def test_a_rate_too_low_to_learn_gives_no_suggestion():
    curve = find_lr(Classifier(sgd), Blobs(), steps=60, first=1e-9, last=1e-7, accelerator="cpu")
    assert (curve.steepest, curve.lowest, curve.safe, curve.exploded) == (None, None, None, None)
    assert len(curve.losses) == 60


def test_both_rates_of_muon_and_adamw_are_scaled():
    def make(layers):
        names = [("encoder.weight", layers[2].weight), ("heads.weight", layers[0].weight)]
        groups = [{"name": "decay", "params": [weight], "names": [name]} for name, weight in names]
        return MuonWithAdamW(groups, lr=1e-2, adamw_lr=1e-3)

    module = Classifier(make)
    curve = find_lr(module, Blobs(), steps=20, first=1e-6, last=1e-4, accelerator="cpu")
    assert [rates[0] for rates in module.rates] == pytest.approx(curve.rates)
    assert [rates[1] for rates in module.rates] == pytest.approx([rate / 10 for rate in curve.rates])


def test_a_curve_of_known_shape():
    """A sigmoid fall around 1e-3 to a minimum at 1e-1, then up."""
    rates = np.geomspace(1e-7, 10, 200)
    decades = np.log10(rates)
    losses = 0.1 + 0.6 / (1 + np.exp(4 * (decades + 3))) + 0.05 * np.maximum(0, decades + 1) ** 2
    curve = RateCurve.of(rates.tolist(), losses.tolist(), 200, exploded=False)
    assert math.log10(curve.steepest) == pytest.approx(-3, abs=0.1)
    assert math.log10(curve.lowest) == pytest.approx(-1, abs=0.35)
    assert curve.safe == curve.steepest


def test_the_suggestion_stays_a_tenth_below_a_sudden_minimum():
    rates = np.geomspace(1e-7, 10, 200)
    losses = np.where(rates < 1e-2, 0.7, np.where(rates < 3e-2, 0.1, 5.0))
    curve = RateCurve.of(rates.tolist(), losses.tolist(), 200, exploded=True)
    assert curve.safe == pytest.approx(curve.lowest / 10)
    assert curve.safe < curve.steepest < curve.lowest
    assert curve.exploded == 10


def test_a_fall_by_chance_at_the_start_is_not_the_steepest():
    rates = np.geomspace(1e-7, 10, 200)
    random = np.random.default_rng(0)
    losses = 0.1 + 0.6 / (1 + np.exp(2 * (np.log10(rates) + 3))) + 0.02 * random.normal(size=200)
    losses[:10] += np.linspace(1.5, 0, 10)
    curve = RateCurve.of(rates.tolist(), losses.tolist(), 200, exploded=False)
    assert 1e-5 < curve.steepest < 1e-1


class NotFinite(Classifier):
    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * math.nan


def test_a_loss_that_is_never_finite_is_an_error():
    with pytest.raises(ValueError, match="the loss was not finite at the rate 1e-07 already: give a lower one"):
        find_lr(NotFinite(sgd), Blobs(), steps=20, accelerator="cpu")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first": 1.0, "last": 0.1}, "learning rates from 1 to 0.1: give two rates above 0, the smaller one first"),
        ({"steps": 5}, "a test of 5 steps gives no curve: give at least 20"),
    ],
)
def test_a_range_that_gives_no_curve_is_an_error(settings, message):
    with pytest.raises(ValueError, match=message):
        find_lr(Classifier(sgd), Blobs(), **settings)
