import pytest
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.untrained import untrained
from lexigraft.vocab.vocabulary import UNUSED, Token, Vocabulary


def source(rows, unused=(), unreachable=(), output_rows=None):
    tokens = tuple(Token(b"", None, UNUSED) if i in unused else Token(f"t{i}".encode(), True) for i in range(len(rows)))
    return EmbeddingMatrix(Vocabulary(tokens, unreachable=frozenset(unreachable)), rows, {}, output_rows=output_rows)


@pytest.fixture
def rows():
    """200 trained rows of width 32 around a mean that is not zero."""
    return torch.randn(200, 32, generator=torch.Generator().manual_seed(0)) + 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_trained_rows_are_left_alone(rows, dtype):
    assert untrained(source(rows.to(dtype))) == {}


def test_short_rows_and_rows_at_the_mean(rows):
    rows[[3, 4]] *= torch.tensor([[0.01], [0.2]])
    rows[7] = rows.mean(0) + 0.01 * torch.randn(32)
    found = untrained(source(rows))
    assert found == {3: "short row", 4: "short row", 7: "row close to the mean"}
    assert next(iter(found)) in (3, 7)  # the clearest first
    assert list(found).index(4) == 2


def test_rows_like_those_that_are_known_to_be_unused(rows):
    start = torch.randn(32, generator=torch.Generator().manual_seed(2))
    rows[:40] = start + 0.4 * torch.randn(40, 32, generator=torch.Generator().manual_seed(1))
    unused, unreachable = range(12), range(12, 24)
    found = untrained(source(rows, unused, unreachable))
    assert len(found) >= 8
    assert set(found) <= set(range(24, 40))
    assert set(found.values()) == {"row like the unused ones"}


def test_unused_rows_that_look_like_all_others_tell_nothing(rows):
    assert untrained(source(rows, unused=range(20))) == {}


def test_a_few_unused_rows_are_too_few(rows):
    rows[:20] = torch.randn(32) + 0.4 * torch.randn(20, 32)
    assert untrained(source(rows, unused=range(5))) == {}


def test_output_rows_are_looked_at_too(rows):
    output = rows.clone()
    output[5] = output.mean(0)
    assert untrained(source(rows, output_rows=output)) == {5: "output row close to the mean"}


def test_nan_rows_and_tiny_vocabularies_do_no_harm(rows):
    rows[1, 1] = float("nan")
    assert untrained(source(rows)) == {}
    assert untrained(source(rows[:1])) == {}
    assert untrained(source(torch.zeros(3, 2))) != {}
