import dataclasses
import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from lexigraft.data.batches import EncodedText
from lexigraft.data.encoded import Encoded
from lexigraft.data.text_data import Split
from lexigraft.embeddings.checkpoint import read_checkpoint
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Identity
from lexigraft.models.pooling import Mean
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.training.finetune.steady import Frozen, Full
from lexigraft.training.probe import (
    _Language,
    _order,
    classifier_loss,
    device_of,
    language_head,
    language_model_loss,
    linear_loss,
)
from lexigraft.transplant.engine import Transplant
from lexigraft.transplant.statistics import normal
from lexigraft.transplant.subtokens import subtokens
from tests.transplant.matrices import word_matrix, word_tokenizer

WORDS = ["<pad>", "<unk>", "good", "bad", *(f"w{i}" for i in range(20))]
ADAM = partial(torch.optim.AdamW, lr=1e-2)


def labelled(count, seed):
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % 2).tolist()
    texts = [[*random.choice(WORDS[4:], 4), ("bad", "good")[label]] for label in labels]
    return Split([" ".join(random.permutation(words)) for words in texts], labels)


TOKENIZER = dataclasses.replace(word_tokenizer(WORDS))
TRAIN, DEV = labelled(200, 0), labelled(60, 1)
TASK = Classification(loss=CrossEntropy(), classes=("bad", "good"), train=TRAIN.labels)


@pytest.fixture(scope="module")
def table():
    import tokenizers

    backend = tokenizers.Tokenizer.from_str(TOKENIZER.backend.to_str())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return dataclasses.replace(word_matrix(WORDS, dim=8), tokenizer=dataclasses.replace(TOKENIZER, backend=backend))


def classified(table, rows=None, **options):
    def make():
        embedding = TransplantedEmbedding(table.rows if rows is None else rows, 0)
        return Classifier(embedding, Identity(8), Mean(8), {"main": Head(2)}, 0.5)

    def encoded(split):
        return EncodedText(Encoded.of(table.tokenizer.encode(split.texts)), split.labels, pad_id=0)

    settings = {"steps": 40, "seed": 0, "batch_size": 16, "eval_batch_size": 32, "optimizer": ADAM, "finetune": Full()}
    return classifier_loss(make, encoded(TRAIN), encoded(DEV), TASK, **settings | options)


def test_a_classifier_learns_from_the_steps_that_it_is_given(table):
    few, more = classified(table, steps=2), classified(table, steps=80)
    assert 0.5 < few < 0.9
    assert more < few - 0.1


def test_equal_seeds_give_equal_losses_and_leave_the_random_stream(table):
    state = torch.get_rng_state()
    first = classified(table)
    assert torch.equal(torch.get_rng_state(), state)
    torch.randn(7)
    assert classified(table) == first
    assert classified(table, seed=1) != first


def test_frozen_rows_stay_and_gradients_are_clipped(table):
    frozen, clipped = classified(table, finetune=Frozen()), classified(table, gradient_clip=1e-9)
    assert len({frozen, clipped, classified(table)}) == 3


def test_rows_that_say_nothing_do_worse(table):
    nothing = torch.zeros(len(WORDS), 8)
    assert classified(table, finetune=Frozen()) < classified(table, rows=nothing, finetune=Frozen()) - 0.05


def test_the_order_holds_every_text_as_often_as_any_other():
    order = _order(10, 4, 5, seed=0)
    assert order.shape == (5, 4)
    assert np.bincount(order.ravel()).tolist() == [2] * 10
    assert _order(3, 16, 2, seed=0).shape == (2, 3)
    assert (_order(10, 4, 5, seed=1) != order).any()


def test_a_linear_probe_tells_rows_that_know_the_class(table):
    loss = partial(linear_loss, train=TRAIN, dev=DEV, classes=2, steps=50)
    assert loss(table, seed=0) < 0.5
    nothing = dataclasses.replace(table, rows=torch.ones_like(table.rows))
    assert loss(nothing, seed=0) == pytest.approx(math.log(2), abs=1e-2)
    assert loss(table, seed=0) == loss(table, seed=0) != loss(table, seed=1)


def test_a_linear_probe_agrees_with_newton_s_method(table):
    """The same objective in float64, all of it: with the share of the seed, and 100 iterations."""
    found = linear_loss(table, TRAIN, DEV, 2, steps=100, seed=3)
    drawn = np.random.default_rng(3).permutation(list(range(200)))[:160]
    rows = table.rows.double().numpy()

    def features(texts):
        return np.stack([rows[table.tokenizer.encode([text])[0]].mean(0) for text in texts])

    x = features([TRAIN.texts[i] for i in drawn])
    centre, spread = x.mean(0), x.std(0)
    x, y = (x - centre) / spread, np.array([TRAIN.labels[i] for i in drawn])
    # Two classes of weights w and -w: a logistic regression on 2 w, whose decay is 2 |w|^2 times 1e-3.
    weight, bias = np.zeros(8), 0.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-(x @ weight + bias)))
        z = np.column_stack([x, np.ones(len(x))])
        decay = np.diag([1e-3] * 8 + [0.0])
        gradient = z.T @ (p - y) / len(y) + decay @ np.append(weight, bias)
        step = np.linalg.solve(z.T @ (z * (p * (1 - p))[:, None]) / len(y) + decay, gradient)
        weight, bias = weight - step[:8], bias - step[8]
    logits = (features(DEV.texts) - centre) / spread @ weight + bias
    expected = np.mean(np.log1p(np.exp(-np.where(np.array(DEV.labels) == 1, logits, -logits))))
    assert found == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize(
    ("family", "head"),
    [("bert", AutoModelForMaskedLM), ("xlm-r", AutoModelForMaskedLM), ("llama", AutoModelForCausalLM),
     ("gpt2", AutoModelForCausalLM), ("t5", None)],
)  # fmt: skip
def test_the_head_that_a_checkpoint_names(checkpoints, family, head):
    assert language_head(read_checkpoint(str(checkpoints[family]))) is head


def test_a_table_has_no_head(table):
    assert language_head(table) is None


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_bits_per_byte_agree_with_the_model_s_own_loss(checkpoints, corpus, family):
    """Of short texts, which are not cut: the loss that transformers gives, text by text."""
    source = read_checkpoint(str(checkpoints[family]))
    texts = [text[:40] for text in corpus[:5]]
    model = AutoModelForCausalLM.from_pretrained(checkpoints[family]).eval()
    nats = count = tokens = 0
    for ids in source.tokenizer.encode(texts):
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss.item()
        nats, count = nats + loss * (len(ids) - 1), count + len(ids) - 1
        tokens += sum(source.vocabulary[i].role is None for i in ids)
    expected = nats / count / math.log(2) * tokens / sum(len(t.encode()) for t in texts)
    found = _Language(source, None, torch.device("cpu")).bits_per_byte(texts, source.tokenizer)
    assert found == pytest.approx(expected, rel=1e-4)


def transplants(source, target):
    return [Transplant([step, normal])(source, target, 0).matrix for step in (subtokens, normal)]


@pytest.mark.parametrize("family", ["bert", "roberta", "llama", "gpt2"])
def test_a_language_model_learns_its_new_matrix(checkpoints, corpus, words, family):
    source = read_checkpoint(str(checkpoints[family]))
    mask = source.vocabulary.roles.get("mask")
    loss = partial(
        language_model_loss,
        train=corpus,
        dev=corpus[:8],
        mask_row=None if mask is None else source.rows[mask],
        seed=0,
    )
    made, other = transplants(source, words)
    state = torch.get_rng_state()
    few, more = loss(made, steps=1), loss(made, steps=30)
    assert torch.equal(torch.get_rng_state(), state)
    assert more < few
    assert loss(made, steps=1) == few != loss(other, steps=1)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_only_the_matrix_and_its_head_move(checkpoints, words, family):
    source = read_checkpoint(str(checkpoints[family]))
    made, _ = transplants(source, words)
    language = _Language(made, source.rows[0], torch.device("cpu"))
    moving = {name for name, p in language.model.named_parameters() if p.requires_grad}
    assert len(moving) == len(language.rows) == 2  # rows, and BERT's bias or Llama's own head
    torch.testing.assert_close(language.words.weight.data, made.rows)
    if family == "llama":
        torch.testing.assert_close(language.model.lm_head.weight.data, made.output_rows)
    else:
        torch.testing.assert_close(language.model.get_output_embeddings().bias.data, made.output_bias)


def test_a_masked_model_needs_its_mask(checkpoints, corpus):
    source = read_checkpoint(str(checkpoints["bert"]))
    with pytest.raises(ValueError, match="has no mask token, by which its masked language model is probed"):
        language_model_loss(source, corpus, corpus, mask_row=None, steps=1, seed=0)


def test_rows_of_another_width_are_an_error(checkpoints, corpus):
    source = read_checkpoint(str(checkpoints["gpt2"]))
    wide = dataclasses.replace(source, rows=source.rows.repeat(1, 2), output_rows=None)
    with pytest.raises(ValueError, match="rows of width 32 cannot be probed in .*, whose rows are 16 wide"):
        language_model_loss(wide, corpus, corpus, mask_row=None, steps=1, seed=0)


def test_a_head_that_is_named_but_absent_is_an_error(save_checkpoint, tmp_path, corpus):
    folder = Path(save_checkpoint("llama", tmp_path / "llama"))
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    del state["lm_head.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="lacks lm_head.weight of the language-model head"):
        language_model_loss(read_checkpoint(str(folder)), corpus, corpus, mask_row=None, steps=1, seed=0)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["LlamaModel"]}))
    assert language_head(read_checkpoint(str(folder))) is None


def test_the_device_is_lightning_s():
    assert device_of("cpu") == torch.device("cpu")
    assert (device_of("auto").type == "cpu") == (not torch.accelerator.is_available())
