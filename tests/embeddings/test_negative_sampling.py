import numpy as np
import pytest

from lexigraft.embeddings.negative_sampling import negative_sampling_loss

V, D, K = 6, 4, 3
draw = np.random.default_rng(0)
ROWS, OUTPUT = draw.normal(size=(V, D)), draw.normal(size=(V, D))
COUNTS = np.array([8, 5, 4, 3, 2, 1])
TEXTS = [np.array([0, 1, 2, 3]), np.array([4]), np.array([5, 0, 5])]


def by_hand(skip_gram: bool, window: int) -> float:
    """The same loss in plain loops, with the tokens drawn in the same order."""
    pairs = []
    for text in TEXTS:
        for i, told in enumerate(text):
            near = [text[j] for j in range(max(0, i - window), min(len(text), i + window + 1)) if j != i]
            pairs += [(told, [other]) for other in near] if skip_gram else [(told, near)] * bool(near)
    share = COUNTS**0.75 / (COUNTS**0.75).sum()
    drawn = np.random.default_rng([0, 1]).choice(V, (len(pairs), K), p=share)
    losses = []
    for (told, near), wrong in zip(pairs, drawn):
        known = ROWS[near].mean(0)
        sigmoid = [1 / (1 + np.exp(-known @ OUTPUT[told])), *(1 / (1 + np.exp(known @ OUTPUT[w])) for w in wrong)]
        losses.append(-np.log(sigmoid).sum())
    return float(np.mean(losses))


@pytest.mark.parametrize("skip_gram", [True, False])
@pytest.mark.parametrize("window", [1, 2, 5])
def test_the_loss_is_that_of_plain_loops(skip_gram: bool, window: int) -> None:
    found = negative_sampling_loss(ROWS, OUTPUT, COUNTS, TEXTS, window=window, negative=K, skip_gram=skip_gram)
    assert found == pytest.approx(by_hand(skip_gram, window), abs=1e-6)


def test_vectors_that_know_nothing_lose_a_bit_for_each_choice() -> None:
    zero = np.zeros((V, D), np.float32)
    for skip_gram in (True, False):
        found = negative_sampling_loss(zero, OUTPUT, COUNTS, TEXTS, window=2, negative=K, skip_gram=skip_gram)
        assert found == pytest.approx((1 + K) * np.log(2), abs=1e-6)


def test_of_long_texts_a_part_tells_nearly_the_same() -> None:
    long = [np.random.default_rng(1).choice(V, 40_000)]
    few = [long[0][:24_000]]
    one, other = (
        negative_sampling_loss(ROWS, OUTPUT, COUNTS, texts, window=1, negative=K, skip_gram=True)
        for texts in (long, few)
    )
    assert one == pytest.approx(other, rel=0.02)
    assert one != other


@pytest.mark.parametrize("texts", [[], [np.array([3])]])
def test_no_token_beside_another(texts: list[np.ndarray]) -> None:
    assert negative_sampling_loss(ROWS, OUTPUT, COUNTS, texts, window=2, negative=K, skip_gram=True) is None
