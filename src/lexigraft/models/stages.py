"""The stages of a model from bottom to top: embedding, the layers of the encoder, head."""

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from torch import nn

from lexigraft.models.classifier import Classifier
from lexigraft.models.pretrained import Pretrained

WORD_ROWS = "embedding.lookup."  # the names of all parameters that hold word rows begin so


@dataclass(frozen=True)
class Stages:
    """Stage 0 is the embedding, 1 to `layers` are the encoder's layers, the last one is pooling and heads.

    With the embedding goes what stands below the first layer (positions, segments), with the last layer what stands
    above it (a last norm). `stacked`: the encoder has layers on each other; others are one stage, or none where they
    have no parameters.
    """

    layers: int
    stacked: bool
    _stack: str
    _above: frozenset[str]

    @classmethod
    def of(cls, model: Classifier) -> "Stages":
        """The stages of a model, remembered as long as it lives."""
        if model not in _KNOWN:
            _KNOWN[model] = _stages(model)
        return _KNOWN[model]

    @property
    def top(self) -> int:
        """The stage of pooling and heads."""
        return self.layers + 1

    def stage(self, name: str) -> int:
        """The stage of the parameter of that name."""
        if name.startswith("embedding."):
            return 0
        if not name.startswith("encoder."):
            return self.top
        if not self.stacked:
            return self.layers
        if name.startswith(self._stack):
            return int(name.removeprefix(self._stack).partition(".")[0]) + 1
        return self.layers if name in self._above else 0


_KNOWN: WeakKeyDictionary[Classifier, Stages] = WeakKeyDictionary()


def _stages(model: Classifier) -> Stages:
    found = _stack(model.encoder)
    names = [name for name, _ in model.named_parameters() if name.startswith("encoder.")]
    if found is None:
        return Stages(1 if names else 0, False, "", frozenset())
    stack = f"encoder.{found[0]}."
    first = next((i for i, name in enumerate(names) if name.startswith(stack)), len(names))
    # BART defines the norm of its embeddings after its layers.
    above = {name for name in names[first:] if not name.startswith(stack) and "embed" not in name.lower()}
    return Stages(len(found[1]), True, stack, frozenset(above))


def _stack(encoder: nn.Module) -> tuple[str, nn.ModuleList] | None:
    """Name and list of the layers on each other: of a backbone the longest list, of our encoders that under `layers`.

    (Lists may also stand side by side, as the convolutions of TextCNN do.)
    """
    lists = [
        (name, module)
        for name, module in _outermost_lists(encoder)
        if len(module) and (isinstance(encoder, Pretrained) or name.partition(".")[0] == "layers")
    ]
    return max(lists, key=lambda item: len(item[1]), default=None)


def _outermost_lists(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.ModuleList]]:
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList):
            yield prefix + name, child
        else:
            yield from _outermost_lists(child, f"{prefix}{name}.")
