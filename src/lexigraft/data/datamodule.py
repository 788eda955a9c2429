"""The encoded splits as Lightning wants them (apart from `batches`, so that predicting does not import Lightning)."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from lexigraft.data.batches import BucketedBatches, EncodedText, eval_loader, train_loader


class TextDataModule(pl.LightningDataModule):
    """Loaders of the splits "train", "dev", "test" and, if given, "predict".

    `encoded` and `labels` hold token ids and class indices by split. Training batches come from `batches`, a
    `BucketedBatches`, which a resumed run positions with `at`. No loader draws from the global random stream.
    """

    def __init__(
        self,
        encoded: Mapping[str, Sequence[list[int]]],
        labels: Mapping[str, Sequence[int]],
        *,
        pad_id: int,
        batch_size: int,
        eval_batch_size: int,
        seed: int,
        workers: int = 0,
    ) -> None:
        super().__init__()
        self.encoded, self.labels = encoded, labels
        self.pad_id, self.eval_batch_size, self.workers = pad_id, eval_batch_size, workers
        self._train = EncodedText(encoded["train"], labels["train"])
        self.batches = BucketedBatches(self._train.lengths(), batch_size, seed)

    def train_dataloader(self) -> DataLoader[Any]:
        return train_loader(self._train, self.batches, pad_id=self.pad_id, workers=self.workers)

    def val_dataloader(self) -> DataLoader[Any]:
        return self.eval_loader("dev")

    def test_dataloader(self) -> DataLoader[Any]:
        return self.eval_loader("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        return self.eval_loader("predict")

    def eval_loader(self, name: str) -> DataLoader[Any]:
        """The loader of a split from its longest text to its shortest."""
        return eval_loader(
            self.encoded[name],
            self.labels[name],
            pad_id=self.pad_id,
            batch_size=self.eval_batch_size,
            workers=self.workers,
        )
