"""OpenAI's files of ranks, read as tokenizers."""

import base64
import gzip
import os
from itertools import pairwise

import pytest
from tokenizers import pre_tokenizers

from lexigraft.vocab.spelling import BYTE_TO_SYMBOL
from lexigraft.vocab.targets import tokenizer_from
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Token
from tests.vocab.real import needs_real_vocabularies, real_tokenizer

# Without the time of day: it is part of a test's name, which the workers of a suite have to agree on.
CUT = gzip.compress(b"IQ== 0\n" * 999, mtime=0)[:-9]
# Every byte, then merged bytes; ` ab` is made of ` a` and `b` although `ab` is an entry too, and nothing makes `xyz`.
ENTRIES = [
    *(bytes([byte]) for byte in range(256)),
    b" a",
    b"ab",
    b" ab",
    b"12",
    b"xyz",
    "中".encode()[:2],
    "中".encode(),
]


def written(entries: list[bytes]) -> bytes:
    return b"".join(base64.b64encode(entry) + f" {rank}\n".encode() for rank, entry in enumerate(entries))


def by_ranks(word: bytes) -> list[int]:
    """OpenAI's own definition: an entry as it is, else the pair of lowest rank is merged, again and again."""
    ranks = {entry: rank for rank, entry in enumerate(ENTRIES)}
    if word in ranks:
        return [ranks[word]]
    parts = [bytes([byte]) for byte in word]
    while True:
        pairs = [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]
        if not pairs:
            return [ranks[part] for part in parts]
        i = min(pairs)[1]
        parts[i : i + 2] = [parts[i] + parts[i + 1]]


@pytest.mark.parametrize("packed", [False, True])
def test_texts_are_cut_by_ranks(tmp_path, packed):
    path = tmp_path / ("cl100k_base.tiktoken" + (".gz" if packed else ""))
    path.write_bytes(gzip.compress(written(ENTRIES)) if packed else written(ENTRIES))
    tokenizer = Tokenizer.load(path)
    for text in ("ab abab", "cab xyz xyzab", "中 x中", "1234567", "don't", "a  b\n\nc"):
        cut = tokenizer.backend.pre_tokenizer.pre_tokenize_str(text)
        words = [bytes(BYTE_TO_SYMBOL.index(symbol) for symbol in word) for word, _ in cut]
        assert b"".join(words) == text.encode()
        assert tokenizer.encode([text])[0] == [i for word in words for i in by_ranks(word)]
        assert tokenizer.backend.decode(tokenizer.encode([text])[0]) == text
    assert tokenizer.vocabulary[ENTRIES.index(b" ab")] == Token(b"ab", True)
    assert tokenizer.vocabulary[ENTRIES.index(b"\xfc")] == Token(b"\xfc", False)
    assert tokenizer.vocabulary[len(ENTRIES)].role == "unused"
    assert tokenizer.role_contents() == {"eos": "<|endoftext|>", "bos": "<|endoftext|>"}
    assert tokenizer.encode(["<|endoftext|>"]) == [[100257]]


def test_how_each_encoding_cuts(tmp_path):
    def cut(encoding: str, text: str) -> list[str]:
        path = tmp_path / f"{encoding}.tiktoken"
        path.write_bytes(written(ENTRIES))
        backend = Tokenizer.load(path).backend
        assert isinstance(backend.pre_tokenizer, pre_tokenizers.PreTokenizer)
        return [text[i:j] for _, (i, j) in backend.pre_tokenizer.pre_tokenize_str(text)]

    text = "It's 12345 HelloWorld\n"
    assert cut("r50k_base", text) == ["It", "'s", " 12345", " HelloWorld", "\n"]
    assert cut("cl100k_base", text) == ["It", "'s", " ", "123", "45", " HelloWorld", "\n"]
    assert cut("o200k_base", text) == ["It's", " ", "123", "45", " Hello", "World", "\n"]


def test_as_a_target_it_gets_a_padding_token(tmp_path):
    path = tmp_path / "r50k_base.tiktoken"
    path.write_bytes(written(ENTRIES))
    made = tokenizer_from(None, [], "en", name=str(path))
    assert made.pad_id == 50257


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine.tiktoken", b"", "does not tell how its tokenizer cuts texts, which is known for r50k_base, p50k_base"),
        ("cl100k_base.tiktoken", b"IQ== 0\nIQ==\n", "is damaged or no .tiktoken file"),
        ("cl100k_base.tiktoken", b"I! 0\n", "is damaged or no .tiktoken file"),
        ("cl100k_base.tiktoken.gz", b"IQ== 0\n", "is damaged or no .tiktoken file"),
        ("cl100k_base.tiktoken.gz", CUT, "is damaged or no .tiktoken file"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Tokenizer.load(tmp_path / name)


@needs_real_vocabularies
def test_the_published_ids_of_cl100k():
    tokenizer = real_tokenizer(os.environ["LEXIGRAFT_DATA"], "cl100k")
    assert tokenizer.encode(["tiktoken is great!", "hello world"]) == [[83, 1609, 5963, 374, 2294, 0], [15339, 1917]]
    assert tokenizer.vocabulary.roles["eos"] == 100257
