import numpy as np
import pytest

from lexigraft.data.encoding import encode_split, lost_units, unlabelled, vocabulary_texts
from lexigraft.data.text_data import Split
from lexigraft.vocab.tokenizer import Tokenizer


def test_texts_pairs_and_units(wordpiece: Tokenizer) -> None:
    texts = Split(["the film", "hotel"], [0, 1])
    plain = encode_split(wordpiece, texts)
    assert [plain[i].tolist() for i in range(2)] == wordpiece.encode(texts.texts)
    assert plain.types is None
    assert plain.units is None

    pairs = encode_split(wordpiece, Split(["the film", "hotel"], [0, 1], ["very good", "film"]), "class", 6)
    assert pairs.lengths().tolist() == [6, 5]
    assert pairs.types is not None
    assert pairs.types.dtype == np.uint8
    assert pairs.types[6:].tolist() == [0, 0, 0, 1, 1]

    tagged = encode_split(wordpiece, Split(["the film", "hotel"], [(0, 1), (1,)]), "tags")
    assert tagged.units is not None
    assert tagged.units.dtype == np.int32
    assert tagged.units.tolist() == [-1, 0, 1, -1, -1, 0, -1]


def test_lost_units_are_counted(wordpiece: Tokenizer) -> None:
    split = Split(["the film is very good", "hotel"], [(0,) * 5, (1,)])
    assert lost_units(encode_split(wordpiece, split, "tags"), split) == 0
    assert lost_units(encode_split(wordpiece, split, "tags", 4), split) == 3
    assert lost_units(encode_split(wordpiece, Split(["a"], [0])), Split(["a"], [0])) == 0


def test_a_vocabulary_is_made_of_both_texts_and_of_running_text() -> None:
    assert vocabulary_texts(Split(["a", "b"], [0, 1], ["c", "d"])) == ["a", "b", "c", "d"]
    assert vocabulary_texts(Split(["我 爱 New York"], [(0, 0, 0, 0)]), "tags") == ["我爱New York"]


def test_lines_to_predict() -> None:
    assert unlabelled(["a b", ""], "class") == Split(["a b", ""], [0, 0])
    assert unlabelled(["a"], "several") == Split(["a"], [()])
    assert unlabelled([" a  b ", ""], "tags") == Split(["a b", ""], [(0, 0), ()])
    assert unlabelled(["a\tb"], "class", pairs=True) == Split(["a"], [0], ["b"])
    for line in ("a", "a\tb\tc"):
        with pytest.raises(ValueError, match="is no pair of texts: write both in a line, with one tab between them"):
            unlabelled([line], "class", pairs=True)
