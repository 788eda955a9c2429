"""What a module and its data are, as far as memory goes: the facts from which plans are reckoned."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

from lexigraft.data.batches import Batch, EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.models.active import ActiveRows
from lexigraft.models.stages import Stages
from lexigraft.training.memory.activations import Activations, measured
from lexigraft.training.memory.optimizer_state import fused, state_bytes
from lexigraft.training.memory.untouched import untouched
from lexigraft.training.module import SupervisedModule
from lexigraft.training.strategy import Strategy

Shape = tuple[int, int]  # texts, tokens of the longest


@dataclass(frozen=True)
class Conditions:
    """How a run is made, as far as memory goes.

    `precision` is the one that "auto" stands for; `strategy`, `cpu_offload` and `activation_checkpointing` are those of
    `hardware`. `ranks` processes share each batch of `batch_size` texts and have at most `micro_batch` of them at once.
    `averaging`: a second set of weights is kept.
    """

    batch_size: int
    accelerator: str = "cpu"
    precision: str = "32"
    strategy: str = "ddp"
    cpu_offload: bool = False
    activation_checkpointing: bool = False
    ranks: int = 1
    epochs: int = 1
    accumulate: int = 1
    micro_batch: int | None = None
    averaging: bool = False

    @property
    def on_gpu(self) -> bool:
        """Whether training is on a device with a memory of its own."""
        if self.accelerator == "auto":
            return torch.cuda.is_available() or torch.backends.mps.is_available()
        return self.accelerator != "cpu"

    @property
    def mixed(self) -> bool:
        """Whether weights are kept in 32 bits and multiplied in fewer."""
        return self.precision in ("bf16-mixed", "16-mixed", "fp8")

    @property
    def weights(self) -> torch.dtype:
        """The type that weights are kept in."""
        kinds = {"bf16-true": torch.bfloat16, "16-true": torch.float16, "64-true": torch.float64}
        return kinds.get(self.precision, torch.float32)


@dataclass(frozen=True)
class Parts:
    """Numbers (not bytes) of weights: all, trained ones, of the largest one, of the largest layer; buffers in bytes.

    `layers` on each other are `width` wide. `rows` is the shape of the embedding that is trained, `resting` the weights
    of the whole one, which the machine's memory keeps if only some rows are trained. `held` bytes are there already.
    `state` bytes are the optimizer's, `fused` if its step needs nothing beside. `train` and `evaluated` are shapes of
    the largest batches, before they are shared among ranks.
    """

    weights: int
    trained: int
    largest: int
    layer: int
    buffers: int
    layers: int
    width: int
    rows: Shape
    resting: int
    held: int
    optimizer: str
    state: int
    fused: bool
    activations: Activations
    train: tuple[Shape, ...]
    evaluated: tuple[Shape, ...]


def parts_of(
    module: SupervisedModule,
    batches: TextDataModule,
    conditions: Conditions,
    *,
    finetune: Strategy | None = None,
    optimizer: Callable[[Any], Optimizer] | None = None,
) -> Parts:
    """The facts of a module that is not trained yet, which is left as it was; of the last epoch, when most is trained.

    `finetune` and `optimizer` stand in for the module's own, to see what they would take.
    """
    with untouched(module):
        (finetune or module._finetune).apply(module.model, max(0, conditions.epochs - 1))
        weights = dict(module.named_parameters())
        trained = [weight for weight in weights.values() if weight.requires_grad]
        lookup = module.model.embedding.lookup
        resting = lookup._kept.rows if isinstance(lookup, ActiveRows) else torch.empty(0)
        if trained:
            made = optimizer(trained) if optimizer else module.made_optimizer(conditions.epochs)
            name, quick, state = type(made).__name__, fused(made), state_bytes(made, conditions.weights)
        else:
            name, quick, state = "none", True, 0
        example, train, evaluated = _shapes(batches, conditions.batch_size)
        return Parts(
            weights=sum(weight.numel() for weight in weights.values()),
            trained=sum(weight.numel() for weight in trained),
            largest=max((weight.numel() for weight in weights.values()), default=0),
            layer=_largest_layer(module),
            layers=Stages.of(module.model).layers,
            width=int(module.model.encoder.width),  # type: ignore[arg-type]  # a Classifier's encoder has one
            buffers=sum(buffer.nbytes for buffer in module.buffers()),
            rows=(lookup.weight.shape[0], lookup.weight.shape[1]),
            resting=resting.numel(),
            held=resting.nbytes + sum(weight.nbytes for weight in weights.values()),
            optimizer=name,
            state=state,
            fused=quick,
            activations=measured(module, example, half=conditions.mixed, fused_attention=conditions.on_gpu),
            train=train,
            evaluated=evaluated,
        )


def used_rows(batches: TextDataModule) -> int:
    """How many different tokens the texts of all splits hold, and one for padding."""
    found = [np.unique(texts.encoded.ids) for splits in batches.tasks.values() for texts in splits.values()]
    return len(np.unique(np.concatenate(found))) + 1


def _largest_layer(module: SupervisedModule) -> int:
    """Weights of the largest stage, which sharding brings together for a moment."""
    stages = Stages.of(module.model)
    by_stage: dict[int, int] = {}
    for name, weight in module.model.named_parameters():
        stage = stages.stage(name)
        by_stage[stage] = by_stage.get(stage, 0) + weight.numel()
    return max(by_stage.values(), default=0)


def _shapes(batches: TextDataModule, size: int) -> tuple[Batch, tuple[Shape, ...], tuple[Shape, ...]]:
    """A batch of the longest training text, and the shapes of large batches in training and evaluation."""
    tokens = batches.batch_tokens
    longest: tuple[int, EncodedText, int] | None = None
    train: list[Shape] = []
    evaluated: list[Shape] = []
    for splits in batches.tasks.values():
        of_train = splits["train"]
        lengths = np.maximum(1, of_train.encoded.lengths())
        if len(lengths):
            if longest is None or lengths.max() > longest[0]:
                longest = (int(lengths.max()), of_train, int(lengths.argmax()))
            train += _largest_batches(lengths, size, tokens)
        of_dev = np.maximum(1, splits["dev"].encoded.lengths())
        evaluated += _largest_batches(of_dev, batches.eval_batch_size, tokens) if len(of_dev) else []
    assert longest is not None, "there are training texts"
    _, texts, place = longest
    return texts.__getitems__([place]), tuple(train), tuple(evaluated)


def _largest_batches(lengths: np.ndarray, size: int, tokens: int | None) -> list[Shape]:
    """Shapes of which one is the largest batch, whatever counts; batches are of texts of about equal length.

    With a bound on tokens there are batches of many short texts and of few long ones.
    """
    longest = int(lengths.max())
    if tokens is None:
        return [(min(size, len(lengths)), longest)]
    sizes = sorted({int(each) for each in np.quantile(lengths, np.linspace(0, 1, 17))})
    return [(max(1, min(size, len(lengths), tokens // each)), each) for each in sizes]
