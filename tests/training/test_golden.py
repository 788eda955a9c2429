"""Losses and dev metrics of three runs of the tiny task, as they were: no change of the code may move them unseen."""

import json

import pytest

COLUMNS = ("train_loss", "dev_loss", "dev_accuracy", "dev_macro_f1")
GOLDEN = {  # a row per epoch
    "textcnn": [
        (0.710279, 0.512087, 0.825, 0.819471),
        (0.430241, 0.286243, 0.925, 0.924576),
        (0.260300, 0.170357, 1.0, 1.0),
    ],
    "bigru": [
        (0.689188, 0.622988, 0.55, 0.435737),
        (0.481976, 0.252574, 0.975, 0.974984),
        (0.192004, 0.121349, 1.0, 1.0),
    ],
    "transformer": [
        (0.656542, 0.555719, 0.7, 0.687500),
        (0.307744, 0.056126, 1.0, 1.0),
        (0.088539, 0.011171, 1.0, 1.0),
    ],
}
MODELS = {
    "textcnn": ("model=textcnn", "model.encoder.channels=8"),
    "bigru": ("model=bigru", "model.encoder.hidden=8"),
    "transformer": ("model=transformer", "model.encoder.layers=1", "model.encoder.feedforward=32"),
}


@pytest.mark.parametrize("name", MODELS)
def test_losses_and_metrics_are_those_of_before(train, name):
    run = train("trainer.epochs=3", "seed=0", "test=false", model=MODELS[name])
    history = json.loads((run / "result.json").read_text())["history"]
    assert [[row[column] for column in COLUMNS] for row in history] == [
        pytest.approx(row, abs=1e-4) for row in GOLDEN[name]
    ]
