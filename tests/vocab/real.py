"""Published vocabularies as tokenizers, from the files in LEXIGRAFT_DATA/vocab; tests without that folder skip them."""

import gzip
import json
import os
from functools import cache
from pathlib import Path

import pytest
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from lexigraft.vocab.bpe import merges_of_ranks
from lexigraft.vocab.tokenizer import Tokenizer

# Name -> the family in `tests.fixtures.tokenizers` that it belongs to.
REAL = {
    "bert-base-chinese": "wordpiece",
    "bert-base-uncased": "wordpiece",
    "gpt2": "byte_bpe",
    "llama2": "sp_bpe",
    "chinese-llama": "unigram",
    "cl100k": "tiktoken_bpe",
}

needs_real_vocabularies = pytest.mark.skipif(
    "LEXIGRAFT_DATA" not in os.environ, reason="an addition: needs real vocabularies"
)


@cache
def real_tokenizer(data: str, name: str) -> Tokenizer:
    """The tokenizer of one of `REAL`, built here from its publisher's files."""
    folder = Path(data) / "vocab"
    if name.startswith("bert"):
        lines = (folder / f"{name}.vocab.txt").read_text(encoding="utf-8").split("\n")
        backend = Backend(models.WordPiece({line: i for i, line in enumerate(lines) if line}, unk_token="[UNK]"))
        backend.normalizer = normalizers.BertNormalizer(lowercase=name.endswith("uncased"))
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece()
        backend.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    elif name == "gpt2":
        entries = json.loads(gzip.decompress((folder / "gpt2.encoder.json.gz").read_bytes()))
        merges = gzip.decompress((folder / "gpt2.vocab.bpe.gz").read_bytes()).decode().split("\n")[1:]
        backend = Backend(models.BPE(entries, [tuple(m.split()) for m in merges if m]))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        backend.add_special_tokens(["<|endoftext|>"])
    elif name == "cl100k":
        return Tokenizer.load(folder / "cl100k_base.tiktoken.gz")
    else:
        backend = _sentencepiece(folder / {"llama2": "llama2.tokenizer", "chinese-llama": "chinese_llama_sp"}[name])
    return Tokenizer.of_backend(backend)


def _sentencepiece(path: Path) -> Backend:
    """The published rules of SentencePiece: BPE by score with byte fallback (Llama 2), or Unigram over NFKC."""
    proto = pytest.importorskip("sentencepiece.sentencepiece_model_pb2").ModelProto()
    proto.ParseFromString(path.with_name(f"{path.name}.model").read_bytes())
    pieces = [(p.piece, p.score) for p in proto.pieces]
    special = [pieces[i][0] for i in range(3)]
    if proto.trainer_spec.byte_fallback:
        ids = {piece: i for i, (piece, _) in enumerate(pieces)}
        # Their score is the negative rank; single characters and bytes are not merged from anything.
        ranks = {p.piece: -round(p.score) for p in proto.pieces if p.type == 1}
        backend = Backend(models.BPE(ids, merges_of_ranks(ranks), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        backend = Backend(models.Unigram(pieces, unk_id=0, byte_fallback=False))
        folding = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
        backend.normalizer = normalizers.Sequence([folding, normalizers.Replace(Regex(" {2,}"), " ")])
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    backend.add_special_tokens(special)
    return backend
