import dataclasses

import numpy as np
import pytest
import torch

from lexigraft.transplant.ofa import ofa
from lexigraft.vocab.vocabulary import Vocabulary
from tests.transplant.gaps import make_gap
from tests.transplant.matrices import word_matrix, word_tokenizer

WORDS = [*"abcdefgh", "x", "y", "z"]


def gap_of(**spaces):
    source = word_matrix(["<unk>", *"abcdefgh"], dim=5)
    return make_gap(source, word_tokenizer(["<unk>", "a", "x", "y", "z", "w"]), spaces=spaces)


def test_rows_agree_with_a_float64_oracle():
    space = word_matrix(WORDS, dim=3)
    gap = gap_of(multilingual=space)
    filled = ofa(gap, neighbours=4)
    assert (filled.tier, filled.done.tolist()) == ("ofa", [True, True, True, False])
    unit = torch.nn.functional.normalize(space.rows.double(), dim=1).numpy()
    rows = gap.source.rows[1:].double().numpy()
    for made, vector in zip(filled.rows.apply(gap.source.rows), unit[8:]):
        cosines = unit[:8] @ vector
        best = np.argsort(-cosines)[:4]
        weight = np.exp(cosines[best] / 0.1) / np.exp(cosines[best] / 0.1).sum()
        np.testing.assert_allclose(made.double().numpy(), weight @ rows[best], rtol=1e-5, atol=1e-6)


def test_source_tokens_that_are_never_produced_are_not_mixed_in():
    space = dataclasses.replace(word_matrix(WORDS, dim=3), compose=lambda _: torch.ones(3))
    gap = gap_of(multilingual=space)
    vocabulary = Vocabulary(gap.source.vocabulary.tokens, unreachable=frozenset(range(2, 9)))
    filled = ofa(dataclasses.replace(gap, source=dataclasses.replace(gap.source, vocabulary=vocabulary)))
    assert set(filled.rows.source.tolist()) == {1}


def test_without_the_space_ofa_says_which_one():
    with pytest.raises(
        ValueError, match=r"needs a further matrix 'multilingual'.*source@transplant.spaces.multilingual"
    ):
        ofa(gap_of())
