"""Small weights beside the encoder's own, by `peft`: LoRA and its relatives."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any, Literal

from torch import Tensor, nn

from lexigraft.models.classifier import Classifier
from lexigraft.models.pretrained import Pretrained
from lexigraft.models.stages import WORD_ROWS
from lexigraft.training.finetune.moving import HEAD, let_move, require_positive
from lexigraft.training.strategy import Strategy


@dataclass(frozen=True)
class LoRA(Strategy):
    """Adapters in the encoder's linear layers move, the encoder itself stays; with it move pooling and heads.

    `method`: LoRA (Hu et al. 2022), rank-stabilised LoRA (Kalajdzievski 2023), DoRA (Liu et al. 2024), (IA)^3 (Liu et
    al. 2022, on every target's outputs), which has neither `r`, `alpha` nor `dropout`. `targets`: names of linear
    layers, or the ends of names; None: all that are modules of their own, so of `nn.MultiheadAttention` nothing.
    `embedding`: the word rows move too, at `embedding_scale` times optimizer.lr.
    `ValueError` without peft, for a target that is no linear layer, and for an encoder that has none.
    """

    method: Literal["lora", "rslora", "dora", "ia3"] = "lora"
    r: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: Sequence[str] | None = None
    embedding: bool = True
    embedding_scale: float = 1.0

    def __post_init__(self) -> None:
        if find_spec("peft") is None:
            raise ValueError("finetune=lora needs the package peft: pip install 'lexigraft[peft]'")
        if self.r < 1:
            raise ValueError(f"finetune.r={self.r}: a rank of at least 1 is expected")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"finetune.dropout={self.dropout}: a share from 0 up to, not including, 1 is expected")
        require_positive(alpha=self.alpha, embedding_scale=self.embedding_scale)

    def prepare(self, model: Classifier, new_rows: Tensor | None = None) -> None:
        """Put adapters into the encoder, in place; random ones depend on torch's global seed."""
        from peft import inject_adapter_in_model
        from transformers.pytorch_utils import Conv1D

        root = _body(model)
        targets = self._found(root, type(model.encoder).__name__)
        transposed = any(isinstance(root.get_submodule(name), Conv1D) for name in targets)
        with warnings.catch_warnings():
            # Where layers of both kinds are adapted, peft turns this setting for each of them, and says so.
            warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")
            inject_adapter_in_model(self._config(targets, transposed), root)
        _fast_path(root, on=False)

    def apply(self, model: Classifier, epoch: int) -> None:
        """Hold the encoder's own weights."""

        def moves(name: str) -> bool:
            if name.startswith(WORD_ROWS):
                return self.embedding
            return name.startswith(("embedding.", *HEAD)) or _is_adapter(name)

        let_move(model, moves)

    def lr_scale(self, model: Classifier, name: str, epoch: int) -> float:
        """The same in every epoch."""
        return self.embedding_scale if name.startswith(WORD_ROWS) else 1.0

    def finish(self, model: Classifier) -> None:
        """Add the adapters into the weights that they stand beside and take them out: the network is plain again."""
        from peft.tuners.tuners_utils import BaseTunerLayer

        root = _body(model)
        for name, layer in list(root.named_modules()):
            if isinstance(layer, BaseTunerLayer):
                layer.merge(safe_merge=True)
                parent, _, own = name.rpartition(".")
                setattr(root.get_submodule(parent), own, layer.get_base_layer())
        if hasattr(root, "peft_config"):
            del root.peft_config
        _fast_path(root, on=True)

    def _config(self, targets: list[str], transposed: bool) -> Any:
        from peft import IA3Config, LoraConfig

        if self.method == "ia3":
            return IA3Config(target_modules=targets, feedforward_modules=[], fan_in_fan_out=transposed)
        alpha: Any = self.alpha  # peft declares an int, but only divides it by r
        return LoraConfig(
            target_modules=targets,
            r=self.r,
            lora_alpha=alpha,
            lora_dropout=self.dropout,
            fan_in_fan_out=transposed,
            use_rslora=self.method == "rslora",
            use_dora=self.method == "dora",
        )

    def _found(self, root: nn.Module, encoder: str) -> list[str]:
        """Full names of the targets."""
        linear = _linear_layers(root)
        if not linear:
            raise ValueError(
                f"finetune=lora adapts linear layers, and {encoder} has none: use model=transformer or "
                "model=pretrained, or another finetune option"
            )
        if self.targets is None:
            return linear
        found = []
        for target in self.targets:
            named = [name for name in linear if name == target or name.endswith(f".{target}")]
            if not named:
                ends = sorted({name.rpartition(".")[2] for name in linear})
                close = get_close_matches(target, ends, n=5, cutoff=0.0)
                raise ValueError(
                    f"finetune.targets holds {target!r}, which no linear layer's name ends with; near are "
                    f"{', '.join(close)}"
                )
            found += named
        return list(dict.fromkeys(found))


def _body(model: Classifier) -> nn.Module:
    return model.encoder.backbone if isinstance(model.encoder, Pretrained) else model.encoder


def _linear_layers(root: nn.Module) -> list[str]:
    """Names of linear layers whose `forward` is called: `nn.MultiheadAttention` only reads the weights of its own."""
    from transformers.pytorch_utils import Conv1D

    modules = dict(root.named_modules())
    attention = tuple(f"{name}." for name, module in modules.items() if isinstance(module, nn.MultiheadAttention))
    linear = [name for name, module in modules.items() if isinstance(module, (nn.Linear, Conv1D))]
    return [name for name in linear if not name.startswith(attention)]


def _is_adapter(name: str) -> bool:
    return any(part.startswith(("lora_", "ia3_")) for part in name.split("."))


def _fast_path(root: nn.Module, on: bool) -> None:
    """Torch's fused Transformer layer reads the weights of its linear layers in evaluation, past any adapter."""
    for module in root.modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            if not on:
                module.fused_activation = module.activation_relu_or_gelu  # type: ignore[assignment]
            module.activation_relu_or_gelu = getattr(module, "fused_activation", 0) if on else 0
