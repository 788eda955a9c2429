"""Text to ids: a `tokenizers` backend, the vocabulary read from it, and an optional word segmenter before it."""

import importlib.util
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from lexigraft.vocab.reading import read_vocabulary
from lexigraft.vocab.roles import special_roles
from lexigraft.vocab.tiktoken import read_tiktoken
from lexigraft.vocab.vocabulary import ROLES, Vocabulary


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer whose vocabulary is known by bytes.

    `segmenter` is "jieba" when texts are cut into Chinese words before the backend sees them, else None.
    """

    backend: tokenizers.Tokenizer
    vocabulary: Vocabulary
    segmenter: str | None = None

    def __post_init__(self) -> None:
        if self.segmenter not in (None, "jieba"):
            raise ValueError(f"unknown word segmenter {self.segmenter!r}: expected 'jieba' or none")

    @classmethod
    def of_backend(
        cls, backend: tokenizers.Tokenizer, folder: Path | None = None, segmenter: str | None = None
    ) -> "Tokenizer":
        """The tokenizer around a backend; the roles of its special tokens come from the files in `folder`, if any."""
        return cls(backend, read_vocabulary(backend, special_roles(folder, backend)), segmenter)

    def encode(self, texts: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
        """Token ids of each text, the backend's special tokens included, cut to `max_tokens`.

        Cutting keeps the closing special token. A text of which nothing is left (empty, only spaces) becomes one
        token, the unknown one where there is one, so that no model meets a sequence of length zero.
        `ValueError` if `max_tokens` leaves no room beside the special tokens.
        """
        backend = self.working_copy
        if max_tokens is None:
            backend.no_truncation()
        else:
            around = backend.num_special_tokens_to_add(is_pair=False)
            if max_tokens <= around:
                raise ValueError(
                    f"max_tokens is {max_tokens}, but this tokenizer puts {around} special tokens around every text: "
                    f"give {around + 1} or more"
                )
            backend.enable_truncation(max_tokens)
        cut = self.segmenter == "jieba"
        try:
            encodings = backend.encode_batch_fast([jieba_words(t) for t in texts] if cut else list(texts), cut)
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(f"this tokenizer cannot encode the texts, choose or train another: {error}") from error
        return [encoding.ids or [self.stand_in] for encoding in encodings]

    def counts(self, encoded: Sequence[Sequence[int]]) -> np.ndarray:
        """How often each of the T tokens occurs in encoded texts, int64 [T]."""
        ids = np.fromiter((i for text in encoded for i in text), np.int64)
        return np.bincount(ids, minlength=len(self.vocabulary))

    @property
    def pad_id(self) -> int:
        """Id of the padding token; `ValueError` if the vocabulary has none."""
        pad = self.vocabulary.roles.get("pad")
        if pad is None:
            raise ValueError(
                "this tokenizer has no padding token: choose tokenizer=source, which adds one, or add one to its files"
            )
        return pad

    def role_contents(self) -> dict[str, str]:
        """Role -> content of the token that plays it, for every role that the vocabulary has."""
        found = self.vocabulary.roles
        contents = {role: self.backend.id_to_token(found[role]) for role in ROLES if role in found}
        return {role: content for role, content in contents.items() if content is not None}

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json` such that `load` gives an equal tokenizer.

        transformers' `AutoTokenizer` opens the folder too (without the word segmenter, which it does not know).
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.backend.save(str(folder / "tokenizer.json"))
        settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "segmenter": self.segmenter}
        settings |= {f"{role}_token": content for role, content in self.role_contents().items()}
        text = json.dumps(settings, ensure_ascii=False, indent=2) + "\n"
        (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """The tokenizer of a folder: `tokenizer.json` with, where present, the special tokens' roles beside it.

        `folder` may also be the path of a `tokenizer.json`, or of OpenAI's `.tiktoken` or `.tiktoken.gz`, which then is
        read alone. A folder with only the older files (`vocab.txt`, `vocab.json`, a SentencePiece `.model`) is
        converted by transformers.
        """
        folder = Path(folder)
        if folder.is_file():
            ranks = folder.name.endswith((".tiktoken", ".tiktoken.gz"))
            return cls.of_backend(read_tiktoken(folder) if ranks else _from_file(folder))
        path = folder / "tokenizer.json"
        backend = _from_file(path) if path.is_file() else _converted(folder)
        config = folder / "tokenizer_config.json"
        segmenter = None
        if config.is_file():
            segmenter = json.loads(config.read_text(encoding="utf-8")).get("segmenter")
        return cls.of_backend(backend, folder, segmenter)

    @cached_property
    def working_copy(self) -> tokenizers.Tokenizer:
        """A copy of the backend whose truncation may be set, without padding."""
        copy = tokenizers.Tokenizer.from_str(self.backend.to_str())
        copy.no_padding()
        return copy

    @cached_property
    def around(self) -> tuple[list[int], list[int]]:
        """The special tokens that the backend puts before and after every text."""
        backend = self.working_copy
        backend.no_truncation()
        whole = backend.encode("a").ids
        bare = backend.encode("a", add_special_tokens=False).ids
        for start in range(len(whole) - len(bare) + 1):
            if whole[start : start + len(bare)] == bare:
                return whole[:start], whole[start + len(bare) :]
        raise AssertionError("special tokens stand inside a text")

    @cached_property
    def stand_in(self) -> int:
        """The token of an empty text: unk, else eos or bos, else the first that is not padding."""
        roles = self.vocabulary.roles
        for role in ("unk", "eos", "bos", "sep", "cls"):
            if role in roles:
                return roles[role]
        return next(i for i, token in enumerate(self.vocabulary) if token.role != "pad")


def jieba_words(text: str) -> list[str]:
    """The Chinese words of a text in jieba's default mode, white space dropped."""
    import jieba

    jieba.setLogLevel(logging.WARNING)  # it announces the loading of its dictionary otherwise
    return [word for word in jieba.lcut(text) if not word.isspace()]


def _from_file(path: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"{path} is no tokenizer that the `tokenizers` library can read: {error}") from error


def _converted(folder: Path) -> tokenizers.Tokenizer:
    """The backend that transformers makes of a folder's older files."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no tokenizer at {folder}: expected a folder or a tokenizer.json")
    old = ("vocab.txt", "vocab.json", "merges.txt")
    if not any((folder / name).is_file() for name in old) and not list(folder.glob("*.model")):
        raise FileNotFoundError(
            f"{folder} holds no tokenizer: expected tokenizer.json, or one of {', '.join(old)}, *.model"
        )
    if list(folder.glob("*.model")) and importlib.util.find_spec("sentencepiece") is None:
        raise ImportError(
            f"the SentencePiece model of {folder} needs to be converted: pip install 'lexigraft[sentencepiece]'"
        )
    from transformers import AutoTokenizer

    try:
        opened = AutoTokenizer.from_pretrained(str(folder), use_fast=True)
    except (ValueError, OSError, KeyError, TypeError, ImportError) as error:
        raise ValueError(
            f"transformers could not convert the tokenizer files of {folder} (is there a config.json with their "
            f"model_type beside them?): {' '.join(str(error).split())}"
        ) from error
    backend: tokenizers.Tokenizer | None = getattr(opened, "backend_tokenizer", None)
    if backend is None:
        raise ValueError(f"the tokenizer of {folder} exists only in Python: save it with a tokenizer.json first")
    return backend
