import sys

import numpy as np
import pytest
import torch

from lexigraft.transplant import fasttext_space
from lexigraft.transplant.corpus import Corpus, tokenised
from lexigraft.transplant.fasttext_space import train_fasttext, written
from lexigraft.vocab.vocabulary import Token


def test_names_show_surface_and_boundary_and_are_all_different():
    tokens = [
        Token(b"the", True),
        Token(b"the", False),
        Token("中".encode(), None),
        Token("中".encode()[:2], None),
        Token(b"the", True, byte_fallback=True),
        Token(b"", None),
        Token(b"", False),
    ]
    names = written(tokens)
    assert names[:4] == ["▁the", "the", "中", "\ue0e4\ue0b8"]
    assert names[4].startswith("▁the")
    assert len(set(names)) == len(tokens)
    assert all(name and name.encode() for name in names)


def test_vectors_are_the_same_for_a_seed_and_zero_for_rare_tokens(byte_bpe, corpus):
    made = tokenised(byte_bpe, corpus * 5)
    tokens = byte_bpe.vocabulary.tokens
    one = train_fasttext(made, tokens, 7, dim=8, epochs=1)
    assert one.shape == (len(tokens), 8)
    assert one.dtype == torch.float32
    assert torch.isfinite(one).all()
    assert np.array_equal(one.any(1).numpy(), made.counts >= 10)
    assert torch.equal(one, train_fasttext(made, tokens, 7, dim=8, epochs=1))
    assert not torch.equal(one, train_fasttext(made, tokens, 8, dim=8, epochs=1))


def test_tokens_in_equal_company_are_near_and_long_texts_are_read_to_the_end(monkeypatch):
    monkeypatch.setattr(fasttext_space, "_LONGEST", 50)
    random = np.random.default_rng(0)
    tokens = [Token(word.encode(), True) for word in ("qx", "vz", "up", "on", "it", "of")]
    # 0 and 1 stand among 2 and 3; 4 and 5 stand by themselves
    one = np.where(random.random(30_000) < 0.4, random.integers(0, 2, 30_000), random.integers(2, 4, 30_000))
    other = random.integers(4, 6, 30_000)
    ids = np.concatenate([one, other]).astype(np.int32)
    corpus = Corpus(ids, np.array([0, 30_000, 60_000]), np.bincount(ids, minlength=6))
    monkeypatch.setitem(fasttext_space._SETTINGS, "sample", 0)
    space = torch.nn.functional.normalize(train_fasttext(corpus, tokens, 0, dim=10, epochs=2), dim=1)
    assert space[0] @ space[1] > max(space[0] @ space[4], space[0] @ space[5])


def test_texts_in_which_every_token_is_rare_are_an_error(wordpiece):
    with pytest.raises(ValueError, match="no token occurs 10 times or more in 1 texts"):
        train_fasttext(tokenised(wordpiece, ["the film"]), wordpiece.vocabulary.tokens, 0)


def test_without_gensim_the_extra_is_named(wordpiece, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim.models.fasttext", None)
    with pytest.raises(ImportError, match=r"pip install 'lexigraft\[vectors\]'"):
        train_fasttext(tokenised(wordpiece, ["the film"] * 20), wordpiece.vocabulary.tokens, 0)
