import numpy as np
import pytest

from lexigraft.evaluation.tagging import NO_TAG, evaluate_tags

ENTITIES = ("B-PER", "I-PER", "O")


def test_entities_do_not_reach_from_text_to_text() -> None:
    true, lengths = np.array([2, 0, 1, 2]), np.array([2, 2])
    told = evaluate_tags(true, true, lengths, ENTITIES)
    assert told["entities"] == 2  # one at the end of the first text, one at the start of the second
    assert (told["f1"], told["accuracy"], told["count"], told["texts"]) == (1.0, 1.0, 4, 2)
    assert told["scheme"] == "IOB2"
    assert evaluate_tags(true, true, np.array([4]), ENTITIES)["entities"] == 1


def test_units_without_a_tag_are_wrong_even_where_the_truth_is_outside() -> None:
    true = np.array([0, 1, 2, 2])
    told = evaluate_tags(true, np.array([0, NO_TAG, 2, NO_TAG]), np.array([4]), ENTITIES)
    assert told["accuracy"] == 0.5
    assert told["without_tag"] == 2
    assert (told["precision"], told["recall"]) == (0.0, 0.0)  # the entity was cut short


def test_parts_of_speech_have_class_means() -> None:
    true, said = np.array([0, 0, 1, 2, 1]), np.array([0, 1, 1, 2, NO_TAG])
    told = evaluate_tags(true, said, np.array([3, 2]), ("NN", "VV", "P", "X"))
    assert told["scheme"] is None
    assert told["accuracy"] == 0.6
    assert told["per_class"]["NN"] == {"precision": 1.0, "recall": 0.5, "f1": 0.666667, "support": 2}
    assert told["per_class"]["VV"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert told["per_class"]["X"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert told["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3, abs=1e-6)
    assert told["confusion"] == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_no_units_are_an_error() -> None:
    with pytest.raises(ValueError, match="no units to evaluate"):
        evaluate_tags(np.array([], int), np.array([], int), np.array([0]), ENTITIES)
