import pytest
import torch

from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.ngrams import HashedNgrams, hashed
from lexigraft.models.pooling import Mean

DIM = 6


def padded(*texts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask; outside the mask stands the id of a real word."""
    longest = max(map(len, texts))
    ids = torch.tensor([text + [3] * (longest - len(text)) for text in texts])
    return ids, torch.arange(longest) < torch.tensor([len(text) for text in texts])[:, None]


def classifier(orders: list[int]) -> Classifier:
    torch.manual_seed(0)
    embedding = TransplantedEmbedding(torch.randn(20, DIM), 0)
    return Classifier(embedding, HashedNgrams(DIM, orders=orders, buckets=997), Mean(DIM), {"main": Head(2)})


def test_pooled_by_the_mean_a_text_is_the_mean_of_its_tokens_and_ngrams():
    model = classifier([2, 3])
    text = [4, 9, 4, 7]
    ids, mask = padded(text, [5, 6, 7, 8, 9, 10])
    pooled = model.pooling(model.features(model.embed(ids, mask), mask), mask)[0]
    words = [model.embedding.lookup.weight[i] for i in text]
    rows = model.encoder.ngrams.weight
    grams = [rows[hashed(torch.tensor([text[i : i + n]]), n, 997)[0, 0]] for n in (2, 3) for i in range(5 - n)]
    assert len(grams) == 5
    assert torch.allclose(pooled, torch.stack(words + grams).mean(0), atol=1e-6)


def test_texts_shorter_than_an_ngram_are_the_mean_of_their_tokens():
    model = classifier([3, 5])
    ids, mask = padded([4, 9], [7])
    pooled = model.pooling(model.embed(ids, mask), mask)
    weight = model.embedding.lookup.weight
    assert torch.allclose(pooled, torch.stack([weight[[4, 9]].mean(0), weight[7]]), atol=1e-6)


def test_neither_padding_nor_the_batch_changes_vectors():
    model = classifier([2, 3])
    alone = model.embed(*padded([4, 9, 5]))
    beside = model.embed(*padded([4, 9, 5], [1, 2, 3, 4, 5, 6]))
    assert torch.allclose(beside[0, :3], alone[0], atol=1e-6)
    assert beside[0, 3:].abs().max() == 0


def test_the_order_of_tokens_counts():
    model = classifier([2])
    ids, mask = padded([4, 9, 5], [5, 9, 4])
    one, other = model(ids, mask)
    assert (one - other).abs().max() > 1e-4


def test_texts_without_tokens_are_zero():
    model = classifier([2])
    vectors = model.embed(torch.tensor([[3, 3], [4, 5]]), torch.tensor([[False, False], [True, True]]))
    assert vectors[0].abs().max() == 0
    assert vectors.isfinite().all()


def test_ngrams_and_words_are_trained_and_padding_trains_none():
    model = classifier([2])
    model(*padded([4, 9], [7, 8, 9])).sum().backward()
    moved = model.encoder.ngrams.weight.grad.abs().sum(1) > 0
    assert set(moved.nonzero().flatten().tolist()) == set(
        hashed(torch.tensor([[4, 9], [7, 8], [8, 9]]), 2, 997)[:, 0].tolist()
    )
    assert (model.embedding.lookup.weight.grad.abs().sum(1) > 0).nonzero().flatten().tolist() == [4, 7, 8, 9]


@pytest.mark.parametrize("order", [2, 3])
def test_hashes_fill_the_buckets_evenly(order):
    ids = torch.cartesian_prod(*[torch.arange(60)] * 2) if order == 2 else torch.cartesian_prod(*[torch.arange(16)] * 3)
    counts = hashed(ids, order, 512)[:, 0].bincount(minlength=512)
    expected = len(ids) / 512
    # The variance of uniform hashing is its mean; a bad one has many times that.
    assert counts.sum() == len(ids)
    assert counts.double().var() < 1.5 * expected


@pytest.mark.parametrize("orders", [[], [1, 2]])
def test_orders_are_from_two_up(orders):
    with pytest.raises(ValueError, match=r"orders=\[.* a list of lengths of n-grams from 2 up"):
        HashedNgrams(DIM, orders=orders, buckets=5)


def test_buckets_are_needed():
    with pytest.raises(ValueError, match="buckets=0 was given"):
        HashedNgrams(DIM, orders=[2], buckets=0)
