"""A tiny task whose training takes a moment: class 1 iff token 2 is in the text."""

from functools import partial

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from lexigraft.data.batches import EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Identity
from lexigraft.models.pooling import Mean
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.training.module import SupervisedModule
from lexigraft.training.schedule import Constant
from lexigraft.training.strategy import Strategy

LABELS = [i % 2 for i in range(80)]


def texts():
    """Of 80 texts the token ids, of which 1 to 19 occur."""
    random = np.random.default_rng(0)
    drawn = [random.integers(3, 20, random.integers(1, 9)).tolist() for _ in LABELS]
    return [[2, *text] if label else text for text, label in zip(drawn, LABELS)]


def batches(batch_size=8):
    """64 texts for training and 16 for dev."""
    encoded, labels = Encoded.of(texts()), np.array(LABELS)
    splits = {
        name: EncodedText(encoded.take(np.arange(start, stop)), labels[start:stop], pad_id=0)
        for name, start, stop in (("train", 0, 64), ("dev", 64, 80))
    }
    return TextDataModule({"main": splits}, batch_size=batch_size, eval_batch_size=8, seed=0)


def module(optimizer=None, regularisers=(), finetune=None):
    """A mean of word vectors and a linear head, trained by SGD unless told otherwise."""
    torch.manual_seed(0)
    model = Classifier(TransplantedEmbedding(torch.randn(20, 6), 0), Identity(6), Mean(6), {"main": Head(2)})
    task = Classification(loss=CrossEntropy(), classes=("no", "yes"), train=LABELS)
    optimizer = optimizer or partial(torch.optim.SGD, lr=0.5)
    return SupervisedModule(model, {"main": task}, optimizer, Constant(), finetune or Strategy(), regularisers)


def trainer(folder, *callbacks, epochs=3, **settings):
    """A silent trainer on the CPU, which writes checkpoints only where one of the callbacks does."""
    saves = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    return pl.Trainer(
        accelerator="cpu", devices=1, max_epochs=epochs, logger=False, callbacks=list(callbacks),
        enable_checkpointing=saves, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, default_root_dir=folder, use_distributed_sampler=False, **settings,
    )  # fmt: skip
