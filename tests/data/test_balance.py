import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.data.balance import Balance, shown_text

LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=40)


@settings(deadline=None)
@given(LABELS, st.sampled_from(["oversample", "undersample"]), st.integers(0, 3))
def test_all_classes_are_shown_equally_often(labels, method, seed):
    shown = Balance(method)(labels, "class", seed)
    sizes = [labels.count(label) for label in set(labels)]
    goal = max(sizes) if method == "oversample" else min(sizes)
    assert np.bincount(np.array(labels)[shown])[sorted(set(labels))].tolist() == [goal] * len(sizes)
    times = np.bincount(shown, minlength=len(labels))
    for label in set(labels):
        of_class = times[np.array(labels) == label]
        assert of_class.max() - of_class.min() <= 1
    assert (np.diff(shown) >= 0).all()


@settings(deadline=None)
@given(LABELS, st.floats(0, 1))
def test_strength_goes_from_classes_as_they_are_to_equal_ones(labels, strength):
    for method in ("oversample", "undersample"):
        assert len(Balance(method, 0.0)(labels, "class", 0)) == len(labels)
        counts = np.bincount(np.array(labels)[Balance(method, strength)(labels, "class", 0)], minlength=4)
        sizes = np.bincount(labels, minlength=4)
        goal = sizes.max() if method == "oversample" else sizes[sizes > 0].min()
        assert all(min(n, goal) <= c <= max(n, goal) for c, n in zip(counts, sizes) if n)


def test_half_strength_is_half_of_the_way_on_a_logarithmic_scale():
    labels = [0] * 4 + [1] * 100
    assert np.bincount(np.array(labels)[Balance("oversample", 0.5)(labels, "class", 0)]).tolist() == [20, 100]
    assert np.bincount(np.array(labels)[Balance("undersample", 0.5)(labels, "class", 0)]).tolist() == [4, 20]


def test_other_texts_come_in_other_epochs_as_many_as_before():
    labels = [0] * 10 + [1] * 100
    balance = Balance("undersample")
    first, second = (balance(labels, "order", 0, epoch) for epoch in (0, 1))
    assert first.tolist() != second.tolist()
    assert len(first) == len(second) == 20
    assert first.tolist() == balance(labels, "order", 0, 0).tolist()


def test_without_a_method_every_text_comes_once_whatever_its_label():
    assert Balance()([(0,), (1, 2), ()], "several", 0).tolist() == [0, 1, 2]


def test_what_an_epoch_shows_is_counted_rarest_class_first():
    labels = [0, 1, 1]
    shown = Balance("oversample")(labels, "class", 0)
    assert shown_text(labels, shown, ("n", "p", "absent")) == "an epoch    shows 4 texts: absent 0, n 2, p 2"
    many = shown_text([0] * 3, np.arange(3), [str(i) for i in range(12)])
    assert many.endswith("1 0, 2 0, 3 0, 4 0, 5 0, 6 0, 7 0, 8 0, 9 0, 10 0, …")


@pytest.mark.parametrize("kind", ["several", "number", "tags"])
def test_labels_that_are_no_classes_are_refused(kind):
    with pytest.raises(
        ValueError, match=f"balance=oversample evens out classes, but the labels are of the kind '{kind}'"
    ):
        Balance("oversample")([0.5], kind, 0)


def test_a_strength_beyond_its_range_is_refused():
    with pytest.raises(ValueError, match="balance.strength is 2; 0 .as it is. to 1 .all classes equal. is expected"):
        Balance("oversample", 2)
