"""Further wordings of training texts: by synonyms, from a file, from a function."""

import functools
import re

import pytest

from lexigraft.data.augment.function import Function
from lexigraft.data.augment.further import with_further_texts
from lexigraft.data.augment.synonyms import Synonyms
from lexigraft.data.augment.translated import Translated
from lexigraft.data.text_data import Split, TextData


def data_of(texts=("好", "坏", "一般"), labels=(0, 1, 0), second=None, kind="class"):
    train = Split(list(texts), list(labels), second)
    held = [Split([text], [labels[0]], second and ["x"]) for text in ("dev", "test")]
    return TextData("toy", train, *held, ("n", "p"), "zh", {"read": 1}, kind)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEXIGRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def synonyms(folder, *lines, **options):
    (folder / "synonyms.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Synonyms(str(folder / "synonyms.tsv"), **options)


def test_wordings_come_after_the_texts_with_their_labels():
    def reword(texts, seed):
        return [["很好", "好", "dev", " "], ["糟", "糟"], []]

    further = with_further_texts(data_of(), {"mine": reword}, 0)
    assert further.train == Split(["好", "坏", "一般", "很好", "糟"], [0, 1, 0, 0, 1])
    assert further.dev == data_of().dev
    assert further.report["augment_texts"] == {"mine": {"added": 2, "empty_or_there_before": 3, "in_dev_or_test": 1}}
    assert further.report["splits"]["train"] == {"rows": 5, "classes": {"n": 3, "p": 2}}
    assert further.report["read"] == 1


def test_several_options_all_start_from_the_texts_themselves():
    seen = []

    def reword(texts, seed):
        seen.append((list(texts), seed))
        return [[f"{text}{len(seen)}"] for text in texts]

    further = with_further_texts(data_of(), {"one": reword, "two": reword}, 7)
    assert further.train.texts == ["好", "坏", "一般", "好1", "坏1", "一般1", "好2", "坏2", "一般2"]
    assert seen == [(["好", "坏", "一般"], 7)] * 2


def test_the_second_text_of_a_pair_and_any_label_are_copied():
    further = with_further_texts(
        data_of(labels=[(0,), (0, 1), ()], second=["a", "b", "c"], kind="several"),
        {"mine": lambda texts, seed: [["1"], ["2"], []]},
        0,
    )
    assert further.train == Split(
        ["好", "坏", "一般", "1", "2"], [(0,), (0, 1), (), (0,), (0, 1)], ["a", "b", "c", "a", "b"]
    )


def test_tagged_texts_are_refused_and_nothing_is_nothing():
    data = data_of(labels=[(0,)] * 3, kind="tags")
    assert with_further_texts(data, {}, 0) is data
    with pytest.raises(
        ValueError, match="augment_texts=synonyms makes texts of other words, which the tags of toy would"
    ):
        with_further_texts(data, {"synonyms": lambda texts, seed: [[]] * 3}, 0)


def test_words_of_the_list_are_replaced_the_longest_first(tmp_path):
    replace_all = synonyms(tmp_path, "好\t佳", "好看\t美丽", "# \tx", "good\tfine", probability=1.0)
    assert replace_all(["好书很好看", "goods are good", "good书", "无"], 0) == [
        ["佳书很美丽"],
        ["goods are fine"],
        ["fine书"],
        [],
    ]


def test_wordings_depend_on_the_seed_and_the_text_alone(tmp_path):
    some = synonyms(tmp_path, "a\tb\tc d", "x\ty", probability=0.5, variants=3)
    texts = ["a x a x a", "x x x x"]
    first = some(texts, 0)
    assert some(texts[::-1], 0) == first[::-1]
    assert some(texts, 1) != first
    assert 1 <= len(first[0]) <= 3
    for wording in first[0]:
        assert re.fullmatch("[abcd] [xy] [abcd] [xy] [abcd]", wording)
        assert wording != texts[0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["好\t佳", "坏"], "line 2: a word, a tab and one or more synonyms are expected"),
        (["好\t好"], "holds no synonyms; lines of a word, a tab and its synonyms are expected"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message):
        synonyms(tmp_path, *lines)(["好"], 0)


def test_a_list_that_is_not_there_and_options_beyond_their_range_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="a list of synonyms is expected"):
        Synonyms(str(tmp_path / "none.tsv"))(["好"], 0)
    with pytest.raises(ValueError, match="augment_texts.synonyms.probability is 0; a number above 0 and up to 1"):
        Synonyms("x", probability=0)
    with pytest.raises(ValueError, match="augment_texts.synonyms.variants is 0; 1 or more is expected"):
        Synonyms("x", variants=0)


def test_wordings_come_from_a_file(tmp_path):
    file = tmp_path / "back.tsv"
    file.write_text("好 书\t不错的书\n坏\t糟\n好  书\t好的书\n\n", encoding="utf-8")
    assert Translated(str(file))(["坏", "好 书", "无"], 0) == [["糟"], ["不错的书", "好的书"], []]
    with pytest.raises(ValueError, match="has another wording for none of the 1 training texts"):
        Translated(str(file))(["无"], 0)
    file.write_text("好\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 1: 1 columns; a text, a tab and its other wording are expected"):
        Translated(str(file))(["好"], 0)
    with pytest.raises(FileNotFoundError, match="texts and other wordings are expected"):
        Translated(str(tmp_path / "none.tsv"))(["好"], 0)


CALLS = []


def shout(texts, mark="!"):
    CALLS.append(list(texts))
    return [text + mark for text in texts]


@pytest.fixture
def calls():
    CALLS.clear()
    return CALLS


def test_a_function_is_called_once_for_the_same_texts_and_arguments(cache, calls):
    assert Function(shout)(["a", "b"], 0) == [["a!"], ["b!"]]
    assert Function(shout)(["a", "b"], 1) == [["a!"], ["b!"]]
    assert calls == [["a", "b"]]
    assert Function(functools.partial(shout, mark="?"))(["a", "b"], 0) == [["a?"], ["b?"]]
    assert Function(functools.partial(shout, mark="."))(["a", "b"], 0) == [["a."], ["b."]]
    assert Function(shout)(["a"], 0) == [["a!"]]
    assert len(calls) == 4
    assert Function(shout, cache=False)(["a"], 0) == [["a!"]]
    assert len(calls) == 5


def test_what_has_no_name_of_its_own_is_called_every_time(cache, calls):
    for make in (lambda texts: shout(texts), functools.partial(shout, mark=Mark()), Mark()):
        for _ in range(2):
            Function(make)(["a"], 0)
    assert len(calls) == 6
    assert not cache.exists()


class Mark:
    def __radd__(self, text):
        return f"{text}!"

    def __call__(self, texts):
        return shout(texts)


def test_a_damaged_file_of_the_cache_is_made_again(cache, calls):
    Function(shout)(["a"], 0)
    [file] = (cache / "augmented").glob("*.gz")
    file.write_bytes(b"")
    assert Function(shout)(["a"], 0) == [["a!"]]
    assert len(calls) == 2


def test_variants_are_calls_whose_answers_differ(cache):
    answers = iter([["1", "x"], ["2", "x"], ["1", "y"]])
    assert Function(lambda texts: next(answers), variants=3, cache=False)(["a", "b"], 0) == [["1", "2"], ["x", "y"]]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (["a"], "made 1 things .str. of 2 texts; as many texts, in the"),
        (["a", 3], "made 2 things .int, str. of 2 texts"),
    ],
)
def test_an_answer_that_is_no_list_of_as_many_texts_is_refused(answer, message):
    with pytest.raises(ValueError, match=message):
        Function(lambda texts: answer, cache=False)(["a", "b"], 0)


def test_what_is_no_function_is_refused():
    with pytest.raises(ValueError, match="augment_texts.function.make is 'x'; a function is expected"):
        Function("x")
    with pytest.raises(ValueError, match="augment_texts.function.variants is 0; 1 or more is expected"):
        Function(shout, variants=0)
