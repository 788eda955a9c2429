"""Studies and searches of pretrainings."""

import json

import pytest

from tests.fixtures.task import call

BASE = """
base: ["corpus=[text]", corpus.text.root={folder}, corpus.text.path=lines.txt, dev_share=0.2, trainer.epochs=1,
  trainer.batch_size=4, trainer.max_tokens=16, trainer.progress=false, hardware=cpu, hardware.threads=1,
  backbone.settings.hidden_size=8, backbone.settings.intermediate_size=8, backbone.settings.num_hidden_layers=1,
  backbone.settings.num_attention_heads=2]
metrics: [dev/bits_per_byte]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "lines.txt").write_text("\n".join(f"第{i}家酒店的服务很好" for i in range(60)), encoding="utf-8")
    return tmp_path


def test_a_study_of_pretrainings(folder, capsys):
    (folder / "study.yaml").write_text(
        f"# What is hidden?\ncommand: pretrain{BASE.format(folder=folder)}"
        "axes: {objective.rate: [0.15, 0.4], seed: [0]}\n"
    )
    assert call("study", str(folder), f"output_root={folder / 'outputs'}") == 0
    assert "bits per byte" in capsys.readouterr().out
    results = [json.loads(path.read_text()) for path in (folder / "outputs" / "runs").glob("*/result.json")]
    assert len({result["best"]["value"] for result in results}) == 2


def test_a_search_among_pretrainings(folder):
    (folder / "study.yaml").write_text(
        f"# Which rate?\ncommand: pretrain{BASE.format(folder=folder)}axes: {{seed: [0]}}\n"
        'search: {space: {optimizer.lr: "1e-3,1e-2"}, trials: 2, sampler: grid}\n'
    )
    assert call("study", str(folder), f"output_root={folder / 'outputs'}") == 0
    [found] = (folder / "outputs" / "studies").rglob("search.json")
    values = [trial["values"][0] for trial in json.loads(found.read_text())["trials"]]
    assert len(set(values)) == 2
    assert json.loads(found.read_text())["best"][0]["values"][0] == min(values)
