"""Encoded texts with what a task wants to be said of them."""

from lexigraft.data.batches import EncodedText
from lexigraft.data.encoded import Encoded
from lexigraft.data.text_data import Split
from lexigraft.tasks.task import Task


def texts_of(task: Task, split: Split, encoded: Encoded, pad_id: int, name: str = "main") -> EncodedText:
    """The data set of a split for the head of that name."""
    targets = task.targets(split, encoded)
    return EncodedText(encoded, targets, pad_id=pad_id, per_token=task.per_token, task=name)
