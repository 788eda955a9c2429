import csv
from dataclasses import replace

import pytest
import torch

from lexigraft import build, teachers
from lexigraft.data.batches import EncodedText, eval_loader
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.data.save import load_split
from lexigraft.data.text_data import Split
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Identity
from lexigraft.models.pooling import Mean
from lexigraft.runs.folder import RunFolder
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.inference import predictions
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.training.module import SupervisedModule
from lexigraft.training.schedule import Constant
from lexigraft.training.strategy import Strategy
from tests.training.tiny import trainer

CLASSES = ("差评", "好评")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEXIGRAFT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def train_split(task):
    with (task / "train.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return Split([row["text"] for row in rows], [int(row["label"]) for row in rows])


def task_of(classes=CLASSES):
    return Classification(loss=CrossEntropy(), classes=classes, train=[0, 1])


def test_a_run_says_what_it_says_when_it_is_evaluated(trained):
    folder = RunFolder.open(trained)
    cfg = folder.read_config()
    model, tokenizer = build.trained_classifier(folder, cfg)
    split = load_split(folder.splits, "dev")
    encoded = Encoded.of(tokenizer.encode(split.texts, cfg.trainer.max_tokens))
    loader = eval_loader(EncodedText(encoded, [0] * len(split), pad_id=tokenizer.pad_id), batch_size=64)
    expected, _, _ = predictions(model, task_of(), loader, torch.device("cpu"))

    teacher = teachers.run(str(trained), batch_size=7).teacher()
    assert (teacher.kind, teacher.classes) == ("class", CLASSES)
    answers = teacher.read(split, "class")
    assert torch.allclose(answers.outputs.softmax(-1), expected, atol=1e-6)
    assert answers.hidden.shape == (len(split), model.encoder.width)
    ids = torch.tensor(encoded[3].astype("int64"))
    assert torch.allclose(answers.vectors[3], model.embedding.lookup.weight[ids].mean(dim=0), atol=1e-6)


def test_the_order_of_texts_does_not_matter(trained, train_split):
    teacher = teachers.run(str(trained)).teacher()
    places = list(range(240))[::-1]
    forwards, backwards = (teacher.read(split, "class") for split in (train_split, train_split.take(places)))
    for one, other in zip(vars(forwards).values(), vars(backwards).values()):
        assert torch.allclose(one, other[places], atol=1e-5)


def test_a_student_with_another_tokenizer_learns_the_teacher_s_predictions_without_labels(
    trained, train_split, tmp_path
):
    wrong = Split(train_split.texts, [0] * 240)
    distiller = teachers.run(str(trained), alpha=1.0, hidden=0.1, embeddings=0.1).distiller(wrong, task_of())
    torch.manual_seed(0)
    model = Classifier(TransplantedEmbedding(torch.randn(98, 16), 0), Identity(16), Mean(16), {"main": Head(2)})
    distiller.start(model)
    ids = [[1 + ord(c) % 97 for c in text for _ in range(2)] for text in wrong.texts]  # every character twice
    data = EncodedText(Encoded.of(ids), torch.tensor(wrong.labels), pad_id=0)
    batches = TextDataModule({"main": {"train": data, "dev": data}}, batch_size=16, eval_batch_size=64, seed=0)

    def optimizer(groups):
        return torch.optim.Adam(groups, lr=0.03)

    module = SupervisedModule(model, {"main": task_of()}, optimizer, Constant(), Strategy(), [distiller])
    trainer(tmp_path, epochs=6, limit_val_batches=0).fit(module, datamodule=batches)
    scores, _, _ = predictions(model, task_of(), batches.eval_loader("dev"), torch.device("cpu"))
    outputs = teachers.run(str(trained)).teacher().read(train_split, "class").outputs
    assert (scores.argmax(-1) == outputs.argmax(-1)).float().mean() > 0.97
    assert (outputs.argmax(-1) == 0).float().mean() < 0.6  # so the wrong labels would not do


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a finished run"):
        teachers.run(str(tmp_path))


@pytest.fixture(scope="module")
def headed(models, tmp_path_factory):
    """A BERT with a head for two classes, and a text in Chinese and English."""
    import transformers

    torch.manual_seed(0)
    body, tokenizer = models["bert"]
    config = type(body.config).from_dict({**body.config.to_dict(), "id2label": {0: "好评", 1: "差评"}})
    model = transformers.BertForSequenceClassification(config).eval()
    folder = tmp_path_factory.mktemp("headed")
    model.save_pretrained(folder)
    tokenizer.save(folder)
    return folder, model, tokenizer


TEXTS = ["这家酒店的服务态度很好", "the film is a charming story", "好", "bad"]


def test_a_checkpoint_with_a_head_says_what_transformers_says(headed):
    folder, model, tokenizer = headed
    answers = teachers.checkpoint(str(folder), layer=1, batch_size=3).teacher().read(Split(TEXTS, [0] * 4), "class")
    for i, text in enumerate(TEXTS):
        ids = torch.tensor(tokenizer.encode([text]))
        with torch.no_grad():
            out = model(ids, output_hidden_states=True)
        assert torch.allclose(answers.outputs[i], out.logits[0], atol=1e-5)
        assert torch.allclose(answers.hidden[i], out.hidden_states[1][0].mean(dim=0), atol=1e-5)
        assert torch.allclose(answers.vectors[i], model.get_input_embeddings()(ids)[0].mean(dim=0), atol=1e-6)
    distiller = teachers.checkpoint(str(folder)).distiller(Split(TEXTS, [0] * 4), task_of())
    assert torch.allclose(distiller._answers.outputs, answers.outputs[:, [1, 0]], atol=1e-5)


def test_a_checkpoint_cuts_texts_to_its_positions(headed):
    folder, model, _ = headed
    longest = model.config.max_position_embeddings
    answers = (
        teachers.checkpoint(str(folder), max_tokens=10**6).teacher().read(Split(["好" * 2 * longest], [0]), "class")
    )
    assert answers.outputs.isfinite().all()


def test_outputs_can_be_named(headed):
    folder, _, _ = headed
    train = Split(TEXTS, [0] * 4)
    with pytest.raises(ValueError, match=r"tells the classes 好评, 差评, but the data set has bad, good"):
        teachers.checkpoint(str(folder)).distiller(train, task_of(("bad", "good")))
    named = teachers.checkpoint(str(folder), classes=["good", "bad"])
    assert named.distiller(train, task_of(("bad", "good")))._answers.outputs.shape == (4, 2)


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "xlm-r", "t5", "llama"])
def test_a_checkpoint_without_a_head_has_hidden_states_and_word_vectors(checkpoints, family):
    teaching = teachers.checkpoint(str(checkpoints[family]), alpha=0.0, hidden=1.0, embeddings=1.0)
    answers = teaching.teacher().read(Split(TEXTS, [0] * 4), "class")
    assert answers.outputs is None
    assert answers.hidden.isfinite().all()
    assert len(answers.hidden) == len(answers.vectors) == 4
    alone = teaching.teacher().read(Split(TEXTS[2:3], [0]), "class")
    assert torch.allclose(answers.hidden[2], alone.hidden[0], atol=1e-5)  # padding does not show
    with pytest.raises(ValueError, match=r"has no classification head to learn from: set teacher\.alpha=0"):
        replace(teaching, alpha=0.5).distiller(Split(TEXTS, [0] * 4), task_of())


def test_pairs_are_read_with_their_segments(headed):
    folder, _, _ = headed
    pairs = Split(TEXTS[:2], [0, 0], TEXTS[2:])
    answers = teachers.checkpoint(str(folder)).teacher().read(pairs, "class")
    swapped = teachers.checkpoint(str(folder)).teacher().read(Split(TEXTS[2:], [0, 0], TEXTS[:2]), "class")
    assert not torch.allclose(answers.outputs, swapped.outputs, atol=1e-5)


def test_a_head_that_lacks_weights_is_refused(headed, tmp_path):
    from safetensors.torch import load_file, save_file

    folder, _, _ = headed
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(folder / "model.safetensors")
    save_file({n: w for n, w in weights.items() if not n.startswith("classifier")}, tmp_path / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip
    with pytest.raises(ValueError, match=r"lacks 2 weights of its classification head or body, classifier\.bias among"):
        teachers.checkpoint(str(tmp_path)).teacher().read(Split(TEXTS, [0] * 4), "class")
