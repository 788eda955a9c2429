"""What would make a run fit is found by planning again."""

from dataclasses import replace

import pytest
import torch

from lexigraft.training.memory.available import Free
from lexigraft.training.memory.parts import Conditions
from lexigraft.training.memory.plan import plan
from lexigraft.training.memory.remedies import plan_with_remedies, remedies
from lexigraft.training.memory.telling import require_fitting
from lexigraft.training.random_state import random_state
from lexigraft.training.regularise.mixup import Mixup

from .modules import batches, module
from .test_untouched import assert_same, everything

GPU = Conditions(batch_size=8, accelerator="gpu")  # reckoned alike without one


def total(trained, conditions=GPU, data=None):
    return plan(trained, data or batches(), conditions, Free(None, "on GPU 0")).total


def found(trained, free, conditions=GPU, data=None):
    return remedies(trained, data or batches(), conditions, Free(int(free), "on GPU 0"))


def test_rows_come_first_as_they_leave_the_result():
    trained, few = module("mean"), replace(GPU, batch_size=2)
    need = total(trained, few)
    first = found(trained, 0.95 * need, few).fitting[0]
    assert first.settings == "trainer.active_vocabulary=true"
    assert first.total <= 0.9 * 0.95 * need


def test_then_batches_in_parts():
    trained = module("textcnn")
    first, second = found(trained, 0.95 * total(trained)).fitting
    assert first.settings == "trainer.micro_batch=4"
    assert second.settings == "hardware.precision=bf16-mixed"


def test_a_remedy_needs_what_the_run_with_it_needs():
    trained = module("bert")
    need = total(trained)
    [remedy, *_] = [r for r in found(trained, 0.8 * need).fitting if "micro_batch" in r.settings]
    size = int(remedy.settings.split()[0].partition("=")[2])
    assert remedy.total == total(trained, replace(GPU, micro_batch=size))
    [shared, *_] = found(trained, 0.8 * need, replace(GPU, batch_size=16, ranks=2)).fitting
    assert shared.settings == remedy.settings  # of a rank's texts
    [finer, *_] = [
        r for r in found(trained, 0.95 * remedy.total, replace(GPU, micro_batch=4)).fitting if "micro" in r.settings
    ]
    assert finer.settings in ("trainer.micro_batch=2", "trainer.micro_batch=1")


def test_what_cannot_be_trained_in_parts_gets_smaller_batches():
    mixed = module("textcnn", regularisers=[Mixup()])
    assert found(mixed, 0.95 * total(mixed)).fitting[0].settings == "trainer.batch_size=4 trainer.accumulate=2"
    trained, sharded = module("textcnn"), replace(GPU, strategy="fsdp", ranks=2)
    [first, *_] = found(trained, 0.95 * total(trained, sharded), sharded).fitting
    assert first.settings == "trainer.batch_size=4 trainer.accumulate=2"


def test_several_together_where_none_is_enough_and_none_too_many():
    trained = module("bert")
    least = found(trained, 1).least
    assert least is not None
    assert least.settings.startswith(
        "trainer.active_vocabulary=true hardware.precision=bf16-mixed trainer.micro_batch=1"
    )
    [both] = found(trained, 1.2 * least.total).fitting
    assert " " in both.settings
    assert both.total <= 0.9 * 1.2 * least.total


def test_texts_cut_only_if_all_else_is_not_enough():
    long = batches(64)
    settings = [
        r.settings for r in found(module("textcnn"), 0.95 * total(module("textcnn"), data=long), data=long).fitting
    ]
    assert not any("max_tokens" in each for each in settings)


def test_a_bound_on_tokens_is_halved_in_its_own_key():
    data = batches(batch_tokens=240)
    trained = module("transformer")
    settings = [r.settings for r in found(trained, 0.7 * total(trained, data=data), data=data).fitting]
    assert "trainer.batch_tokens=120 trainer.accumulate=2" in settings


def test_a_module_is_left_as_it_was():
    trained = module("bert").eval()
    before, streams = everything(trained), random_state()
    found(trained, 1)
    assert_same(before, everything(trained))
    assert torch.equal(random_state()["torch"], streams["torch"])


def test_what_fits_is_not_tried_further():
    made, none = plan_with_remedies(module(), batches(), GPU, Free(10**12, "on GPU 0"))
    assert none is None
    assert require_fitting(made, none) is None


def test_the_sentence_of_a_real_module():
    trained = module("bert")
    made, ways = plan_with_remedies(trained, batches(), GPU, Free(int(0.8 * total(trained)), "on GPU 0"))
    with pytest.raises(ValueError, match=r"needs about .* on GPU 0, but .* can be taken: .*micro_batch=\d"):
        require_fitting(made, ways)


def test_processes_may_have_a_piece_of_each_weight_where_that_fits():
    trained, two = module("bert"), replace(GPU, batch_size=2, ranks=2)
    need = total(trained, two)
    [remedy, *_] = found(trained, need, two).fitting
    assert remedy.settings == "hardware.strategy=fsdp"
    assert remedy.total == total(trained, replace(two, strategy="fsdp")) <= 0.9 * need
    for other in (replace(two, averaging=True), replace(two, ranks=1), replace(two, strategy="fsdp")):
        assert not any("fsdp" in each.settings for each in found(trained, total(trained, other), other).fitting)
