import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from lexigraft.data import encoding_cache
from lexigraft.data.encoded import Encoded
from lexigraft.data.encoding_cache import encoded_splits
from lexigraft.data.text_data import Split
from lexigraft.vocab.tokenizer import Tokenizer

TEXTS = ["一二三", "", "三 二", "一" * 40]


def characters(contents: str = "一二三") -> Tokenizer:
    ids = {token: i for i, token in enumerate(["[PAD]", "[UNK]", *contents])}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token="[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("."), "isolated")
    return Tokenizer.of_backend(backend)


def encode(tokenizer: Tokenizer, texts: list[str] = TEXTS, max_tokens: int = 8, **options: list[str]) -> Encoded:
    return encoded_splits(tokenizer, {"train": Split(list(texts), [0] * len(texts), **options)}, "class", max_tokens)[
        "train"
    ]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the entries lie; every text is large enough."""
    monkeypatch.setenv("LEXIGRAFT_CACHE", str(tmp_path))
    monkeypatch.setattr(encoding_cache, "SMALL", 0)
    return tmp_path / "encoded"


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever encodes from here on fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("this was encoded before")

    monkeypatch.setattr(encoding_cache, "encode_split", refuse)


def equal(one: Encoded, other: Encoded) -> bool:
    return all(
        (a is None) == (b is None) and (a is None or (a.dtype == b.dtype and np.array_equal(a, b)))
        for a, b in ((one.ids, other.ids), (one.starts, other.starts), (one.types, other.types))
    )


def test_the_second_time_the_ids_are_mapped(request: pytest.FixtureRequest) -> None:
    tokenizer = characters()
    first = encode(tokenizer)
    assert [first[i].tolist() for i in range(4)] == [[2, 3, 4], [1], [4, 1, 3], [2] * 8]
    request.getfixturevalue("never")
    again = encode(tokenizer)
    assert equal(again, first)
    assert isinstance(again.ids, np.memmap)
    assert not again.ids.flags.writeable
    assert equal(encode(characters()), first)  # an equal tokenizer read anew


def test_pairs_keep_their_types(folder: Path, request: pytest.FixtureRequest) -> None:
    second = ["三", "二", "一", "一"]
    first = encode(characters(), second=second)
    assert first.types is not None
    assert first.types.any()
    next(folder.glob("*.types.npy")).unlink()
    assert equal(encode(characters(), second=second), first)
    request.getfixturevalue("never")
    assert equal(encode(characters(), second=second), first)


def test_whatever_the_ids_depend_on_makes_another_entry(folder: Path) -> None:
    tokenizer = characters()
    encode(tokenizer)
    encode(tokenizer, max_tokens=7)
    encode(tokenizer, ["一二", "三", "三 二", "一" * 40])  # the same characters, cut elsewhere
    encode(characters("三二一"))
    encode(tokenizer, second=TEXTS)
    assert len(list(folder.glob("*.ids.npy"))) == 5


@pytest.mark.parametrize("array", ["ids", "starts"])
@pytest.mark.parametrize("damage", ["torn", "flipped", "gone", "foreign"])
def test_a_damaged_entry_is_made_anew(folder: Path, array: str, damage: str) -> None:
    first = encode(characters())
    (path,) = folder.glob(f"*.{array}.npy")
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "foreign":
        np.save(path, np.zeros(3))
        encoding_cache.seal(Path(os.fspath(path)), path)
    else:
        path.write_bytes(content[:-3] if damage == "torn" else content[:-1] + bytes([content[-1] ^ 1]))
    assert equal(encode(characters()), first)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_written_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("LEXIGRAFT_CACHE", str(tmp_path / "file"))
    splits = {name: Split(list(TEXTS), [0] * 4) for name in ("train", "dev")}
    found = encoded_splits(characters(), splits, "class", 8)
    assert [found[name][0].tolist() for name in splits] == [[2, 3, 4]] * 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: token ids are not kept for later runs: ")
    assert str(tmp_path / "file") in line


@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX's")
def test_a_full_disk_leaves_no_half_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
        found = encode(characters())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert found[0].tolist() == [2, 3, 4]
    assert "note: token ids are not kept for later runs: " in capsys.readouterr().err
    assert not list(folder.glob("*.npy")) + list(folder.glob("*.part"))


def test_few_characters_are_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding_cache, "SMALL", 1_000)
    assert encode(characters())[0].tolist() == [2, 3, 4]
    assert not folder.exists()
