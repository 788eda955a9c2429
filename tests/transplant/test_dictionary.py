import pytest

from lexigraft.transplant.dictionary import paired, read_dictionary
from tests.transplant.matrices import word_matrix


def dictionary(tmp_path, text):
    path = tmp_path / "words.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_pairs_stand_between_tabs_or_spaces(tmp_path):
    path = dictionary(tmp_path, "dog\t狗\nred wine\t红酒\ncat 猫\n")
    assert read_dictionary(path) == [("dog", "狗"), ("red wine", "红酒"), ("cat", "猫")]


@pytest.mark.parametrize("line", ["dog", "dog\t", "a\tb\tc", "a b c"])
def test_a_line_of_other_than_two_words_is_named(tmp_path, line):
    with pytest.raises(
        ValueError, match=r"line 2 of .*words.txt has \d fields: a source word, a tab and a target word"
    ):
        read_dictionary(dictionary(tmp_path, f"cat\t猫\n{line}\n"))


def test_words_are_paired_in_lower_and_title_case_once(tmp_path):
    source, target = word_matrix(["Dog", "dog", "cat", "PARIS"]), word_matrix(["hund", "Hund", "katze", "paris"])
    ours, theirs = paired(dictionary(tmp_path, "dog\tHund\nDOG\thund\nowl\tEule\nPARIS\tParis\n"), source, target)
    found = sorted((source.vocabulary[i].surface, target.vocabulary[j].surface) for i, j in zip(ours, theirs))
    assert found == [
        (b"Dog", b"Hund"),
        (b"Dog", b"hund"),
        (b"PARIS", b"paris"),
        (b"dog", b"Hund"),
        (b"dog", b"hund"),
    ]


def test_words_without_a_vector_are_left_out(tmp_path):
    source, target = word_matrix(["dog", "cat", "owl"]), word_matrix(["hund", "katze", "eule"])
    source.rows[0] = 0
    target.rows[1] = float("inf")
    ours, theirs = paired(dictionary(tmp_path, "dog\thund\ncat\tkatze\nowl\teule\n"), source, target)
    assert (ours.tolist(), theirs.tolist()) == ([2], [2])


def test_a_dictionary_of_other_languages_is_an_error(tmp_path):
    path = dictionary(tmp_path, "hund\tdog\n")
    with pytest.raises(ValueError, match=r"none of the 1 pairs of .* \(1 words\) and its second .* in this order\?"):
        paired(path, word_matrix(["dog"]), word_matrix(["hund"]))
