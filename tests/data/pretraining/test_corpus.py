import re

import pytest

from lexigraft.data.cleaning import Cleaning
from lexigraft.data.pretraining.corpus import Corpus, cleaned, held_out, joined
from lexigraft.data.splits import position
from lexigraft.data.text_data import Split, TextData


def words(i: int) -> str:
    """Twelve Chinese characters that no other number has three of in a row."""
    return "".join(chr(0x4E00 + (i * 12 + k) % 20000) for k in range(12))


def corpus(first: int, last: int, language: str = "zh") -> Corpus:
    return Corpus("made", [words(i) for i in range(first, last)], [], language, {"read": last - first})


def test_documents_count_once_and_a_share_by_hash_is_dev() -> None:
    again = Corpus("again", [f"{words(0)}。", "！", words(500)], [], "en", {})
    made = joined({"one": corpus(0, 300), "two": again}, dev_share=0.2)
    assert (made.name, made.language) == ("one+two", "zh")
    assert sorted(made.train + made.dev) == sorted([*map(words, range(300)), words(500)])
    assert made.dev == [words(i) for i in (*range(300), 500) if position(words(i), "pretraining dev") < 0.2]
    assert made.report["documents"] == 303
    assert made.report["empty_or_repeated"] == 2
    assert made.report["corpora"]["one"] == {"read": 300}
    assert made.report["splits"] == {"train": len(made.train), "dev": len(made.dev)}
    assert 30 < len(made.dev) < 90


def test_other_documents_move_none_from_one_side_to_the_other() -> None:
    small, large = joined({"a": corpus(50, 150)}, dev_share=0.3), joined({"a": corpus(0, 300)}, dev_share=0.3)
    assert set(small.dev) < set(large.dev)
    assert set(small.train) < set(large.train)


def test_no_text_that_is_kept_out_and_no_dev_document_is_in_train() -> None:
    base = corpus(0, 300)
    dev = joined({"a": base}, dev_share=0.2).dev
    longer = Corpus("longer", [f"{base.train[0]}后面", f"前面{dev[0]}"], [], "zh", {})
    made = joined({"a": base, "b": longer}, dev_share=0.2, kept_out=[base.train[0], words(299)])
    everything = made.train + made.dev
    assert not any(base.train[0] in document or words(299) in document for document in everything)
    assert made.report["kept_out"]["equal"] + made.report["kept_out"]["shared"] == 3
    assert dev[0] in made.dev
    assert f"前面{dev[0]}" not in made.train


def test_longer_runs_are_needed_where_words_stand_apart() -> None:
    shared = "the room was small and the staff were not very friendly at all"  # 50 letters
    documents = [f"{shared} {i}" for i in "abcdefghijklmnopqrstuvwxyz"]
    made = joined({"a": Corpus("a", documents, [], "en", {})}, dev_share=0.3, kept_out=[f"{shared} 123"], near=None)
    assert sorted(made.train + made.dev) == documents
    with pytest.raises(ValueError, match="no document is left for train"):
        joined({"a": Corpus("a", documents, [], "zh", {})}, dev_share=0.3, kept_out=[f"{shared} 123"], near=None)


def test_held_out_texts_are_those_of_dev_and_test_as_they_are_written() -> None:
    tagged = TextData(
        "tagged",
        Split(["不 要"], [(0, 0)]),
        Split(["我 爱 你"], [(0, 1, 0)]),
        Split(["a b"], [(0, 1)]),
        ("O", "B"),
        "zh",
        {},
        "tags",
    )
    pairs = TextData("pairs", Split(["x"], [0], ["y"]), Split(["c"], [0], ["d"]), Split([], [], []), ("0",), "en", {})
    assert held_out([tagged, pairs]) == ["我爱你", "a b", "c", "d"]


def test_cleaning_repairs_both_splits() -> None:
    made = cleaned(Corpus("a", ["x&amp;y", "ok"], ["u&lt;v"], "en", {"n": 1}), Cleaning(html=True))
    assert (made.train, made.dev) == (["x&y", "ok"], ["u<v"])
    assert made.report["n"] == 1
    assert "cleaning" in made.report


@pytest.mark.parametrize(
    ("corpora", "share", "message"),
    [
        ({}, 0.1, "there is no corpus to pretrain on: choose some"),
        ({"a": corpus(0, 3)}, 1.0, "the share of documents held out is 1.0; a number between 0 and 1"),
        ({"a": corpus(0, 3)}, 1e-9, "corpus a: no document is left for dev (of 3 different ones, 1e-09 are to be"),
    ],
)
def test_what_cannot_be_split_is_refused(corpora: dict[str, Corpus], share: float, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        joined(corpora, dev_share=share)
