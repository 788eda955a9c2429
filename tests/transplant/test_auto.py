import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from lexigraft.transplant.auto import Auto, half_width
from lexigraft.transplant.engine import Copy, Transplant
from lexigraft.transplant.filling import Filled, everything
from lexigraft.transplant.statistics import mean, normal, zero
from tests.transplant.matrices import word_matrix, word_tokenizer

WORDS = ["<pad>", "<unk>", "the", "film"]
SOURCE, TARGET = word_matrix(WORDS), word_tokenizer([*WORDS, "book"])


def donor(gap):
    rows = gap.space("donor").rows[:1]
    return Filled("donor", everything(gap), lambda like: rows.expand(len(gap.ids), -1))


def text(gap):
    gap.need_texts("this test's method")
    return mean(gap)


def without_extra(gap):
    raise ImportError("this needs an extra: pip install 'lexigraft[vectors]'")


CANDIDATES = {
    "zero": Transplant([zero]),
    "mean": Transplant([mean]),
    "normal": Transplant([normal]),
    "donor": Transplant([donor], spaces=None),
    "text": Transplant([text]),
    "extra": Transplant([without_extra]),
}


def probe(made, seed):
    """Best where the new token's row is the mean of the source's; a term of the seed alone is common to all."""
    row, expected = made.matrix.rows[-1], SOURCE.rows.mean(0)
    return float((row - expected).norm()) + seed


def auto(**options):
    return Auto(**{"candidates": CANDIDATES, **options})


def test_the_candidate_with_the_least_loss_is_taken():
    choice = auto()(SOURCE, TARGET, probe=probe)
    made, expected = choice.method(SOURCE, TARGET, 7), CANDIDATES["mean"](SOURCE, TARGET, 7)
    assert torch.equal(made.matrix.rows, expected.matrix.rows)
    report = choice.report
    assert report["chosen"] == "mean"
    assert [row["method"] for row in report["tried"]] == ["mean", "zero", "normal"]
    assert report["steps"] == 50


def test_means_and_intervals_over_seeds_agree_with_scipy():
    report = auto(seeds=[3, 5, 8, 9])(SOURCE, TARGET, probe=probe).report
    best, other = report["tried"][0], report["tried"][2]
    losses = np.array([probe(CANDIDATES["normal"](SOURCE, TARGET, s), s) for s in (3, 5, 8, 9)])
    np.testing.assert_allclose(other["losses"], losses)
    low, high = stats.t.interval(0.95, 3, losses.mean(), stats.sem(losses))
    assert other["mean"] == pytest.approx(losses.mean())
    assert other["half_width"] == pytest.approx((high - low) / 2)
    paired = stats.ttest_rel(losses, best["losses"]).confidence_interval(0.95)
    assert other["behind"] == pytest.approx((paired.low + paired.high) / 2)
    assert other["behind_half_width"] == pytest.approx((paired.high - paired.low) / 2)
    # What the seed adds to all is no part of the difference.
    assert best["behind"] == best["behind_half_width"] == 0.0
    assert best["half_width"] > 1


def test_one_seed_has_no_interval():
    assert half_width(np.array([1.0])) is None
    assert auto(seeds=[0])(SOURCE, TARGET, probe=probe).report["tried"][0]["half_width"] is None


def test_what_the_inputs_do_not_allow_is_left_out_with_its_reason():
    left_out = auto()(SOURCE, TARGET, probe=probe).report["left_out"]
    assert set(left_out) == {"donor", "text", "extra"}
    assert left_out["donor"].startswith("this transplant needs a further matrix 'donor'")
    assert left_out["text"].startswith("this test's method learns from texts")
    assert left_out["extra"] == "this needs an extra: pip install 'lexigraft[vectors]'"


def test_texts_and_further_matrices_are_handed_on():
    choice = auto(spaces={"donor": SOURCE})(SOURCE, TARGET, ["a book"], probe=lambda made, seed: made.matrix.rows.sum())
    assert set(choice.report["left_out"]) == {"extra"}
    only = auto(candidates={"donor": CANDIDATES["donor"]}, spaces={"donor": SOURCE})(SOURCE, TARGET, probe=probe)
    assert torch.equal(only.method(SOURCE, TARGET, 0).matrix.rows[-1], SOURCE.rows[0])


def test_a_candidate_s_own_matrices_stay():
    own = {"donor": dataclasses.replace(CANDIDATES["donor"], spaces={"donor": SOURCE})}
    other = word_matrix(["x", "y", "z"])
    choice = auto(candidates=own, spaces={"donor": other})(SOURCE, TARGET, probe=probe)
    assert torch.equal(choice.method(SOURCE, TARGET, 0).matrix.rows[-1], SOURCE.rows[0])


def test_a_candidate_may_be_anything_that_transplants():
    choice = auto(candidates={"copy": Copy()})(SOURCE, word_tokenizer(WORDS), probe=lambda made, seed: 1.0)
    assert isinstance(choice.method, Copy)
    assert choice.report["tried"][0]["coverage"] == 1.0


def test_coverage_counts_rows_that_carry_something():
    tried = auto(spaces={"donor": SOURCE})(SOURCE, TARGET, probe=probe).report["tried"]
    coverage = {row["method"]: row["coverage"] for row in tried}
    assert coverage["donor"] == 1.0
    assert 0 < coverage["mean"] < 1


def test_a_loss_that_is_not_finite_is_left_out():
    diverging = {"mean": CANDIDATES["mean"], "zero": CANDIDATES["zero"]}

    def once(made, seed):
        return float("nan") if not made.matrix.rows[-1].any() else 1.0

    report = auto(candidates=diverging)(SOURCE, TARGET, probe=once).report
    assert report["left_out"] == {"zero": "its loss in the probe was nan"}


def test_an_error_of_the_probe_is_no_reason_to_leave_a_candidate_out():
    def broken(made, seed):
        raise ValueError("the probe is broken")

    with pytest.raises(ValueError, match="the probe is broken"):
        auto()(SOURCE, TARGET, probe=broken)


def test_a_line_is_told_for_every_candidate():
    lines = []
    auto()(SOURCE, TARGET, probe=probe, measure="bits per byte", told=lines.append)
    assert len(lines) == len(CANDIDATES)
    assert lines[0].startswith("auto        zero: bits per byte ")
    assert lines[-1] == "auto        extra: left out"


def test_nothing_that_can_be_used_is_an_error():
    with pytest.raises(ValueError, match="none of transplant.candidates can be used here; donor, for example: this"):
        auto(candidates={"donor": CANDIDATES["donor"]})(SOURCE, TARGET, probe=probe)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": {}}, "transplant.candidates is empty"),
        ({"seeds": []}, r"transplant.seeds=\[\] was given: one or more"),
        ({"seeds": [1, 1]}, "one or more different seeds"),
        ({"steps": 0}, "transplant.steps=0 was given"),
    ],
)
def test_settings_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        auto(**options)
