import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.data.folds import strata_of_numbers, stratified_folds, stratified_share
from lexigraft.data.splits import Table, arrange, position

ROWS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), min_size=1, max_size=60)


def places(texts):
    return [position(text, "fold") for text in texts]


@settings(deadline=None)
@given(ROWS, st.integers(2, 6), st.randoms(use_true_random=False))
def test_folds_keep_equal_texts_together_and_ignore_the_order_of_rows(rows, folds, order):
    texts, strata = [str(text) for text, _ in rows], [stratum for _, stratum in rows]
    found = stratified_folds(texts, strata, places(texts), folds)
    assert found.shape == (len(rows),)
    assert set(found.tolist()) <= set(range(folds))
    fold_of = dict(zip(texts, found.tolist()))
    assert [fold_of[text] for text in texts] == found.tolist()

    mixed = list(range(len(rows)))
    order.shuffle(mixed)
    again = stratified_folds(
        [texts[i] for i in mixed], [strata[i] for i in mixed], places([texts[i] for i in mixed]), folds
    )
    assert again.tolist() == [found[i] for i in mixed]


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=80), st.integers(2, 6))
def test_folds_of_different_texts_are_equal_to_one_row(strata, folds):
    texts = [f"text {i}" for i in range(len(strata))]
    found = stratified_folds(texts, strata, places(texts), folds)
    assert np.ptp(np.bincount(found, minlength=folds)) <= 1
    for stratum in set(strata):
        assert np.ptp(np.bincount(found[np.array(strata) == stratum], minlength=folds)) <= 1


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=80), st.floats(0.05, 0.95))
def test_a_share_is_taken_of_every_stratum(strata, share):
    texts = [f"text {i}" for i in range(len(strata))]
    chosen = stratified_share(texts, strata, places(texts), share)
    for stratum in set(strata):
        of_it = np.array(strata) == stratum
        assert abs(chosen[of_it].sum() - share * of_it.sum()) <= 0.5 + 1e-9


def test_a_text_that_stands_there_often_weighs_as_much():
    texts = ["often"] * 8 + [f"text {i}" for i in range(8)]
    found = stratified_folds(texts, [0] * 16, places(texts), 2)
    assert np.bincount(found).tolist() == [8, 8]
    assert stratified_share(texts, [0] * 16, places(texts), 0.5).sum() == 8


def test_numbers_are_cut_into_bins_of_equal_size():
    assert Counter(strata_of_numbers([float(i) for i in range(100)])) == dict.fromkeys(range(10), 10)
    assert strata_of_numbers([1.0, 1.0, 5.0, 5.0], bins=2) == [0, 0, 1, 1]


def tables(rows):
    return {"train": Table(rows, {"rows": len(rows)}), "dev": None, "test": None}


def rows_of(n=200, seed=0):
    labels = random.Random(seed).choices("abc", weights=[8, 3, 1], k=n)
    return [(f"text {i}", label) for i, label in enumerate(labels)]


def test_every_text_is_in_one_test_fold_and_classes_have_equal_shares():
    rows = rows_of() + rows_of()[:40]
    seen = Counter()
    total = Counter(label for _, label in rows)
    for fold in range(5):
        data = arrange("toy", "en", tables(rows), fold=fold, folds=5, stratified=True, dev_share=0.2)
        held = Counter(data.test.labels)
        assert all(abs(held[i] - total["abc"[i]] / 5) <= 2 for i in range(3))
        rest = {i: total["abc"[i]] - held[i] for i in range(3)}
        assert all(abs(Counter(data.dev.labels)[i] - rest[i] / 5) <= 1 for i in range(3))
        assert not set(data.test.texts) & (set(data.train.texts) | set(data.dev.texts))
        assert not set(data.dev.texts) & set(data.train.texts)
        assert sum(map(len, data.splits().values())) == len(rows)
        seen.update(set(data.test.texts))
    assert seen == Counter({f"text {i}": 1 for i in range(200)})


@pytest.mark.parametrize("stratified", [False, True])
def test_each_split_seed_cuts_in_another_way(stratified):
    one, other, again = (
        arrange("toy", "en", tables(rows_of()), stratified=stratified, split_seed=seed) for seed in (1, 2, 1)
    )
    assert one.splits() == again.splits()
    assert one.test.texts != other.test.texts
    assert one.dev.texts != other.dev.texts


def test_numbers_are_stratified_by_bins():
    rows = [(f"text {i}", float(i)) for i in range(100)]
    data = arrange("toy", "en", tables(rows), kind="number", folds=5, stratified=True)
    assert sorted(int(label) // 10 for label in data.test.labels) == sorted(list(range(10)) * 2)


def test_texts_of_many_labels_are_not_stratified():
    rows = [(f"text {i}", ("a", "b")[: i % 3]) for i in range(100)]
    with pytest.raises(
        ValueError, match="data.stratified evens out classes of whole texts, but a text has many labels"
    ):
        arrange("toy", "en", tables(rows), kind="several", stratified=True)
