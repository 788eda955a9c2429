"""Several data sets and heads on one transplanted network."""

import json

import pytest
import torch

from tests.fixtures.task import MODEL, SOURCE, call

FURTHER = ("+data@auxiliary.polarity.data=files", "auxiliary.polarity.data.train=train.tsv")


def further(task, *overrides):
    return [*FURTHER, f"auxiliary.polarity.data.root={task}", "auxiliary.polarity.data.drop_shared=false", *overrides]


@pytest.fixture(scope="module")
def run(train, task):
    return train(*further(task, "trainer.sampling_temperature=2", "trainer.epochs=3"))


def test_each_task_has_its_head_its_metrics_and_its_splits(run):
    result = json.loads((run / "result.json").read_text())
    assert set(result["metrics"]) == {"dev", "test", "dev/polarity", "test/polarity"}
    assert result["metrics"]["dev/polarity"]["accuracy"] > 0.8
    assert {"dev_accuracy", "dev_polarity/accuracy"} <= set(result["history"][0])
    weights = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert {"model.heads.main.weight", "model.heads.polarity.weight"} <= set(weights)
    assert (run / "splits" / "polarity" / "dev.jsonl.gz").is_file()
    assert (run / "figures" / "confusion_dev_polarity.png").is_file()


def test_each_task_can_be_evaluated_and_asked(run, capsys):
    expected = json.loads((run / "result.json").read_text())["metrics"]["test/polarity"]
    assert call("evaluate", str(run), "--task", "polarity") == 0
    assert json.loads((run / "evaluation_polarity_test.json").read_text()) == expected
    capsys.readouterr()
    assert call("predict", str(run), "--task", "polarity", "好书") == 0
    assert set(json.loads(capsys.readouterr().out)["probabilities"]) == {"0", "1"}
    assert call("evaluate", str(run), "--task", "mood") == 1
    assert "has no task 'mood': its tasks are main, polarity" in capsys.readouterr().err


def test_a_task_of_another_kind_stands_beside(train, task, tmp_path):
    lines = [f"{'好' in text}\t{text}{i}" for i, text in enumerate(("好书", "坏书", "今天好", "棒的") * 20)]
    (tmp_path / "yes.tsv").write_text("label\ttext\n" + "\n".join(lines) + "\n", encoding="utf-8")
    overrides = ["+data@auxiliary.other.data=files", f"auxiliary.other.data.train={tmp_path / 'yes.tsv'}",
                 "auxiliary.other.data.drop_shared=false", "+task@auxiliary.other.task=multilabel"]  # fmt: skip
    run = train(*overrides, "trainer.epochs=1", "auxiliary.other.data.folds=4", "auxiliary.other.data.dev_share=0.3")
    assert "micro_f1" in json.loads((run / "result.json").read_text())["metrics"]["dev/other"]


def test_mistakes_in_a_further_task_are_told(task_overrides, capsys, tmp_path):
    line = ["train", *task_overrides, *SOURCE, *MODEL, f"output_root={tmp_path}"]
    assert call(*line, "+data@auxiliary.other.data=files") == 2
    assert "'auxiliary.other.data.train' has no value" in capsys.readouterr().err
    assert call(*line, "+auxiliary.other.dta=1") == 2
    assert "unknown key 'auxiliary.other.dta'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
