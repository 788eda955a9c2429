import json
import shutil
from dataclasses import replace

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from lexigraft.embeddings.checkpoint import read_checkpoint
from lexigraft.models.language_backbone import NewBackbone, SourceBackbone
from lexigraft.models.language_building import language_head, language_model, load_language_model, new_language_model
from lexigraft.models.language_replaced import ReplacedModel
from lexigraft.transplant.engine import Transplant
from lexigraft.transplant.statistics import mean
from lexigraft.vocab.targets import source_tokenizer
from tests.models.backbones import save

BERT = NewBackbone("bert", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2})
ELECTRA = NewBackbone("electra", {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2})
SMALL_LLAMA = NewBackbone("llama", {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2})
KINDS = {"bert": "masked", "roberta": "masked", "xlm-r": "masked", "gpt2": "causal", "llama": "causal"}


def copied(folder):
    source = read_checkpoint(str(folder))
    target = source_tokenizer(source.tokenizer, [], "en")  # which has a padding token, if need be one more
    return Transplant([mean])(source, target, 0)


@torch.no_grad()
@pytest.mark.parametrize(("family", "kind"), KINDS.items())
def test_a_copied_vocabulary_with_the_sources_layers_is_the_source(checkpoints, family, kind):
    model, _ = new_language_model(copied(checkpoints[family]), SourceBackbone(), kind, packed=True)
    auto = hf.AutoModelForCausalLM if kind == "causal" else hf.AutoModelForMaskedLM
    source = auto.from_pretrained(checkpoints[family]).eval()
    pad_id = model.embedding.lookup.padding_idx
    ids = torch.arange(5, 17).view(2, 6)  # without the padding token, whose row is zero here
    expected = source(input_ids=ids).logits.flatten(0, 1)
    found = model.eval()(ids, torch.ones_like(ids, dtype=torch.bool), torch.arange(12))
    words = expected.shape[1]
    known = torch.arange(words) != pad_id
    assert (found[:, :words] - expected)[:, known].abs().max() <= 1e-5
    assert (language_head(model).rows is None) == (family != "llama")


def test_a_network_is_built_again_from_its_spec(checkpoints):
    for backbone, kind in ((BERT, "masked"), (SourceBackbone(layers=1), "masked"), (ELECTRA, "replaced")):
        model, spec = new_language_model(copied(checkpoints["bert"]), backbone, kind, generator=0.5)
        again = language_model(json.loads(json.dumps(spec)))
        assert type(again) is type(model)
        again.load_state_dict(model.state_dict())
        assert {name for name, _ in again.pretrained_parameters()} == {
            name for name, _ in model.pretrained_parameters()
        }
        assert all(module.training for module in model.modules())
        assert spec["from_source"] == isinstance(backbone, SourceBackbone)


def test_new_layers_keep_rows_and_output_bias_of_the_transplant(checkpoints):
    made = copied(checkpoints["bert"])
    bias = torch.arange(len(made.matrix.rows), dtype=torch.float32)
    made = replace(made, matrix=replace(made.matrix, output_bias=bias))
    model, _ = new_language_model(made, BERT, "masked")
    head = language_head(model)
    assert torch.equal(head.bias, bias)
    assert torch.equal(model.embedding.lookup.weight[5:], made.matrix.rows[5:])
    electra, _ = new_language_model(made, ELECTRA, "replaced", generator=0.5)
    assert isinstance(electra, ReplacedModel)
    assert torch.equal(language_head(electra).bias, bias)


def test_a_checkpoint_without_a_head_gets_a_new_one(tmp_path):
    save("bert", tmp_path)
    state = torch.random.get_rng_state()
    config, body, head = load_language_model(tmp_path, "masked")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert head is None
    assert config["model_type"] == "bert"
    assert not [name for name in body if "word" in name or "pooler" in name]


def test_a_discriminators_head_is_read(tmp_path):
    torch.manual_seed(0)
    config = hf.ElectraConfig(
        vocab_size=40, hidden_size=16, embedding_size=8, num_hidden_layers=1, num_attention_heads=2
    )
    model = hf.ElectraForPreTraining(config)
    model.save_pretrained(tmp_path)
    _, _, head = load_language_model(tmp_path, "replaced")
    assert torch.equal(head["dense.weight"], model.discriminator_predictions.dense.weight)


def test_a_backbone_that_lacks_weights_is_refused(checkpoints, tmp_path):
    shutil.copytree(checkpoints["bert"], tmp_path / "bert")
    weights = load_file(tmp_path / "bert" / "model.safetensors")
    del weights["bert.encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "bert" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 weights of its bert: bert\.encoder\.layer\.1\.output\.dense"):
        load_language_model(tmp_path / "bert", "masked")


@pytest.mark.parametrize(
    ("family", "backbone", "kind", "why"),
    [
        ("gpt2", SourceBackbone(), "masked", "objective=masked of the type that .* holds"),
        ("bert", BERT, "causal", "objective=causal does not fit the backbone bert, whose tokens see both ways: use"),
        ("bert", BERT, "replaced", "objective=replaced trains the type electra"),
        (
            "llama",
            SMALL_LLAMA,
            "masked",
            "objective=masked does not fit the backbone llama, whose tokens see only",
        ),
    ],
)
def test_what_does_not_fit_is_refused(checkpoints, family, backbone, kind, why):
    with pytest.raises(ValueError, match=why):
        new_language_model(copied(checkpoints[family]), backbone, kind)


def test_layers_of_a_table_of_vectors_are_not_there(checkpoints):
    made = copied(checkpoints["bert"])
    table = replace(made, matrix=replace(made.matrix, checkpoint=None))
    with pytest.raises(
        ValueError, match="backbone=source takes the layers of a checkpoint, and the source .* is a table"
    ):
        new_language_model(table, SourceBackbone(), "masked")


def test_positions_that_another_padding_token_would_move_are_refused(checkpoints):
    backbone = NewBackbone("mpnet", {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2})
    with pytest.raises(ValueError, match="the positions of mpnet count from another padding token's id, so that its"):
        new_language_model(copied(checkpoints["bert"]), backbone, "masked")
