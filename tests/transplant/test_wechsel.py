import dataclasses

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes

from lexigraft.transplant.wechsel import wechsel
from tests.transplant.gaps import make_gap
from tests.transplant.matrices import word_matrix, word_tokenizer

ENGLISH = [f"e{i}" for i in range(40)]
GERMAN = [f"g{i}" for i in range(40)]


@pytest.fixture
def dictionary(tmp_path):
    path = tmp_path / "en-de.txt"
    path.write_text("".join(f"e{i}\tg{i}\n" for i in range(20)), encoding="utf-8")
    return path


def rotated_spaces(width=6, noise=0.0):
    """An English space, and a German one that is the same but turned (and wider)."""
    source = word_matrix(ENGLISH, dim=6)
    turn = torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[
        0
    ]
    target = word_matrix(GERMAN, dim=width)
    moved = torch.zeros(40, width, dtype=torch.float64)
    moved[:, :6] = source.rows.double()
    target.rows[:] = (moved @ turn).float() + noise * target.rows
    return {"source_space": source, "target_space": target}


def gap_of(spaces, dtype=torch.float32):
    source = word_matrix(["<pad>", "<unk>", *ENGLISH], dim=5, dtype=dtype)
    target = word_tokenizer(["<pad>", "<unk>", *GERMAN, "unknown"])
    gap = make_gap(source, target, spaces=spaces)
    return dataclasses.replace(gap, ids=np.arange(len(target.vocabulary)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_agree_with_a_float64_oracle(dictionary, dtype):
    spaces = rotated_spaces(noise=0.5)
    gap = gap_of(spaces, dtype)
    filled = wechsel(gap, dictionary, neighbours=7, temperature=0.2)
    assert filled.tier == "wechsel"
    assert filled.done.tolist() == [False, False, *[True] * 40, False]
    assert filled.notes == {"dictionary pairs in both spaces": 20, "tokens without a vector": 3}
    x, y = (
        torch.nn.functional.normalize(spaces[n].rows.double(), dim=1).numpy() for n in ("source_space", "target_space")
    )
    turn, _ = orthogonal_procrustes(x[:20], y[:20])
    likeness = y @ (x @ turn).T
    rows = gap.source.rows[2:].double().numpy()
    for made, cosines in zip(filled.rows.apply(gap.source.rows), likeness):
        best = np.argsort(-cosines)[:7]
        weight = np.exp(cosines[best] / 0.2) / np.exp(cosines[best] / 0.2).sum()
        tolerance = 1e-5 if dtype == torch.float32 else 2e-2
        np.testing.assert_allclose(made.double().numpy(), weight @ rows[best], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("wider", ["source", "target"])
def test_turned_spaces_of_any_width_are_brought_together(dictionary, wider):
    spaces = rotated_spaces(width=9)
    if wider == "source":  # the wider space is the source's: its words take the German one's vectors
        swapped = {n: spaces[o].rows for n, o in (("source_space", "target_space"), ("target_space", "source_space"))}
        spaces = {n: dataclasses.replace(spaces[n], rows=rows) for n, rows in swapped.items()}
    filled = wechsel(gap_of(spaces), dictionary, neighbours=1)
    assert filled.rows.source.tolist() == list(range(2, 42))


def test_huge_and_broken_words_do_not_turn_the_map(dictionary):
    spaces = rotated_spaces()
    spaces["source_space"].rows[0] = torch.tensor([1e6, 0, 0, 0, 0, 0])
    spaces["target_space"].rows[1] = float("nan")
    filled = wechsel(gap_of(spaces), dictionary, neighbours=1)
    assert not filled.done[3]
    assert filled.rows.source.tolist()[1:] == list(range(4, 42))


def test_the_same_rows_on_every_call(dictionary):
    spaces = rotated_spaces(noise=0.5)
    one, other = wechsel(gap_of(spaces), dictionary), wechsel(gap_of(spaces), dictionary)
    assert np.array_equal(one.rows.source, other.rows.source)
    assert np.array_equal(one.rows.weight, other.rows.weight)


def test_missing_parts_are_named(dictionary, tmp_path):
    spaces = rotated_spaces()
    with pytest.raises(ValueError, match="needs a further matrix 'source_space'"):
        wechsel(gap_of({}), dictionary)
    with pytest.raises(ValueError, match="needs a further matrix 'target_space'"):
        wechsel(gap_of({"source_space": spaces["source_space"]}), dictionary)
    with pytest.raises(FileNotFoundError, match=r"none.txt does not exist"):
        wechsel(gap_of(spaces), tmp_path / "none.txt")
    with pytest.raises(ValueError, match=r"temperature=0 of wechsel should be a positive number"):
        wechsel(gap_of(spaces), dictionary, temperature=0)


def test_spaces_that_know_no_token_are_an_error(dictionary):
    gap = gap_of(rotated_spaces())
    with pytest.raises(ValueError, match="wechsel found no vector for any of 2 target tokens"):
        wechsel(dataclasses.replace(gap, ids=gap.ids[[0, -1]]), dictionary)
