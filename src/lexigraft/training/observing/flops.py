"""How many operations a model needs for a token, and how many a GPU can do: the two sides of MFU."""

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lexigraft.models.active import ActiveRows
from lexigraft.models.classifier import Classifier
from lexigraft.models.encoders import Transformer
from lexigraft.models.pretrained import Pretrained


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of training, multiplications and additions counted each.

    A text of t tokens takes `per_text + t * (per_token + t * per_pair)`.
    """

    per_token: float
    per_pair: float
    per_text: float

    def of(self, texts: float, tokens: float, pairs: float) -> float:
        """Those of so many texts with so many tokens; `pairs` is the sum of their squared lengths."""
        return texts * self.per_text + tokens * self.per_token + pairs * self.per_pair


def training_flops(model: Classifier) -> Flops:
    """What a text needs forward and backward, by the weights as they are trained or frozen now.

    A weight matrix of n numbers takes 2 n forward, 2 n for its gradient if it is trained, and 2 n for the gradient of
    its input if something below it is trained: 6 n in all, or 4 n of the lowest one (Kaplan et al. 2020, "Scaling
    Laws", section 2.1). Attention takes 4 w forward for each pair of tokens and layer of width w (Chowdhery et al.
    2022, "PaLM", appendix B), and twice that backward where anything below or in it is trained. Looking up rows,
    biases and norms count nothing; what activation checkpointing does twice counts once; of a mixture of experts all
    count, which is too much.
    """
    looked_up = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag | ActiveRows)
        for parameter in module.parameters()
    }
    moving = False
    sums = {"encoder": 0.0, "text": 0.0}
    attended = False
    for name, parameter in model.named_parameters():  # in the order in which a text goes through them
        counted = parameter.ndim > 1 and id(parameter) not in looked_up
        if counted:
            part = "text" if name.startswith(("pooling.", "heads.")) else "encoder"
            sums[part] += 2.0 * parameter.numel() * (1 + parameter.requires_grad + moving)
        moving = moving or parameter.requires_grad
        if not name.startswith(("pooling.", "heads.")):
            attended = moving
    return Flops(sums["encoder"], 4.0 * _attention_width(model.encoder) * (3 if attended else 1), sums["text"])


def peak_flops(name: str, precision: str) -> float | None:
    """The most operations a second that a GPU of this name does on dense matrices; None: not known.

    `precision` is Lightning's; float32 counts as TF32 where torch is allowed to use it.
    """
    found = next((peaks for known, peaks in _PEAKS if re.search(known, name)), None)
    if found is None or "MIG" in name or precision.startswith("transformer-engine"):
        return None  # a MIG device is a part of a GPU, and of fp8 the tables say nothing
    half, tf32, single = found
    if precision.startswith(("bf16", "16")):
        return half * 1e12
    if precision == "tf32" or torch.get_float32_matmul_precision() != "highest":
        return tf32 * 1e12
    return single * 1e12


# 1e12 operations a second with float16 (bfloat16 where the GPU has it), TF32 and float32, without sparsity, from
# NVIDIA's data sheet of each; a name as CUDA gives it. GPUs before Ampere have no TF32 and do float32 as it is.
_PEAKS = (
    (r"\bG?H200( 480GB)?$", (989, 494, 67)),
    (r"\bH100 PCIe\b", (756, 378, 51)),
    (r"\bH100 80GB HBM3\b", (989, 494, 67)),
    (r"\bA100\b", (312, 156, 19.5)),
    (r"\bA10$", (125, 62.5, 31.2)),
    (r"\bL40S\b", (362, 183, 91.6)),
    (r"\bL4$", (121, 60, 30.3)),
    (r"\bV100-SXM2\b", (125, 15.7, 15.7)),
    (r"\bV100-PCIE\b", (112, 14, 14)),
    (r"\bT4$", (65, 8.1, 8.1)),
    (r"\bRTX 4090$", (165, 82.6, 82.6)),
)


def _attention_width(encoder: nn.Module) -> float:
    """The widths of all layers in which every token attends to every other, summed up; 0 without such layers."""
    if isinstance(encoder, Transformer):
        return float(encoder.width * len(encoder.layers.layers))
    if isinstance(encoder, Pretrained):
        config: Any = encoder.backbone.config
        return float(config.hidden_size * config.num_hidden_layers)
    return 0.0
