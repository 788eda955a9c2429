"""One parameter of a PaddlePaddle model: the rows behind a small binary header, the words in a file beside it."""

import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.embeddings.static import static_matrix
from lexigraft.hub import local_path

# VarType of Paddle's framework.proto -> NumPy.
_TYPES = {4: "<f2", 5: "<f4", 6: "<f8"}
# LAC starts its rows from Uniform(-0.1, 0.1); a row that training touched has left that range.
_LAC_INIT = 0.1
# Marks that no corpus lacks and LAC never trained, so it must fold them before it looks a character up, as it does
# fullwidth forms and capitals. Its own table is not in the package: the targets are the ASCII marks of the same use.
_LAC_MARKS = str.maketrans("、。…—～‖‘’“”〝〞〔〕〈〉「」『』〖〗【】∶", ',..-~|\'\'""""()<>\'\'""[][]:')


def read_lac(drop_untrained: bool = True) -> EmbeddingMatrix:
    """The character embeddings of Baidu's LAC (Jiao et al., 2018) that the PyPI package jieba 0.42.1 carries.

    20,941 x 128 float32: 20,940 entries, and one row whose id (20,939) no entry has. 4,907 rows never left their
    random start (all of |x| <= 0.1, norm 0.65 against 9.3): that one, capitals, fullwidth forms and rare
    characters, which LAC folds or never saw. They are dropped unless `drop_untrained` is false.
    """
    spec = find_spec("jieba")
    if spec is None or spec.origin is None:
        raise ImportError("source=lac reads a file of jieba 0.42.1: pip install jieba==0.42.1")
    folder = Path(spec.origin).parent / "lac_small"
    if not folder.is_dir():
        raise FileNotFoundError("this jieba carries no lac_small folder: pip install jieba==0.42.1")
    rows = read_parameter(folder / "model_baseline" / "word_emb")
    words = _words(folder / "word.dic")
    untrained = np.abs(rows).max(axis=1) <= _LAC_INIT
    keep = [i for i in sorted(words) if not (drop_untrained and untrained[i])]
    kinds = {w: f"special:{w}" for w in ("OOV_NUM", "OOV_ALPHA", "OOV_ALNUM", "OOV_HANZ")}
    return static_matrix(
        "lac",
        "jieba/lac_small/model_baseline/word_emb",
        [words[i] for i in keep],
        rows[keep],
        name="lac",
        roles={"OOV": "unk", **kinds},
        normalize=_lac_folded,
        repairs={"untrained": len(words) - len(keep), "nameless": len(rows) - len(words)},
        vocabulary="jieba/lac_small/word.dic",
    )


def read_paddle(path: str | Path, vocabulary: str | Path) -> EmbeddingMatrix:
    """A parameter file `[V, D]`, for the words of `vocabulary`: a word a line, or id, tab and word.

    `ValueError` where header, bytes and words do not fit together.
    """
    rows = read_parameter(local_path(path))
    words = _words(local_path(vocabulary))
    if words and max(words) >= len(rows):
        raise ValueError(f"{vocabulary} has id {max(words)}, but {path} only {len(rows)} rows")
    ids = sorted(words)
    return static_matrix(
        "paddle",
        path,
        [words[i] for i in ids],
        rows[ids],
        repairs={"nameless": len(rows) - len(ids)},
        vocabulary=str(vocabulary),
    )


def _lac_folded(text: str) -> str:
    return text.translate(_LAC_MARKS).lower()


def read_parameter(path: Path) -> np.ndarray:
    """The matrix `[V, D]` of a file that Paddle's `save_vars` wrote; `ValueError` where it is damaged.

    Layout: uint32 version; uint64 number of levels of detail, and for each a uint64 size and so many bytes; uint32
    version of the tensor; int32 size of its protobuf description (type, dimensions); then the values in C order.
    """
    data = path.read_bytes()
    try:
        version, levels = struct.unpack_from("<IQ", data)
        at = 12
        for _ in range(min(levels, len(data))):
            at += 8 + struct.unpack_from("<Q", data, at)[0]
        tensor_version, size = struct.unpack_from("<Ii", data, at)
        kind, dims = _description(struct.unpack_from(f"{max(size, 0)}s", data, at + 8)[0])
    except (struct.error, IndexError) as error:
        raise ValueError(f"{path} is no Paddle parameter: its header is cut off") from error
    if version != 0 or tensor_version != 0 or kind not in _TYPES or len(dims) != 2 or min(dims) < 1:
        raise ValueError(
            f"{path} is no matrix of floating-point numbers in Paddle's format (versions {version} and "
            f"{tensor_version}, type {kind}, dimensions {dims})"
        )
    start = at + 8 + size
    expected = dims[0] * dims[1] * np.dtype(_TYPES[kind]).itemsize
    if len(data) - start != expected:
        raise ValueError(
            f"{path} is damaged: its header says {dims[0]} x {dims[1]} numbers ({expected} bytes), but "
            f"{len(data) - start} bytes follow"
        )
    return np.frombuffer(data, _TYPES[kind], offset=start).reshape(dims)


def _description(message: bytes) -> tuple[int, list[int]]:
    """(type, dimensions) of protobuf message TensorDesc: field 1 is an enum, field 2 repeated int64, packed or not."""
    kind, dims, at = -1, [], 0
    while at < len(message):
        key, at = _varint(message, at)
        value, at = _varint(message, at)
        if key == 0x08:
            kind = value
        elif key == 0x10:
            dims.append(value)
        elif key == 0x12:
            end = at + value
            while at < end:
                value, at = _varint(message, at)
                dims.append(value)
        else:
            raise IndexError(f"unknown field {key}")
    return kind, dims


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A base-128 number, and where the next one begins."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _words(path: Path) -> dict[int, bytes]:
    """Row -> word. Lines end at a newline byte only: words may be other control characters."""
    lines = path.read_bytes().split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    if not all(line.partition(b"\t")[0].isdigit() and b"\t" in line for line in lines):
        return dict(enumerate(lines))
    words: dict[int, bytes] = {}
    for number, line in enumerate(lines, start=1):
        key, _, word = line.partition(b"\t")
        if int(key) in words:
            raise ValueError(f"{path}, line {number}: id {int(key)} stands there twice")
        words[int(key)] = word
    return words
