import dataclasses

import numpy as np
import pytest
import tokenizers
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.tokalign import _greedy, tokalign
from lexigraft.vocab.tokenizer import Tokenizer
from tests.transplant.gaps import make_gap
from tests.transplant.matrices import word_matrix


def spaced(words):
    """A tokenizer of words between spaces."""
    entries = ["<pad>", "<unk>", *words]
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(entries)}, "<unk>"))
    backend.normalizer = tokenizers.normalizers.Lowercase() if "Alpha" not in words else None
    backend.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens(["<pad>", "<unk>"])
    return Tokenizer.of_backend(backend)


def matrix_of(tokenizer, dtype=torch.float32):
    rows = torch.randn(len(tokenizer.vocabulary), 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    return EmbeddingMatrix(tokenizer.vocabulary, rows, {}, tokenizer=tokenizer)


COMMON = [f"c{i}" for i in range(12)]
# Each pair of words stands for one thing: either writes it in its own way.
THINGS = [("w0", "v0"), ("w1", "v1"), ("w2", "v2"), ("w3", "v3")]


def renamed_gap(seed=0, **further):
    """A gap whose source tokenizer spells each thing's first name and whose target spells its second; all texts hold
    both, one after the other, so that each tokenizer reads the one and skips the other as unknown."""
    random = np.random.default_rng(seed)
    texts = []
    for _ in range(600):
        thing = int(random.integers(4))
        near = random.permutation([f"c{3 * thing + k}" for k in range(3)]).tolist()
        texts.append(" ".join([near[0], *THINGS[thing], near[1], f"c{random.integers(12)}", near[2]]))
    source = spaced([*COMMON, *(one for one, _ in THINGS), "rare"])
    target = spaced([*(other for _, other in THINGS[::-1]), *COMMON, "never"])
    return make_gap(matrix_of(source), target, texts=texts, **further), source, target


def test_tokens_find_the_source_token_in_the_same_company():
    gap, source, _ = renamed_gap()
    filled = tokalign(gap, dim=12, window=3)
    names = [token.surface.decode() for token in gap.tokens]
    assert names == ["v3", "v2", "v1", "v0", "never"]
    assert filled.done.tolist() == [True] * 4 + [False]
    chosen = [source.vocabulary[i].surface.decode() for i in filled.rows.source]
    assert chosen == ["w3", "w2", "w1", "w0"]
    assert torch.equal(filled.rows.apply(gap.source.rows), gap.source.rows[filled.rows.source])
    assert filled.notes == {"pivots": 12, "tokens declined": 1}


def test_the_choice_is_the_argmax_of_an_oracle_on_relative_representations():
    from lexigraft.transplant.cooccurrence import ppmi_vectors
    from lexigraft.transplant.corpus import tokenised

    gap, source, target = renamed_gap(seed=3)
    filled = tokalign(gap, pivots=5, dim=8, window=4, one_to_one=False)
    mine = tokenised(target, gap.texts)
    u, v = ppmi_vectors(mine, 8, 4, 5), ppmi_vectors(tokenised(source, gap.texts), 8, 4, 5)
    order = np.argsort(-mine.counts[gap.shared_target], kind="stable")[:5]

    def relative(space, i, pivots):
        made = np.array([space[i] @ space[p] / np.linalg.norm(space[i]) / np.linalg.norm(space[p]) for p in pivots])
        return made / np.linalg.norm(made)

    candidates = [i for i, token in enumerate(source.vocabulary) if token.role is None and v[i].any()]
    for t, s in zip(gap.ids[filled.done], filled.rows.source):
        likeness = [
            relative(u, t, gap.shared_target[order]) @ relative(v, i, gap.shared_source[order]) for i in candidates
        ]
        assert candidates[int(np.argmax(likeness))] == s


def test_no_source_token_serves_twice_unless_allowed():
    gap, source, _ = renamed_gap()
    filled = tokalign(gap, dim=12)
    assert len(set(filled.rows.source.tolist())) == len(filled.rows.source)
    assert not np.isin(filled.rows.source, gap.shared_source).any()
    # a vocabulary that was only extended leaves no source token free
    extended = spaced([*COMMON, *(one for one, _ in THINGS), "rare", *(other for _, other in THINGS)])
    gap = make_gap(matrix_of(source), extended, texts=gap.texts)
    assert not tokalign(gap, dim=12).done[:-1].any()
    assert tokalign(gap, dim=12, one_to_one=False).done.sum() == 4


def test_the_greedy_choice_takes_the_most_similar_pairs_first(monkeypatch):
    random = np.random.default_rng(0)
    queries, keys = (torch.from_numpy(random.standard_normal((n, 3)).astype(np.float32)) for n in (30, 25))
    unit = [torch.nn.functional.normalize(x.double(), dim=1) for x in (queries, keys)]
    likeness = (unit[0] @ unit[1].T).numpy()
    expected = np.full(30, -1)
    for _ in range(25):
        q, k = np.unravel_index(likeness.argmax(), likeness.shape)
        expected[q] = k
        likeness[q], likeness[:, k] = -9, -9
    assert np.array_equal(_greedy(queries, keys), expected)
    monkeypatch.setattr("lexigraft.transplant.tokalign._CANDIDATES", 1)
    rounds = _greedy(queries, keys)
    assert sorted(rounds[rounds >= 0].tolist()) == list(range(25))


def test_special_tokens_are_declined_and_never_chosen():
    gap, source, target = renamed_gap()
    gap = dataclasses.replace(gap, ids=np.arange(len(target.vocabulary)))
    filled = tokalign(gap, dim=12)
    assert not filled.done[[t.role is not None for t in target.vocabulary]].any()
    assert all(source.vocabulary[i].role is None for i in filled.rows.source)


def test_a_source_without_a_tokenizer_is_an_error():
    gap, _, _ = renamed_gap()
    with pytest.raises(ValueError, match="this source has none"):
        tokalign(dataclasses.replace(gap, source=word_matrix(["a"])))


def test_too_few_shared_tokens_are_an_error():
    gap, _, _ = renamed_gap()
    with pytest.raises(ValueError, match="only 0 of the 12 shared tokens occur 9999 times"):
        tokalign(gap, min_count=9999)


def test_without_texts_tokalign_says_what_it_needs():
    gap, _, _ = renamed_gap()
    with pytest.raises(ValueError, match="TokAlign learns from texts"):
        tokalign(dataclasses.replace(gap, texts=()))
