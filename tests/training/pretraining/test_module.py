import math
from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import Dataset

from lexigraft.data.batches import NOT_COUNTED, BucketedBatches, train_loader
from lexigraft.training.finetune.phases import EmbeddingFirst
from lexigraft.training.pretraining.module import PretrainingModule, summed
from lexigraft.training.pretraining.objectives import Causal, Masked, Replaced
from lexigraft.training.schedule import Constant
from lexigraft.training.strategy import Strategy
from tests.models.languages import ours, replaced
from tests.training.tiny import trainer

MASK_ID = 1


class Rows(Dataset):
    """Texts in which each word is followed by the next one, some of them masked, or for the next to be said."""

    def __init__(self, count, *, causal=False):
        random = np.random.default_rng(count)
        self.lengths = random.integers(4, 9, count)
        self.first = random.integers(2, 20, count)
        self.causal = causal

    def __len__(self):
        return len(self.lengths)

    def __getitems__(self, indices):
        lengths = self.lengths[indices]
        columns = np.arange(lengths.max())
        mask = columns < lengths[:, None]
        ids = np.where(mask, self.first[indices][:, None] + columns, 0)
        if self.causal:
            labels = np.where(columns < lengths[:, None] - 1, ids + 1, NOT_COUNTED)
        else:
            chosen = (columns + np.array(indices)[:, None]) % 4 == 1
            labels = np.where(chosen & mask, ids, NOT_COUNTED)
            ids = np.where(labels >= 0, MASK_ID, ids)
        arrays = {"input_ids": ids, "mask": mask, "labels": labels, "index": np.array(indices)}
        return {name: torch.from_numpy(array) for name, array in arrays.items()} | {"task": "main"}


class Data(pl.LightningDataModule):
    def __init__(self, causal=False, batch_size=8, dev_size=8):
        super().__init__()
        self.train, self.dev = Rows(48, causal=causal), Rows(16, causal=causal)
        self.batches, self.dev_size = BucketedBatches(self.train.lengths, batch_size, seed=0), dev_size

    def train_dataloader(self):
        return train_loader(self.train, self.batches)

    def val_dataloader(self):
        places = np.arange(16).reshape(-1, self.dev_size).tolist()
        return train_loader(self.dev, places)


def module_of(model, objective, lr=0.01, finetune=None, **options):
    optimizer = partial(torch.optim.AdamW, lr=lr)
    schedule = Constant()
    strategy = finetune or Strategy()
    return PretrainingModule(model.train(), objective, optimizer, schedule, strategy, tokens_per_byte=0.5, **options)


def fitted(module, data, folder, epochs=3):
    run = trainer(folder, epochs=epochs)
    run.fit(module, data)
    return {name: float(value) for name, value in run.callback_metrics.items()}


STEADY = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
CASES = {
    "masked": (lambda: ours("bert", **STEADY), Masked()),
    "causal": (lambda: ours("gpt2", embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0), Causal()),
    "replaced": (lambda: ours("electra", "replaced", **STEADY), Replaced(weight=1.0)),
}


@pytest.mark.parametrize("kind", CASES)
def test_training_lowers_the_loss_on_held_out_text(kind, tmp_path):
    make, objective = CASES[kind]
    before = fitted(module_of(make(), objective, lr=0.0), Data(kind == "causal"), tmp_path, epochs=1)
    module = module_of(make(), objective)
    after = fitted(module, Data(kind == "causal"), tmp_path, epochs=5)
    assert {f"dev/{name}" for name in objective.monitors} <= set(after)
    assert after["dev/loss"] < before["dev/loss"]
    assert after["dev/bits_per_byte"] == pytest.approx(after["dev/loss"] / math.log(2) / 2)
    assert not module.model.embedding.lookup.weight[0].any()


def test_metrics_do_not_depend_on_how_dev_texts_are_batched(tmp_path):
    found = [
        fitted(module_of(ours("bert"), Masked(), lr=0.0), Data(dev_size=size), tmp_path, epochs=1) for size in (2, 16)
    ]
    assert found[0]["dev/loss"] == pytest.approx(found[1]["dev/loss"], rel=1e-6)
    assert found[0]["dev/accuracy"] == found[1]["dev/accuracy"]


@pytest.mark.parametrize("kind", CASES)
def test_training_batches_in_parts_is_training_them_whole(kind, tmp_path):
    make, objective = CASES[kind]
    states = []
    for size in (None, 3):
        model = make()
        if kind == "replaced":  # what is drawn must not depend on how many draw at once
            with torch.no_grad():
                model.heads["generator"].head.bias[9] = 1e3
        module = module_of(model, objective, micro_batch=size)
        module._optimizer = partial(torch.optim.SGD, lr=0.05)
        fitted(module, Data(kind == "causal"), tmp_path, epochs=1)
        states.append(model.state_dict())
    for name, whole in states[0].items():
        assert torch.allclose(states[1][name], whole, atol=1e-4), name


def test_phases_move_the_embedding_before_the_body(tmp_path):
    module = module_of(ours("bert"), Masked(), finetune=EmbeddingFirst(epochs=1))
    body = {name: p.detach().clone() for name, p in module.model.encoder.named_parameters()}
    fitted(module, Data(), tmp_path, epochs=1)
    assert all(torch.equal(p, body[name]) for name, p in module.model.encoder.named_parameters())
    fitted(module_of(module.model, Masked()), Data(), tmp_path, epochs=1)
    assert not all(torch.equal(p, body[name]) for name, p in module.model.encoder.named_parameters())


def test_two_runs_are_equal_to_the_bit(tmp_path):
    states = []
    for _ in range(2):
        model = replaced()
        torch.manual_seed(3)
        fitted(module_of(model, Replaced()), Data(), tmp_path, epochs=1)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_sums_count_each_batch_once_in_the_order_of_places():
    a, b = (torch.tensor(sums, dtype=torch.float64) for sums in ([8.0, 0.1, 1.0], [0.0, 0.2, 2.0]))
    assert summed([a, b, a]) == summed([b, a]) == [0.2 + 0.1, 3.0]
