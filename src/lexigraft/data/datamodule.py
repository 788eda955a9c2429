"""The encoded splits as Lightning wants them (apart from `batches`, so that predicting does not import Lightning)."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset

from lexigraft.data.batches import Batch, BucketedBatches, EncodedText, eval_loader, train_loader
from lexigraft.data.mixed import JoinedTexts, MixedBatches


class TextDataModule(pl.LightningDataModule):
    """Loaders of the splits "train", "dev" and "test" of one task or several, "main" first.

    Training batches come from `batches`, a `BucketedBatches` or, of several tasks, a `MixedBatches`, which a resumed
    run positions with `at`; `temperature` is the latter's. `batch_tokens` bounds the cells of a batch, padding
    included, in training and evaluation; the texts of so many `sorted_batches` are sorted by length together; `shown`
    names the texts of a task that an epoch has (see there). No loader draws from the global random stream.
    """

    def __init__(
        self,
        tasks: Mapping[str, Mapping[str, EncodedText]],
        *,
        batch_size: int,
        eval_batch_size: int,
        seed: int,
        workers: int = 0,
        temperature: float = 1.0,
        batch_tokens: int | None = None,
        sorted_batches: int = 50,
        shown: Mapping[str, Callable[[int], np.ndarray]] | None = None,
    ) -> None:
        super().__init__()
        self.tasks, self.eval_batch_size, self.workers = tasks, eval_batch_size, workers
        self.batch_tokens = batch_tokens
        train = {name: splits["train"] for name, splits in tasks.items()}
        each = {
            name: BucketedBatches(
                of.encoded.lengths(),
                batch_size,
                seed,
                pool=sorted_batches,
                tokens=batch_tokens,
                shown=(shown or {}).get(name),
            )
            for name, of in train.items()
        }
        self.train: Dataset[Batch] = train["main"]
        self.batches: BucketedBatches | MixedBatches = each["main"]
        if len(tasks) > 1:
            self.train = JoinedTexts(list(train.values()))
            self.batches = MixedBatches(each, [len(of) for of in train.values()], seed, temperature)

    def train_dataloader(self) -> DataLoader[Any]:
        return train_loader(self.train, self.batches, workers=self.workers)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        return [self.eval_loader("dev", name) for name in self.tasks]

    def test_dataloader(self) -> list[DataLoader[Any]]:
        return [self.eval_loader("test", name) for name in self.tasks]

    def eval_loader(self, split: str, task: str = "main") -> DataLoader[Any]:
        """The loader of a split of a task, from its longest text to its shortest."""
        return eval_loader(
            self.tasks[task][split],
            batch_size=self.eval_batch_size,
            workers=self.workers,
            tokens=self.batch_tokens,
        )
