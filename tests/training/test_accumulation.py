"""Gradients added up over several batches are those of one large batch."""

import pytest
import torch
from pytorch_lightning.callbacks import Callback

from lexigraft.training.regularise.adversarial import FGM
from lexigraft.training.regularise.l2_to_source import L2ToSource
from tests.training.tiny import batches, module, trainer


class InOrder:
    """The same texts in the same order, in batches of any size."""

    def __init__(self, size, texts=64):
        self.size, self.texts = size, texts

    def __len__(self):
        return -(-self.texts // self.size)

    def __iter__(self):
        order = list(range(self.texts))
        yield from (order[i : i + self.size] for i in range(0, self.texts, self.size))


class Steps(Callback):
    def on_train_end(self, trainer, module):
        self.expected, self.taken = trainer.estimated_stepping_batches, trainer.global_step


def trained(folder, size, accumulate, texts=64, regularisers=(), **settings):
    made, data, steps = module(regularisers=regularisers), batches(), Steps()
    for regulariser in regularisers:
        regulariser.start(made.model)
    data.batches = InOrder(size, texts)
    trainer(folder, steps, accumulate_grad_batches=accumulate, **settings).fit(made, datamodule=data)
    return made.model.state_dict(), steps


@pytest.mark.parametrize(
    "make", [list, lambda: [FGM(epsilon=0.3)], lambda: [L2ToSource(0.01)]], ids=["plain", "fgm", "l2"]
)
@pytest.mark.parametrize("clip", [None, "norm", "value"])
def test_four_batches_of_8_are_one_of_32(tmp_path, clip, make):
    settings = {} if clip is None else {"gradient_clip_val": 0.02, "gradient_clip_algorithm": clip}
    large, of_large = trained(tmp_path, 32, 1, regularisers=make(), **settings)
    small, of_small = trained(tmp_path, 8, 4, regularisers=make(), **settings)
    assert of_large.taken == of_small.taken == of_large.expected == of_small.expected == 6
    for name, weight in large.items():
        assert torch.allclose(small[name], weight, atol=1e-6), name


def test_what_is_left_over_at_an_epoch_s_end_makes_a_step_that_the_schedule_counts(tmp_path):
    _, steps = trained(tmp_path, 8, 3)  # 8 batches an epoch: 3 + 3 + 2
    assert steps.taken == steps.expected == 9
