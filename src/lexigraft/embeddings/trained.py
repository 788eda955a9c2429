"""Static vectors trained on texts: skip-gram and CBOW (Mikolov et al., 2013), fastText (Bojanowski et al., 2017)."""

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.embeddings.negative_sampling import negative_sampling_loss
from lexigraft.embeddings.origin import origin, survey
from lexigraft.embeddings.write import save_matrix
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Token, Vocabulary

FASTTEXT = "vectors.bin"
REPORT = "vectors.json"

_LONGEST = 10_000  # tokens of a text beyond which gensim would drop the rest
_TEXTS_AT_A_TIME = 1000

Told = Callable[[dict[str, Any]], None]
Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class TrainedVectors:
    """A matrix of the tokens that were frequent enough, the most frequent first; it has no rows for special tokens.

    `tokenizer` is the one that cut the texts. `report` counts, in plain values, what was read and learned; `model` is
    gensim's.
    """

    matrix: EmbeddingMatrix
    tokenizer: Tokenizer
    report: dict[str, Any]
    model: Any


@dataclass(frozen=True)
class StaticVectors:
    """How static vectors are trained; call it with texts and the tokenizer that cuts them.

    `skip_gram`: a token tells those around it (else CBOW: those around it tell the token), up to `window` tokens away,
    each against `negative` drawn ones. `max_ngram` > 0 is fastText: a token is the mean of its own vector and those of
    its n-grams of `min_ngram` to `max_ngram` characters, hashed to `buckets` rows. `rate` falls linearly to 0; tokens
    beyond a share `sample` of the text are passed over at times. With more than one of `workers` no run repeats
    another to the bit.
    """

    skip_gram: bool = True
    dim: int = 100
    window: int = 5
    negative: int = 5
    epochs: int = 5
    min_count: int = 5
    rate: float = 0.025
    sample: float = 1e-3
    min_ngram: int = 3
    max_ngram: int = 0
    buckets: int = 2**18
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("dim", "window", "negative", "epochs", "min_count", "buckets", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"objective.{name} is {getattr(self, name)}; a whole number from 1 is expected")
        if self.rate <= 0 or self.sample < 0:
            raise ValueError(
                f"objective.rate is {self.rate} and objective.sample {self.sample}; a rate above 0 and a sample of 0 "
                "(off) or more are expected"
            )
        if self.max_ngram and not 1 <= self.min_ngram <= self.max_ngram:
            raise ValueError(
                f"objective.min_ngram is {self.min_ngram} and objective.max_ngram {self.max_ngram}; n-grams of 1 "
                "character or more are expected, or max_ngram=0 for none"
            )

    @property
    def name(self) -> str:
        """skip-gram, CBOW or fastText."""
        return "fastText" if self.max_ngram else "skip-gram" if self.skip_gram else "CBOW"

    def __call__(
        self,
        tokenizer: Tokenizer,
        texts: Sequence[str],
        dev: Sequence[str] = (),
        seed: int = 0,
        told: Told | None = None,
        progress: Progress | None = None,
    ) -> TrainedVectors:
        """Vectors float32 `[V, dim]` of the V tokens that occur `min_count` times or more in `texts`.

        After each epoch `told` gets {"epoch", "train_loss", "dev_loss"}. The first is gensim's own running sum, which
        it keeps in float32 (so that large ones come out too low) and not for fastText; the second is exact, in nats
        for each token that is told, see `negative_sampling_loss`. Both are None where there is none. `progress` gets
        the share that is read, 1 at the end, and is called from another thread.
        `ImportError` without gensim (the `vectors` extra); `ValueError` where no token is frequent enough.
        """
        corpus = [ids for text in _token_ids(tokenizer, texts) for ids in _cut(text)]
        counts = np.bincount(np.concatenate([np.empty(0, np.int64), *corpus]), minlength=len(tokenizer.vocabulary))
        frequent = np.flatnonzero(counts >= self.min_count)
        if len(frequent) < 2:
            raise ValueError(
                f"{len(frequent)} tokens occur {self.min_count} times or more in {len(texts)} texts, so that there is "
                "nothing to learn: give more texts, or a lower objective.min_count"
            )
        frequent = frequent[np.argsort(-counts[frequent], kind="stable")]
        tokens = tokenizer.vocabulary.tokens
        names = dict(zip(frequent.tolist(), _names([tokens[i] for i in frequent])))
        model = self._model(seed)
        model.build_vocab_from_freq({names[i]: int(counts[i]) for i in names}, corpus_count=len(corpus))
        # gensim sorts by frequency too, but equals among themselves in an order of its own.
        row = np.array([model.wv.key_to_index[name] for name in names.values()], np.int64)
        place = np.full(len(tokens), -1, np.int64)
        place[frequent] = row
        frequency = np.zeros(len(frequent), np.int64)
        frequency[row] = counts[frequent]
        held_out = [ids for text in _token_ids(tokenizer, dev) if len(ids := place[text][place[text] >= 0]) > 1]

        def dev_loss() -> float | None:
            return negative_sampling_loss(
                model.wv.vectors,
                model.syn1neg,
                frequency,
                held_out,
                window=self.window,
                negative=self.negative,
                skip_gram=self.skip_gram,
            )

        epochs: list[dict[str, Any]] = []
        watch = _after_each_epoch(lambda loss: {"epoch": len(epochs) + 1, "train_loss": loss, "dev_loss": dev_loss()},
                                  epochs, told)  # fmt: skip
        model.train(
            corpus_iterable=_Sentences(corpus, names, self.epochs, progress),
            total_examples=len(corpus),
            epochs=self.epochs,
            callbacks=[watch],
            **({} if self.max_ngram else {"compute_loss": True}),
        )
        rows = torch.from_numpy(np.asarray(model.wv.vectors[row], np.float32))
        report = {
            "algorithm": self.name,
            **asdict(self),
            "seed": seed,
            "texts": len(texts),
            "tokens": int(counts.sum()),
            "rows": len(frequent),
            "too_rare": int(((counts > 0) & (counts < self.min_count)).sum()),
            "repeatable": self.workers == 1,
            "dev_texts": len(held_out),
            # What vectors that know nothing, all of them 0, would lose.
            "untrained_loss": round((1 + self.negative) * float(np.log(2)), 6),
            "curve": epochs,
        }
        about = origin("trained", f"{self.name} vectors", "", rows, survey(rows), {}, training=report)
        vocabulary = Vocabulary(tuple(tokens[i] for i in frequent))
        return TrainedVectors(EmbeddingMatrix(vocabulary, rows, about), tokenizer, report, model)

    def _model(self, seed: int) -> Any:
        """gensim's model, without a vocabulary."""
        try:
            from gensim.models import FastText, Word2Vec
        except ImportError as error:
            raise ImportError("training static vectors needs gensim: pip install 'lexigraft[vectors]'") from error
        settings: dict[str, Any] = {
            "sg": int(self.skip_gram),
            "vector_size": self.dim,
            "window": self.window,
            "negative": self.negative,
            "epochs": self.epochs,
            "min_count": self.min_count,
            "alpha": self.rate,
            "sample": self.sample,
            "workers": self.workers,
            # NumPy's generator takes 32 bits; Python's own hash of a text differs from process to process.
            "seed": seed % 2**32,
            "hashfxn": _hash,
        }
        if not self.max_ngram:
            return Word2Vec(**settings)
        del settings["hashfxn"]
        return FastText(**settings, min_n=self.min_ngram, max_n=self.max_ngram, bucket=self.buckets)


def save_vectors(trained: TrainedVectors, folder: Path) -> None:
    """Write a folder that `source=matrix source.path=<folder>` reads, and `tokenizer=file tokenizer.name=<folder>` too.

    Beside them `vectors.json`, the report. Of fastText vectors of whole words, `vectors.bin` as well, which
    `source=fasttext` reads: it builds rows for unseen words out of their n-grams.
    """
    save_matrix(trained.matrix, folder)
    trained.tokenizer.save(folder)
    (folder / REPORT).write_text(json.dumps(trained.report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if trained.report["max_ngram"] and _whole_words(trained.matrix.vocabulary.tokens):
        from gensim.models.fasttext import save_facebook_model

        save_facebook_model(trained.model, str(folder / FASTTEXT))


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())


def _token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[np.ndarray]:
    """Ids of each text without special tokens."""
    ordinary = tokenizer.vocabulary.ordinary
    for begin in range(0, len(texts), _TEXTS_AT_A_TIME):
        for encoded in tokenizer.encode(texts[begin : begin + _TEXTS_AT_A_TIME]):
            ids = np.array(encoded, np.int64)
            yield ids[ordinary[ids]]


def _cut(ids: np.ndarray) -> list[np.ndarray]:
    return [ids[begin : begin + _LONGEST] for begin in range(0, len(ids), _LONGEST)]


def _whole_words(tokens: Sequence[Token]) -> bool:
    """Whether no token goes on with a word that another began, so that a surface alone tells a token."""
    surfaces = {token.surface for token in tokens}
    return len(surfaces) == len(tokens) and all(token.starts_word is not False for token in tokens)


def _names(tokens: Sequence[Token]) -> list[str]:
    """What gensim calls each token, and cuts into n-grams: its surface, with ▁ before words where pieces go on."""
    mark = "" if _whole_words(tokens) else "▁"
    names: dict[str, None] = {}
    for i, token in enumerate(tokens):
        name = (mark if token.starts_word else "") + token.surface.decode(errors="backslashreplace")
        # A private character tells names apart that would be equal, such as those of two tokens for the same bytes.
        names[name if name and name not in names else name + chr(0xF0000 + i)] = None
    return list(names)


class _Sentences:
    """The corpus as lists of names, over and over again; rare tokens are left out, as gensim would."""

    def __init__(
        self, corpus: Sequence[np.ndarray], names: dict[int, str], epochs: int, progress: Progress | None
    ) -> None:
        self._corpus, self._names = corpus, names
        self._read, self._total, self._progress = 0, len(corpus) * epochs, progress

    def __iter__(self) -> Iterator[list[str]]:
        for ids in self._corpus:
            yield [self._names[i] for i in ids.tolist() if i in self._names]
            self._read += 1
            if self._progress is not None and (self._read % _TEXTS_AT_A_TIME == 0 or self._read == self._total):
                self._progress(self._read / self._total)


def _after_each_epoch(
    measured: Callable[[float | None], dict[str, Any]], epochs: list[dict[str, Any]], told: Told | None
) -> Any:
    """gensim's callback that adds an entry to `epochs`."""
    from gensim.models.callbacks import CallbackAny2Vec

    class AfterEachEpoch(CallbackAny2Vec):
        def on_epoch_end(self, model: Any) -> None:
            loss = None
            if hasattr(model.wv, "adjust_vectors"):  # fastText: what a token and its n-grams come to
                model.wv.adjust_vectors()
            else:
                loss = float(model.running_training_loss)
                model.running_training_loss = 0.0
            epochs.append(measured(loss))
            if told is not None:
                told(epochs[-1])

    return AfterEachEpoch()
