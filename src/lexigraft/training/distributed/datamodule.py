"""The loaders of one rank of several (apart from `shares`, so that what only needs those does not import Lightning)."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from lexigraft.data.batches import train_loader
from lexigraft.data.datamodule import TextDataModule
from lexigraft.training.distributed.shares import SharedTexts, own_batches, weigh_of


class SharedData(pl.LightningDataModule):
    """The loaders of one rank of several: its share of every training batch, and whole batches of the dev texts.

    `tasks` are those of the heads. `batches` is that of all ranks: to be positioned alike on each of them.
    """

    def __init__(self, whole: TextDataModule, tasks: Mapping[str, Any], rank: int, ranks: int) -> None:
        super().__init__()
        self.whole, self.batches = whole, whole.batches
        self._weighs = {name: weigh_of(task) for name, task in tasks.items()}
        self._rank, self._ranks = rank, ranks

    def train_dataloader(self) -> DataLoader[Any]:
        shared = SharedTexts(self.whole.train, self._weighs, self._rank, self._ranks)
        return train_loader(shared, self.batches, workers=self.whole.workers)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        return [self._own(loader) for loader in self.whole.val_dataloader()]

    def _own(self, loader: DataLoader[Any]) -> DataLoader[Any]:
        batches: Any = own_batches(list(loader.batch_sampler or ()), self._rank, self._ranks)
        return train_loader(loader.dataset, batches, workers=self.whole.workers)
