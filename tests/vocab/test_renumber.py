"""Tokenizers with other ids: the same pieces for every family, and everything that names a token follows."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from lexigraft.vocab.renumber import renumber
from lexigraft.vocab.tokenizer import Tokenizer
from tests.fixtures.tokenizers import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_permutation_changes_ids_and_nothing_else(tokenizers_by_family, corpus, family, seed):
    old = tokenizers_by_family[family]
    order = list(range(len(old.vocabulary)))
    random.Random(seed).shuffle(order)
    new = renumber(old, order)

    texts = [*corpus[::7], "☃ unseen <s> 中", ""]
    assert [[order[i] for i in ids] for ids in new.encode(texts)] == old.encode(texts)
    assert [old.vocabulary[i] for i in order] == list(new.vocabulary)
    assert {role: order[i] for role, i in new.vocabulary.roles.items()} == old.vocabulary.roles
    assert new.role_contents() == old.role_contents()
    # There and back again.
    back = renumber(new, sorted(range(len(order)), key=order.__getitem__))
    assert back.vocabulary == old.vocabulary
    assert back.encode(texts) == old.encode(texts)


def test_scores_survive(unigram):
    new = renumber(unigram, range(len(unigram.vocabulary)))
    assert json.loads(new.backend.to_str()) == json.loads(unigram.backend.to_str())


def test_saved_and_loaded_it_is_the_same(tiktoken_bpe, corpus, tmp_path):
    order = list(reversed(range(len(tiktoken_bpe.vocabulary))))
    new = renumber(tiktoken_bpe, order)
    new.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.vocabulary == new.vocabulary
    assert loaded.encode(corpus) == new.encode(corpus)


@pytest.mark.parametrize("kind", ["bert", "roberta", "template in a sequence"])
def test_every_post_processor(kind):
    entries = {"<s>": 0, "</s>": 1, "a": 2, "b": 3}
    backend = Backend(models.WordLevel(entries, unk_token="a"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.add_special_tokens(["<s>", "</s>"])
    if kind == "bert":
        backend.post_processor = processors.BertProcessing(("</s>", 1), ("<s>", 0))
    elif kind == "roberta":
        backend.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    else:
        template = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
        backend.post_processor = processors.Sequence([processors.ByteLevel(), template])
    new = renumber(Tokenizer.of_backend(backend), [3, 2, 1, 0])
    assert new.encode(["a b"]) == [[3, 1, 0, 2]]
    with pytest.raises(ValueError, match="puts </s> around texts, so that it cannot be left out"):
        renumber(Tokenizer.of_backend(backend), [0, 2, 3])


def test_padding_follows_and_goes_with_its_token():
    backend = Backend(models.WordLevel({"<unk>": 0, "a": 1, "<pad>": 2}, unk_token="<unk>"))
    backend.enable_padding(pad_id=2, pad_token="<pad>")
    tokenizer = Tokenizer.of_backend(backend)
    assert renumber(tokenizer, [2, 1, 0]).backend.padding["pad_id"] == 0
    assert renumber(tokenizer, [1, 0]).backend.padding is None


def test_added_tokens_outside_the_model_move_into_it_only_where_they_must(byte_bpe):
    backend = Backend.from_str(byte_bpe.backend.to_str())
    backend.add_tokens([AddedToken("restaurant", single_word=True)])
    tokenizer = Tokenizer.of_backend(backend)
    count = len(tokenizer.vocabulary)

    def in_model(t: Tokenizer) -> bool:
        return "restaurant" in json.loads(t.backend.to_str())["model"]["vocab"]

    assert not in_model(renumber(tokenizer, range(count)))
    assert not in_model(renumber(tokenizer, [*range(200), count - 1]))
    first = renumber(tokenizer, [count - 1, *range(count - 1)])
    assert in_model(first)
    assert first.encode(["a restaurant!"])[0].count(0) == 1


def test_a_subset_drops_merges_and_keeps_roles(byte_bpe):
    moving = byte_bpe.backend.token_to_id("Ġmoving")
    assert moving is not None
    order = [i for i in range(len(byte_bpe.vocabulary)) if i != moving]
    new = renumber(byte_bpe, order)
    assert new.vocabulary.roles == byte_bpe.vocabulary.roles
    pieces = new.encode(["a moving film"])[0]
    assert len(pieces) == len(byte_bpe.encode(["a moving film"])[0]) + 1
    assert new.backend.decode(pieces) == "a moving film"


def test_a_dropped_special_token_loses_its_role(wordpiece):
    mask = wordpiece.vocabulary.roles["mask"]
    new = renumber(wordpiece, [i for i in range(len(wordpiece.vocabulary)) if i != mask])
    assert set(wordpiece.vocabulary.roles) - set(new.vocabulary.roles) == {"mask"}


def test_merges_of_a_bpe_with_a_continuing_prefix():
    entries = {"a": 0, "##b": 1, "ab": 2, "##c": 3, "abc": 4}
    backend = Backend(models.BPE(entries, [("a", "##b"), ("ab", "##c")], continuing_subword_prefix="##"))
    tokenizer = Tokenizer.of_backend(backend)
    assert renumber(tokenizer, [4, 3, 2, 1, 0]).encode(["abc"]) == [[0]]
    assert renumber(tokenizer, [0, 1, 2, 3]).encode(["abc"]) == [[2, 3]]


def test_holes_stay_holes():
    backend = Backend(models.BPE({"a": 0, "b": 3}, []))
    backend.add_special_tokens(["<x>"])
    tokenizer = Tokenizer.of_backend(backend)
    new = renumber(tokenizer, [1, 3, 2, 0])
    assert [t.surface for t in new.vocabulary] == [b"", b"b", b"<x>", b"a"]
    assert new.vocabulary[0].role == "unused"


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([0, 10_000], "the new order names id 10000, but the tokenizer's ids are 0 to"),
        ([-1], "the new order names id -1"),
        ([1, 1, 2], "the new order names 1 ids more than once"),
    ],
)
def test_wrong_orders(wordpiece, order, message):
    with pytest.raises(ValueError, match=message):
        renumber(wordpiece, order)


@pytest.mark.parametrize("family", ["wordpiece", "sp_bpe", "unigram", "words"])
def test_the_unknown_token_cannot_be_left_out(tokenizers_by_family, family):
    tokenizer = tokenizers_by_family[family]
    unk = tokenizer.vocabulary.roles["unk"]
    with pytest.raises(ValueError, match="stands for what this tokenizer does not know"):
        renumber(tokenizer, [i for i in range(len(tokenizer.vocabulary)) if i != unk])
