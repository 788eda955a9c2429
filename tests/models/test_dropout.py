import pytest
import torch
from torch import nn

from lexigraft.models.dropout import EmbeddingDropout
from lexigraft.models.embedding import TransplantedEmbedding

IDS = torch.tensor([[1, 2, 1, 3, 2, 1], [2, 4, 4, 4, 5, 6]])


def ones(texts=2, tokens=6, dim=8):
    return torch.ones(texts, tokens, dim)


def test_a_variational_mask_is_the_same_at_every_token_and_differs_between_texts():
    torch.manual_seed(0)
    dropped = EmbeddingDropout(variational=0.5)(ones(dim=64), IDS)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert not torch.equal(dropped[0], dropped[1])


def test_words_are_dropped_whole_and_with_all_their_occurrences_in_a_text():
    torch.manual_seed(0)
    dropout, seen = EmbeddingDropout(word=0.4), set()
    for _ in range(50):
        dropped = dropout(ones(), IDS)
        assert torch.equal(dropped, dropped[..., :1].expand_as(dropped))
        for text, ids in zip(dropped[..., 0], IDS):
            for word in ids.unique():
                (value,) = text[ids == word].unique().tolist()
                seen.add(round(value, 5))
    assert seen == {0.0, round(1 / 0.6, 5)}


def test_a_word_may_go_in_one_text_and_stay_in_another():
    torch.manual_seed(0)
    dropout = EmbeddingDropout(word=0.5)
    drawn = torch.stack([dropout(ones(), IDS)[:, [1, 0], 0].diagonal() for _ in range(40)])  # word 2 of both texts
    assert len(drawn.unique(dim=0)) == 4


@pytest.mark.parametrize("kind", ["element", "variational", "word"])
def test_the_expected_vector_is_the_vector(kind):
    torch.manual_seed(0)
    vectors = torch.randn(2000, 6, 3)
    ids = torch.arange(6).expand(2000, 6)
    dropped = EmbeddingDropout(**{kind: 0.3})(vectors.abs(), ids)
    assert dropped.mean().item() == pytest.approx(vectors.abs().mean().item(), rel=0.03)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)


def test_element_dropout_draws_what_torch_draws():
    vectors = torch.randn(2, 6, 8)
    torch.manual_seed(1)
    expected = nn.Dropout(0.3)(vectors)
    torch.manual_seed(1)
    assert torch.equal(EmbeddingDropout(0.3)(vectors, IDS), expected)


def test_rates_of_0_draw_nothing_and_change_nothing():
    before = torch.random.get_rng_state()
    vectors = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))
    assert EmbeddingDropout()(vectors, IDS) is vectors
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_dropout_outside_training():
    vectors = torch.randn(2, 6, 8)
    assert EmbeddingDropout(0.5, 0.5, 0.5).eval()(vectors, IDS) is vectors


def test_the_embedding_layer_takes_all_three_and_keeps_padding_zero():
    torch.manual_seed(0)
    layer = TransplantedEmbedding(torch.ones(7, 8), 0, dropout=0.1, variational_dropout=0.2, word_dropout=0.3)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    vectors = layer(IDS, mask)
    assert vectors[~mask].abs().max() == 0
    kept = vectors[vectors != 0]
    assert torch.allclose(kept, torch.tensor(1 / (0.9 * 0.8 * 0.7)))
    assert not list(layer.dropout.state_dict())


@pytest.mark.parametrize("name", ["embedding", "variational", "word"])
def test_a_rate_outside_0_to_1_is_refused(name):
    rate = {"embedding": "element"}.get(name, name)
    with pytest.raises(ValueError, match=rf"model.{name}_dropout=1.0 was given; a rate from 0 up to"):
        EmbeddingDropout(**{rate: 1.0})
