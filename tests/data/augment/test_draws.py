import numpy as np

from lexigraft.data.augment.draws import Draws


def test_numbers_are_spread_evenly_over_texts_and_places():
    texts, places = (axis.ravel() for axis in np.meshgrid(np.arange(200), np.arange(100)))
    drawn = Draws(0, 0, "swap").uniform(texts, places)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert len(np.unique(drawn)) == len(drawn)
    for axis in (texts, places):
        for value in (0, 1, 50, 99):
            tenths = np.bincount((drawn[axis == value] * 10).astype(int), minlength=10)
            assert tenths.min() >= 1
    tenths = np.bincount((drawn * 10).astype(int), minlength=10)
    assert abs(tenths - 2000).max() < 200
    square = drawn.reshape(100, 200)
    assert abs(np.corrcoef(square[0], square[1])[0, 1]) < 0.3
    assert abs(np.corrcoef(square[:, 0], square[:, 1])[0, 1]) < 0.4


def test_every_part_of_the_key_counts():
    texts = np.arange(5)
    drawn = [
        Draws(0, 0, "swap").uniform(texts, 0),
        Draws(1, 0, "swap").uniform(texts, 0),
        Draws(0, 1, "swap").uniform(texts, 0),
        Draws(0, 0, "deletion").uniform(texts, 0),
        Draws(0, 0, "swap").uniform(texts, 1),
        Draws(0, 0, "swap").uniform(texts, 0, purpose=1),
        Draws(0, 0, "swap").uniform(texts + 5, 0),
    ]
    assert len(np.unique(np.concatenate(drawn))) == 35
    assert (drawn[0] == Draws(0, 0, "swap").uniform(texts, 0)).all()


def test_numbers_stay_what_they_are():
    # A change here would change every run that augments.
    drawn = Draws(3, 2, "swap").uniform(np.array([0, 1, 10**12]), np.array([0, 5, 7]))
    assert drawn.tolist() == [0.3972215174232797, 0.7783366636274403, 0.692293640320789]
