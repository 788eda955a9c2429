"""Language models through `fit`: resumed to the bit, under the strategies of fine-tuning."""

import io

import numpy as np
import pytest
import torch
from rich.console import Console

from lexigraft.models.stages import Stages
from lexigraft.process_group import place
from lexigraft.training.averaging import ema
from lexigraft.training.finetune.adapters import LoRA
from lexigraft.training.finetune.layerwise import LayerwiseDecay
from lexigraft.training.finetune.phases import EmbeddingFirst
from lexigraft.training.finetune.transfer import Transfer
from lexigraft.training.fit import fit
from lexigraft.training.muon import MuonWithAdamW
from lexigraft.training.pretraining.module import PretrainingModule
from lexigraft.training.schedule import Cosine
from tests.models.languages import SIZE, ours
from tests.training.distributed.forked import together
from tests.training.pretraining.test_ranks import data_of, model_of


def adamw(groups):
    return torch.optim.AdamW(groups, lr=0.01)


def module_of(model, objective, data, strategy, optimizer=adamw):
    strategy.prepare(model, torch.arange(model.embedding.lookup.num_embeddings) % 3 == 1)
    per_byte = data.tokens_per_byte
    return PretrainingModule(
        model.train(), objective, optimizer, Cosine(), strategy, tokens_per_byte=per_byte, weight_decay=0.1
    )


def fresh(kind, tokenizer, corpus):
    objective, model = model_of(kind, tokenizer)
    if kind == "replaced":
        model.heads["generator"].head.bias.data.zero_()
    data = data_of(objective, tokenizer, corpus, pack=kind != "causal")
    made = module_of(model, objective, data, EmbeddingFirst(epochs=1))
    return {"made": made, "data": data, "averaging": ema(0.9)}


class Killed(Exception):
    """What ends training here in the place of a signal."""


def train(folder, made, data, *, kill=None, epochs=3, **settings):
    """Train; `kill` is a hook of the module and the batch of the second epoch at which that ends it."""
    if kill is not None:
        hook, at = kill

        def killing(batch, batch_idx, *others):
            if (made.current_epoch, batch_idx) == (1, at):
                raise Killed

        setattr(made, hook, killing)
    torch.manual_seed(1)
    return fit(
        made, data, checkpoints=folder / "checkpoints", loggers=[], console=Console(file=io.StringIO()), bar=False,
        accelerator="cpu", epochs=epochs, patience=None, monitor="loss", checkpoint_every=1e-9 if kill else None,
        **{"devices": 1, "precision": "32", **settings},
    )  # fmt: skip


PLACES = {
    "masked": ("on_validation_batch_start", 0),
    "replaced": ("on_train_batch_start", 1),
    "causal": ("on_train_batch_start", 2),
}


@pytest.mark.parametrize("kind", PLACES)
def test_resumed_pretraining_ends_with_the_same_bits(kind, wordpiece, corpus, tmp_path):
    straight, resumed = (fresh(kind, wordpiece, corpus) for _ in range(2))
    expected = train(tmp_path / "straight", **straight)
    random = torch.rand(3)
    with pytest.raises(Killed):
        train(tmp_path / "killed", **fresh(kind, wordpiece, corpus), kill=PLACES[kind])
    torch.manual_seed(99)
    found = train(tmp_path / "killed", **resumed)
    assert torch.equal(torch.rand(3), random)
    assert found.history == expected.history
    ended = straight["made"].state_dict()
    assert all(torch.equal(weight, ended[name]) for name, weight in resumed["made"].state_dict().items())
    assert {"dev_loss", "dev_bits_per_byte", "dev_accuracy"} <= set(expected.history[0])


def rank_fits(kind, tokenizer, corpus, folder, strategy="ddp"):
    """The weights that a run ends with, in the first of its ranks, and its history."""
    objective, model = model_of(kind, tokenizer)
    here = place()
    rank, ranks = (0, 1) if here is None else (here.rank, here.ranks)
    data = data_of(objective, tokenizer, corpus, rank=rank, ranks=ranks)
    made = module_of(model, objective, data, EmbeddingFirst(epochs=1), lambda groups: torch.optim.SGD(groups, lr=0.05))
    fitted = train(folder, made, data, epochs=2, devices=ranks, strategy=strategy)
    weights = {name: weight.numpy() for name, weight in made.model.state_dict().items()} if rank == 0 else {}
    return weights, fitted.history


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_learn_what_one_does(strategy, wordpiece, corpus, tmp_path):
    expected, alone = rank_fits("replaced", wordpiece, corpus, tmp_path / "one")
    (found, history), _ = together(rank_fits, "replaced", wordpiece, corpus, tmp_path / "two", strategy)
    for name, weight in expected.items():
        assert np.abs(found[name] - weight).max() <= 1e-4, name
    assert [row["dev_loss"] for row in history] == pytest.approx([row["dev_loss"] for row in alone], rel=1e-4)


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("kind", ["causal", "replaced"])
def test_half_precision(kind, precision, wordpiece, corpus, tmp_path):
    given = fresh(kind, wordpiece, corpus)
    fitted = train(tmp_path, given["made"], given["data"], precision=precision, epochs=1)
    full = train(tmp_path / "full", **fresh(kind, wordpiece, corpus), epochs=1)
    assert fitted.history[0]["dev_loss"] == pytest.approx(full.history[0]["dev_loss"], rel=0.1)


def test_only_new_rows_move_at_first_though_all_are_answers(wordpiece, corpus, tmp_path):
    objective, model = model_of("masked", wordpiece)
    data, rows = data_of(objective, wordpiece, corpus), model.embedding.lookup.weight.detach().clone()
    made = module_of(model, objective, data, Transfer(rows="new", epochs=1))
    train(tmp_path, made, data, epochs=1)
    new = torch.arange(len(rows)) % 3 == 1
    moved = (model.embedding.lookup.weight != rows).any(1)
    assert not moved[~new].any()
    assert moved[new & (torch.arange(len(rows)) != wordpiece.pad_id)].float().mean() > 0.9


def test_adapters_are_merged_at_the_end(wordpiece, corpus, tmp_path):
    pytest.importorskip("peft")
    objective, model = model_of("masked", wordpiece)
    names, data = set(model.state_dict()), data_of(objective, wordpiece, corpus)
    made = module_of(model, objective, data, LoRA(r=2))
    assert set(model.state_dict()) != names
    train(tmp_path, made, data, epochs=1)
    made.finish()
    assert set(model.state_dict()) == names


def test_muon_and_rates_by_layer(wordpiece, corpus):
    objective, model = model_of("masked", wordpiece)
    data = data_of(objective, wordpiece, corpus)
    made = module_of(model, objective, data, LayerwiseDecay(decay=0.5), optimizer=MuonWithAdamW)
    optimizer = made.made_optimizer(1)
    assert [type(each).__name__ for each in optimizer.optimizers] == ["Muon", "AdamW"]
    scales = {name: group["lr_scale"] for group in optimizer.param_groups for name in group["names"]}
    assert scales["heads.main.bias"] == 1.0
    assert scales["encoder.backbone.encoder.layer.0.output.dense.weight"] == 0.5
    assert scales["embedding.lookup.weight"] == 0.25


def test_the_generator_stands_with_the_heads():
    model = ours("electra", "replaced")
    stages = Stages.of(model)
    assert (stages.layers, stages.top) == (2, 3)
    assert {stages.stage(name) for name, _ in model.named_parameters() if name.startswith("heads.generator")} == {3}
    assert model.embedding.lookup.weight.shape[0] == SIZE
