import gzip
import os
import sys
from pathlib import Path

import pytest

from lexigraft.transplant.alignment_table import read_table
from lexigraft.transplant.bitext import align_bitext, words

PAIRS = [
    ("the dog sleeps .", "der Hund schläft ."),
    ("the cat sleeps .", "die Katze schläft ."),
    ("a dog eats .", "ein Hund frisst ."),
    ("a cat eats .", "eine Katze frisst ."),
    ("the dog eats .", "der Hund frisst ."),
    ("", "nichts"),
] * 3


def test_words_are_cut_at_spaces_and_marks_and_by_jieba():
    assert words("I don't know: well-kept, no?") == ["I", "don't", "know", ":", "well-kept", ",", "no", "?"]
    assert words("我喜欢学习英语。") == ["我", "喜欢", "学习", "英语", "。"]


def test_aligned_words_are_counted(tmp_path):
    pytest.importorskip("nltk")
    out = tmp_path / "table.tsv"
    count = align_bitext(PAIRS, out)
    table = read_table(out)
    assert len(table) == count
    assert list(table.values()) == sorted(table.values(), reverse=True)
    for pair in [("dog", "Hund"), ("cat", "Katze"), ("sleeps", "schläft"), ("eats", "frisst"), (".", ".")]:
        best = max((c, t) for (s, t), c in table.items() if s == pair[0])[1]
        assert best == pair[1]
    again = tmp_path / "again.tsv"
    align_bitext(iter(PAIRS), again)
    assert again.read_bytes() == out.read_bytes()


def test_no_pair_of_sentences_is_an_error(tmp_path):
    pytest.importorskip("nltk")
    with pytest.raises(ValueError, match="there is no pair of sentences to align"):
        align_bitext([("", "nichts")], tmp_path / "table.tsv")


def test_without_nltk_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nltk.translate", None)
    with pytest.raises(ImportError, match=r"pip install 'lexigraft\[align\]'"):
        align_bitext(PAIRS, tmp_path / "table.tsv")


@pytest.mark.skipif("LEXIGRAFT_DATA" not in os.environ, reason="needs mt_cmn_eng in LEXIGRAFT_DATA")
def test_english_and_chinese_find_each_other(tmp_path):
    pytest.importorskip("nltk")
    with gzip.open(Path(os.environ["LEXIGRAFT_DATA"]) / "mt_cmn_eng" / "cmn.tsv.gz", "rt", encoding="utf-8") as file:
        next(file)
        pairs = [line.split("\t")[:2] for line in file][:4000]
    align_bitext([(one, other) for one, other in pairs], tmp_path / "table.tsv")
    table = read_table(tmp_path / "table.tsv", 5)
    assert max((c, t) for (s, t), c in table.items() if s == "I")[1] == "我"
