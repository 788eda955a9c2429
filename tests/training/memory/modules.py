"""Small modules of several kinds with texts for them."""

from functools import partial

import numpy as np
import torch

from lexigraft.data.batches import EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Identity, Recurrent, TextCNN, Transformer
from lexigraft.models.pooling import Max
from lexigraft.models.pretrained import Pretrained
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.training.module import SupervisedModule
from lexigraft.training.schedule import Constant
from lexigraft.training.strategy import Strategy

ROWS, DIM, TEXTS, TOKENS = 200, 32, 24, 40
BERT = {
    "model_type": "bert",
    "hidden_size": DIM,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 100,
    "max_position_embeddings": 64,
}
ENCODERS = {
    "mean": lambda: Identity(DIM),
    "textcnn": lambda: TextCNN(DIM, kernel_sizes=[3, 4, 5], channels=20),
    "bilstm": lambda: Recurrent(DIM, cell="lstm", hidden=16),
    "transformer": lambda: Transformer(DIM, layers=2, heads=4, feedforward=64, dropout=0.1, max_tokens=TOKENS),
    "bert": lambda: Pretrained(DIM, config=BERT),
}
ADAMW = partial(torch.optim.AdamW, lr=1e-3, fused=True)


def module(encoder="textcnn", optimizer=ADAMW, finetune=None, regularisers=()):
    """A classifier of two classes on 200 rows."""
    torch.manual_seed(0)
    layers = ENCODERS[encoder]()
    rows = TransplantedEmbedding(torch.randn(ROWS, DIM), 0, dropout=0.1)
    model = Classifier(rows, layers, Max(layers.width), {"main": Head(2)}, head_dropout=0.1)
    tasks = {"main": Classification(loss=CrossEntropy(), classes=("no", "yes"), train=[0, 1])}
    return SupervisedModule(model, tasks, optimizer, Constant(), finetune or Strategy(), regularisers)


def batches(tokens=TOKENS, **settings):
    """24 texts of ids 1 to 99, all of so many tokens."""
    random = np.random.default_rng(0)
    encoded = Encoded.of([random.integers(1, 100, tokens).tolist() for _ in range(TEXTS)])
    split = EncodedText(encoded, np.arange(TEXTS) % 2, pad_id=0)
    sizes = {"batch_size": 8, "eval_batch_size": 8, "seed": 0, **settings}
    return TextDataModule({"main": {"train": split, "dev": split}}, **sizes)
