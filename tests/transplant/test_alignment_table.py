import numpy as np
import pytest

from lexigraft.transplant.alignment_table import read_table, token_counts
from lexigraft.vocab.vocabulary import Vocabulary


def table(tmp_path, text):
    path = tmp_path / "table.tsv"
    path.write_text(text, encoding="utf-8")
    return path


def spelled_by_letters(letters):
    """A vocabulary that spells words letter by letter."""
    words = Vocabulary.of_words(letters)
    ids = {letter: i for i, letter in enumerate(letters)}

    def segment(token):
        found = [ids.get(letter) for letter in token.surface.decode()]
        return [] if None in found else found

    return Vocabulary(words.tokens, segment=segment)


def test_counts_of_a_pair_are_added_up_before_rare_pairs_are_left_out(tmp_path):
    path = table(tmp_path, "dog\tHund\t6\ncat\tKatze\t9.5\ndog\tHund\t4\nthe\tder\t11\n")
    assert read_table(path, 10) == {("dog", "Hund"): 10, ("the", "der"): 11}


@pytest.mark.parametrize("line", ["dog Hund 3", "dog\tHund", "\tHund\t3", "dog\t\t3", "a\tb\t3\t4"])
def test_a_line_that_is_no_triple_is_named(tmp_path, line):
    with pytest.raises(ValueError, match=r"line 2 of .*table.tsv is .*: a source word, a target word and a count"):
        read_table(table(tmp_path, f"the\tder\t9\n{line}\n"))


@pytest.mark.parametrize("count", ["many", "-1", "nan", "inf", ""])
def test_a_count_that_is_none_is_named(tmp_path, count):
    with pytest.raises(ValueError, match=rf"line 1 of .*table.tsv has the count '{count}': a number, 0 or more"):
        read_table(table(tmp_path, f"the\tder\t{count}\n"))


def test_a_table_of_rare_pairs_only_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="has 1 pairs of words, none of which counts 10 or more"):
        read_table(table(tmp_path, "dog\tHund\t0.7\n"), 10)


@pytest.mark.parametrize("positional", [0.0, 0.5, 1.0])
def test_counts_of_words_are_shared_out_among_their_tokens(positional):
    source, target = spelled_by_letters("abcd"), spelled_by_letters("uvwxyz")
    made = token_counts({("abc", "uv"): 6.0, ("d", "xyz"): 2.0, ("ab", "yz"): 4.0}, source, target, positional)
    together = np.zeros((6, 4))
    for i in (0, 1):
        together[i, :3] += 6 / 3  # u, v by a, b, c
    together[3:, 3] += 2  # x, y, z by d
    together[4:, :2] += 4 / 2  # y, z by a, b
    placed = np.zeros((6, 4))
    placed[0, :2] += 6 * np.array([2, 1]) / 3  # u covers a and half of b
    placed[1, 1:3] += 6 * np.array([1, 2]) / 3
    placed[3:, 3] += 2
    placed[4, 0] += 4
    placed[5, 1] += 4
    expected = (1 - positional) * together + positional * placed
    np.testing.assert_allclose(made.toarray(), expected, atol=1e-12)


def test_words_that_cannot_be_spelled_are_left_out():
    source, target = spelled_by_letters("ab"), spelled_by_letters("uv")
    made = token_counts({("ax", "u"): 1.0, ("b", "q"): 1.0, ("b", "v"): 3.0}, source, target, 0.5)
    assert made.toarray().tolist() == [[0, 0], [0, 3]]
    assert token_counts({("x", "y"): 1.0}, source, target, 0.5).nnz == 0


def test_a_vocabulary_of_words_is_looked_up_and_folded():
    source = Vocabulary(Vocabulary.of_words(["dog", "cat"]).tokens, normalize=str.lower)
    target = Vocabulary.of_words(["Hund", "hund"])
    made = token_counts({("Dog", "Hund"): 1.0, ("cat", "hund"): 2.0, ("owl", "hund"): 4.0}, source, target, 0.5)
    assert made.toarray().tolist() == [[1, 0], [0, 2]]
