"""What a model is trained to say of a text: its targets, its loss, and how well it is said."""

from typing import Any, Protocol

import numpy as np
from torch import Tensor

from lexigraft.data.encoded import Encoded
from lexigraft.data.text_data import Split


class Task(Protocol):
    """An option of `conf/task/`, made for the classes and the training labels of a data set.

    `kind` is the kind of labels it is for (see `text_data`), `per_token` whether each token has outputs of its own.
    `classes` is empty where outputs are numbers. `monitors` are the dev metrics by which the best epoch may be chosen,
    the default first; `curves` those that are logged every epoch.
    """

    kind: str
    per_token: bool
    classes: tuple[str, ...]
    monitors: tuple[str, ...]
    curves: tuple[str, ...]

    def outputs(self) -> int:
        """Width C of the head."""
        ...

    def targets(self, split: Split, encoded: Encoded) -> np.ndarray:
        """What the loss compares with: `[N]`, `[N, C]`, or, per token, `[tokens]` with `NOT_COUNTED` in places."""
        ...

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of a batch, float32, of outputs `[B, C]` or `[B, T, C]`."""
        ...

    def scores(self, outputs: Tensor) -> Tensor:
        """What is measured and told, float32: probabilities of the shape of `outputs`, or numbers `[B]`."""
        ...

    def evaluate(self, scores: Tensor, labels: Tensor, lengths: Tensor | None = None) -> dict[str, Any]:
        """Metrics of a whole split in plain values, "loss" and "count" among them.

        Per token, `scores` `[n, C]` and `labels` `[n]` are those of the counted tokens, text after text, and `lengths`
        `[N]` is how many each text has.
        """
        ...

    def answer(self, text: str, scores: Tensor) -> dict[str, Any]:
        """What `lexigraft predict` prints of one text, given its scores."""
        ...
