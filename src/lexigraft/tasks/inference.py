"""What a trained model says of texts, in the order in which they stood."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from lexigraft.data.batches import NOT_COUNTED, Batch
from lexigraft.data.encoded import Encoded
from lexigraft.data.text_data import Split
from lexigraft.models.classifier import Classifier
from lexigraft.tasks.task import Task

_MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Seen:
    """Scores and labels of batches as they come, put into the order of the batches' "index" at the end."""

    def __init__(self, per_token: bool) -> None:
        self._per_token = per_token
        self._scores: list[Tensor] = []
        self._labels: list[Tensor] = []
        self._index: list[int] = []

    def add(self, scores: Tensor, batch: Batch) -> None:
        """Keep the scores of a batch; per token, those of the tokens that count."""
        scores, labels = scores.cpu(), batch["labels"].cpu()
        if self._per_token:
            for of_text, wanted in zip(scores, labels):
                self._scores.append(of_text[wanted != NOT_COUNTED])
                self._labels.append(wanted[wanted != NOT_COUNTED])
        else:
            self._scores.append(scores)
            self._labels.append(labels)
        self._index += batch["index"].tolist()

    def in_order(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Scores, labels and, per token, the number of counted tokens of each text (else None)."""
        order = torch.tensor(self._index).argsort()
        if not self._per_token:
            return torch.cat(self._scores)[order], torch.cat(self._labels)[order], None
        scores, labels = ([parts[i] for i in order.tolist()] for parts in (self._scores, self._labels))
        return torch.cat(scores), torch.cat(labels), torch.tensor([len(each) for each in labels])


def device_here() -> torch.device:
    """A GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@torch.inference_mode()
def predictions(
    model: Classifier, task: Task, batches: Iterable[Batch], device: torch.device, precision: str = "32"
) -> tuple[Tensor, Tensor, Tensor | None]:
    """What `task.evaluate` takes: scores, labels, and lengths or None, in the order in which the texts stood.

    `precision`: that of training (`hardware.precision`); under a mixed one the network computes as it did on dev.
    """
    model = model.to(device).eval()
    seen = Seen(task.per_token)
    with torch.autocast(device.type, _MIXED.get(precision), enabled=precision in _MIXED):
        for batch in batches:
            types = batch.get("types")
            outputs = model(
                batch["input_ids"].to(device),
                batch["mask"].to(device),
                None if types is None else types.to(device),
                batch["task"],
            )
            seen.add(task.scores(outputs), batch)
    return seen.in_order()


def of_each_unit(scores: Tensor, encoded: Encoded, split: Split) -> list[Tensor]:
    """Scores `[n, C]` of counted tokens as `[units, C]` of each text; NaN where a unit has no token."""
    assert encoded.units is not None
    found, done = [], 0
    for i, text in enumerate(split.texts):
        units = encoded.units[encoded.starts[i] : encoded.starts[i + 1]]
        places = torch.from_numpy(units[units >= 0].astype(np.int64))
        rows = torch.full((text.count(" ") + 1 if text else 0, scores.shape[-1]), torch.nan)
        rows[places] = scores[done : done + len(places)]
        found.append(rows)
        done += len(places)
    return found
