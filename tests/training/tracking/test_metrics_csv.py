import csv
import math
import os

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from lexigraft.training.tracking.metrics_csv import MetricsCsv, read_rows
from tests.training import tiny


def logged(folder, *rows, resumed=None):
    logger = MetricsCsv(folder)
    if resumed is not None:
        logger.after_resume(resumed)
    for step, metrics in rows:
        logger.log_metrics(metrics, step)
    return folder / "metrics.csv"


def test_rows_are_there_as_soon_as_they_are_logged(tmp_path):
    file = logged(tmp_path, (9, {"train/loss": torch.tensor(0.5), "epoch": 0}), (19, {"train/loss": 0.25, "epoch": 0}))
    assert file.read_text() == "epoch,step,train/loss\n0,9,0.5\n0,19,0.25\n"


def test_a_new_key_is_a_new_column(tmp_path):
    file = logged(tmp_path, (9, {"train/loss": 0.5}), (9, {"dev/accuracy": 1.0}), (19, {"train/loss": 0.25}))
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    assert [row["dev/accuracy"] for row in rows] == ["", "1.0", ""]
    assert [row["train/loss"] for row in rows] == ["0.5", "", "0.25"]


def test_a_new_run_begins_anew(tmp_path):
    logged(tmp_path, (9, {"a": 1.0}))
    assert read_rows(logged(tmp_path, (4, {"b": 2.0})).parent) == [{"step": 4, "b": 2.0}]


def test_a_resumed_run_keeps_what_came_before_its_step(tmp_path):
    logged(tmp_path, (9, {"a": 1.0}), (10, {"a": 2.0}), (19, {"a": 3.0}))
    logged(tmp_path, (10, {"a": 2.5}), (11, {"b": 4.0}), resumed=10)
    assert read_rows(tmp_path) == [{"step": 9, "a": 1.0}, {"step": 10, "a": 2.5}, {"step": 11, "b": 4.0}]


def test_a_validation_that_is_done_again_is_written_once(tmp_path):
    logged(tmp_path, (9, {"train/loss": 1.0}), (9, {"dev/loss": 2.0}))
    for rows, kept in ((1, 1), (0, 0), (None, 2)):
        again = MetricsCsv(tmp_path)
        again.after_resume(10, rows)
        assert again.rows == (rows or 0)
        again.log_metrics({"dev/loss": 2.0}, 9)
        assert len(read_rows(tmp_path)) == again.rows == kept + 1
        logged(tmp_path, (9, {"train/loss": 1.0}), (9, {"dev/loss": 2.0}))


def test_a_torn_line_is_left_out(tmp_path):
    file = logged(tmp_path, (0, {"a": 1.0}), (1, {"a": 2.0}))
    with file.open("a") as opened:
        opened.write("2,3.")
    assert [row["step"] for row in read_rows(tmp_path)] == [0, 1]
    logged(tmp_path, (2, {"a": 3.5}), resumed=2)
    assert file.read_text() == "step,a\n0,1.0\n1,2.0\n2,3.5\n"


def test_infinity_and_nan_are_read_as_they_were(tmp_path):
    logged(tmp_path, (0, {"a": math.inf, "b": math.nan}))
    (row,) = read_rows(tmp_path)
    assert row["a"] == math.inf
    assert math.isnan(row["b"])


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    logger = MetricsCsv(tmp_path)
    logger.log_metrics({"a": 1.0}, 0)
    (tmp_path / "metrics.csv").unlink()
    os.symlink("/dev/full", tmp_path / "metrics.csv")
    with pytest.raises(OSError, match=r"No space left on device: '.*metrics\.csv'"):
        logger.log_metrics({"a": 2.0}, 1)


def test_training_that_is_resumed_leaves_the_file_of_unbroken_training(tmp_path):
    def train(folder, epochs, resume=None):
        folder.mkdir(exist_ok=True)
        logger = MetricsCsv(folder)
        saver = ModelCheckpoint(folder, filename="e{epoch}", save_top_k=-1, enable_version_counter=False)
        trainer = tiny.trainer(folder, saver, epochs=epochs, log_every_n_steps=2)
        trainer.logger = logger
        if resume:
            logger.after_resume(torch.load(resume, weights_only=True)["global_step"])
        trainer.fit(tiny.module(), datamodule=tiny.batches(), ckpt_path=resume)
        return [(row["epoch"], row["step"], *row) for row in read_rows(folder)]

    whole = train(tmp_path / "whole", 3)
    assert len(whole) == 3 * (4 + 1)
    train(tmp_path / "parts", 2)  # killed at the end of its second epoch, resumed from the first one's
    first = next((tmp_path / "parts").glob("e*0.ckpt"))
    assert train(tmp_path / "parts", 3, first) == whole
