import warnings

import pytest
import torch
from torch import Tensor, nn

from lexigraft.models.encoders import RCNN, Identity, Recurrent, TextCNN, Transformer


def batch(lengths: list[int], dim: int = 6) -> tuple[Tensor, Tensor]:
    x = torch.randn(len(lengths), max(lengths), dim, generator=torch.Generator().manual_seed(1))
    return x, torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def test_identity():
    x, mask = batch([3, 2])
    encoder = Identity(6)
    assert encoder.width == 6
    assert torch.equal(encoder(x, mask), x)


def test_textcnn_is_the_convolution_of_the_text_in_zeros():
    x, mask = batch([5, 2])
    encoder = TextCNN(6, kernel_sizes=[1, 4], channels=3)
    features = encoder(x, mask)
    assert features.shape == (2, 5, 6)
    assert encoder.width == 6
    weight, bias = encoder.convolutions[1].weight, encoder.convolutions[1].bias
    text = torch.cat([torch.zeros(1, 6), x[1, :2], torch.zeros(2, 6)])  # one before, two after
    window = (weight * text[0:4].T).sum(dim=(1, 2)) + bias
    assert torch.allclose(features[1, 0, 3:], window.relu(), atol=1e-6)


@pytest.mark.parametrize("sizes", [[], [0, 2]])
def test_textcnn_needs_kernels(sizes):
    with pytest.raises(ValueError, match=r"kernel_sizes=\["):
        TextCNN(6, kernel_sizes=sizes, channels=3)


@pytest.mark.parametrize(("cell", "kind"), [("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_recurrent_reads_each_text_alone(cell, kind):
    x, mask = batch([4, 2, 3])
    encoder = Recurrent(6, cell=cell, hidden=5, layers=2)
    assert isinstance(encoder.rnn, kind)
    states = encoder(x, mask)
    assert states.shape == (3, 4, encoder.width)
    assert encoder.width == 10
    alone, _ = encoder.rnn(x[1:2, :2])
    assert torch.allclose(states[1, :2], alone[0], atol=1e-6)
    assert states[1, 2:].abs().max() == 0


def test_recurrent_one_layer_with_dropout_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Recurrent(6, cell="gru", hidden=5, layers=1, dropout=0.5)


def test_recurrent_refuses_other_cells_and_left_padding():
    with pytest.raises(ValueError, match="cell='rnn' was given; lstm or gru"):
        Recurrent(6, cell="rnn", hidden=5)
    with pytest.raises(AssertionError, match="padded on the right"):
        Recurrent(6, cell="gru", hidden=5)(torch.zeros(1, 2, 6), torch.tensor([[0, 1]]))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_rcnn_sets_each_token_between_the_states_of_its_neighbours(cell):
    x, mask = batch([4, 1])
    encoder = RCNN(6, cell=cell, hidden=5, width=3)
    features = encoder(x, mask)
    assert features.shape == (2, 4, 3)
    assert encoder.width == 3
    states, _ = encoder.context.rnn(x[:1])
    nothing = torch.zeros(5)
    token = torch.cat([states[0, 0, :5], x[0, 1], states[0, 2, 5:]])
    assert torch.allclose(features[0, 1], torch.tanh(encoder.latent(token)), atol=1e-6)
    alone = torch.cat([nothing, x[1, 0], nothing])
    assert torch.allclose(features[1, 0], torch.tanh(encoder.latent(alone)), atol=1e-6)


def transformer(dim: int = 6, width: int | None = None, max_tokens: int = 8, heads: int = 2) -> Transformer:
    torch.manual_seed(0)
    return Transformer(dim, width=width, layers=2, heads=heads, feedforward=12, dropout=0.0, max_tokens=max_tokens)


@pytest.mark.parametrize("width", [None, 4])
def test_transformer_keeps_the_length_of_the_batch(width):
    x, mask = batch([5, 2])
    x = torch.cat([x, torch.zeros(2, 3, 6)], dim=1)
    mask = torch.cat([mask, torch.zeros(2, 3, dtype=torch.bool)], dim=1)
    encoder = transformer(width=width).eval()
    assert encoder.width == (width or 6)
    with torch.inference_mode():
        assert encoder(x, mask).shape == (2, 8, encoder.width)


def test_transformer_is_the_same_with_and_without_gradients():
    x, mask = batch([5, 2])
    encoder = transformer().eval()
    with torch.inference_mode():
        quick = encoder(x, mask)
    assert torch.allclose(quick[mask], encoder(x, mask)[mask], atol=1e-6)


def test_transformer_knows_positions():
    encoder = transformer().eval()
    token = torch.randn(1, 1, 6).expand(1, 3, 6)
    first, second, _ = encoder(token, torch.ones(1, 3))[0]
    assert (first - second).abs().max() > 1e-4


def test_transformer_layers_start_different():
    one, two = transformer().layers.layers
    assert not torch.equal(one.linear1.weight, two.linear1.weight)


def test_transformer_refusals():
    with pytest.raises(ValueError, match="width 6 cannot have 4 heads"):
        transformer(heads=4)
    with pytest.raises(ValueError, match="a text has 5 tokens, but the Transformer has positions for 4"):
        transformer(max_tokens=4)(*batch([5, 2]))
