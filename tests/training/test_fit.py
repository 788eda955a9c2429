import io
from functools import partial

import pytest
import torch
from rich.console import Console

from lexigraft.data.batches import EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Identity
from lexigraft.models.pooling import Mean
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.training.finetune.steady import Frozen, Full
from lexigraft.training.fit import fit
from lexigraft.training.module import SupervisedModule
from lexigraft.training.schedule import Constant

CLASSES = ("no", "yes")


def batches(size=64, dev=16, workers=0):
    """Class 1 iff token 2 is in the text."""
    random = torch.Generator().manual_seed(0)
    texts = [torch.randint(1, 20, (int(torch.randint(1, 9, (1,), generator=random)),), generator=random).tolist()
             for _ in range(size)]  # fmt: skip
    texts = [[2, *t] if i % 2 else [x for x in t if x != 2] or [1] for i, t in enumerate(texts)]
    labels = [i % 2 for i in range(size)]
    splits = {"train": slice(dev, None), "dev": slice(0, dev)}
    encoded = {n: EncodedText(Encoded.of(texts[s]), labels[s], pad_id=0) for n, s in splits.items()}
    return TextDataModule({"main": encoded}, batch_size=8, eval_batch_size=8, seed=0, workers=workers)


def module(finetune=None, lr=0.1):
    torch.manual_seed(0)
    embedding = TransplantedEmbedding(torch.randn(20, 6), 0)
    model = Classifier(embedding, Identity(6), Mean(6), {"main": Head(2)})
    optimizer = partial(torch.optim.AdamW, lr=lr)
    task = Classification(loss=CrossEntropy(), classes=CLASSES, train=[0, 1])
    return SupervisedModule(model, {"main": task}, optimizer, Constant(), finetune or Full())


def run(trained, data, tmp_path, **settings):
    out = io.StringIO()
    fitted = fit(
        trained,
        data,
        **{
            "checkpoints": tmp_path / "checkpoints", "loggers": [], "console": Console(file=out, width=200),
            "epochs": 3, "monitor": "accuracy", "patience": None, "gradient_clip": None, "bar": False,
            "accelerator": "cpu", "devices": 1, "precision": "32", **settings,
        },
    )  # fmt: skip
    return fitted, out.getvalue()


def test_one_line_an_epoch_and_the_same_as_history(tmp_path):
    fitted, out = run(module(), batches(), tmp_path)
    assert [row["epoch"] for row in fitted.history] == [1, 2, 3]
    assert [row["step"] for row in fitted.history] == [6, 12, 18]
    assert out.count("epoch") == 3
    assert fitted.history[-1]["train_loss"] < fitted.history[0]["train_loss"]


def test_lines_stand_above_a_progress_bar(tmp_path, capsys):
    run(module(), batches(), tmp_path, bar=True)
    lines = [line for line in capsys.readouterr().out.splitlines() if "dev accuracy" in line]
    assert [line.split()[:2] for line in lines] == [["epoch", "1"], ["epoch", "2"], ["epoch", "3"]]


def test_the_best_checkpoint_is_the_one_left_in_the_module(tmp_path):
    trained = module()
    fitted, _ = run(trained, batches(), tmp_path, monitor="loss")
    lowest = min(fitted.history, key=lambda row: row["dev_loss"])
    assert fitted.best == {"epoch": lowest["epoch"], "step": lowest["step"], "value": lowest["dev_loss"]}
    saved = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(w, saved[name]) for name, w in trained.state_dict().items())


def test_patience_stops_early(tmp_path):
    fitted, _ = run(module(lr=0.0), batches(), tmp_path, epochs=20, patience=2)
    assert len(fitted.history) == 3


def test_frozen_rows_keep_their_bits_under_weight_decay(tmp_path):
    trained = module(Frozen())
    before = trained.model.embedding.lookup.weight.clone()
    run(trained, batches(), tmp_path)
    assert torch.equal(trained.model.embedding.lookup.weight, before)


def test_workers_and_validation_do_not_change_the_losses(tmp_path):
    alone, _ = run(module(), batches(), tmp_path / "0")
    helped, _ = run(module(), batches(workers=1), tmp_path / "1")
    assert alone.history == helped.history


def test_a_loss_that_is_not_finite_ends_training_with_a_sentence(tmp_path):
    trained = module()
    with torch.no_grad():
        trained.model.heads["main"].bias[0] = float("nan")
    with pytest.raises(ValueError, match=r"training loss became nan at step 1 \(epoch 0\): lower optimizer.lr"):
        run(trained, batches(), tmp_path)
