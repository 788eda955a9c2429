import json

import pytest
import torch
import transformers as hf

from lexigraft.embeddings.checkpoint import read_checkpoint
from lexigraft.models.language_backbone import NewBackbone, SourceBackbone
from lexigraft.models.language_building import new_language_model
from lexigraft.models.pretrained import load_backbone
from lexigraft.training.pretraining.export import write_pretrained
from lexigraft.transplant.engine import Transplant
from lexigraft.transplant.statistics import normal
from lexigraft.vocab.tokenizer import Tokenizer

SMALL = {"num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.3}


def model_on(tokenizer, folder, backbone, kind):
    """A model over the tokenizer's vocabulary, whose every weight is drawn."""
    source = read_checkpoint(str(folder))
    torch.manual_seed(1)
    model, _ = new_language_model(Transplant([normal])(source, tokenizer, 0), backbone, kind, generator=0.5)
    pad_id = model.embedding.lookup.padding_idx
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        model.embedding.lookup.weight[pad_id] = 0
    return model.eval()


def opened(kind, folder):
    """The model that transformers finds there, which lacks nothing and is left with nothing."""
    model, loading = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(loading[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model.eval()


def batch_of(tokenizer):
    """Two texts of the tokenizer's, the second one shorter."""
    pad = tokenizer.pad_id
    texts = tokenizer.encode(["这部电影很好 the film is good", "很好"])
    length = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (length - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (length - len(text)) for text in texts]).bool()
    return ids, mask


CASES = [
    ("bert", NewBackbone("bert", {**SMALL, "hidden_size": 32}), "masked"),
    ("bert", NewBackbone("electra", {**SMALL, "hidden_size": 16}), "masked"),
    ("bert", NewBackbone("roberta", {**SMALL, "hidden_size": 32}), "masked"),
    ("bert", NewBackbone("modernbert", {**SMALL, "hidden_size": 32, "intermediate_size": 24}), "masked"),
    ("bert", NewBackbone("gpt2", {**SMALL, "hidden_size": 32}), "causal"),
    ("bert", NewBackbone("llama", {**SMALL, "hidden_size": 32, "intermediate_size": 24}), "causal"),
    ("bert", SourceBackbone(), "masked"),
    ("bert", SourceBackbone(layers=1), "masked"),
    ("roberta", SourceBackbone(), "masked"),
    ("llama", SourceBackbone(), "causal"),
]


@torch.no_grad()
@pytest.mark.parametrize(("family", "backbone", "kind"), CASES, ids=range(len(CASES)))
def test_transformers_opens_it_and_says_the_same(checkpoints, wordpiece, tmp_path, family, backbone, kind):
    model = model_on(wordpiece, checkpoints[family], backbone, kind)
    assert write_pretrained(model, wordpiece, tmp_path) == []
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1  # readable for whom the umask says
    auto = hf.AutoModelForCausalLM if kind == "causal" else hf.AutoModelForMaskedLM
    again = opened(auto, tmp_path)
    ids, mask = batch_of(wordpiece)
    places = mask.flatten().nonzero().flatten()
    expected = model(ids, mask, places)
    found = again(input_ids=ids, attention_mask=mask.long()).logits.flatten(0, 1)[places]
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert len(expected[0]) == len(wordpiece.vocabulary) == again.config.vocab_size
    assert again.config.pad_token_id == wordpiece.pad_id


@torch.no_grad()
def test_electra_is_its_discriminator_or_its_generator(checkpoints, wordpiece, tmp_path):
    backbone = NewBackbone("electra", {**SMALL, "hidden_size": 16})
    model = model_on(wordpiece, checkpoints["bert"], backbone, "replaced")
    write_pretrained(model, wordpiece, tmp_path / "main")
    write_pretrained(model, wordpiece, tmp_path / "generator", part="generator")
    ids, mask = batch_of(wordpiece)
    found = opened(hf.ElectraForPreTraining, tmp_path / "main")(input_ids=ids, attention_mask=mask.long()).logits
    assert (found - model.suspicion(ids, mask))[mask].abs().max() <= 1e-5
    places = mask.flatten().nonzero().flatten()
    said = opened(hf.AutoModelForMaskedLM, tmp_path / "generator")(input_ids=ids, attention_mask=mask.long()).logits
    assert (said.flatten(0, 1)[places] - model.guesses(ids, mask, places)).abs().max() <= 1e-4


def test_the_folder_is_a_source_again(checkpoints, wordpiece, tmp_path):
    model = model_on(wordpiece, checkpoints["bert"], NewBackbone("bert", {**SMALL, "hidden_size": 32}), "masked")
    write_pretrained(model, wordpiece, tmp_path, weights="fp16")
    matrix = read_checkpoint(str(tmp_path))
    assert matrix.rows.dtype == torch.float16
    assert matrix.tied
    assert torch.equal(matrix.output_bias, model.heads["main"].bias.detach().half())
    assert torch.equal(matrix.rows, model.embedding.lookup.weight.detach().half())
    assert matrix.vocabulary.tokens == wordpiece.vocabulary.tokens
    assert Tokenizer.load(tmp_path).encode(["很好 the film"]) == wordpiece.encode(["很好 the film"])
    _, body = load_backbone(tmp_path)
    assert all(
        torch.equal(body[name], weight.half().float()) for name, weight in model.encoder.backbone.state_dict().items()
    )
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["BertForMaskedLM"]
    assert (tmp_path / "model.safetensors").is_file()
    opened(hf.AutoModelForMaskedLM, tmp_path)


def test_the_model_is_left_as_it_was(checkpoints, wordpiece, tmp_path):
    model = model_on(wordpiece, checkpoints["bert"], SourceBackbone(), "masked")
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.random.get_rng_state()
    write_pretrained(model, wordpiece, tmp_path, weights="bf16")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[k], v) and before[k].dtype == v.dtype for k, v in model.state_dict().items())


def test_numbers_that_half_precision_cannot_hold(checkpoints, wordpiece, tmp_path):
    model = model_on(wordpiece, checkpoints["bert"], SourceBackbone(), "masked")
    with torch.no_grad():
        model.heads["main"].bias[3] = 1e6
    with pytest.raises(ValueError, match="bias holds numbers above 65504, which fp16 cannot: use bf16 or fp32"):
        write_pretrained(model, wordpiece, tmp_path, weights="fp16")


def test_a_generator_that_is_not_there(checkpoints, wordpiece, tmp_path):
    model = model_on(wordpiece, checkpoints["bert"], SourceBackbone(), "masked")
    with pytest.raises(ValueError, match="the generator was asked for, which only objective=replaced trains"):
        write_pretrained(model, wordpiece, tmp_path, part="generator")
