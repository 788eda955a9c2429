import json
import logging
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.pretrained import Pretrained, load_backbone
from tests.fixtures.checkpoints import FAMILIES as CHECKPOINTS
from tests.models.backbones import CAUSAL, FAMILIES, build, encoder_of, save

LENGTHS = torch.tensor([12, 5, 1])
MASK = torch.arange(12) < LENGTHS[:, None]


def ids_with_padding(pad_id: int) -> torch.Tensor:
    ids = torch.randint(5, 40, (3, 12), generator=torch.Generator().manual_seed(0))
    return ids.masked_fill(~MASK, pad_id)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    """Name, the whole model, the embedding with its rows, and the backbone, of each family."""
    folder = tmp_path_factory.mktemp(request.param)
    model = save(request.param, folder)
    config, weights = load_backbone(folder)
    rows = model.get_input_embeddings().weight
    backbone = Pretrained(rows.shape[1], config=config)
    backbone.load_backbone(weights)
    embedding = TransplantedEmbedding(rows, model.config.pad_token_id or 0)
    return request.param, model, embedding, backbone.eval(), (config, weights)


@torch.no_grad()
def test_an_identity_transplant_gives_the_hidden_states_of_the_source(family):
    _, model, embedding, backbone, _ = family
    ids = ids_with_padding(model.config.pad_token_id or 0)
    expected = encoder_of(model)(input_ids=ids, attention_mask=MASK.long()).last_hidden_state
    hidden = backbone(embedding(ids, MASK), MASK)
    assert (hidden - expected)[MASK].abs().max() <= 1e-6
    # The test would notice a wrong position or scale:
    moved = backbone(embedding(ids, MASK).roll(1, dims=1) * 2, MASK)
    assert (moved.roll(-1, dims=1) - expected)[0, :-1].abs().max() > 1e-2
    assert backbone.width == 16


def test_no_weight_is_dead_and_none_is_a_word_embedding(family):
    name, _, embedding, backbone, _ = family
    backbone(embedding(ids_with_padding(0), MASK), MASK)[MASK].square().sum().backward()
    dead = [key for key, p in backbone.named_parameters() if p.grad is None]
    assert not dead
    assert not [key for key, p in backbone.named_parameters() if p.shape[0] == 40]
    assert backbone.causal == (name in CAUSAL)
    backbone.zero_grad()


def test_rebuilt_from_plain_values_and_a_checkpoint(family, tmp_path):
    _, _, embedding, backbone, (config, _) = family
    torch.save(backbone.state_dict(), tmp_path / "checkpoint.pt")
    again = Pretrained(embedding.dim, config=json.loads(json.dumps(config))).eval()
    again.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    vectors = embedding(ids_with_padding(0), MASK)
    assert torch.equal(again(vectors, MASK), backbone(vectors, MASK))
    assert not [value for value in config.values() if isinstance(value, str) and "/" in value]


def test_the_first_layers_only(family):
    _, _, embedding, backbone, (config, weights) = family
    short = Pretrained(embedding.dim, config=config, layers=2).eval()
    short.load_backbone(weights)
    if short.backbone.config.model_type != "albert":  # whose layers share their weights
        assert len(short.state_dict()) < len(backbone.state_dict())
    vectors = embedding(ids_with_padding(0), MASK)
    assert (short(vectors, MASK) - backbone(vectors, MASK))[MASK].abs().max() > 1e-3


def test_the_first_layers_are_those_of_the_source(tmp_path):
    model = save("bert", tmp_path)
    config, weights = load_backbone(tmp_path)
    short = Pretrained(16, config=config, layers=1).eval()
    short.load_backbone(weights)
    ids = ids_with_padding(0)
    states = model(input_ids=ids, attention_mask=MASK.long(), output_hidden_states=True).hidden_states
    hidden = short(TransplantedEmbedding(model.get_input_embeddings().weight, 0)(ids, MASK), MASK)
    assert (hidden - states[1])[MASK].abs().max() <= 1e-6


@torch.no_grad()
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_of_a_language_model_with_its_special_tokens(name, checkpoints):
    model = AutoModel.from_pretrained(checkpoints[name]).eval()
    config, weights = load_backbone(checkpoints[name])
    pad_id = config["pad_token_id"] or 0
    # Every id that a text may hold, specials included; a padding token inside a text is none.
    ids = torch.tensor([i for i in range(13) if i != pad_id]).expand(3, 12).masked_fill(~MASK, pad_id)
    expected = encoder_of(model)(input_ids=ids, attention_mask=MASK.long()).last_hidden_state
    rows = model.get_input_embeddings().weight
    backbone = Pretrained(rows.shape[1], config=config).eval()
    backbone.load_backbone(weights)
    hidden = backbone(TransplantedEmbedding(rows, pad_id)(ids, MASK), MASK)
    assert (hidden - expected)[MASK].abs().max() <= 1e-6


@pytest.mark.parametrize("layers", [0, 4])
def test_layers_out_of_range(tmp_path, layers):
    save("gpt2", tmp_path)
    with pytest.raises(ValueError, match=rf"layers={layers} was given; the backbone gpt2 has 3 layers"):
        Pretrained(16, config=load_backbone(tmp_path)[0], layers=layers)


def test_roberta_has_two_positions_fewer(tmp_path):
    save("roberta", tmp_path)
    backbone = Pretrained(16, config=load_backbone(tmp_path)[0])
    assert backbone.max_tokens == 22
    backbone(torch.zeros(1, 22, 16), torch.ones(1, 22))
    with pytest.raises(ValueError, match="a text has 23 tokens, but the backbone has positions for 22"):
        backbone(torch.zeros(1, 23, 16), torch.ones(1, 23))


def test_t5_takes_texts_of_any_length(tmp_path):
    save("t5", tmp_path)
    backbone = Pretrained(16, config=load_backbone(tmp_path)[0])
    assert backbone.max_tokens is None
    assert backbone(torch.zeros(1, 99, 16), torch.ones(1, 99)).shape == (1, 99, 16)


def test_a_text_without_tokens_is_finite(family):
    _, _, embedding, backbone, _ = family
    mask = torch.zeros(2, 3, dtype=torch.bool)
    mask[0] = True
    assert backbone(embedding(torch.full((2, 3), 7), mask), mask).isfinite().all()


def test_another_width_is_refused(tmp_path):
    save("bert", tmp_path)
    with pytest.raises(ValueError, match="rows of width 12 do not fit the backbone bert, .* are 16 wide"):
        Pretrained(12, config=load_backbone(tmp_path)[0])


def test_shards_and_bin_are_read_too(tmp_path):
    model = save("bert", tmp_path / "one")
    save("bert", tmp_path / "sharded", max_shard_size="5KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    (tmp_path / "bin").mkdir()
    shutil.copy(tmp_path / "one" / "config.json", tmp_path / "bin")
    torch.save(model.state_dict(), tmp_path / "bin" / "pytorch_model.bin")
    _, expected = load_backbone(tmp_path / "one")
    for kind in ("sharded", "bin"):
        _, weights = load_backbone(tmp_path / kind)
        assert weights.keys() == expected.keys()
        assert all(torch.equal(weights[key], expected[key]) for key in expected)


def test_half_precision_becomes_float32(tmp_path):
    build("gpt2").to(torch.bfloat16).save_pretrained(tmp_path)
    config, weights = load_backbone(tmp_path)
    assert {w.dtype for w in weights.values()} == {torch.float32}
    backbone = Pretrained(16, config=config)
    backbone.load_backbone(weights)
    assert {p.dtype for p in backbone.parameters()} == {torch.float32}


def test_a_weight_that_lacks_is_not_drawn_at_random(tmp_path):
    save("bert", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 weights of its bert: encoder\.layer\.1\.output\.dense"):
        load_backbone(tmp_path)


def test_a_missing_pooler_or_head_is_of_no_concern_and_no_noise(tmp_path, capfd, caplog):
    save("bert", tmp_path)
    weights = {k: v for k, v in load_file(tmp_path / "model.safetensors").items() if "pooler" not in k}
    weights["cls.predictions.bias"] = torch.zeros(40)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    capfd.readouterr()
    before = logging.getLogger("transformers").level
    load_backbone(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert logging.getLogger("transformers").level == before


def test_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no config\.json: the folder of a transformers checkpoint"):
        load_backbone(tmp_path)


@torch.no_grad()
def test_the_texts_of_a_pair_are_told_apart_where_the_source_does(family):
    name, model, embedding, backbone, _ = family
    ids, types = ids_with_padding(model.config.pad_token_id or 0), (torch.arange(12) > 3).long().expand(3, 12)
    vectors = embedding(ids, MASK)
    told, untold = backbone(vectors, MASK, types), backbone(vectors, MASK)
    assert backbone.segments == (name in ("bert", "albert"))
    if backbone.segments:
        expected = model(input_ids=ids, attention_mask=MASK.long(), token_type_ids=types).last_hidden_state
        assert (told - expected)[MASK].abs().max() <= 1e-6
        assert (told - untold)[MASK].abs().max() > 1e-2
    else:
        assert torch.equal(told, untold)
