"""CLP-Transfer agrees with its formula, written out in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lexigraft.transplant.clp import clp
from lexigraft.transplant.engine import Transplant
from lexigraft.transplant.statistics import normal
from tests.transplant.matrices import word_matrix
from tests.transplant.test_knn import NEW, SHARED, ask, donor_matrix, place, word_tokenizer


def oracle(source_rows, gap):
    donor = gap.spaces["donor"]
    p = donor.rows[[place(donor, word) for word in SHARED]].double()
    t = donor.rows[[place(donor, word) for word in NEW]].double()
    cosines = torch.nn.functional.normalize(t) @ torch.nn.functional.normalize(p).T
    weights = cosines.clamp(min=0)
    return weights / weights.sum(1, keepdim=True), source_rows[[place(gap.source, word) for word in SHARED]].double()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_are_means_of_all_shared_rows_by_positive_cosine(dtype):
    gap = ask(donor_matrix(dtype=dtype), word_matrix(["<unk>", "mine", *SHARED], dim=5, dtype=dtype))
    filled = clp(gap)
    assert filled.done.sum() == len(NEW)
    weights, rows = oracle(gap.source.rows, gap)
    assert (weights == 0).any()
    made = filled.rows(gap.source.rows)
    assert made.dtype == dtype
    accuracy = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(made.double(), weights @ rows, rtol=accuracy, atol=accuracy)


def test_without_negative_cosines_it_is_the_published_formula():
    donor = donor_matrix()
    donor.rows.abs_()
    gap = ask(donor)
    p, t = (donor.rows[[place(donor, word) for word in words]].double() for words in (SHARED, NEW))
    cosines = (t @ p.T) / t.norm(dim=1)[:, None] / p.norm(dim=1)
    rows = gap.source.rows[[place(gap.source, word) for word in SHARED]].double()
    expected = (cosines / cosines.sum(1, keepdim=True)) @ rows
    torch.testing.assert_close(clp(gap).rows(gap.source.rows), expected.float(), rtol=1e-5, atol=1e-5)


def test_provenance_has_the_ten_strongest_with_a_sum_of_one():
    gap = ask(donor_matrix())
    made_of = clp(gap).made_of
    weights, _ = oracle(gap.source.rows, gap)
    expected, order = weights.sort(dim=1, descending=True)
    for i in range(len(NEW)):
        at = slice(made_of.start[i], made_of.start[i + 1])
        words = [gap.source.vocabulary[int(j)].surface.decode() for j in made_of.source[at]]
        assert words == [SHARED[j] for j in order[i, :10]]
        np.testing.assert_allclose(made_of.weight[at], expected[i, :10] / expected[i, :10].sum(), rtol=1e-5)


def test_vectors_that_are_none_and_tokens_unlike_all_are_declined():
    donor = donor_matrix()
    donor.rows.abs_()
    donor.rows[place(donor, "n1")] *= -1
    donor.rows[place(donor, "n2")] = 0
    donor.rows[place(donor, "s5"), 0] = torch.nan
    gap = ask(donor)
    filled = clp(gap)
    served = [t.surface.decode() for t, is_done in zip(gap.tokens, filled.done, strict=True) if is_done]
    assert served == ["n0", "n3", "n4", "n5"]
    assert filled.notes == {"anchors": 39, "tokens without a vector": 3}
    assert torch.isfinite(filled.rows(gap.source.rows)).all()


def test_blocks_change_nothing(monkeypatch):
    gap = ask(donor_matrix())
    whole = clp(gap).rows(gap.source.rows)
    monkeypatch.setattr("lexigraft.transplant.clp.KEYS", 7)
    monkeypatch.setattr("lexigraft.transplant.clp.QUERIES", 2)
    torch.testing.assert_close(clp(gap).rows(gap.source.rows), whole, rtol=0, atol=1e-6)


def test_no_anchors_serve_nobody():
    filled = clp(ask(donor_matrix(), word_matrix(["other"], dim=5)))
    assert not filled.done.any()


def test_an_untied_head_and_its_bias_are_filled_too():
    plain = word_matrix(["<pad>", "<unk>", *SHARED], dim=5)
    source = replace(plain, output_rows=plain.rows.flip(0).contiguous(), output_bias=torch.arange(42.0))
    donor = donor_matrix()
    target = word_tokenizer(["<pad>", "<unk>", *SHARED, *NEW])
    done = Transplant(fill=[clp, normal], spaces={"donor": donor})(source, target, 0)
    gap = ask(donor, source)
    weights, rows = oracle(source.output_rows, gap)
    torch.testing.assert_close(done.matrix.output_rows[42:], (weights @ rows).float(), rtol=1e-4, atol=1e-5)
    sums = clp(gap).made_of.apply(source.output_bias[:, None])[:, 0]
    torch.testing.assert_close(done.matrix.output_bias[42:], sums)
    assert sums.min() > 2
