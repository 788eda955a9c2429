import pytest
import torch
from torch.nn import functional as F

from lexigraft.models.dpcnn import DPCNN
from tests.models.test_encoders import batch


def by_hand(encoder: DPCNN, text: torch.Tensor) -> torch.Tensor:
    """The features `[C, T']` at the top for one text `[T, D]` alone, as the paper writes them."""
    x = encoder.region(text.T[None])
    for number, pair in enumerate(encoder.pairs):
        if number:
            length = x.shape[2]
            x = torch.stack([x[:, :, at : min(at + 3, length)].amax(2) for at in range(0, length, 2)], dim=2)
        x = x + pair.second(F.relu(pair.first(F.relu(x))))
    return x[0]


@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_each_text_is_halved_by_its_own_length(blocks):
    torch.manual_seed(0)
    x, mask = batch([9, 1, 4])
    encoder = DPCNN(6, channels=5, blocks=blocks)
    features = encoder(x, mask)
    assert features.shape == (3, 9, 5)
    assert encoder.width == 5
    for row, length in enumerate([9, 1, 4]):
        top = by_hand(encoder, x[row, :length])
        assert top.shape[1] == -(-length // 2**blocks)
        expected = torch.stack([top[:, at // 2**blocks] for at in range(length)])
        assert torch.allclose(features[row, :length], expected, atol=1e-5)


def test_every_weight_gets_a_gradient():
    torch.manual_seed(0)
    encoder = DPCNN(6, channels=5, blocks=2)
    encoder(*batch([9, 4])).sum().backward()
    assert all(weight.grad.abs().max() > 0 for weight in encoder.parameters())


def test_texts_without_tokens_stay_finite():
    x, _ = batch([3, 3])
    mask = torch.tensor([[False] * 3, [True] * 3])
    encoder = DPCNN(6, channels=5, blocks=2)
    features = encoder(x.requires_grad_(), mask)
    features[mask].sum().backward()
    assert features.isfinite().all()
    assert x.grad.isfinite().all()
    assert x.grad[0].abs().max() == 0


def test_blocks_cannot_be_negative():
    with pytest.raises(ValueError, match="blocks=-1 was given; a number of halvings from 0 up"):
        DPCNN(6, channels=5, blocks=-1)
