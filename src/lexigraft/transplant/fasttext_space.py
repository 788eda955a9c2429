"""fastText (Bojanowski et al., 2017) trained on tokens: a space in which any tokenizer's tokens have a meaning."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from lexigraft.transplant.corpus import Corpus
from lexigraft.vocab.vocabulary import Token

# fastText's own defaults where FOCUS keeps them; 2^18 buckets of n-grams instead of 2 million, since the vocabulary is
# one of tokens: 100 MB instead of 800.
_SETTINGS: dict[str, Any] = {"sg": 0, "alpha": 0.05, "window": 5, "sample": 1e-4, "min_n": 3, "max_n": 6}
_BUCKETS = 2**18
_LONGEST = 10_000  # tokens of a text beyond which gensim would drop the rest


def train_fasttext(
    corpus: Corpus,
    tokens: Sequence[Token],
    seed: int,
    *,
    dim: int = 100,
    epochs: int = 3,
    min_count: int = 10,
    negative: int = 10,
) -> torch.Tensor:
    """Vectors float32 `[T, dim]` of the T tokens by CBOW with n-grams; zero for those rarer than `min_count`.

    The n-grams of a token are those of its surface, a `▁` before it where it starts a word. One thread, so that a seed
    always gives the same vectors. Needs gensim (`ImportError` names the extra); `ValueError` if every token is rarer.
    """
    fasttext = _gensim_fasttext()
    frequent = np.flatnonzero(corpus.counts >= max(1, min_count))
    if not len(frequent):
        raise ValueError(
            f"no token occurs {min_count} times or more in {len(corpus.start) - 1} texts, so fastText has nothing to "
            f"learn: give more texts, or a lower min_count"
        )
    names = written(tokens)
    model = fasttext(
        vector_size=dim,
        epochs=epochs,
        min_count=max(1, min_count),
        negative=negative,
        bucket=_BUCKETS,
        seed=seed,
        workers=1,
        **_SETTINGS,
    )
    sentences = _Sentences(corpus, names)
    model.build_vocab_from_freq({names[i]: int(corpus.counts[i]) for i in frequent}, corpus_count=len(sentences))
    model.train(corpus_iterable=sentences, total_examples=len(sentences), epochs=epochs)
    vectors = np.zeros((len(tokens), dim), np.float32)
    vectors[frequent] = model.wv.vectors[[model.wv.key_to_index[names[i]] for i in frequent]]
    return torch.from_numpy(vectors)


def written(tokens: Sequence[Token]) -> list[str]:
    """A name of its own for each token that shows its surface: `▁` before a word, bytes of no text as U+E080..E0FF.

    Tokens of the same surface are told apart by a private character at the end.
    """
    names: list[str] = []
    seen: set[str] = set()
    for i, token in enumerate(tokens):
        # gensim writes names as UTF-8, which has no lone surrogates: U+DC80 becomes the private U+E080.
        text = token.surface.decode(errors="surrogateescape").translate(_PRIVATE)
        name = f"▁{text}" if token.starts_word else text
        if name in seen or not name:
            name += chr(0xF0000 + i)
        seen.add(name)
        names.append(name)
    return names


_PRIVATE = {0xDC00 + byte: 0xE000 + byte for byte in range(0x80, 0x100)}


class _Sentences:
    """The corpus as lists of names, over and over again, none longer than gensim reads."""

    def __init__(self, corpus: Corpus, names: list[str]) -> None:
        self._corpus, self._names = corpus, names
        lengths = np.diff(corpus.start)
        self._count = int((-(-lengths // _LONGEST)).sum())

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[str]]:
        for ids in self._corpus:
            for begin in range(0, len(ids), _LONGEST):
                yield [self._names[i] for i in ids[begin : begin + _LONGEST].tolist()]


def _gensim_fasttext() -> Any:
    try:
        from gensim.models.fasttext import FastText
    except ImportError as error:
        raise ImportError(
            "training fastText vectors needs gensim: pip install 'lexigraft[vectors]', or give static vectors of the "
            "target's tokens as source@transplant.spaces.donor=..."
        ) from error
    return FastText
