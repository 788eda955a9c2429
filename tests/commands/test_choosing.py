import io
import json

import pytest
import torch
from rich.console import Console

from lexigraft import build
from lexigraft.commands.choosing import transplant_of
from lexigraft.config.compose import jobs, loader
from lexigraft.config.preflight import SCHEMAS, preflight, without_hydra
from lexigraft.data.batches import EncodedText
from lexigraft.data.encoded import Encoded
from lexigraft.data.text_data import Split, TextData
from lexigraft.embeddings.checkpoint import read_checkpoint
from lexigraft.transplant.engine import Transplant
from tests.fixtures.task import call
from tests.transplant.matrices import word_matrix, word_tokenizer

AUTO = ("transplant=auto", "transplant.steps=3", "transplant.seeds=[0,1]")
LEFT = ("subtoken_length", "calibrated", "omp", "procrustes", "landmark", "focus", "tokalign")
FEW = (*AUTO, *(f"~transplant.candidates.{name}" for name in LEFT))


def composed(config_name, *overrides):
    with loader():
        [(cfg, origin)] = jobs(config_name, overrides, multirun=False)
        return preflight(without_hydra(cfg), SCHEMAS[config_name], origin)


def printing():
    return Console(file=io.StringIO(), width=200)


def texts_of(lines, classes=()):
    split = Split(list(lines), [i % max(1, len(classes)) for i in range(len(lines))])
    return TextData("made in a test", split, split, Split([], []), tuple(classes), "en", {})


@pytest.fixture
def for_transplant(tmp_path):
    def compose(*overrides):
        return composed("transplant", f"output={tmp_path}/new", "source=lac", "tokenizer=char", *overrides)

    return compose


def test_any_other_option_is_used_as_it_is(for_transplant):
    console = printing()
    method, report = transplant_of(for_transplant("transplant=mean"), None, None, None, console)
    assert isinstance(method, Transplant)
    assert report is None
    assert console.file.getvalue() == ""


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_language_model_is_probed_in_bits_per_byte(for_transplant, checkpoints, corpus, words, family):
    source, console = read_checkpoint(str(checkpoints[family])), printing()
    method, report = transplant_of(for_transplant(*FEW), source, words, texts_of(corpus), console)
    assert report["measure"] == "bits per byte"
    tried = {row["method"]: row for row in report["tried"]}
    assert {"hewitt", "subtoken_mean"} <= set(tried)
    assert report["left_out"]["knn"].startswith("this transplant needs a further matrix 'donor'")
    # Another seed draws other rows and reads other texts.
    assert len(set(tried["hewitt"]["losses"])) == 2
    assert method(source, words, 0, corpus).matrix.rows.shape == (len(words.vocabulary), 32)
    printed = console.file.getvalue()
    assert "bits per byte, 3 steps" in printed
    assert "left out    knn: " in printed


def test_a_donor_that_is_given_is_tried(for_transplant, checkpoints, corpus, words):
    source = read_checkpoint(str(checkpoints["bert"]))
    donor = ("source@transplant.spaces.donor=hf", f"transplant.spaces.donor.name={checkpoints['xlm-r']}")
    cfg = for_transplant(*FEW, *donor, "~transplant.candidates.hewitt", "transplant.seeds=[0]")
    _, report = transplant_of(cfg, source, words, texts_of(corpus), printing())
    assert {"knn", "clp"} <= {row["method"] for row in report["tried"]}


def test_a_table_is_probed_by_labelled_texts(for_transplant):
    lines = ["the good film", "the bad film"] * 20
    tokenizer = word_tokenizer(["<pad>", "<unk>", "the", "good", "bad", "film"])
    source = word_matrix(["<pad>", "<unk>", "the", "good", "bad"])
    _, report = transplant_of(for_transplant(*FEW), source, tokenizer, texts_of(lines, ("a", "b")), printing())
    assert report["measure"] == "linear probe"


def test_a_checkpoint_without_a_plain_head_is_probed_like_a_table(for_transplant, checkpoints, corpus, words):
    source = read_checkpoint(str(checkpoints["t5"]))
    _, report = transplant_of(for_transplant(*FEW), source, words, texts_of(corpus, ("a", "b")), printing())
    assert report["measure"] == "linear probe"


@pytest.mark.parametrize("data", [None, texts_of(["a text without a label"])])
def test_nothing_to_probe_with_is_an_error(for_transplant, data):
    source, target = word_matrix(["<pad>", "a"]), word_tokenizer(["<pad>", "<unk>", "b"])
    with pytest.raises(ValueError, match="transplant=auto compares methods by a short probe, and has nothing to probe"):
        transplant_of(for_transplant(*AUTO), source, target, data, printing())


def test_a_dev_split_without_texts_is_an_error(for_transplant):
    source, target = word_matrix(["<pad>", "a"]), word_tokenizer(["<pad>", "<unk>", "b"])
    data = TextData("lines", Split(["a"], [0]), Split([], []), Split([], []), (), "en", {})
    with pytest.raises(ValueError, match="learns from train and measures on dev, and lines lacks texts of one"):
        transplant_of(for_transplant(*AUTO), source, target, data, printing())


def test_training_is_probed_by_the_dev_loss_of_the_run_s_own_model(task_overrides, task):
    source = ("source=npz", "source.path=vectors.npz", "source.vocabulary=vocab.txt")
    cfg = composed("train", *task_overrides, *source, "model.encoder.channels=4", *FEW, "transplant.steps=30")
    data = build.text_data(cfg.data)
    matrix = build.source_matrix(cfg.source)
    tokenizer = build.target_tokenizer(cfg.tokenizer, matrix, data.train.texts, "zh")
    # The test split is never looked at.
    data = TextData(data.name, data.train, data.dev, None, data.classes, data.language, data.report)
    state = torch.get_rng_state()
    task = build.task(cfg.task, data)
    encoded = {
        name: EncodedText(Encoded.of(tokenizer.encode(split.texts)), split.labels, pad_id=tokenizer.pad_id)
        for name, split in (("train", data.train), ("dev", data.dev))
    }
    _, report = transplant_of(cfg, matrix, tokenizer, data, printing(), encoded=encoded, task=task)
    assert torch.equal(torch.get_rng_state(), state)
    assert report["measure"] == "dev loss"
    means = [row["mean"] for row in report["tried"]]
    assert means == sorted(means)
    assert 0 < means[0] < 0.69


def test_candidates_are_options_of_their_own(for_transplant):
    cfg = for_transplant("transplant=auto", "+transplant@transplant.candidates.distillation=distillation")
    auto = build.transplant(cfg.transplant)
    assert {*LEFT, "hewitt", "subtoken_mean", "knn", "clp", "distillation"} == set(auto.candidates)
    assert auto.candidates["knn"].spaces is None
    assert auto.seeds == [0, 1, 2]


def test_auto_may_be_swept():
    with loader():
        sweep = list(jobs("train", ["transplant=auto,mean"], multirun=True))
    assert len(sweep) == 2
    for cfg, origin in sweep:
        preflight(without_hydra(cfg), SCHEMAS["train"], origin)


def test_a_run_records_what_was_tried(train):
    folder = train(*FEW, "trainer.epochs=1", "transplant.seeds=[0]")
    tried = json.loads((folder / "transplant" / "auto.json").read_text())
    assert tried["chosen"] == tried["tried"][0]["method"]
    assert tried["left_out"]["clp"].startswith("this transplant needs a further matrix 'donor'")
    assert json.loads((folder / "result.json").read_text())["status"] == "finished"


def test_a_written_matrix_records_what_was_tried(task, task_data, tmp_path):
    source = (f"source.path={task}/vectors.npz", f"source.vocabulary={task}/vocab.txt")
    choice = (*FEW, "transplant.seeds=[0]")
    code = call("transplant", *task_data, "source=npz", *source, "tokenizer=char", *choice, f"output={tmp_path}/new")
    assert code == 0
    assert json.loads((tmp_path / "new" / "auto.json").read_text())["measure"] == "linear probe"
