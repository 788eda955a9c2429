from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lexigraft.data.batches import EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded


class Watch(pl.LightningModule):
    """Trains nothing of use and remembers which texts it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.trained: list[list[int]] = []
        self.validated: list[int] = []

    def training_step(self, batch: dict[str, Any], _: int) -> torch.Tensor:
        self.trained.append(batch["index"].tolist())
        return self.layer(batch["mask"].sum(1, keepdim=True).float()).mean()

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        self.validated += batch["index"].tolist()

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def module(**options: Any) -> TextDataModule:
    sizes = {"train": 30, "dev": 10, "test": 7}
    encoded = {name: Encoded.of([[1] * (1 + i % 6) for i in range(n)]) for name, n in sizes.items()}
    splits = {name: EncodedText(of, [0] * len(of), pad_id=0) for name, of in encoded.items()}
    return TextDataModule({"main": splits}, **{"batch_size": 4, "eval_batch_size": 8, "seed": 1, **options})


def trainer(epochs: int) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_batches_that_are_sorted_alone_have_texts_of_every_length() -> None:
    def spread(data: TextDataModule) -> int:
        return sum(int(batch["mask"].sum(1).max() - batch["mask"].sum(1).min()) for batch in data.train_dataloader())

    assert spread(module(sorted_batches=1)) > 2 * spread(module())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_lightning_sees_each_epoch_s_own_order_and_every_text() -> None:
    data, watch = module(), Watch()
    running = trainer(epochs=3)
    running.fit(watch, datamodule=data)
    assert watch.trained == [batch for epoch in range(3) for batch in data.batches.batches(epoch)]
    watch.validated.clear()
    running.validate(watch, datamodule=data, verbose=False)
    assert sorted(watch.validated) == list(range(10))
    watch.validated.clear()
    running.test(watch, datamodule=data, verbose=False)
    assert sorted(watch.validated) == list(range(7))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_later_epoch_can_be_resumed() -> None:
    data, watch = module(), Watch()
    data.batches.at(5, done=3)
    running = trainer(epochs=1)
    running.fit(watch, datamodule=data)
    assert watch.trained == data.batches.batches(5)[3:]


def test_sizes_are_checked() -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        module(batch_size=0)
    with pytest.raises(ValueError, match="batch_size is -1"):
        module(eval_batch_size=-1).val_dataloader()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_steps_that_lightning_expects_are_taken_with_a_budget_of_tokens() -> None:
    data, watch, running = module(batch_tokens=12), Watch(), trainer(epochs=3)
    running.fit(watch, datamodule=data)
    assert watch.trained == [batch for epoch in range(3) for batch in data.batches.batches(epoch)]
    assert running.global_step == running.estimated_stepping_batches == 3 * len(data.batches)
    assert all(len(batch) * max(1 + i % 6 for i in batch) <= 12 for batch in watch.trained)
    assert sorted(watch.validated[-10:]) == list(range(10))
