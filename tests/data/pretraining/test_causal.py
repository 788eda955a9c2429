import numpy as np

from lexigraft.data.batches import NOT_COUNTED
from lexigraft.data.encoded import Encoded
from lexigraft.data.pretraining.causal import Causal
from tests.data.pretraining.exercises import vocabulary

TWO = Encoded(np.array([2, 7, 8, 1, 3, 2, 9, 3], np.int32), np.array([0, 5, 8]))


def test_each_place_is_to_say_the_next_token_of_its_piece() -> None:
    ids, labels = Causal().prepared(vocabulary(), 0)(TWO, np.arange(2), 5)
    assert ids.tolist() == TWO.ids.tolist()
    assert labels.tolist() == [7, 8, 1, 3, NOT_COUNTED, 9, 3, NOT_COUNTED]


def test_an_evaluation_asks_for_text_alone_the_unknown_token_included() -> None:
    _, labels = Causal().prepared(vocabulary(), 0)(TWO, np.arange(2), None)
    assert labels.tolist() == [7, 8, 1, NOT_COUNTED, NOT_COUNTED, 9, NOT_COUNTED, NOT_COUNTED]
