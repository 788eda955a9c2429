import io
import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from rich.console import Console

from lexigraft.commands import show
from lexigraft.config.errors import ConfigError
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.evaluation.metrics import evaluate_predictions
from lexigraft.evaluation.transplant_report import TransplantReport
from lexigraft.transplant.engine import Transplanted
from lexigraft.transplant.filling import Combination
from lexigraft.transplant.provenance import ProvenanceBuilder
from lexigraft.vocab.vocabulary import Vocabulary

PROVENANCE = {
    "command": "lexigraft train seed=3",
    "seed": 3,
    "data": {"name": "reviews", "sha256": {}},
    "source": {"name": "lac"},
    "target": {"tokens": 4321, "sha256": "x"},
    "versions": {"python": "3.11.9", "torch": "2.13.0", "jieba": "0.42.1"},
    "code": {"package_sha256": "c0ffee" * 10, "git_commit": "abcdef0123456789", "git_diff": "+x"},
}
SUMMARY = {
    "tokens_per_tier": {"exact": 90, "random": 10},
    "coverage_of_types": 0.9,
    "occurrences_per_tier": {"exact": 990, "random": 10},
    "coverage_of_occurrences": 0.99,
}


@pytest.fixture(autouse=True)
def no_user_folders(monkeypatch):
    monkeypatch.setenv("LEXIGRAFT_CONF", "")


@pytest.fixture
def run_folder(tmp_path):
    metrics = evaluate_predictions(torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]), [0, 1, 0], ["bad", "good"])
    result = {
        "status": "finished",
        "metrics": {"dev": metrics, "test": metrics},
        "counts": {"texts": {"train": 1200, "dev": 3}, "parameters": 1234567, "trainable_parameters": 1000},
        "precision": "32",
        "device": "cpu",
        "seconds": {"data": 0.5, "train": 2.5, "total": 3.0},
    }
    (tmp_path / "transplant").mkdir()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "result.json").write_text(json.dumps(result))
    (tmp_path / "provenance.json").write_text(json.dumps(PROVENANCE))
    (tmp_path / "transplant" / "summary.json").write_text(json.dumps(SUMMARY))
    return tmp_path


def shown(capsys, *words):
    show.run(words)
    return capsys.readouterr().out


def problems_of(*words):
    with pytest.raises(ConfigError) as caught:
        show.run(words)
    return caught.value.problems


def test_the_config_is_yaml_again_with_references_resolved(capsys):
    cfg = OmegaConf.create(shown(capsys, "model=transformer", "trainer.max_tokens=77"))
    assert cfg.model.encoder.max_tokens == 77
    assert "hydra" not in cfg


def test_each_part_of_the_config_says_its_files(capsys):
    out = shown(capsys, "data=thucnews")
    assert "# conf/data/files.yaml, conf/data/thucnews.yaml\ndata:\n" in out


def test_the_config_may_still_miss_values(capsys):
    assert "train: ???" in shown(capsys, "data=files")


def test_the_config_of_transplant(capsys):
    assert "output: ???" in shown(capsys, "--config-name", "transplant")


def test_a_wrong_config_is_refused():
    assert problems_of("trainer.epochs=0")[0].startswith("trainer.epochs=0 in the command line")


def test_a_terminal_gets_colours():
    console = Console(force_terminal=True, width=100, record=True, file=io.StringIO())
    show.show_config(console, ["model=bigru"])
    assert "cell: gru" in console.export_text()


def test_options_of_one_group_and_of_all(capsys):
    assert "constant        Linear warm-up, then constant." in shown(capsys, "options", "scheduler")
    out = shown(capsys, "options")
    assert "model/pooling\n" in out
    assert "adamw" in out


def test_an_unknown_group_gets_the_nearest():
    assert problems_of("options", "modle") == ("unknown group 'modle'; did you mean 'model'?",)
    assert "the groups are augment, " in problems_of("options", "zzz")[0]


def test_a_finished_run(capsys, run_folder):
    out = shown(capsys, str(run_folder))
    assert "0.6667" in out
    assert "good" in out
    assert "99.0 %" in out
    assert "abcdef012345 and uncommitted changes" in out
    assert "total" not in out
    for fact in (
        "seed",
        "lexigraft train seed=3",
        "4,321 tokens",
        "3.0: data 0.5, train 2.5",
        "1,234,567",
        "torch 2.13.0",
    ):
        assert fact in out, fact
    assert "unfinished" not in out


def test_a_run_without_a_repository_names_its_package(capsys, run_folder):
    code = {"package_sha256": "c0ffee" * 10}
    (run_folder / "provenance.json").write_text(json.dumps(PROVENANCE | {"code": code}))
    assert "package c0ffeec0ffee" in shown(capsys, str(run_folder))


def test_a_run_that_was_cut_short(capsys, run_folder):
    (run_folder / "result.json").unlink()
    assert "unfinished" in shown(capsys, str(run_folder))


def test_a_folder_written_by_transplant(capsys, run_folder):
    for name in ("result.json", "transplant/summary.json"):
        (run_folder / name).unlink()
    (run_folder / "checkpoints").rmdir()
    (run_folder / "summary.json").write_text(json.dumps(SUMMARY))
    out = shown(capsys, str(run_folder))
    assert "90.0 %" in out
    assert "unfinished" not in out


def test_what_is_neither_run_nor_override(tmp_path):
    assert "is not a run folder, nor an override" in problems_of("nowhere")[0]
    assert "it has no provenance.json" in problems_of(str(tmp_path))[0]


@pytest.fixture
def transplanted(tmp_path):
    """A folder of a transplant whose source is not there any more."""
    words = ["<pad>", *(f"词{i}" for i in range(60))]
    source, new = (EmbeddingMatrix(Vocabulary.of_words(words, {"<pad>": "pad"}), torch.randn(61, 8), {}) for _ in "ab")
    builder = ProvenanceBuilder(61)
    builder.combine("exact", np.arange(30), Combination.mean_of([[i] for i in range(30)]))
    builder.combine("omp", np.arange(30, 61), Combination.mean_of([[i, i - 1] for i in range(30, 61)]))
    new.rows[30] = 0
    made = Transplanted(new, builder.build(), notes={"omp": {"error": 0.25}})
    folder = tmp_path / "run" / "transplant"
    folder.mkdir(parents=True)
    TransplantReport.of(source, made, np.arange(61)).save(folder)
    return folder


def test_a_transplant_by_its_folder_or_that_of_its_run(capsys, transplanted):
    out = shown(capsys, "transplant", str(transplanted))
    assert out == shown(capsys, "transplant", str(transplanted.parent))
    for part in (
        "covered by the source",
        "norms of",
        "nearest copied tokens, by cosine",
        "词59",
        "rows                1 zero",
        "digits              source: none, target: none",
        "outliers of source  0 very long",
        "untrained           ",
        "unreachable         source 0, target 0",
        "omp         error 0.25",
        f"picture             {transplanted / 'transplant.png'}",
        f"each row            {transplanted / 'provenance.parquet'}",
        "warning: 1 row of only zeros",
    ):
        assert part in out, part


def test_a_transplant_without_new_tokens_or_picture(capsys, transplanted):
    (transplanted / "transplant.png").unlink()
    file = transplanted / "diagnosis.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"neighbours": []}), "utf-8")
    out = shown(capsys, "transplant", str(transplanted))
    assert "nearest" not in out
    assert "picture" not in out


def test_what_holds_no_transplant(tmp_path, transplanted):
    assert "takes one folder" in problems_of("transplant")[0]
    assert "there is no folder 'nowhere'" in problems_of("transplant", "nowhere")[0]
    assert (
        "holds no diagnosis.json: give a folder that `lexigraft transplant` wrote"
        in problems_of("transplant", str(tmp_path))[0]
    )


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("diagnosis.json", "{", "diagnosis.json is damaged .*copy the folder again"),
        (
            "diagnosis.json",
            "{}",
            "diagnosis.json is damaged or of another version .it lacks 'digits'.: transplant again",
        ),
        ("summary.json", None, "summary.json is damaged or of another version"),
    ],
)
def test_a_damaged_transplant(transplanted, file, content, says):
    if content is None:
        (transplanted / file).unlink()
    else:
        (transplanted / file).write_text(content)
    with pytest.raises(ValueError, match=says):
        show.run(["transplant", str(transplanted)])
