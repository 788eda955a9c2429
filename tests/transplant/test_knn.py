"""kNN interpolation agrees with its formulas, written row by row in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.knn import knn
from lexigraft.vocab.vocabulary import Vocabulary
from tests.transplant.gaps import make_gap
from tests.transplant.matrices import ROLES, word_matrix, word_tokenizer

SHARED = [f"s{i}" for i in range(40)]
NEW = [f"n{i}" for i in range(6)]
TARGET = ["<pad>", "<unk>", *SHARED, *NEW, "unknown"]
WEIGHTS = ["inverse", "softmax", "barycentric", "least_squares"]


def donor_matrix(dim=6, dtype=torch.float32, scale=1.0, **parts):
    words = ["<pad>", *NEW, *SHARED, "theirs"]
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(len(words), dim, generator=generator) + 0.5
    return EmbeddingMatrix(Vocabulary.of_words(words, ROLES), (rows * scale).to(dtype), {}, **parts)


def ask(donor, source=None, seed=0):
    source = word_matrix(["<pad>", "<unk>", "mine", *SHARED], dim=5) if source is None else source
    return make_gap(source, word_tokenizer(TARGET), spaces={"donor": donor}, seed=seed)


def place(matrix, word):
    return [token.surface.decode() for token in matrix.vocabulary].index(word)


def oracle(source_rows, donor_rows, gap, k, metric, weights, temperature=0.1, new=tuple(NEW)):
    donor, rows = gap.spaces["donor"], []
    p = donor_rows[[place(donor, word) for word in SHARED]].double().numpy()
    s = source_rows[[place(gap.source, word) for word in SHARED]].double().numpy()
    for word in new:
        t = donor_rows[place(donor, word)].double().numpy()
        cosines = p @ t / np.linalg.norm(p, axis=1) / np.linalg.norm(t)
        distances = 1 - cosines if metric == "cosine" else np.linalg.norm(p - t, axis=1)
        near = np.argsort(distances, kind="stable")[:k]
        q, d = p[near], distances[near]
        if metric == "cosine":
            q, t = q / np.linalg.norm(q, axis=1, keepdims=True), t / np.linalg.norm(t)
        if weights == "inverse":
            w = 1 / d / (1 / d).sum()
        elif weights == "softmax":
            z = np.exp((1 - d if metric == "cosine" else -d) / temperature)
            w = z / z.sum()
        elif weights == "least_squares":
            gram = q @ q.T
            w = np.linalg.solve(gram + 1e-3 * np.trace(gram) / len(q) * np.eye(len(q)), q @ t)
        else:
            ridge = 1e-3 * np.trace((q - t) @ (q - t).T) / len(q)
            system = np.ones((len(q) + 1, len(q) + 1))
            system[:-1, :-1] = q @ q.T + ridge * np.eye(len(q))
            system[-1, -1] = 0
            w = np.linalg.solve(system, np.append(q @ t, 1))[:-1]
        rows.append(w @ s[near])
    return torch.from_numpy(np.array(rows))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("k", [1, 4, 20, 40])
def test_rows_are_those_of_the_formula(weights, metric, k):
    gap = ask(donor_matrix())
    filled = knn(gap, k=k, metric=metric, weights=weights, temperature=0.2)
    assert [t.surface.decode() for t, is_done in zip(gap.tokens, filled.done, strict=True) if is_done] == NEW
    assert (np.diff(filled.rows.start) <= k).all()
    rows = filled.rows.apply(gap.source.rows)
    expected = oracle(gap.source.rows, gap.spaces["donor"].rows, gap, k, metric, weights, 0.2)
    torch.testing.assert_close(rows, expected.float(), rtol=1e-4, atol=1e-5)
    if weights != "least_squares":
        np.testing.assert_allclose(np.add.reduceat(filled.rows.weight, filled.rows.start[:-1]), 1, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_dtypes_of_donor_and_source(dtype):
    donor = donor_matrix(dtype=dtype)
    source = word_matrix(["<unk>", *SHARED], dim=5, dtype=dtype)
    gap = ask(donor, source)
    rows = knn(gap, k=8).rows.apply(source.rows)
    assert rows.dtype == dtype
    expected = oracle(source.rows, donor.rows, gap, 8, "cosine", "inverse")
    torch.testing.assert_close(rows.double(), expected, rtol=2e-2, atol=2e-2)


def test_special_tokens_and_those_that_the_donor_lacks_are_declined():
    donor = donor_matrix()
    donor.rows[place(donor, "n2")] = 0
    donor.rows[place(donor, "n4"), 0] = torch.nan
    source = word_matrix(SHARED, dim=5)
    gap = ask(donor, source)
    filled = knn(gap)
    served = [t.surface.decode() for t, is_done in zip(gap.tokens, filled.done, strict=True) if is_done]
    assert served == ["n0", "n1", "n3", "n5"]
    assert filled.notes == {"anchors": 40, "tokens without a vector": 5}  # n2, n4, unknown and two special tokens
    assert torch.isfinite(filled.rows.apply(source.rows)).all()


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_a_vector_that_an_anchor_has_too_gets_its_row(metric):
    donor = donor_matrix()
    donor.rows[place(donor, "n0")] = donor.rows[place(donor, "s7")]
    donor.rows[place(donor, "s9")] = donor.rows[place(donor, "s7")]
    gap = ask(donor)
    filled = knn(gap, k=10, metric=metric)
    source = gap.source
    expected = (source.rows[place(source, "s7")] + source.rows[place(source, "s9")]) / 2
    torch.testing.assert_close(filled.rows.apply(source.rows)[0], expected)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("what", ["duplicates", "one huge", "one tiny", "all equal", "one dimension", "huge query"])
def test_no_weights_blow_up(weights, metric, what):
    donor = donor_matrix(dim=1 if what == "one dimension" else 6)
    shared = [place(donor, word) for word in SHARED]
    if what == "duplicates":
        donor.rows[shared[10:30]] = donor.rows[shared[10]].clone()
        donor.rows[shared[30:]] = donor.rows[shared[10]] * (1 + 1e-6)
    elif what == "one huge":
        donor.rows[shared[3]] *= 1e6
    elif what == "one tiny":
        donor.rows[shared[3]] *= 1e-8
    elif what == "all equal":
        donor.rows[shared] = donor.rows[place(donor, "n1")].clone()
    elif what == "huge query":
        donor.rows[place(donor, "n0")] *= 1e4
    filled = knn(ask(donor), k=40, metric=metric, weights=weights)
    assert filled.done.sum() == 6
    assert np.isfinite(filled.rows.weight).all()
    # |w|^2 <= 1 / (k ridge) + 1 / k with a sum of 1, |t| / (2 sqrt(r)) without; a query far longer than its
    # neighbours needs great weights to be reached
    bound = 16 if what != "huge query" or weights != "least_squares" or metric == "cosine" else 1e5
    assert np.abs(filled.rows.weight).max() <= (33 if weights == "barycentric" else bound)


def test_more_neighbours_than_anchors_and_none_at_all():
    gap = ask(donor_matrix())
    assert (np.diff(knn(gap, k=1000).rows.start) == 40).all()
    alone = ask(donor_matrix(), word_matrix(["other"], dim=5))
    filled = knn(alone)
    assert not filled.done.any()
    assert len(filled.rows) == 0
    donor_without = EmbeddingMatrix(Vocabulary.of_words(SHARED), torch.randn(40, 3), {})
    assert not knn(ask(donor_without)).done.any()


def test_output_rows_are_made_in_the_donor_s_output_space():
    donor = donor_matrix()
    donor = replace(donor, output_rows=donor.rows.flip(0).contiguous())
    donor.output_rows[place(donor, "n3")] = 0
    donor.output_rows[place(donor, "s0")] = 0
    plain = word_matrix(["<pad>", "<unk>", *SHARED], dim=5)
    source = replace(plain, output_rows=plain.rows.flip(1).contiguous())
    gap = ask(donor, source)
    filled = knn(gap, k=5)
    made = filled.output.apply(source.output_rows)
    own = [0, 1, 2, 4, 5]
    without = [word for word in NEW if word != "n3"]
    usable = replace(donor, output_rows=donor.output_rows.clone())
    usable.output_rows[place(donor, "s0")] = -100  # on the far side, instead of none at all
    expected = oracle(source.output_rows, usable.output_rows, gap, 5, "cosine", "inverse", new=without)
    torch.testing.assert_close(made[own], expected.float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(made[3], filled.rows.apply(source.output_rows)[3])
    assert knn(ask(donor_matrix(), source)).output is None
    assert knn(ask(donor, plain)).output is None


def test_small_blocks_and_one_thread_give_the_same(monkeypatch):
    gap = ask(donor_matrix(dim=64))
    whole = knn(gap, k=30, weights="barycentric")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = knn(gap, k=30, weights="barycentric")
    finally:
        torch.set_num_threads(before)
    assert (whole.rows.source == alone.rows.source).all()
    np.testing.assert_allclose(whole.rows.weight, alone.rows.weight, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"weights": "mean"},
            "unknown weights 'mean' for knn: expected inverse, softmax, barycentric or least_squares",
        ),
        ({"metric": "dot"}, "unknown metric 'dot'"),
        ({"temperature": 0.0}, r"temperature of knn is 0.0, but must be above 0"),
        ({"k": 0}, "k is 0"),
    ],
)
def test_what_cannot_be_asked(arguments, message):
    with pytest.raises(ValueError, match=message):
        knn(ask(donor_matrix()), **arguments)


def test_a_missing_donor_is_said_so():
    gap = make_gap(word_matrix(["a"]), word_tokenizer(["a", "b"]))
    with pytest.raises(ValueError, match="needs a further matrix 'donor'"):
        knn(gap)
