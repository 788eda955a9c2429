"""Encoders: token vectors `[B, T, D]` -> `[B, T, width]`; what stands outside the mask has no influence.

Texts are padded on the right. A text without a single token is allowed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lexigraft.models.masking import attendable, masked


class Identity(nn.Module):
    """The token vectors as they are."""

    def __init__(self, dim: int):
        super().__init__()
        self.width = dim

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, T, D]` -> `[B, T, D]`."""
        return x


class TextCNN(nn.Module):
    """Convolutions of several widths side by side with ReLU (Kim 2014, "CNNs for Sentence Classification").

    A window is centred on each token and sees zeros beyond the text, so texts shorter than a kernel work too.
    """

    def __init__(self, dim: int, *, kernel_sizes: Sequence[int], channels: int):
        super().__init__()
        if not kernel_sizes or min(kernel_sizes) < 1:
            raise ValueError(f"kernel_sizes={list(kernel_sizes)} was given; a list of widths from 1 up is expected")
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, channels, size) for size in kernel_sizes)
        self.width = channels * len(kernel_sizes)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, T, D]` -> `[B, T, channels x number of kernels]`."""
        x = masked(x, mask).transpose(1, 2)
        features = []
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv1d)
            beyond = convolution.kernel_size[0] - 1
            features.append(convolution(F.pad(x, (beyond // 2, beyond - beyond // 2))))
        return F.relu(torch.cat(features, dim=1)).transpose(1, 2)


class Recurrent(nn.Module):
    """A bidirectional LSTM or GRU over packed sequences; `hidden` units in each direction."""

    def __init__(self, dim: int, *, cell: str, hidden: int, layers: int = 1, dropout: float = 0.0):
        super().__init__()
        cells = {"lstm": nn.LSTM, "gru": nn.GRU}
        if cell not in cells:
            raise ValueError(f"cell={cell!r} was given; lstm or gru is expected")
        between = dropout if layers > 1 else 0.0  # torch warns about a single layer
        self.rnn = cells[cell](dim, hidden, layers, batch_first=True, dropout=between, bidirectional=True)
        self.width = 2 * hidden

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, T, D]` -> `[B, T, 2 x hidden]`, zero outside the mask."""
        lengths = mask.sum(dim=1).cpu()
        on_the_right = torch.arange(mask.shape[1]) < lengths[:, None]
        assert torch.equal(mask.bool().cpu(), on_the_right), "texts are padded on the right"
        # A packed sequence has at least one element; the one of an empty text is removed again below.
        packed = pack_padded_sequence(masked(x, mask), lengths.clamp(min=1), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=x.shape[1])
        return masked(states, mask)


class RCNN(nn.Module):
    """Each token's vector between the states of the text before and after it (Lai et al. 2015, "RCNN").

    y = tanh(W [left; x; right] + b), with `hidden` units for each side's recurrent states and `width` in y; with
    model/pooling=max it is the paper's, but for the cell, which is an LSTM or GRU instead of a plain one.
    """

    def __init__(self, dim: int, *, cell: str, hidden: int, width: int):
        super().__init__()
        self.context = Recurrent(dim, cell=cell, hidden=hidden)
        self.latent = nn.Linear(2 * hidden + dim, width)
        self.width = width

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, T, D]` -> `[B, T, width]`."""
        before, after = self.context(x, mask).chunk(2, dim=2)
        # The state at a token has read the token itself: the sides are those of its neighbours.
        left, right = F.pad(before[:, :-1], (0, 0, 1, 0)), F.pad(after[:, 1:], (0, 0, 0, 1))
        return torch.tanh(self.latent(torch.cat([left, x, right], dim=2)))


class Transformer(nn.Module):
    """A pre-norm Transformer encoder with learned positions (Vaswani et al. 2017; Xiong et al. 2020).

    `width` None: the embedding's; another width is reached by a linear map.
    `ValueError` if the width is no multiple of `heads`, and in `forward` if a text is longer than `max_tokens`.
    """

    def __init__(
        self,
        dim: int,
        *,
        width: int | None = None,
        layers: int,
        heads: int,
        feedforward: int,
        dropout: float,
        max_tokens: int,
    ):
        super().__init__()
        self.width = dim if width is None else width
        if self.width % heads:
            raise ValueError(
                f"a Transformer of width {self.width} cannot have {heads} heads: the width must be a multiple "
                "of their number (set model.encoder.width or model.encoder.heads)"
            )
        self.resize = nn.Identity() if self.width == dim else nn.Linear(dim, self.width)
        self.positions = nn.Embedding(max_tokens, self.width)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            self.width, heads, feedforward, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        # Nested tensors would cut the output to the longest text of the batch.
        self.layers = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(self.width), enable_nested_tensor=False)
        nn.init.normal_(self.positions.weight, std=0.02)
        for parameter in self.layers.parameters():  # its layers are copies of one: draw each anew
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, T, D]` -> `[B, T, width]`."""
        tokens = x.shape[1]
        if tokens > self.positions.num_embeddings:
            raise ValueError(
                f"a text has {tokens} tokens, but the Transformer has positions for {self.positions.num_embeddings}: "
                "raise model.encoder.max_tokens or cut the texts (trainer.max_tokens)"
            )
        x = self.dropout(self.resize(x) + self.positions.weight[:tokens])
        return self.layers(x, src_key_padding_mask=~attendable(mask))
