"""OpenAI's `.tiktoken` files: byte-level BPE as a list of entries in the order of their ranks."""

import base64
import binascii
import gzip
import zlib
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers

from lexigraft.vocab.bpe import merges_of_ranks
from lexigraft.vocab.spelling import BYTE_TO_SYMBOL

_GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# What the file itself does not tell: how texts are cut, and the special tokens.
_ENCODINGS = {
    "r50k_base": (_GPT2, {"<|endoftext|>": 50256}),
    "p50k_base": (_GPT2, {"<|endoftext|>": 50256}),
    "cl100k_base": (
        _CL100K,
        {
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "o200k_base": (_O200K, {"<|endoftext|>": 199999, "<|endofprompt|>": 200018}),
}


def read_tiktoken(path: Path) -> tokenizers.Tokenizer:
    """The backend of a `.tiktoken` file, plain or as `.gz`, named after its encoding, such as `cl100k_base.tiktoken`.

    Texts are cut as by OpenAI's library, with the same ids. `ValueError` for an encoding that is not known, since the
    file does not tell how to cut texts, and for lines that are not an entry in base64 and its rank.
    """
    encoding = path.name.partition(".")[0]
    if encoding not in _ENCODINGS:
        raise ValueError(
            f"{path} does not tell how its tokenizer cuts texts, which is known for {', '.join(_ENCODINGS)} only: name "
            "the file after one of them, or give a tokenizer.json"
        )
    cut, special = _ENCODINGS[encoding]
    ranks = _ranks(path)
    # Words that are entries are taken whole, whatever merges would make of them.
    model = models.BPE(ranks | special, merges_of_ranks(ranks), ignore_merges=True)
    backend = tokenizers.Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(cut), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(list(special))
    return backend


def _ranks(path: Path) -> dict[str, int]:
    """Entry in the visible byte alphabet -> rank."""
    try:
        content = path.read_bytes()
        lines = (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines()
        fields = [line.split() for line in lines if line]
        return {
            "".join(BYTE_TO_SYMBOL[byte] for byte in base64.b64decode(entry, validate=True)): int(rank)
            for entry, rank in fields
        }
    except (ValueError, binascii.Error, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} is damaged or no .tiktoken file, a base64 entry and its rank a line: {error}"
        ) from error
