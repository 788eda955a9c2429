"""Sentence pairs to ids: by the tokenizer's own template for pairs, or with a token between the two texts."""

from collections.abc import Sequence

import tokenizers

from lexigraft.vocab.tokenizer import Tokenizer, jieba_words


def encode_pairs(
    tokenizer: Tokenizer, first: Sequence[str], second: Sequence[str], max_tokens: int | None = None
) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of each pair, special tokens included, and which text each token is of (0 or 1, as the template says).

    BERT's template gives `[CLS] a [SEP] b [SEP]`. Where there is none, the token between the texts is the tokenizer's
    sep, else eos, else its padding token, whose row is zero. A pair that is longer than `max_tokens` loses tokens at
    the end of its longer text. `ValueError` if `max_tokens` leaves no room for a token of each.
    """
    backend = tokenizer.working_copy
    special = backend.num_special_tokens_to_add(is_pair=True)
    own_template = special > backend.num_special_tokens_to_add(is_pair=False)
    if not own_template:
        special = backend.num_special_tokens_to_add(is_pair=False) + 1
    if max_tokens is not None and max_tokens < special + 2:
        raise ValueError(
            f"max_tokens is {max_tokens}, but this tokenizer puts {special} special tokens around a pair of texts: "
            f"give {special + 2} or more"
        )
    if own_template:
        return _by_template(tokenizer, first, second, max_tokens)
    return _joined(tokenizer, first, second, None if max_tokens is None else max_tokens - special)


def _by_template(
    tokenizer: Tokenizer, first: Sequence[str], second: Sequence[str], max_tokens: int | None
) -> tuple[list[list[int]], list[list[int]]]:
    backend = tokenizer.working_copy
    backend.no_truncation()
    if max_tokens is not None:
        backend.enable_truncation(max_tokens, strategy="longest_first")
    texts, cut = _words(tokenizer, [*first, *second])
    try:
        encodings = backend.encode_batch_fast(list(zip(texts[: len(first)], texts[len(first) :])), cut)
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"this tokenizer cannot encode the pairs, choose or train another: {error}") from error
    return [e.ids for e in encodings], [e.type_ids for e in encodings]


def _joined(
    tokenizer: Tokenizer, first: Sequence[str], second: Sequence[str], room: int | None
) -> tuple[list[list[int]], list[list[int]]]:
    before, after = tokenizer.around
    roles = tokenizer.vocabulary.roles
    between = next((roles[role] for role in ("sep", "eos") if role in roles), tokenizer.pad_id)
    bare = bare_ids(tokenizer, [*first, *second])
    ids, types = [], []
    for one, other in zip(bare[: len(first)], bare[len(first) :]):
        if room is not None:
            one, other = _cut(one, other, room)
        ids.append([*before, *one, between, *other, *after])
        types.append([0] * (len(before) + len(one) + 1) + [1] * (len(other) + len(after)))
    return ids, types


def bare_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The ids of each whole text without special tokens; none for a text of which nothing is left."""
    backend: tokenizers.Tokenizer = tokenizer.working_copy
    backend.no_truncation()
    given, cut = _words(tokenizer, texts)
    try:
        encodings = backend.encode_batch_fast(given, cut, add_special_tokens=False)
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"this tokenizer cannot encode the texts, choose or train another: {error}") from error
    return [encoding.ids for encoding in encodings]


def _words(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[list[str] | list[list[str]], bool]:
    """What the backend is given, and whether that is words rather than texts."""
    if tokenizer.segmenter == "jieba":
        return [jieba_words(text) for text in texts], True
    return list(texts), False


def _cut(one: list[int], other: list[int], room: int) -> tuple[list[int], list[int]]:
    """Both texts in so much room, taken from the end of the longer one first."""
    short = min(len(one), len(other), room // 2)
    if len(one) <= len(other):
        one = one[: max(short, room - len(other))]
        return one, other[: room - len(one)]
    other = other[: max(short, room - len(one))]
    return one[: room - len(other)], other
