"""What a training step keeps for its backward pass, measured on a few short texts and carried over to whole batches."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from lexigraft.data.batches import Batch
from lexigraft.training.module import SupervisedModule

# Texts and tokens of the smallest batch. A workspace of whole pages shows its size in a larger one, but of many weights
# a pass takes long.
_LARGE, _SMALL, _MANY = (8, 16), (2, 4), 20_000_000


@dataclass(frozen=True)
class Sizes:
    """Bytes `[N]` of tensors, in the order in which they were made, in three small batches.

    `few`: of `texts` texts (not one: torch spares copies there) of `tokens` tokens; `more`: of half as many texts more;
    `longer`: with twice as many tokens. `floats` `[N]` is true for float32, which weights of 16 bits halve.
    """

    texts: int
    tokens: int
    few: np.ndarray
    more: np.ndarray
    longer: np.ndarray
    floats: np.ndarray

    def at(self, texts: int, tokens: int, share: float = 1.0) -> np.ndarray:
        """Bytes `[N]` in a batch of so many texts of so many tokens; float32 counts by `share`.

        What grows in proportion to the texts, or not at all, may have an end of equal size at each text (a margin of
        convolutions); what grows with neither is a part that is always there and one in proportion to all tokens (the
        workspace of an LSTM). What twice the length makes four times as large grows with its square (attention).
        """
        by_texts, by_tokens = self.more / self.few, self.longer / self.few
        wider, times = texts / self.texts, tokens / self.tokens
        of_texts = 1 + (by_texts - 1) * 2 * (wider - 1)
        of_tokens = np.where(by_tokens == 4, times**2, 1 + (by_tokens - 1) * (times - 1))
        of_all = 1 + (by_tokens - 1) * (wider * times - 1)
        product = np.isin(by_texts, (1, 1.5)) | np.isin(by_tokens, (1, 2, 4))
        return self.few * np.where(product, of_texts * of_tokens, of_all) * np.where(self.floats, share, 1.0)


@dataclass(frozen=True)
class Activations:
    """Tensors that a step keeps until its backward pass, and all that it makes on the way."""

    kept: Sizes
    made: Sizes

    def bytes(self, texts: int, tokens: int, share: float = 1.0) -> int:
        """What is kept of a batch of so many texts, all of so many tokens."""
        return round(float(self.kept.at(texts, tokens, share).sum()))

    def largest(self, texts: int, tokens: int, share: float = 1.0) -> int:
        """The largest single tensor."""
        return round(float(self.made.at(texts, tokens, share).max(initial=0)))


def measured(
    module: SupervisedModule, text: Batch, *, half: bool = False, fused_attention: bool = False
) -> Activations:
    """Activations of the module's loss in training mode, from three forward passes over the beginning of a text.

    `text` is a batch of one text, the longer the better. `half`: under autocast to bfloat16, whose copies of weights
    are counted too. `fused_attention`: as on a GPU, whose kernels keep no attention weights; on a CPU dropout makes
    torch keep them. The module is in training mode afterwards, and random numbers were drawn.
    """
    tokens = int(text["input_ids"].shape[1])
    many = sum(weight.numel() for weight in module.model.encoder.parameters()) > _MANY
    few, short = _SMALL if many else _LARGE
    short = min(short, max(1, tokens // 2))
    module.train()
    known = {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers())}
    device = next(module.parameters()).device.type
    runs = []
    for texts, length in ((few, short), (few * 3 // 2, short), (few, min(2 * short, tokens))):
        kept, made = _Kept(known), _Made(known)
        with ExitStack() as around:
            around.enter_context(torch.enable_grad())
            if half:
                around.enter_context(torch.autocast(device, torch.bfloat16))
            if fused_attention:
                around.enter_context(_NoAttentionDropout())
            around.enter_context(kept.hooks())
            around.enter_context(made)
            module.loss_of(_cut(text, texts, length))
        runs.append((kept.sizes, made.sizes))
    of_kept, of_made = zip(*runs)
    return Activations(_sizes(few, short, of_kept, np.sum), _sizes(few, short, of_made, np.max))


Size = tuple[int, bool]  # bytes, and whether they are float32


class _Kept:
    """Storages that are saved for the backward pass, but for those of the module itself.

    An address that is used again counts once, with the larger size, as it would with an allocator.
    """

    def __init__(self, known: set[int]) -> None:
        self._known, self._by_address = known, dict[int, Size]()

    @property
    def sizes(self) -> list[Size]:
        """Of each storage, in the order of saving."""
        return list(self._by_address.values())

    def hooks(self) -> saved_tensors_hooks:
        """The context in which they are noted."""
        return saved_tensors_hooks(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        place = storage.data_ptr()
        if place not in self._known:
            size = max(storage.nbytes(), self._by_address.get(place, (0, False))[0])
            self._by_address[place] = (size, tensor.dtype == torch.float32)
        return tensor


class _Made(TorchDispatchMode):
    """Notes what each operation gives."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()
        self._known, self.sizes = known, list[Size]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, (list, tuple)) else (result,):
            if isinstance(each, Tensor) and each.untyped_storage().data_ptr() not in self._known:
                self.sizes.append((each.untyped_storage().nbytes(), each.dtype == torch.float32))
        return result


class _NoAttentionDropout(TorchFunctionMode):
    """Attention without dropout, for which torch has a fused kernel on a CPU too."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is F.scaled_dot_product_attention:
            args = (*args[:4], 0.0, *args[5:]) if len(args) > 4 else args
            kwargs |= {"dropout_p": 0.0} if "dropout_p" in kwargs else {}
        return func(*args, **kwargs)


def _cut(text: Batch, texts: int, tokens: int) -> Batch:
    """The first so many tokens of the text, so many times over."""

    def part(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        per_token = value.ndim > 1 and value.shape[1] == text["input_ids"].shape[1]
        value = value[:, :tokens] if per_token else value
        return value.expand(texts, *value.shape[1:]).contiguous()

    cut = {name: part(value) for name, value in text.items()}
    return {**cut, "mask": torch.ones(texts, tokens, dtype=torch.bool, device=text["mask"].device)}


def _sizes(texts: int, tokens: int, runs: tuple[list[Size], ...], together: Callable[[np.ndarray], Any]) -> Sizes:
    """Tensor by tensor; all together where the passes did not make the same ones, as they may in loops over tokens."""
    sizes = [np.array([size for size, _ in run], np.float64) for run in runs]
    floats = np.array([kind for _, kind in runs[0]], bool)
    if len({len(of) for of in sizes}) > 1:
        sizes, floats = [np.array([together(of)], np.float64) for of in sizes], np.ones(1, bool)
    there = np.min(sizes, axis=0) > 0
    few, more, longer = (of[there] for of in sizes)
    return Sizes(texts, tokens, few, more, longer, floats[there])
