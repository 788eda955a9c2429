import io
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch.optim import lr_scheduler as torch_schedules

from lexigraft.training.finetune.phases import EmbeddingFirst
from lexigraft.training.finetune.rates import optimizer_groups, rescale, scale_rates
from lexigraft.training.muon import MuonWithAdamW
from lexigraft.training.schedule import Constant, Linear
from lexigraft.training.strategy import Strategy
from tests.models.test_classifier import classifier
from tests.training.finetune.steps import LR, named, rates, step

EPOCHS, STEPS = 4, 5  # steps in each


@dataclass(frozen=True)
class Changing(Strategy):
    """Other factors for embedding and head in each epoch."""

    def lr_scale(self, model, name, epoch):
        factors = {"embedding": (0.1, 1.0, 3.0, 3.0), "heads": (5.0, 5.0, 5.0, 0.2)}
        return factors.get(name.partition(".")[0], (1.0,) * EPOCHS)[epoch]


def sequential(optimizer, steps):
    first = torch_schedules.LinearLR(optimizer, 0.2, total_iters=7)
    return torch_schedules.SequentialLR(
        optimizer, [first, torch_schedules.CosineAnnealingLR(optimizer, steps - 7)], [7]
    )


def chained(optimizer, steps):
    first = torch_schedules.ConstantLR(optimizer, 0.5, total_iters=8)
    return torch_schedules.ChainedScheduler([first, torch_schedules.ExponentialLR(optimizer, 0.9)])


SCHEDULES = {
    "constant": Constant(warmup=7),
    "linear": Linear(warmup=0.3),
    "step": lambda optimizer, steps: torch_schedules.StepLR(optimizer, 4, 0.5),
    "exponential": lambda optimizer, steps: torch_schedules.ExponentialLR(optimizer, 0.8),
    "cosine": lambda optimizer, steps: torch_schedules.CosineAnnealingLR(optimizer, steps),
    "onecycle": lambda optimizer, steps: torch_schedules.OneCycleLR(
        optimizer, [group["lr"] for group in optimizer.param_groups], total_steps=steps + 1
    ),
    "sequential": sequential,
    "chained": chained,
}


def course(optimizer, schedule, strategy, model):
    """The rates of all parameters at each step."""
    seen = []
    for epoch in range(EPOCHS):
        rescale(optimizer, [schedule], strategy, model, epoch)
        assert schedule.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        for _ in range(STEPS):
            seen.append(rates(optimizer))
            optimizer.step()
            schedule.step()
    return seen


def made(strategy, schedule, model, lr=LR, **settings):
    optimizer = torch.optim.SGD(optimizer_groups(model, strategy, 0.0, epochs=EPOCHS), lr=lr, **settings)
    scale_rates(optimizer)
    return optimizer, schedule(optimizer, EPOCHS * STEPS)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_goes_on_times_the_factor(schedule):
    model, strategy = classifier("textcnn", "mean"), Changing()
    plain = course(*made(Strategy(), SCHEDULES[schedule], model), Strategy(), model)
    found = course(*made(strategy, SCHEDULES[schedule], model), strategy, model)
    assert len({rates["heads.main.bias"] for rates in plain}) > 1
    for i, (before, after) in enumerate(zip(plain, found)):
        expected = {name: lr * strategy.lr_scale(model, name, i // STEPS) for name, lr in before.items()}
        assert after == pytest.approx(expected, rel=1e-9, abs=1e-15), i


def test_reduce_on_plateau_goes_on_times_the_factor():
    model, strategy = classifier("textcnn", "mean"), Changing()
    optimizer, schedule = made(
        strategy, lambda optimizer, steps: torch_schedules.ReduceLROnPlateau(optimizer, factor=0.1, patience=0), model
    )
    for epoch in range(EPOCHS):
        rescale(optimizer, [schedule], strategy, model, epoch)
        expected = {name: LR * strategy.lr_scale(model, name, epoch) * 0.1**epoch for name in named(model, "")}
        assert rates(optimizer) == pytest.approx(expected)
        if epoch == 0:
            schedule.step(1.0)  # the best so far
        schedule.step(2.0)


@pytest.mark.parametrize("schedule", ["linear", "exponential", "sequential"])
def test_resume_goes_on_with_the_same_bits(schedule):
    model, strategy = classifier("textcnn", "mean"), Changing()

    def run(optimizer, schedule, epochs):
        seen = []
        for epoch in epochs:
            rescale(optimizer, [schedule], strategy, model, epoch)
            for _ in range(STEPS):
                seen.append(rates(optimizer))
                optimizer.step()
                schedule.step()
        return seen

    unbroken = made(strategy, SCHEDULES[schedule], model)
    expected = run(*unbroken, range(EPOCHS))
    optimizer, schedule_ = made(strategy, SCHEDULES[schedule], model)
    run(optimizer, schedule_, range(2))
    saved = io.BytesIO()
    torch.save([optimizer.state_dict(), schedule_.state_dict()], saved)
    saved.seek(0)
    again = made(strategy, SCHEDULES[schedule], model)
    for one, state in zip(again, torch.load(saved, weights_only=True)):
        one.load_state_dict(state)
    assert run(*again, range(2, EPOCHS)) == expected[2 * STEPS :]
    rescale(again[0], [again[1]], strategy, model, EPOCHS - 1)
    assert rates(again[0]) == rates(unbroken[0]), "a factor that is in force already changes nothing"


def test_muon_and_its_adamw_both_follow():
    model, strategy = (
        classifier("transformer", "mean"),
        EmbeddingFirst(first_scale=4, embedding_scale=2, body_scale=0.5),
    )
    make = partial(MuonWithAdamW, lr=0.02, adamw_lr=0.001)
    optimizer = scale_rates(make(optimizer_groups(model, strategy, 0.1, epochs=2)))
    matrix, norm = "encoder.layers.layers.0.linear1.weight", "encoder.layers.norm.weight"
    found = rates(optimizer)
    assert found[matrix] == pytest.approx(0.08)
    assert found[norm] == pytest.approx(0.004)
    rescale(optimizer, [], strategy, model, 1)
    found = rates(optimizer)
    assert found.keys() == named(model, "")
    assert found[matrix] == pytest.approx(0.01)
    assert found["embedding.lookup.weight"] == pytest.approx(0.002)
    assert found[norm] == pytest.approx(0.0005)


def test_a_rate_is_the_size_of_the_step():
    """SGD: half the factor, half the way."""
    ways = []
    for scale in (1.0, 0.5):
        model, strategy = classifier("textcnn", "mean").double(), EmbeddingFirst(embedding_scale=scale)
        optimizer, _ = made(strategy, Constant(), model)
        rescale(optimizer, [], strategy, model, 1)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        step(model, strategy, 1, optimizer)
        ways.append({name: p.detach() - before[name] for name, p in model.named_parameters()})
    for name, way in ways[1].items():
        expected = ways[0][name] * (0.5 if name.startswith("embedding.") else 1.0)
        assert torch.allclose(way, expected, atol=1e-14), name
