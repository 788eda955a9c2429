"""Class probabilities of a trained classifier."""

from collections.abc import Iterable

import torch
from torch import Tensor

from lexigraft.models.classifier import Classifier


@torch.inference_mode()
def class_probabilities(
    model: Classifier, batches: Iterable[dict[str, Tensor]], device: torch.device | None = None
) -> Tensor:
    """Probabilities `[N, C]` in float32, in the order of the batches' `index`, whatever order the batches come in.

    `device` None: a GPU if there is one, else the CPU.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device).eval()
    rows, index = [], []
    for batch in batches:
        logits = model(batch["input_ids"].to(device), batch["mask"].to(device))
        rows.append(logits.float().softmax(-1).cpu())
        index.append(batch["index"])
    order = torch.cat(index).argsort()
    return torch.cat(rows)[order]
