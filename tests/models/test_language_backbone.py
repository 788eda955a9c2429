import pytest

from lexigraft.models.language_backbone import NewBackbone
from lexigraft.models.pretrained import Pretrained

SETTINGS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.mark.parametrize("kind", ["bert", "electra", "roberta", "albert", "modernbert", "gpt2", "llama"])
def test_a_new_backbone_of_the_settings_takes_word_vectors_of_the_rows_width(kind):
    config = NewBackbone(kind, SETTINGS).config(16, pad_id=3)
    encoder = Pretrained(16, config=config)
    assert (encoder.width, encoder.config.num_hidden_layers, encoder.config.pad_token_id) == (16, 2, 3)


@pytest.mark.parametrize("kind", ["electra", "albert"])
def test_types_with_a_width_of_their_own_for_words_take_that_of_the_rows(kind):
    assert Pretrained(6, config=NewBackbone(kind, SETTINGS).config(6, pad_id=0)).width == 16


def test_how_attention_is_computed_is_a_setting_too():
    plain, eager = (
        Pretrained(16, config=NewBackbone("electra", SETTINGS | more).config(16, pad_id=0))
        for more in ({}, {"attn_implementation": "eager"})
    )
    assert (plain.config._attn_implementation, eager.config._attn_implementation) == ("sdpa", "eager")
    assert Pretrained(16, config=plain.config.to_dict(), attention="eager").config._attn_implementation == "eager"
    with pytest.raises(ValueError, match="nonsense"):
        Pretrained(16, config=NewBackbone("bert", SETTINGS | {"attn_implementation": "nonsense"}).config(16, pad_id=0))


def test_rows_of_another_width_are_refused():
    with pytest.raises(
        ValueError, match=r"word vectors are 6 wide, and the bert of .* takes 16: set transplant\.dim=16"
    ):
        NewBackbone("bert", SETTINGS).config(6, pad_id=0)


@pytest.mark.parametrize(
    ("kind", "settings", "why"),
    [
        ("brt", {}, r"backbone\.model_type=brt: transformers has no such type; near are bert"),
        (
            "bert",
            {"hiden_size": 3},
            r"backbone\.settings\.hiden_size: the type bert has hidden_size, .*no such setting",
        ),
        ("bert", {"vocab_size": 3}, r"backbone\.settings\.vocab_size is what the tokenizer says: leave it out"),
    ],
)
def test_what_transformers_does_not_know(kind, settings, why):
    with pytest.raises(ValueError, match=why):
        NewBackbone(kind, settings)
