"""Roles of special tokens: from files, spellings, post-processors, models."""

import json

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, processors

from lexigraft.vocab.roles import special_roles


def backend_of(*contents: str, model: str = "WordLevel", unk: str | None = None) -> Backend:
    entries = {content: i for i, content in enumerate(contents)}
    if model == "Unigram":
        pieces = [(content, -1.0) for content in contents]
        unk_id = None if unk is None else entries[unk]
        return Backend(models.Unigram(pieces, unk_id=unk_id, byte_fallback=False))
    return Backend(models.BPE(entries, [], unk_token=unk))


def test_bert_by_spelling():
    backend = backend_of("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a")
    assert special_roles(None, backend) == {
        "pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"
    }  # fmt: skip


def test_gpt2_token_is_bos_and_eos():
    assert special_roles(None, backend_of("<|endoftext|>", "a")) == {"bos": "<|endoftext|>", "eos": "<|endoftext|>"}


def test_files_decide_and_may_give_one_token_several_roles(tmp_path):
    config = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"sep_token": "</s>", "bos_token": "</s>"}))
    # <pad> is spelled like one, but the files name roles and do not name this one.
    backend = backend_of("<s>", "</s>", "<pad>", "<unk>", unk="<unk>")
    assert special_roles(tmp_path, backend) == {
        "unk": "<unk>", "bos": "<s>", "eos": "</s>", "cls": "<s>", "sep": "</s>"
    }  # fmt: skip


def test_files_without_any_role_leave_it_to_the_spellings(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert special_roles(tmp_path, backend_of("[PAD]", "a")) == {"pad": "[PAD]"}


def test_a_named_token_that_is_not_there_plays_nothing(tmp_path):
    (tmp_path / "special_tokens_map.json").write_text('{"pad_token": "<pad>", "eos_token": "</s>"}')
    assert special_roles(tmp_path, backend_of("</s>")) == {"eos": "</s>"}


@pytest.mark.parametrize(
    "processor",
    [
        processors.TemplateProcessing(single="<a> $A <z>", special_tokens=[("<a>", 0), ("<z>", 1)]),
        processors.RobertaProcessing(("<z>", 1), ("<a>", 0)),
        processors.BertProcessing(("<z>", 1), ("<a>", 0)),
        processors.Sequence(
            [
                processors.ByteLevel(),
                processors.TemplateProcessing(single="<a> $A <z>", special_tokens=[("<a>", 0), ("<z>", 1)]),
            ]
        ),
    ],
)
def test_tokens_around_every_text_are_bos_and_eos(processor):
    backend = backend_of("<a>", "<z>")
    backend.post_processor = processor
    assert special_roles(None, backend) == {"bos": "<a>", "eos": "<z>"}


def test_a_closing_token_alone():
    backend = backend_of("<z>")
    backend.post_processor = processors.TemplateProcessing(single="$A <z>", special_tokens=[("<z>", 0)])
    assert special_roles(None, backend) == {"eos": "<z>"}


def test_berts_tokens_stay_cls_and_sep():
    backend = backend_of("[CLS]", "[SEP]")
    backend.post_processor = processors.BertProcessing(("[SEP]", 1), ("[CLS]", 0))
    assert special_roles(None, backend) == {"cls": "[CLS]", "sep": "[SEP]"}


def test_a_post_processor_without_tokens_says_nothing():
    backend = backend_of("a")
    backend.post_processor = processors.ByteLevel()
    assert special_roles(None, backend) == {}


@pytest.mark.parametrize("model", ["BPE", "Unigram"])
@pytest.mark.parametrize(("unk", "roles"), [("<?>", {"unk": "<?>"}), (None, {})])
def test_the_models_own_unk(model, unk, roles):
    assert special_roles(None, backend_of("a", "<?>", model=model, unk=unk)) == roles
