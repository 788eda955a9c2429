import pytest
import torch

from lexigraft.models.packed_rows import packed_attention, require_packable
from lexigraft.models.pretrained import Pretrained, load_backbone
from tests.models import backbones
from tests.models.languages import CAUSAL, FAMILIES, SIZE, config_of, theirs

LENGTHS = (7, 5, 1)
PAD = 2
DOCUMENTS = torch.tensor([i for i, length in enumerate(LENGTHS) for _ in range(length)] + [-1] * PAD)
POSITIONS = torch.cat([torch.arange(length) for length in (*LENGTHS, PAD)])


def backbone_of(family, model):
    config = config_of(family)
    width = model.get_input_embeddings().weight.shape[1]
    encoder = Pretrained(width, config=config)
    encoder.load_backbone(
        {k: v for k, v in model.base_model.state_dict().items() if k in encoder.backbone.state_dict()}
    )
    return encoder.eval()


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_documents_have_the_states_that_transformers_gives_them_apart(family):
    model = theirs(family)
    encoder, words = backbone_of(family, model), model.get_input_embeddings().weight
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(2, SIZE, (sum(LENGTHS),), generator=generator)
    x = words[torch.cat([ids, torch.zeros(PAD, dtype=torch.long)])][None]
    packed = encoder(x, (DOCUMENTS >= 0)[None], None, DOCUMENTS[None], POSITIONS[None])[0, : sum(LENGTHS)]
    apart = torch.cat([model.base_model(input_ids=each[None]).last_hidden_state[0] for each in ids.split(LENGTHS)])
    assert (packed - apart).abs().max() <= 1e-5
    # The documents would see each other otherwise:
    open_rows = encoder(x, (DOCUMENTS >= 0)[None])[0, : sum(LENGTHS)]
    assert (open_rows - apart).abs().max() > 1e-2


@pytest.mark.parametrize("family", FAMILIES)
def test_these_backbones_pack(family):
    encoder = Pretrained(theirs(family).get_input_embeddings().weight.shape[1], config=config_of(family))
    require_packable(encoder.train())
    assert encoder.training


def test_a_window_looks_back_one_token_less_than_its_size_and_both_ways_as_far_as_its_size():
    documents = torch.zeros(1, 5, dtype=torch.long)
    like = torch.zeros(1)
    mistral = Pretrained(16, config=config_of("mistral", sliding_window=2)).config
    seen = packed_attention(mistral, documents, causal=True, like=like)
    assert seen[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 1, 1],
    ]
    modern = Pretrained(16, config=config_of("modernbert", local_attention=2)).config
    masks = packed_attention(modern, documents, causal=False, like=like)
    assert masks["full_attention"].all()
    assert masks["sliding_attention"][0, 0, 2].tolist() == [False, True, True, True, False]


def test_attention_that_is_computed_step_by_step_gets_numbers_to_add():
    config = Pretrained(16, config=config_of("bert")).config
    config._attn_implementation = "eager"
    found = packed_attention(config, torch.tensor([[0, 1]]), causal=False, like=torch.zeros(1))
    low = torch.finfo(torch.float32).min
    assert found[0, 0].tolist() == [[0, low], [low, 0]]


@pytest.mark.parametrize(
    ("family", "why"), [("t5", "the backbone t5, which is not told positions"), ("bart", "is not told positions")]
)
def test_a_backbone_without_positions_is_refused(tmp_path, family, why):
    backbones.save(family, tmp_path)
    encoder = Pretrained(16, config=load_backbone(tmp_path)[0])
    with pytest.raises(ValueError, match=why + ": train on unpacked batches"):
        require_packable(encoder)


def test_a_backbone_that_refuses_the_attention_is_told_of():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    encoder = Pretrained(16, config={"model_type": "deberta-v2", **sizes, "max_position_embeddings": 24})
    with pytest.raises(ValueError, match="the backbone deberta-v2, which refuses their attention"):
        require_packable(encoder)


def test_layers_of_an_unknown_kind_are_refused():
    encoder = Pretrained(16, config=config_of("qwen2"))
    encoder.config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(ValueError, match="the backbone qwen2, which has layers of the kind linear_attention"):
        require_packable(encoder)


def test_a_backbone_whose_packed_states_differ_is_refused():
    encoder = Pretrained(16, config=config_of("bert", initializer_range=0.3))
    encoder._first_position = 3
    with pytest.raises(ValueError, match="whose hidden states of packed documents are off by"):
        require_packable(encoder)


def test_which_families_read_left_to_right():
    causal = {f for f in FAMILIES if Pretrained(8 if f in ("electra", "albert") else 16, config=config_of(f)).causal}
    assert causal == set(CAUSAL)
