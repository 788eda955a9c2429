import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.data.subset import Subset, stratified_order
from lexigraft.data.text_data import Split, TextData

LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=40)


def data_of(labels, dev=(0, 1, 0, 1), kind="class", classes=4):
    train = Split([f"text {i}" for i in range(len(labels))], list(labels))
    dev = Split([f"dev {i}" for i in range(len(dev))], list(dev))
    names = tuple(f"c{i}" for i in range(classes))
    return TextData("toy", train, dev, Split(["test"], [labels[0]]), names, "en", {"read": 1}, kind)


@settings(deadline=None)
@given(LABELS, st.integers(0, 5), st.integers(1, 8), st.integers(1, 8))
def test_few_texts_per_class_lie_among_more(labels, seed, few, many):
    few, many = sorted((few, many))
    small, large = (Subset(per_class=k)(data_of(labels), seed).train for k in (few, many))
    assert set(small.texts) <= set(large.texts)
    for label in set(labels):
        assert small.labels.count(label) == min(few, labels.count(label))


@settings(deadline=None)
@given(LABELS, st.integers(0, 5), st.integers(1, 40), st.integers(1, 40))
def test_smaller_numbers_and_shares_lie_in_larger_ones(labels, seed, few, many):
    few, many = sorted((few, many))
    small, large = (Subset(number=n)(data_of(labels), seed).train for n in (few, many))
    assert set(small.texts) <= set(large.texts)
    assert len(small) == min(few, len(labels))
    small, large = (Subset(share=n / 40)(data_of(labels), seed).train for n in (few, many))
    assert set(small.texts) <= set(large.texts)


@settings(deadline=None)
@given(LABELS)
def test_every_beginning_holds_the_classes_in_their_shares(labels):
    order = stratified_order(labels, [i * 0.7 % 1 for i in range(len(labels))])
    assert sorted(order.tolist()) == list(range(len(labels)))
    classes = set(labels)
    assert {labels[i] for i in order[: len(classes)]} == classes
    for n in range(len(classes), len(labels) + 1):
        beginning = [labels[i] for i in order[:n]]
        for label in classes:
            # Each class has its first text beforehand, which takes at most one from each of the others.
            assert abs(beginning.count(label) - n * labels.count(label) / len(labels)) <= len(classes)


def test_what_is_chosen_does_not_depend_on_the_order_of_the_rows():
    data = data_of([i % 3 for i in range(30)])
    turned = TextData("toy", data.train.take(range(29, -1, -1)), data.dev, data.test, data.classes, "en", {})
    for subset in (Subset(per_class=4), Subset(share=0.3), Subset(number=7)):
        assert set(subset(data, 0).train.texts) == set(subset(turned, 0).train.texts)


def test_the_seed_of_the_run_varies_the_texts_unless_one_is_fixed():
    data = data_of([i % 2 for i in range(100)])
    assert Subset(per_class=5)(data, 0).train.texts != Subset(per_class=5)(data, 1).train.texts
    assert Subset(per_class=5, seed=3)(data, 0).train == Subset(per_class=5, seed=3)(data, 1).train
    assert Subset(per_class=5, seed=3)(data, 0).train == Subset(per_class=5)(data, 3).train


def test_dev_is_cut_only_if_asked_and_test_never():
    data = data_of([0, 1] * 10, dev=[0, 1] * 6)
    alone, both = (Subset(per_class=2, dev=dev)(data, 0) for dev in (False, True))
    assert (alone.dev, alone.test) == (data.dev, data.test)
    assert (len(both.dev), both.test, both.train) == (4, data.test, alone.train)
    assert both.report["subset"] == {
        "train": {"rows": 4, "of": 20}, "dev": {"rows": 4, "of": 12}, "seed": 0, "classes_with_fewer": 2,
    }  # fmt: skip
    assert both.report["splits"]["dev"]["rows"] == 4
    assert both.report["read"] == 1


def test_all_is_all():
    data = data_of([0, 1])
    assert Subset()(data, 0) is data


def test_rows_stay_in_order_with_all_that_belongs_to_them():
    train = Split(["a", "b", "c"], [(0,), (0, 1), ()], ["x", "y", "z"])
    data = TextData("toy", train, train, train, ("n", "p"), "en", {}, "several")
    chosen = Subset(number=2)(data, 0).train
    places = [train.texts.index(text) for text in chosen.texts]
    assert places == sorted(places)
    assert chosen == train.take(places)


@pytest.mark.parametrize("kind", ["several", "number", "tags"])
def test_texts_per_class_need_classes(kind):
    with pytest.raises(ValueError, match=f"labels of toy are of the kind '{kind}': use subset=share or subset=number"):
        Subset(per_class=2)(data_of([0, 1], kind=kind), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_class": 2, "share": 0.5}, "subset.per_class and subset.share are given together; give one of them"),
        ({"share": 1.5}, "subset.share is 1.5; a share above 0 and up to 1 is expected"),
        ({"number": 0}, "subset.number is 0; 1 or more is expected"),
    ],
)
def test_options_that_say_nothing_sensible_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Subset(**options)
