"""Paddle's parameter files, and the one that jieba carries."""

import struct
from pathlib import Path

import numpy as np
import pytest

from lexigraft.embeddings import paddle
from lexigraft.embeddings.paddle import read_lac, read_paddle, read_parameter
from lexigraft.vocab.alignment import align
from lexigraft.vocab.vocabulary import Vocabulary

ROWS = np.random.default_rng(0).standard_normal((300, 4)).astype("<f4")


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def parameter(rows: np.ndarray, kind: int = 5, packed: bool = False, levels: tuple[bytes, ...] = ()) -> bytes:
    sizes = [varint(n) for n in rows.shape]
    dims = b"\x12" + varint(len(b"".join(sizes))) + b"".join(sizes) if packed else b"".join(b"\x10" + s for s in sizes)
    description = b"\x08" + varint(kind) + dims
    return (
        struct.pack("<IQ", 0, len(levels))
        + b"".join(struct.pack("<Q", len(level)) + level for level in levels)
        + struct.pack("<Ii", 0, len(description))
        + description
        + rows.tobytes()
    )


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("levels", [(), (b"12345678", b"")])
@pytest.mark.parametrize(("dtype", "kind"), [("<f2", 4), ("<f4", 5), ("<f8", 6)])
def test_header_is_read(tmp_path: Path, packed: bool, levels: tuple[bytes, ...], dtype: str, kind: int) -> None:
    rows = ROWS.astype(dtype)
    (tmp_path / "p").write_bytes(parameter(rows, kind, packed, levels))
    found = read_parameter(tmp_path / "p")
    assert found.dtype == rows.dtype
    np.testing.assert_array_equal(found, rows)


WHOLE = parameter(ROWS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "its header is cut off"),
        (WHOLE[:20], "its header is cut off"),
        (WHOLE[:-4], r"its header says 300 x 4 numbers \(4800 bytes\), but 4796 bytes follow"),
        (WHOLE + b"x", "but 4801 bytes follow"),
        (parameter(ROWS, kind=3), r"no matrix of floating-point numbers .*type 3"),
        (parameter(ROWS[0]), r"dimensions \[4\]"),
        (b"\x01" + WHOLE[1:], r"versions 1 and 0"),
        (struct.pack("<IQ", 0, 1 << 60), "its header is cut off"),
        (parameter(ROWS)[:20] + b"\x3a" + parameter(ROWS)[21:], "no Paddle parameter"),
    ],
)
def test_damage(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_parameter(tmp_path / "p")


def test_vocabulary_with_and_without_ids(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(parameter(ROWS[:4]))
    (tmp_path / "plain").write_text("中\n国\n\x0b\n<unk>\n", encoding="utf-8", newline="")
    plain = read_paddle(tmp_path / "p", tmp_path / "plain")
    assert [t.surface.decode() for t in plain.vocabulary] == ["中", "国", "\x0b", "<unk>"]
    assert plain.vocabulary.roles == {"unk": 3}
    (tmp_path / "ids").write_text("3\t中\n0\tOOV\n", encoding="utf-8")
    ids = read_paddle(tmp_path / "p", tmp_path / "ids")
    assert [(t.surface.decode(), t.role) for t in ids.vocabulary] == [("OOV", "unk"), ("中", None)]
    np.testing.assert_array_equal(ids.rows.numpy(), ROWS[[0, 3]])
    assert ids.origin["repairs"]["nameless"] == 2
    for text, message in (("9\t中\n", "has id 9, but .* only 4 rows"), ("1\ta\n1\tb\n", "line 2: id 1 .* twice")):
        (tmp_path / "ids").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            read_paddle(tmp_path / "p", tmp_path / "ids")


def test_lac() -> None:
    matrix = read_lac(drop_untrained=False)
    assert matrix.rows.shape == (20_940, 128)
    tokens = {t.surface.decode(): (i, t) for i, t in enumerate(matrix.vocabulary)}
    assert {"中", "国", "a", "，", "\x0b"} <= tokens.keys()
    assert tokens["中"][1].starts_word is None
    assert tokens["a"][1].starts_word is None
    assert tokens["OOV"][1].role == "unk"
    assert tokens["OOV_NUM"][1].role == "special:OOV_NUM"
    assert matrix.origin["repairs"]["nameless"] == 1
    trained = read_lac()
    assert trained.rows.shape == (16_034, 128)
    assert trained.origin["repairs"]["untrained"] == 4_906
    assert float(trained.rows.abs().amax(dim=1).min()) > 0.1
    kept = {t.surface.decode(): i for i, t in enumerate(trained.vocabulary)}
    assert "A" not in kept
    assert align(trained.vocabulary, Vocabulary.of_words(["A", "，", "中"])).source_id.tolist() == [
        kept["a"],
        kept[","],
        kept["中"],
    ]
    # Marks that LAC folds before it looks them up, so that none was trained.
    marks = {"。": ".", "、": ",", "“": '"', "”": '"', "…": ".", "—": "-", "【": "[", "‘": "'", "〈": "<", "！": "!"}
    folded = align(trained.vocabulary, Vocabulary.of_words(list(marks)))
    assert folded.source_id.tolist() == [kept[plain] for plain in marks.values()]
    assert not marks.keys() & kept.keys()
    assert trained.origin["name"] == "lac"
    for word in ("中", "a", ","):
        assert trained.rows[kept[word]].tolist() == matrix.rows[tokens[word][0]].tolist()
    assert not trained.origin["path"].startswith("/")


def test_lac_without_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paddle, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install jieba==0.42.1"):
        read_lac()

    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(paddle, "find_spec", lambda name: Spec)
    with pytest.raises(FileNotFoundError, match="carries no lac_small folder"):
        read_lac()
