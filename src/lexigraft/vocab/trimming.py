"""The source's tokenizer with only the tokens that a corpus or a list uses: fewer rows, the same pieces of its texts.

What is left out never changes how kept tokens come about, so that a text all of whose tokens are kept (and known) is
cut exactly as by the full tokenizer:

- WordPiece takes the longest entry that fits and WordLevel the only one: with fewer entries it stays the one.
- BPE applies the merges inside a token in the same order whatever stands around it, which is the order for the token
  alone. With the entries made on the way, all these merges are kept; dropping others takes away competitors only.
- Unigram takes the path of the highest score: it stays, and with it the scores of all paths that are left. The score of
  the unknown token hangs on the lowest of all scores, whose piece therefore is kept.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import tokenizers

from lexigraft.hub import local_path
from lexigraft.vocab.bpe import Merges
from lexigraft.vocab.renumber import entries_by_id, renumber
from lexigraft.vocab.spelling import BYTE_TO_SYMBOL, Spelling, parsed
from lexigraft.vocab.targets import source_tokenizer
from lexigraft.vocab.tokenizer import Tokenizer, jieba_words
from lexigraft.vocab.vocabulary import UNUSED


def trimmed(
    source: Tokenizer | None, texts: Sequence[str], language: str, keep: str | None = None, min_count: int = 1
) -> Tokenizer:
    """The source's tokenizer with the tokens that occur at least `min_count` times in the texts, or that a file lists.

    `keep` is the file: a token a line, spelled as in the source's vocabulary (`Ġthe`, `##ing`); the texts then do not
    count. Special and added tokens, the 256 bytes and what kept tokens are merged from stay too, all in their old
    order; `<pad>` comes last where the source has no padding token. `ValueError` for lines that are no tokens.
    """
    full = source_tokenizer(source, texts, language)
    kept = _used(full, texts, min_count) if keep is None else _listed(full, keep)
    return renumber(full, sorted(_with_needed(full, kept)))


def _used(full: Tokenizer, texts: Sequence[str], min_count: int) -> set[int]:
    if min_count < 1:
        raise ValueError(f"min_count={min_count} is not possible: expected 1 or more")
    if not any(text.strip() for text in texts):
        raise ValueError("there are no texts to trim the vocabulary to: choose a data set, or give tokenizer.keep=FILE")
    kept = set(np.flatnonzero(full.counts(full.encode(texts)) >= min_count).tolist())
    if isinstance(full.backend.model, tokenizers.models.WordPiece):
        kept |= _begun(full, texts)
    return kept


def _begun(full: Tokenizer, texts: Iterable[str]) -> set[int]:
    """The pieces with which WordPiece begins words before it gives them up as unknown.

    Without the longest of them a shorter one might let it read on, and a word that was unknown no longer is.
    """
    backend, model = full.backend, full.backend.model
    words: set[str] = set()
    for text in texts:
        if full.segmenter == "jieba":
            text = " ".join(jieba_words(text))
        if backend.normalizer is not None:
            text = backend.normalizer.normalize_str(text)
        cut = backend.pre_tokenizer
        words |= {text} if cut is None else {word for word, _ in cut.pre_tokenize_str(text)}
    unknown, prefix = model.token_to_id(model.unk_token), model.continuing_subword_prefix
    found: set[int] = set()
    for word in words:
        if [piece.id for piece in model.tokenize(word)] != [unknown]:
            continue
        begin = 0
        while begin < len(word):
            pieces = ((prefix if begin else "") + word[begin:end] for end in range(len(word), begin, -1))
            piece = next((p for p in pieces if model.token_to_id(p) is not None), None)
            if piece is None:
                break
            found.add(model.token_to_id(piece))
            begin += len(piece) - (len(prefix) if begin else 0)
    return found


def _listed(full: Tokenizer, keep: str) -> set[int]:
    contents = [line for line in local_path(keep).read_text(encoding="utf-8").split("\n") if line]
    if not contents:
        raise ValueError(f"{keep} names no token to keep: a token a line is expected")
    ids = {content: full.backend.token_to_id(content) for content in contents}
    if unknown := [content for content, i in ids.items() if i is None]:
        raise ValueError(
            f"{len(unknown)} of the {len(ids)} lines of {keep} are no tokens of the source's tokenizer, the first is "
            f"{unknown[0]!r}: spell each token as its vocabulary does, with its boundary mark (Ġ, ▁ or ##)"
        )
    return {i for i in ids.values() if i is not None}


def _with_needed(full: Tokenizer, kept: set[int]) -> set[int]:
    """The kept ids and those without which the tokenizer would read texts in another way, or not at all."""
    specification = parsed(full.backend)
    model = specification["model"]
    entries = entries_by_id(model)
    ids = {content: i for i, (content, _) in entries.items()}
    needed = kept | {entry["id"] for entry in specification["added_tokens"]}
    needed |= {i for i, token in enumerate(full.vocabulary) if token.role not in (None, UNUSED)}
    needed |= {i for i, token in enumerate(full.vocabulary) if token.byte_fallback}
    if Spelling.of(full.backend, specification).byte_level:
        needed |= {ids[symbol] for symbol in BYTE_TO_SYMBOL if symbol in ids}
    if model["type"] == "Unigram":
        needed.add(min(entries, key=lambda i: entries[i][1]))
    if model["type"] == "BPE":
        merges = Merges(model)
        for i in list(needed):
            if i in entries and full.vocabulary[i].role is None:
                symbols = merges.symbols(entries[i][0])
                needed |= {ids[content] for content in (*symbols, *merges.steps(symbols)[1]) if content in ids}
    return needed
