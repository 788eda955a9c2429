import dataclasses

import numpy as np
import pytest
import torch

from lexigraft.transplant.aligned import aligned
from tests.transplant.gaps import make_gap
from tests.transplant.matrices import word_matrix, word_tokenizer

ENGLISH = ["<pad>", "<unk>", "dog", "hound", "cat", "house", "door", "5"]
GERMAN = ["<pad>", "<unk>", "Hund", "Katze", "Haus", "Haustür", "Hau", "Tisch", "5", "Hundekatze"]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "en-de.tsv"
    path.write_text(
        "dog\tHund\t30\nhound\tHund\t10\ncat\tKatze\t20\nhouse\tHaus\t50\ndog\tKatze\t3\nowl\tEule\t40\n",
        encoding="utf-8",
    )
    return path


def gap_of(dtype=torch.float32):
    source = word_matrix(ENGLISH, dim=4, dtype=dtype)
    target = word_tokenizer(GERMAN)
    return dataclasses.replace(make_gap(source, target), ids=np.arange(len(GERMAN)))


def weights(filled, gap):
    names = [token.surface.decode() for token, served in zip(gap.tokens, filled.done) if served]
    made = {}
    for i, name in enumerate(names):
        part = slice(filled.rows.start[i], filled.rows.start[i + 1])
        made[name] = {
            ENGLISH[s]: round(float(w), 6) for s, w in zip(filled.rows.source[part], filled.rows.weight[part])
        }
    return made


def test_ramen_rows_are_the_shares_of_the_counts(table):
    gap = gap_of()
    filled = aligned(gap, table, min_count=0, positional=0, inherit=False)
    assert filled.tier == "aligned"
    assert weights(filled, gap) == {
        "Hund": {"dog": 0.75, "hound": 0.25},
        "Katze": {"cat": round(20 / 23, 6), "dog": round(3 / 23, 6)},
        "Haus": {"house": 1.0},
    }
    assert filled.notes == {"tokens in the table": 3, "tokens declined": 7}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_agree_with_a_float64_oracle(table, dtype):
    gap = gap_of(dtype)
    made = aligned(gap, table, inherit=False).rows.apply(gap.source.rows)
    rows = gap.source.rows.double()
    expected = torch.stack([0.75 * rows[2] + 0.25 * rows[3], rows[4], rows[5]])
    tolerance = 1e-6 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(made.double(), expected, rtol=tolerance, atol=tolerance)


def test_tokens_beyond_the_table_inherit_from_shared_longer_and_shorter_ones(table):
    gap = gap_of()
    filled = aligned(gap, table)
    assert weights(filled, gap) == {
        "Hund": {"dog": 0.75, "hound": 0.25},
        "Katze": {"cat": 1.0},
        "Haus": {"house": 1.0},
        "Haustür": {"house": 1.0},  # holds Haus
        "Hau": {"house": 1.0},  # begins Haus
        "5": {"5": 1.0},  # shared
        "Hundekatze": {"dog": 0.75, "hound": 0.25},  # holds Hund; katze is not Katze
    }
    assert filled.notes == {"tokens in the table": 3, "tokens that inherit": 4, "tokens declined": 3}


def test_only_the_longest_parts_are_inherited_in_equal_shares(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("dog\tab\t10\ncat\tb\t10\nhouse\tcd\t90\n", encoding="utf-8")
    target = word_tokenizer(["<pad>", "<unk>", "ab", "b", "cd", "ab.cd"])
    # as a tokenizer without boundaries has them
    tokens = tuple(dataclasses.replace(t, starts_word=None) for t in target.vocabulary.tokens)
    target = dataclasses.replace(target, vocabulary=dataclasses.replace(target.vocabulary, tokens=tokens))
    gap = make_gap(word_matrix(ENGLISH), target)
    assert weights(aligned(gap, path), gap)["ab.cd"] == {"dog": 0.5, "house": 0.5}


def test_pieces_of_words_get_rows_in_real_tokenizers(wordpiece, byte_bpe, tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("movie\t电影\t40\nmoving\t感人\t12\nthe\t的\t99\nfilm\t电影\t20\n", encoding="utf-8")
    source = dataclasses.replace(
        word_matrix(["x"]), vocabulary=byte_bpe.vocabulary, rows=torch.eye(len(byte_bpe.vocabulary))
    )
    gap = dataclasses.replace(make_gap(source, wordpiece), ids=np.arange(len(wordpiece.vocabulary)))
    filled = aligned(gap, path)
    assert filled.done.any()
    assert not filled.done[[t.role is not None for t in gap.tokens]].any()
    np.testing.assert_allclose(filled.rows.apply(source.rows).sum(1).numpy(), 1, atol=1e-5)
    served = {t.surface.decode(): i for i, t in enumerate(t for t, d in zip(gap.tokens, filled.done) if d)}
    (film,) = {*byte_bpe.encode([" film"])[0]}
    part = slice(filled.rows.start[served["影"]], filled.rows.start[served["影"] + 1])
    assert film in filled.rows.source[part].tolist()


def test_the_same_rows_on_every_call(table):
    one, other = aligned(gap_of(), table), aligned(gap_of(), table)
    assert np.array_equal(one.rows.source, other.rows.source)
    assert np.array_equal(one.rows.weight, other.rows.weight)


def test_mistakes_are_named(table, tmp_path):
    with pytest.raises(ValueError, match=r"positional=2 is a share of the counts: a number from 0 to 1"):
        aligned(gap_of(), table, positional=2)
    swapped = tmp_path / "de-en.tsv"
    swapped.write_text("Hund\tdog\t30\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no pair of words of .* can be spelled by both vocabularies"):
        aligned(gap_of(), swapped)
    with pytest.raises(FileNotFoundError, match=r"none.tsv does not exist"):
        aligned(gap_of(), tmp_path / "none.tsv")
