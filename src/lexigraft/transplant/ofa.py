"""OFA: as WECHSEL in one space of words of many languages, for the tokens that the vocabularies do not share."""

from lexigraft.transplant.filling import Filled, Gap
from lexigraft.transplant.wechsel import by_similarity, source_vectors
from lexigraft.transplant.word_space import token_vectors


def ofa(gap: Gap, neighbours: int = 10, temperature: float = 0.1) -> Filled:
    """OFA (Liu et al. 2024): row(t) = sum over the `neighbours` source tokens s nearest to t of w_s S[s],
    w = softmax(cos(u_t, v_s) / `temperature`).

    u `[N, D]` and v `[V, D]` are the tokens' vectors (`token_vectors`) in the space `multilingual`, which holds words
    of both languages. Tokens without a vector and special tokens are declined. The paper's factorised form, S ~ U_d F
    with the rows U_d `[V, d]` mixed and F `[d, D]` kept, is `dim: d, resize: factorised`. `ValueError` without the
    space.
    """
    space = gap.space("multilingual")
    source_ids, source = source_vectors(gap, space)
    target = token_vectors(space, gap.target.vocabulary, gap.target, gap.ids)
    return by_similarity(gap, "ofa", source_ids, source, target, neighbours, temperature, {})
