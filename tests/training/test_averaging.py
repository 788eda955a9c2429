from functools import partial

import pytest
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

from lexigraft.models.active import activate
from lexigraft.models.parameters import parameter_groups
from lexigraft.tasks.inference import predictions
from lexigraft.training.averaging import ema, none, swa
from lexigraft.training.strategy import Strategy
from tests.training.tiny import batches, module, trainer


class Record(Callback):
    """The weights after every step and after every epoch, and the dev loss of every epoch."""

    def __init__(self):
        self.steps, self.losses = [], []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.steps.append({name: weight.clone() for name, weight in module.model.state_dict().items()})

    def on_validation_end(self, trainer, module):
        self.losses.append(trainer.callback_metrics["dev/loss"].item())


class FromSecondEpoch(Strategy):
    """The embedding rests for an epoch."""

    def apply(self, model, epoch):
        model.requires_grad_(True)
        model.embedding.requires_grad_(epoch > 0)


def train(folder, averaging, epochs=3, trained=None, **settings):
    record, trained = Record(), trained or module()
    saved = ModelCheckpoint(folder, "best", monitor="dev/loss", save_last=True)
    trainer(folder, *[averaging] * bool(averaging), record, saved, epochs=epochs, **settings).fit(
        trained, datamodule=batches()
    )
    return trained, record, torch.load(saved.best_model_path, weights_only=True)


def dev_loss(state):
    """Measured anew, from the weights of a checkpoint."""
    fresh = module()
    fresh.load_state_dict(state)
    data, task = batches(), fresh.tasks["main"]
    scores, labels, _ = predictions(fresh.model, task, data.eval_loader("dev"), torch.device("cpu"))
    return task.evaluate(scores, labels)["loss"]


def by_hand(steps, shares):
    average = dict(steps[0])
    for weights, share in zip(steps[1:], shares):
        average = {name: old + share * (weights[name] - old) for name, old in average.items()}
    return average


def assert_equal(state, average):
    assert {name.removeprefix("model.") for name in state} == set(average)
    for name, weight in state.items():
        assert torch.allclose(weight, average[name.removeprefix("model.")], atol=1e-6), name


@pytest.mark.parametrize("warmup", [False, True])
def test_ema_is_the_average_of_all_steps(tmp_path, warmup):
    trained, record, _ = train(tmp_path, ema(decay=0.7, warmup=warmup))
    assert len(record.steps) == 24
    shares = [1 - min(0.7, (1 + n) / (10 + n)) if warmup else 0.3 for n in range(1, 24)]
    assert_equal(trained.state_dict(), by_hand(record.steps, shares))


def test_ema_every_few_steps(tmp_path):
    trained, record, _ = train(tmp_path, ema(decay=0.7, warmup=False, every=5))
    assert_equal(trained.state_dict(), by_hand(record.steps[4::5], [0.3] * 3))


def test_swa_is_the_mean_of_the_later_epochs_ends(tmp_path):
    trained, record, _ = train(tmp_path, swa(start=0.5), epochs=4)
    ends = record.steps[23], record.steps[31]
    assert_equal(trained.state_dict(), {name: (ends[0][name] + ends[1][name]) / 2 for name in ends[0]})


@pytest.mark.parametrize("averaging", [ema(decay=0.9), swa(start=0.5)])
def test_dev_is_measured_with_the_average_and_the_best_checkpoint_holds_it(tmp_path, averaging):
    _, record, best = train(tmp_path, averaging, epochs=4)
    assert dev_loss(best["state_dict"]) == pytest.approx(min(record.losses), abs=1e-6)
    assert dev_loss(best["current_model_state"]) != pytest.approx(min(record.losses), abs=1e-4)


def test_averaging_does_not_change_how_weights_are_trained(tmp_path):
    _, plain, _ = train(tmp_path / "plain", none())
    _, averaged, _ = train(tmp_path / "ema", ema(decay=0.9))
    for a, b in zip(plain.steps, averaged.steps):
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_before_the_first_average_the_weights_themselves_are_measured_and_saved(tmp_path):
    _, plain, _ = train(tmp_path / "plain", none(), epochs=4)
    _, averaged, _ = train(tmp_path / "swa", swa(start=0.5), epochs=4)
    assert averaged.losses[:2] == plain.losses[:2]
    assert averaged.losses[2] == pytest.approx(plain.losses[2], abs=1e-6)  # the mean of one
    assert averaged.losses[3] != pytest.approx(plain.losses[3], abs=1e-4)

    early, _, saved = train(tmp_path / "early", swa(every=1000))
    assert "current_model_state" not in saved
    assert_equal(early.state_dict(), plain.steps[23])


@pytest.mark.parametrize("make", [partial(ema, decay=0.9), partial(swa, start=0.0)])
def test_a_run_resumed_from_its_last_checkpoint_ends_in_the_same_average(tmp_path, make):
    whole, _, _ = train(tmp_path / "whole", make(), epochs=4)
    train(tmp_path / "half", make(), epochs=2)
    resumed, data = module(), batches()
    data.batches.at(2)
    saver = ModelCheckpoint(tmp_path / "more", "best", monitor="dev/loss", save_last=True)
    trainer(tmp_path, make(), saver, epochs=4).fit(
        resumed, datamodule=data, ckpt_path=tmp_path / "half" / "last.ckpt", weights_only=True
    )
    assert_equal(resumed.state_dict(), {n.removeprefix("model."): w for n, w in whole.state_dict().items()})


def test_rows_that_rest_for_an_epoch_are_averaged_as_they_are(tmp_path):
    trained, record, _ = train(tmp_path, ema(decay=0.7, warmup=False), trained=module(finetune=FromSecondEpoch()))
    rows = [step["embedding.lookup.weight"] for step in record.steps]
    assert torch.equal(rows[0], rows[7])
    assert not torch.equal(rows[0], rows[-1])
    assert_equal(trained.state_dict(), by_hand(record.steps, [0.3] * 23))


def test_steps_are_the_optimizer_s_when_gradients_are_accumulated(tmp_path):
    trained, record, _ = train(tmp_path, ema(decay=0.7, warmup=False), accumulate_grad_batches=4)
    assert_equal(trained.state_dict(), by_hand(record.steps[3::4], [0.3] * 5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ema(decay=1.0), r"averaging\.decay=1\.0 was given; a number between 0 and 1"),
        (lambda: ema(every=0), r"averaging\.every=0 was given; a number of steps from 1 up"),
        (lambda: swa(start=1.0), r"averaging\.start=1\.0 was given; a share of all epochs from 0 up to"),
        (lambda: swa(every=0), r"averaging\.every=0 was given; .* or null"),
    ],
)
def test_senseless_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_weights_in_bf16_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"keeps them in bfloat16, which rounds .*: use bf16-mixed"):
        train(tmp_path, ema(), trained=module().bfloat16())


@pytest.mark.parametrize("make", [partial(ema, decay=0.7), partial(swa, start=0.0)])
def test_active_rows_have_the_average_that_they_have_in_the_whole_matrix(tmp_path, make):
    """With weight decay of the rows, which moves also those that rest."""
    trained = []
    for name in ("whole", "active"):
        made, data = module(), batches()
        for split in data.tasks["main"].values():
            split.encoded.ids[split.encoded.ids >= 16] = 15
        if name == "active":
            activate(made.model.embedding, torch.arange(1, 16))
        made.configure_optimizers = partial(_adamw, made)
        saved = ModelCheckpoint(tmp_path / name, "best", monitor="dev/loss")
        trainer(tmp_path / name, make(), saved).fit(made, datamodule=data)
        best = torch.load(saved.best_model_path, weights_only=True)["state_dict"]
        trained.append((made.state_dict(), best))
    for whole, active in zip(*trained):
        for name, weight in whole.items():
            assert torch.allclose(active[name], weight, atol=1e-5), name
    rested, before = (state["model.embedding.lookup.weight"][17] for state in (trained[1][0], module().state_dict()))
    assert not torch.allclose(rested, before, atol=1e-3)


def _adamw(made):
    return torch.optim.AdamW(parameter_groups(made.model, 0.1, decay_embeddings=True), lr=0.05)
