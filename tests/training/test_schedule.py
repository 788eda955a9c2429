import math

import pytest
import pytorch_lightning as pl
import torch

from lexigraft.training.schedule import (
    Constant,
    Cosine,
    Exponential,
    InverseSqrt,
    Linear,
    Plateau,
    Polynomial,
    Stepwise,
    scale_base_rates,
    step_plateaus,
)


def sgd(*rates):
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates])


def rates(schedule, steps):
    optimizer = sgd(1.0)
    scheduler = schedule(optimizer, steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found, optimizer.param_groups[0]["lr"]


def test_linear_warms_up_by_share_and_decays_to_zero():
    found, after = rates(Linear(warmup=0.4), 10)
    assert found == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert after == 0


def test_linear_warms_up_by_steps():
    assert rates(Linear(warmup=2), 4)[0] == pytest.approx([0.5, 1.0, 1.0, 0.5])


def test_linear_without_warm_up_starts_at_the_full_rate():
    assert rates(Linear(warmup=0), 4)[0] == pytest.approx([1.0, 0.75, 0.5, 0.25])


def test_linear_to_a_share():
    found, after = rates(Linear(warmup=0, final=0.2), 4)
    assert found == pytest.approx([1.0, 0.8, 0.6, 0.4])
    assert after == pytest.approx(0.2)


def test_constant_stays():
    assert rates(Constant(), 3)[0] == [1.0, 1.0, 1.0]
    assert rates(Constant(warmup=2), 4)[0] == [0.5, 1.0, 1.0, 1.0]


def test_polynomial():
    found, after = rates(Polynomial(warmup=2, power=2, final=0.1), 6)
    assert found == pytest.approx([0.5, 1.0, 1.0, 0.1 + 0.9 * 9 / 16, 0.1 + 0.9 / 4, 0.1 + 0.9 / 16])
    assert after == pytest.approx(0.1)


def test_cosine():
    found, after = rates(Cosine(warmup=2, final=0.1), 6)
    halves = [(1 + math.cos(math.pi * quarter / 4)) / 2 for quarter in range(4)]
    assert found == pytest.approx([0.5, 1.0, *(0.1 + 0.9 * half for half in halves)])
    assert found[4] == pytest.approx(0.55)
    assert after == pytest.approx(0.1)


def test_cosine_with_a_restart_begins_again_at_the_full_rate_and_ends_at_the_bottom():
    found, after = rates(Cosine(warmup=0, cycles=2), 8)
    wave = [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]
    assert found == pytest.approx(wave + wave)
    assert after == 0


def test_step_at_milestones():
    found, after = rates(Stepwise(milestones=[0.5, 7]), 10)
    assert found == pytest.approx([1.0] * 5 + [0.1] * 2 + [0.01] * 3)
    assert after == pytest.approx(0.01)


def test_step_after_every_so_many_steps():
    expected = [0.5, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert rates(Stepwise(warmup=2, factor=0.5, every=3), 9)[0] == pytest.approx(expected)
    assert rates(Stepwise(warmup=2, factor=0.5, every=1 / 3), 9)[0] == pytest.approx(expected)


def test_exponential():
    found, after = rates(Exponential(final=0.0001), 4)
    assert found == pytest.approx([1.0, 0.1, 0.01, 0.001])
    assert after == pytest.approx(0.0001)
    assert rates(Exponential(warmup=1, final=0.01), 3)[0] == pytest.approx([1.0, 1.0, 0.1])


def test_inverse_square_root():
    found, _ = rates(InverseSqrt(warmup=4), 20)
    assert found[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, math.sqrt(4 / 5)])
    assert found[15] == pytest.approx(0.5)  # four times the warm-up
    found, _ = rates(InverseSqrt(warmup=0, timescale=3), 12)
    assert (found[0], found[3], found[9]) == pytest.approx((1.0, math.sqrt(0.5), 0.5))


def test_the_factors_are_those_of_the_base_rates_of_each_group():
    optimizer = sgd(1.0, 0.1)
    schedule = Linear(warmup=0)(optimizer, 4)
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.75, 0.075])


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(warmup=3), Linear(), Polynomial(), Cosine(cycles=2), Stepwise(), Exponential(), InverseSqrt(),
        Plateau(warmup=3),
    ],
    ids=lambda schedule: type(schedule).__name__,
)  # fmt: skip
def test_base_rates_may_change_on_the_way(schedule):
    plain, changed = sgd(1.0, 1.0), sgd(1.0, 1.0)
    schedules = [schedule(optimizer, 10) for optimizer in (plain, changed)]
    for step in range(10):
        if step == 4:
            scale_base_rates(schedules[1], [0.5, 3.0])
        ratios = (1.0, 1.0) if step < 4 else (0.5, 3.0)
        for group, other, ratio in zip(changed.param_groups, plain.param_groups, ratios):
            assert group["lr"] == pytest.approx(ratio * other["lr"])
        for optimizer, each in zip((plain, changed), schedules):
            optimizer.step()
            each.step()


@pytest.mark.parametrize("schedule", [Cosine(cycles=2), Stepwise(), InverseSqrt(), Plateau(warmup=3)])
def test_a_schedule_goes_on_from_its_state(schedule):
    first = sgd(1.0)
    before = schedule(first, 10)
    for _ in range(4):
        first.step()
        before.step()
    scale_base_rates(before, [0.5])
    second = sgd(1.0)
    after = schedule(second, 10)
    second.load_state_dict(first.state_dict())
    after.load_state_dict(before.state_dict())
    for _ in range(6):
        assert first.param_groups[0]["lr"] == second.param_groups[0]["lr"]
        for optimizer, each in ((first, before), (second, after)):
            optimizer.step()
            each.step()


def test_plateau_reduces_after_patience_and_not_below_its_floor():
    optimizer = sgd(1.0, 0.1)
    each_step, each_epoch = Plateau(warmup=4, factor=0.1, patience=1, final=0.05).settings(optimizer, 100)
    assert (each_step["interval"], each_epoch["interval"], each_epoch["monitor"]) == ("step", "epoch", "dev/loss")
    found = []
    for loss in [1.0, 0.5, 0.5, 0.6, 0.4, 0.7, 0.8, 0.9, 0.9]:  # two epochs without improvement: at 0.6, and at 0.8
        for _ in range(2):
            optimizer.step()
            each_step["scheduler"].step()
        each_epoch["scheduler"].step(loss)
        found.append(tuple(group["lr"] for group in optimizer.param_groups))
    expected = [0.75, 1.0, 1.0, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05]
    assert found == [pytest.approx((rate, rate / 10)) for rate in expected]


def test_plateau_knows_which_metrics_should_rise():
    [_, each_epoch] = Plateau(monitor="accuracy", patience=0).settings(sgd(1.0), 100)
    plateau = each_epoch["scheduler"]
    for accuracy in (0.5, 0.6, 0.7):
        plateau.step(accuracy)
    assert plateau.reduced_to == 1.0
    plateau.step(0.6)
    assert plateau.reduced_to == 0.5


def test_the_state_of_a_plateau_holds_plain_values_and_goes_on(tmp_path):
    optimizer = sgd(1.0)
    settings = Plateau(patience=0, factor=0.5).settings(optimizer, 100)
    plateau = settings[1]["scheduler"]
    for loss in (0.5, 0.6):
        plateau.step(loss)
    torch.save([each["scheduler"].state_dict() for each in settings], tmp_path / "state.pt")
    states = torch.load(tmp_path / "state.pt", weights_only=True)
    other = sgd(1.0)
    again = Plateau(patience=0, factor=0.5).settings(other, 100)
    other.load_state_dict(optimizer.state_dict())
    for each, state in zip(again, states):
        each["scheduler"].load_state_dict(state)
    again[1]["scheduler"].step(0.55)
    other.step()
    again[0]["scheduler"].step()
    assert other.param_groups[0]["lr"] == 0.25


class Module(pl.LightningModule):
    """One weight; the dev loss never improves after the first epoch."""

    def __init__(self, schedule):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.schedule, self.rates = schedule, []

    def training_step(self, batch, batch_idx):
        return (self.weight * batch[0]).sum()

    def on_before_optimizer_step(self, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])

    def validation_step(self, batch, batch_idx):
        self.log("dev/loss", torch.tensor(1.0))

    def on_train_epoch_end(self):
        step_plateaus(self.trainer.lr_scheduler_configs, self.trainer.callback_metrics)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        return [optimizer], self.schedule.settings(optimizer, int(self.trainer.estimated_stepping_batches))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Linear(warmup=2), [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]),
        (Plateau(warmup=3, patience=0), [1 / 3, 2 / 3, 1.0, 1.0, 0.5, 0.5]),
    ],
)
def test_lightning_counts_optimizer_steps_and_reduces_after_an_epoch(schedule, expected, tmp_path):
    module = Module(schedule)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(8)), batch_size=2)
    trainer = pl.Trainer(
        max_epochs=3, accumulate_grad_batches=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(module, loader, loader)
    assert module.rates == pytest.approx(expected)


def test_more_warm_up_than_steps_is_an_error():
    with pytest.raises(ValueError, match="scheduler.warmup=20 is 20 steps, but training has only 10"):
        rates(Linear(warmup=20), 10)


def test_negative_warm_up_is_an_error():
    with pytest.raises(ValueError, match="scheduler.warmup=-1"):
        rates(Constant(warmup=-1), 10)


def test_a_milestone_beyond_the_end_is_an_error_before_the_first_step():
    with pytest.raises(ValueError, match="scheduler.milestones=30 is 30 steps, but training has only 10"):
        Stepwise(warmup=2, milestones=[30])(sgd(1.0), 10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(final=1.5), "scheduler.final=1.5: give a share of the full rate, from 0 to 1"),
        (lambda: Cosine(cycles=0), "scheduler.cycles=0: give at least 1"),
        (lambda: Polynomial(power=0), "scheduler.power=0: give a number above 0"),
        (lambda: Stepwise(every=0), "scheduler.every=0: give a share of all steps"),
        (lambda: Stepwise(factor=-1), "scheduler.factor=-1: give a share"),
        (lambda: Exponential(final=0), "scheduler.final=0: an exponential decay ends above 0"),
        (lambda: InverseSqrt(timescale=0), "scheduler.timescale=0: give a number of steps"),
        (lambda: Plateau(factor=1.0), "scheduler.factor=1.0: give a number between 0 and 1"),
    ],
)
def test_settings_out_of_range_are_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
