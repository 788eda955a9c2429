"""Plans in words."""

from dataclasses import replace

import pytest

from lexigraft.training.memory.plan import MemoryPlan
from lexigraft.training.memory.remedies import Remedies, Remedy
from lexigraft.training.memory.telling import fits, plan_text, require_fitting, size

GB = 10**9
PLAN = MemoryPlan(
    weights=4 * GB, gradients=4 * GB, optimizer=8 * GB, averages=0, activations=12 * GB, working=3 * GB,
    update=GB, evaluation=GB, checkpoint=0, host=0, shape=(64, 512), optimizer_name="AdamW", trained=10**9,
    resting=0, precision="32", devices=1, where="on GPU 0", free=24 * GB, held=0,
)  # fmt: skip
FOUND = Remedies(
    (
        Remedy("hardware.precision=bf16-mixed finetune=lora", 9 * GB),
        Remedy("trainer.batch_size=16 trainer.accumulate=4", 12 * GB),
    ),
    None,
)


def test_what_does_not_fit_is_refused_with_what_would():
    with pytest.raises(ValueError, match="training needs") as caught:
        require_fitting(PLAN, FOUND)
    assert str(caught.value) == (
        "training needs about 31.0 GB on GPU 0, but 24.0 GB can be taken: it fits with hardware.precision=bf16-mixed "
        "finetune=lora (9.0 GB), or trainer.batch_size=16 trainer.accumulate=4 (12.0 GB)"
    )


def test_what_hardly_fits_is_warned_of():
    tight = replace(PLAN, free=32 * GB)
    assert require_fitting(tight).startswith("training needs about 31.0 GB on GPU 0, of 32.0 GB that can be taken")
    near = replace(PLAN, free=28 * GB)
    assert require_fitting(near).startswith("training needs about 31.0 GB on GPU 0, but 28.0 GB can be taken")


@pytest.mark.parametrize("left", [40 * GB, None])
def test_what_fits_is_not_mentioned(left):
    assert require_fitting(replace(PLAN, free=left)) is None


def test_what_nothing_makes_fit():
    least = Remedies((), Remedy("finetune=frozen", 26 * GB))
    assert fits(PLAN, least).endswith("and even finetune=frozen needs 26.0 GB: use a smaller model")
    assert fits(PLAN, Remedies((), None)).endswith("can be taken: use a smaller model")


def test_lines_are_aligned_and_name_the_parts():
    assert plan_text(PLAN).splitlines() == [
        "memory      31.0 GB of 24.0 GB on GPU 0",
        "  weights       4.0 GB",
        "  gradients     4.0 GB  of 1,000,000,000 trained numbers",
        "  optimizer     8.0 GB  AdamW",
        "  activations  15.0 GB  64 texts of 512 tokens, 32",
    ]


def test_lines_for_what_is_not_always_there():
    whole = replace(PLAN, averages=GB, resting=GB, checkpoint=16 * GB, devices=2, free=None, where="on the CPU")
    lines = plan_text(whole).splitlines()
    assert lines[0] == "memory      33.0 GB on the CPU, each of 2"
    assert lines[1] == "  weights       4.0 GB  with those of rows that rest"
    assert lines[4] == "  average       1.0 GB  a second set of weights"
    assert lines[6].startswith("  checkpoint   16.0 GB  read at the end")


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 kB"), (1600, "2 kB"), (999_400, "999 kB"), (2_600_000, "3 MB"), (999_600_000, "1.0 GB"), (3e11, "300 GB")],
)
def test_sizes(count, told):
    assert size(count) == told
