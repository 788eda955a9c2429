"""What must come out exactly as before: texts in shared tokens, whatever ids those have now."""

import json
import random

import pytest
import tokenizers
import torch
from transformers import AutoTokenizer

from lexigraft.vocab.renumber import renumber
from lexigraft.vocab.tokenizer import Tokenizer
from tests.surgery.families import FAMILIES, build, logits, reopened, save, stored, transplanted

TEXTS = ["the film is a charming story about the people", "this phone is good value : the screen is bright"]
COUNTED_FROM_PADDING = ("roberta", "xlm_r", "longformer", "mpnet", "xglm", "m2m")


def longer(tokenizer, count=600):
    """The tokenizer with more tokens at its end, which no text of the tests contains."""
    backend = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    backend.add_tokens([f"qqq{i}zz" for i in range(count)])
    return Tokenizer.of_backend(backend)


def with_padding_at(tokenizer, place):
    """The tokenizer with all ids shuffled, the padding token at `place`."""
    order = list(range(len(tokenizer.vocabulary)))
    order.remove(tokenizer.pad_id)
    random.Random(0).shuffle(order)
    order.insert(place, tokenizer.pad_id)
    return renumber(tokenizer, order)


def of_texts(tokenizer):
    """Ids of two texts, cut to one length."""
    encoded = tokenizer.encode(TEXTS)
    length = min(map(len, encoded))
    return [ids[:length] for ids in encoded]


def contents(tokenizer, ids):
    return [tokenizer.backend.id_to_token(i) for i in ids]


@pytest.mark.parametrize("place", [0, 1, 5, 1200])
@pytest.mark.parametrize("family", COUNTED_FROM_PADDING)
def test_positions_stay_where_they_were_when_the_padding_id_moves(family, place, request, tmp_path):
    source = longer(request.getfixturevalue(FAMILIES[family][0]))
    model = build(family, len(source.vocabulary))
    folder = save(model, source, tmp_path / "old")
    wanted = with_padding_at(source, place)
    assert wanted.pad_id == place

    target, _, warnings = transplanted(folder, wanted, tmp_path / "new")

    swapped = target.pad_id != place
    assert swapped == (place != 1 and (place == 1200 or family in ("mpnet", "xglm", "m2m")))
    assert [w for w in warnings if "padding token was moved" in w and f"from id {place} to 1" in w] == (
        warnings if swapped else []
    )
    new = reopened(family, tmp_path / "new")
    assert new.config.pad_token_id == target.pad_id
    old_ids, new_ids = of_texts(source), of_texts(target)
    assert contents(source, old_ids[0]) == contents(target, new_ids[0])
    expected, found = logits(model, old_ids), logits(new, new_ids)
    order = [target.backend.token_to_id(source.backend.id_to_token(i)) for i in range(len(source.vocabulary))]
    torch.testing.assert_close(found[..., order], expected[..., : len(order)], rtol=0, atol=2e-6)

    # padded on the right, as a batch is
    mask = torch.ones(2, len(new_ids[0]) + 3, dtype=torch.long)
    mask[:, -3:] = 0
    padded = [ids + [target.pad_id] * 3 for ids in new_ids]
    of_old = logits(model, [ids + [source.pad_id] * 3 for ids in old_ids], attention_mask=mask)
    of_new = logits(new, padded, attention_mask=mask)
    of_old, of_new = of_old[:, :-3], of_new[:, :-3][..., order]
    torch.testing.assert_close(of_new, of_old, rtol=0, atol=2e-6)


def test_a_moved_position_table_has_its_rows_in_place(roberta_bpe, tmp_path):
    folder = save(build("roberta", len(roberta_bpe.vocabulary)), roberta_bpe, tmp_path / "old")
    name = "roberta.embeddings.position_embeddings.weight"
    old = stored(folder)[name]
    for place, length in ((0, 65), (5, 70)):
        _, written, _ = transplanted(folder, with_padding_at(roberta_bpe, place), tmp_path / f"at{place}")
        new = stored(tmp_path / f"at{place}")[name]
        assert (
            len(new)
            == length
            == json.loads((tmp_path / f"at{place}/config.json").read_text())["max_position_embeddings"]
        )
        assert torch.equal(new[place:], old[1:])
        assert name in written.tensors
        settings = json.loads((tmp_path / f"at{place}/tokenizer_config.json").read_text())
        assert settings["model_max_length"] == 64


@pytest.mark.parametrize(
    "family", ["bert", "electra", "gpt2", "llama", "t5", "t5_untied", "bart", "marian_apart", "rembert"]
)
def test_renumbering_a_vocabulary_permutes_the_logits(family, request, tmp_path):
    source = request.getfixturevalue(FAMILIES[family][0])
    model = build(family, len(source.vocabulary))
    folder = save(model, source, tmp_path / "old")
    order = list(range(len(source.vocabulary)))
    random.Random(1).shuffle(order)
    target, _, warnings = transplanted(folder, renumber(source, order), tmp_path / "new")
    assert warnings == []
    new = reopened(family, tmp_path / "new")
    found, expected = logits(new, of_texts(target)), logits(model, of_texts(source))
    back = [order.index(i) for i in range(len(order))]
    torch.testing.assert_close(found[..., back], expected[..., : len(order)], rtol=0, atol=2e-6)
    for key in ("bos_token_id", "eos_token_id", "decoder_start_token_id", "forced_eos_token_id"):
        was = getattr(model.config, key, None)
        assert getattr(new.config, key, None) == (None if was is None else order.index(was)), key


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "t5", "bart", "roberta"])
def test_a_trimmed_vocabulary_gives_the_same_logits_at_the_kept_ids(family, request, tmp_path):
    source = request.getfixturevalue(FAMILIES[family][0])
    model = build(family, len(source.vocabulary))
    folder = save(model, source, tmp_path / "old")
    used = {source.vocabulary[i].surface for ids in source.encode(TEXTS) for i in ids}
    # The pieces that merges need on the way stay too.
    order = [i for i, t in enumerate(source.vocabulary) if t.role or any(t.surface in whole for whole in used)]
    target, written, warnings = transplanted(folder, renumber(source, order), tmp_path / "new")
    assert warnings == []
    assert written.rows == len(order) < len(source.vocabulary)
    new = reopened(family, tmp_path / "new")
    for text in TEXTS:
        old_ids, new_ids = source.encode([text]), target.encode([text])
        assert contents(source, old_ids[0]) == contents(target, new_ids[0])
        found, expected = logits(new, new_ids), logits(model, old_ids)[..., order]
        assert torch.equal(found, expected)


def test_an_extension_keeps_padding_rows_and_appends_only_what_does_not_fit(unigram, tmp_path):
    real = len(unigram.vocabulary)
    model = build("t5", real)
    folder = save(model, unigram, tmp_path / "old")
    old = stored(folder)["shared.weight"]
    room = len(old) - real
    assert room > 2
    for more, size in ((2, len(old)), (room + 3, real + room + 3)):
        to = tmp_path / f"more{more}"
        _, written, warnings = transplanted(folder, longer(unigram, more), to)
        new = stored(to)["shared.weight"]
        assert (written.rows, len(new), warnings) == (size, size, [])
        assert torch.equal(new[:real], old[:real])
        assert torch.equal(new[real + more :], old[real + more :])
        assert not torch.equal(new[real : real + 2], old[real : real + 2])
        assert json.loads((to / "config.json").read_text())["vocab_size"] == size


@pytest.mark.parametrize("family", ["bert", "llama", "bart", "gptj"])
def test_padding_rows_never_win(family, request, wordpiece, tmp_path):
    source = request.getfixturevalue(FAMILIES[family][0])
    folder = save(build(family, len(source.vocabulary)), source, tmp_path / "old")
    target = renumber(wordpiece, list(range(5, 300)) + list(range(5)))
    _, written, _ = transplanted(folder, target, tmp_path / "new", pad_to_multiple_of=64)
    assert written.rows == 320
    model = reopened(family, tmp_path / "new")
    ids = torch.randint(0, 300, (20, 16), generator=torch.Generator().manual_seed(0)).tolist()
    assert int(logits(model, ids).argmax(-1).max()) < 300
    if family in ("llama", "gptj"):  # without a padding token of their own: that row stands for nothing either
        assert (logits(model, ids).argmax(-1) != target.pad_id).all()


def test_autotokenizer_opens_what_its_own_class_would_misread(wordpiece, byte_bpe, tmp_path):
    folder = save(build("qwen2", len(byte_bpe.vocabulary)), byte_bpe, tmp_path / "old")
    transplanted(folder, wordpiece, tmp_path / "new")
    for options in ({}, {"trust_remote_code": True}):
        opened = AutoTokenizer.from_pretrained(tmp_path / "new", **options)
        assert opened(TEXTS[0])["input_ids"] == wordpiece.encode(TEXTS)[0]
