"""A batch in parts that are trained one after the other: the memory of one part, and the gradient of the whole.

The loss of a whole batch is a sum over its texts divided by a number N, of its texts, of its counted tokens, or of the
weights of their classes (`Weigh`). Part i divides by its own N_i, so its loss has to be multiplied by N_i / N: then the
gradients of the parts add up to that of the whole, as those of ranks do (`distributed/shares.py`). Terms without texts
are added in the last part alone.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lexigraft.data.batches import Batch
from lexigraft.training.distributed.shares import Weigh, count


def with_parts(batch: Batch, size: int, weigh: Weigh, *, per_token: bool = False) -> Batch:
    """The batch, with "parts": what `split` needs to know of each part of at most `size` texts.

    Labels are read, so the batch should not be on a GPU yet, whose work would be waited for. `weigh` says what the mean
    loss of some labels is divided by. A batch of no more than `size` texts is left as it is.
    """
    ends = _ends(len(batch["index"]), size)
    if len(ends) == 1:
        return batch
    labels = [batch["labels"][start:end] for start, end in zip([0, *ends], ends)]
    flat = [each.flatten() if per_token else each for each in labels]
    loss, text = _shares([weigh(each) for each in flat]), _shares([count(each) for each in flat])
    of_rank = batch.get("loss_share", 1.0), batch.get("text_share", 1.0)
    return {**batch, "parts": [(end, of_rank[0] * a, of_rank[1] * b) for end, a, b in zip(ends, loss, text)]}


def split(batch: Batch) -> list[Batch]:
    """The parts that `with_parts` has told of, with the texts in their order; else the batch itself.

    Whatever has a row for each text is cut; the rest, such as the task's name, is in each part. "loss_share" and
    "text_share" are what the part's loss and means over its texts are multiplied by, "completes" is True in the last.
    """
    if "parts" not in batch:
        return [batch]
    whole, texts, start, parts = {k: v for k, v in batch.items() if k != "parts"}, len(batch["index"]), 0, []
    for end, loss_share, text_share in batch["parts"]:
        part: Batch = {key: value[start:end] if _of_texts(value, texts) else value for key, value in whole.items()}
        parts.append({**part, "loss_share": loss_share, "text_share": text_share, "completes": end == texts})
        start = end
    return parts


def accumulated(
    parts: Sequence[Batch], loss_of: Callable[[Batch], Tensor], backward: Callable[[Tensor], None]
) -> Tensor:
    """The loss of a batch `[]`, whose parts but the last have been through `backward` by then.

    Backward of what is returned completes the gradient of the whole batch, and its value is the whole batch's loss.
    Gradients must be cleared before, and not in between.
    """
    *before, last = parts
    told: Tensor | None = None
    for part in before:
        loss = loss_of(part)
        with torch.autocast(loss.device.type, enabled=False):
            backward(loss)
        told = loss.detach() if told is None else told + loss.detach()
        del loss  # and with it what the part has kept, before the next one
    loss = loss_of(last)
    return loss if told is None else loss + told


def why_whole(modules: Iterable[nn.Module]) -> str | None:
    """Why a batch cannot be trained in parts, if one of the modules brings its texts together; None if it can."""
    for module in modules:
        if getattr(module, "mixes_texts", False):
            return f"regularise=[{type(module).__name__.lower()}] mixes texts of the whole batch"
        if isinstance(module, _BatchNorm):
            return "the encoder has batch normalisation, whose means are those of the whole batch"
    return None


def require_splittable(modules: Iterable[nn.Module]) -> None:
    """`ValueError` with what `why_whole` says."""
    if told := why_whole(modules):
        raise ValueError(
            f"trainer.micro_batch trains a batch in parts, but {told}: use trainer.micro_batch=null, with a lower "
            "trainer.batch_size and a higher trainer.accumulate where memory is short"
        )


def require_whole_model(strategy: Any) -> None:
    """`ValueError` where processes hold parts of one model and wait for one another in each pass."""
    if isinstance(strategy, ModelParallelStrategy):
        raise ValueError(
            "trainer.micro_batch is not for processes that share one model (hardware.strategy=fsdp): use "
            "trainer.micro_batch=null, with a lower trainer.batch_size and a higher trainer.accumulate"
        )


def largest_part(texts: int, size: int) -> int:
    """The texts of the largest part of a batch of so many, in parts of at most `size`."""
    return -(-texts // len(_ends(texts, size)))


def _ends(texts: int, size: int) -> list[int]:
    """Where parts of at most `size` texts end that are as equal as can be."""
    parts = max(1, -(-texts // size))
    return [texts * (i + 1) // parts for i in range(parts)]


def _shares(weights: Sequence[float]) -> list[float]:
    total = sum(weights)
    return [weight / total if total else 0.0 for weight in weights]


def _of_texts(value: Any, texts: int) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) == texts
