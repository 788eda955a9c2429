import pytest
import torch

from lexigraft.models.pooling import Attention, First, Last, Max, Mean

NAN = float("nan")
X = torch.tensor([[[1.0, -2.0], [3.0, -4.0], [NAN, NAN]], [[5.0, -6.0], [NAN, NAN], [NAN, NAN]]])
MASK = torch.tensor([[1, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        (Mean, [[2, -3], [5, -6]]),
        (Max, [[3, -2], [5, -6]]),
        (First, [[1, -2], [5, -6]]),
        (Last, [[3, -4], [5, -6]]),
    ],
)
@pytest.mark.parametrize("kind", [torch.bool, torch.int64])
def test_values(pooling, expected, kind):
    assert pooling(2)(X, MASK.to(kind)).tolist() == expected


def test_attention_is_a_learned_weighted_mean():
    pooling = Attention(2)
    with torch.no_grad():
        pooling.hidden.weight.copy_(torch.eye(2))
        pooling.hidden.bias.zero_()
        pooling.score.weight.copy_(torch.tensor([[2.0, 0.0]]))
    scores = 2 * torch.tanh(torch.tensor([1.0, 3.0]))
    weights = scores.exp() / scores.exp().sum()
    pooled = pooling(X, MASK)
    assert torch.allclose(pooled[0], weights[0] * X[0, 0] + weights[1] * X[0, 1])
    assert torch.allclose(pooled[1], X[1, 0])
    pooled[0, 0].backward()
    assert pooling.hidden.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("pooling", [Mean, Max, Attention, First, Last])
def test_a_text_without_tokens_is_zero_with_finite_gradients(pooling):
    x = torch.randn(2, 3, 4, requires_grad=True)
    mask = torch.tensor([[1, 1, 0], [0, 0, 0]])
    pooled = pooling(4)(x, mask)
    assert pooled[1].tolist() == [0, 0, 0, 0]
    assert pooled[0].abs().sum() > 0
    pooled.sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad[1].abs().sum() == 0


@pytest.mark.parametrize("pooling", [Mean, Max, Attention, First, Last])
def test_bfloat16(pooling):
    pooled = pooling(2).to(torch.bfloat16)(X.to(torch.bfloat16), MASK)
    assert pooled.dtype == torch.bfloat16
    assert pooled.isfinite().all()
