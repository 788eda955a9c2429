import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from lexigraft.surgery.config import new_config, new_generation_config, resized
from lexigraft.surgery.ids import NewIds, extends, real_tokens
from lexigraft.vocab.vocabulary import UNUSED, Token, Vocabulary


def vocabulary(*contents, further=()):
    """`[eos]`-like entries play that role, `<x>` is special, the rest are words."""
    tokens = []
    for content in contents:
        if content.startswith("["):
            tokens.append(Token(content.encode(), None, content.strip("[]")))
        elif content.startswith("<"):
            tokens.append(Token(content.encode(), None, f"special:{content}"))
        else:
            tokens.append(Token(content.encode(), True))
    return Vocabulary(tuple(tokens), further_roles=tuple(further))


SOURCE = vocabulary("[pad]", "[bos]", "[eos]", "<de>", "<img>", "cat", "dog", "<|eot|>", "bad")
TARGET = vocabulary("dog", "<de>", "[eos]", "cat", "[cls]", "[pad]", "<|eot|>")
IDS = NewIds(SOURCE, TARGET)


def mapped(**config):
    return new_config({"vocab_size": 9, **config}, IDS, 9, 7)


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("pad_token_id", 0, 5),
        ("pad_token_id", None, 5),
        ("pad_token_id", -1, -1),
        ("pad_token_id", 2, 5),  # the end of a text, for want of padding: the target has padding
        ("eos_token_id", 2, 2),
        ("eos_token_id", [2, 7], [2, 6]),
        ("eos_token_id", [2, 2], [2]),
        ("bos_token_id", 1, 4),  # cls stands in
        ("bos_token_id", None, None),
        ("pad_index", 0, 5),
        ("decoder_start_token_id", 0, 5),
        ("forced_bos_token_id", 3, 1),
        ("suppress_tokens", [5, 6], [3, 0]),
        ("bad_words_ids", [[5, 6]], [[3, 0]]),
        ("forced_decoder_ids", [[1, 3], [2, None]], [[1, 1], [2, None]]),
        ("lang_to_id", {"<de>": 3}, {"<de>": 1}),
        ("hidden_size", 5, 5),
        ("id2label", {"0": "a"}, {"0": "a"}),
        ("ignore_index", 5, 5),
    ],
)
def test_an_id_follows_its_role_or_its_token(key, old, new):
    config, warnings = mapped(**{key: old})
    assert config == {"vocab_size": 7, key: new}
    assert warnings == []


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("sep_token_id", 8, 2),  # eos is its equal
        ("mask_token_id", 8, None),
        ("forced_bos_token_id", 8, None),
        ("image_token_id", 4, -1),
        ("suppress_tokens", [5, 8], [3]),
        ("suppress_tokens", [8], None),
        ("bad_words_ids", [[5, 8], [6]], [[0]]),
        ("forced_decoder_ids", [[1, 8]], None),
        ("eos_token_id", [2, 8], [2]),
        ("eos_token_id", 999, 2),
        ("lang_to_id", {"<x>": 8, "<de>": 3}, {"<de>": 1}),
    ],
)
def test_what_the_target_lacks_is_null_and_told(key, old, new):
    config, warnings = mapped(**{key: old})
    assert config[key] == new
    told = [f"{key} was {old} and is now {'null' if new is None else new}: the tokenizer has no token for it"]
    assert warnings == ([] if isinstance(new, int) and new >= 0 else told)


def test_an_encoder_decoder_keeps_a_start():
    config, warnings = mapped(is_encoder_decoder=True, decoder_start_token_id=8)
    assert config["decoder_start_token_id"] == 2
    assert warnings == ["decoder_start_token_id was 8 and is now 2: the tokenizer has no token for it"]
    assert mapped(decoder_start_token_id=8)[0]["decoder_start_token_id"] is None
    found, warnings = new_generation_config({"decoder_start_token_id": 8, "_from": "x"}, IDS, seq2seq=True)
    assert found == {"decoder_start_token_id": 2, "_from": "x"}
    assert warnings[0].startswith("generation_config.decoder_start_token_id was 8")


def test_what_the_file_leaves_to_the_defaults_is_written_down_where_it_changes():
    config, _ = new_config({"model_type": "llama", "vocab_size": 9}, IDS, 9, 7)  # defaults: bos 1, eos 2
    assert config == {"model_type": "llama", "vocab_size": 7, "bos_token_id": 4, "pad_token_id": 5}
    config, _ = new_config({"model_type": "bert"}, IDS, 30522, 7)
    assert config == {"model_type": "bert", "vocab_size": 7, "pad_token_id": 5}


def test_null_is_written_only_where_the_architecture_takes_it():
    ids = NewIds(SOURCE, vocabulary("[pad]", "cat"))
    for kind, value in (("bert", None), ("modernbert-decoder", -1)):
        config = {"model_type": kind, "vocab_size": 9, "pad_token_id": 0, "sep_token_id": 2}
        found, _ = new_config(config, ids, 9, 2)
        assert found["sep_token_id"] == value
        CONFIG_MAPPING[kind].from_dict(found)


def test_configs_within_follow_unless_they_have_a_vocabulary_of_their_own():
    config, warnings = mapped(
        image_token_id=4,
        text_config={"vocab_size": 9, "eos_token_id": 2, "pad_token_id": 0},
        vision_config={"hidden_size": 3},
        audio_config={"vocab_size": 1024, "pad_token_id": 3},
    )
    assert config["text_config"] == {"vocab_size": 7, "eos_token_id": 2, "pad_token_id": 5}
    assert config["vision_config"] == {"hidden_size": 3}
    assert config["audio_config"] == {"vocab_size": 1024, "pad_token_id": 3}
    assert warnings == ["image_token_id was 4 and is now -1: the tokenizer has no token for it"]


def test_the_same_vocabulary_changes_nothing_but_the_size():
    ids = NewIds(padded(SOURCE, 3), SOURCE)
    assert ids.same
    config = {"vocab_size": 12, "eos_token_id": 2, "pad_token_id": None, "image_token_id": 11}
    assert new_config(config, ids, 12, 12) == (config, [])
    assert new_config(config, ids, 12, 16) == ({**config, "vocab_size": 16}, [])


def test_an_extension_keeps_every_id_and_tells_of_new_padding():
    source = vocabulary("[eos]", "cat", "dog")
    ids = NewIds(source, vocabulary("[eos]", "cat", "dog", "[pad]"))
    config = {"vocab_size": 3, "eos_token_id": 0, "pad_token_id": None, "suppress_tokens": [1, 2]}
    found, warnings = new_config(config, ids, 3, 4)
    assert (found, warnings) == ({**config, "vocab_size": 4, "pad_token_id": 3}, [])


def test_sizes_of_every_name_and_depth():
    config = {"n_words": 9, "decoder_vocab_size": 9, "type_vocab_size": 9, "encoder": {"vocab_size": 9}, "n": 9}
    expected = {"n_words": 10, "decoder_vocab_size": 10, "type_vocab_size": 9, "encoder": {"vocab_size": 10}, "n": 9}
    assert resized(config, 9, 10) == expected
    assert resized({"model_type": "gpt2"}, 50257, 50258) == {"model_type": "gpt2", "vocab_size": 50258}


def padded(of, count):
    return Vocabulary(of.tokens + (Token(b"", None, UNUSED),) * count, further_roles=of.further_roles)


def test_extension_is_judged_without_rows_that_only_pad():
    assert real_tokens(padded(SOURCE, 3)) == len(SOURCE)
    assert extends(padded(SOURCE, 3), SOURCE)
    assert not extends(SOURCE, TARGET)
    assert real_tokens(Vocabulary(())) == 0


def test_a_further_role_counts():
    source = vocabulary("[eos]", "cat", further=[("bos", 0)])
    ids = NewIds(source, vocabulary("cat", "[bos]"))
    assert ids.of_token(0) == 1
    assert ids.of_role("eos", 0) == 1
    assert ids.all_of(77) == []
