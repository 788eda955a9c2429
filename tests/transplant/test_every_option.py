"""What holds of every option of conf/transplant, on tokenizers of every family: it finds new options by itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from lexigraft import build
from lexigraft.config.catalog import conf_folder, options
from lexigraft.config.compose import jobs, loader
from lexigraft.config.preflight import without_hydra
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.engine import Transplant
from lexigraft.transplant.provenance import summarise
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Vocabulary
from tests.fixtures.tokenizers import FAMILIES

# Tested elsewhere: `copy` needs equal vocabularies, `auto` chooses among the others, `distillation` trains a model.
ELSEWHERE = {"copy", "auto", "distillation"}
OPTIONS = [o.name for o in options(conf_folder(), "transplant") if o.name not in ELSEWHERE]
# Each family is once the source and once the target.
PAIRS = list(zip(FAMILIES, (*FAMILIES[1:], FAMILIES[0])))
ZERO = {"zero"}
QUICK = {"focus": {"min_count": 1, "epochs": 1, "dim": 16}}


def matrix(tokenizer: Tokenizer, dim: int = 24, dtype: torch.dtype = torch.float32, seed: int = 17) -> EmbeddingMatrix:
    """A model's matrix with an untied head and a bias; no seed of it is one that a transplant is called with."""
    random = torch.Generator().manual_seed(seed)
    count = len(tokenizer.vocabulary)
    rows, output = (torch.randn(count, dim, generator=random) for _ in range(2))
    bias = torch.randn(count, generator=random)
    parts = {"output_rows": output.to(dtype), "output_bias": bias.to(dtype), "tokenizer": tokenizer}
    return EmbeddingMatrix(tokenizer.vocabulary, rows.to(dtype), {"name": "made in a test"}, **parts)


def words_of(texts: list[str], dim: int, seed: int) -> EmbeddingMatrix:
    """Static vectors of the words and characters of the texts."""
    found = sorted({w for text in texts for w in (*text.split(), *text)} - {" "})
    rows = torch.randn(len(found), dim, generator=torch.Generator().manual_seed(seed))
    return EmbeddingMatrix(Vocabulary.of_words(found), rows, {"name": "words"})


@pytest.fixture(scope="module")
def plan(corpus, tmp_path_factory):
    """A function (option, target tokenizer) -> the transplant of conf/, its further matrices and files made here."""
    folder = tmp_path_factory.mktemp("files")
    words = sorted({word for text in corpus for word in text.split()})
    (folder / "dictionary.txt").write_text("".join(f"{w}\t{w}\n" for w in words), encoding="utf-8")
    (folder / "alignments.tsv").write_text("".join(f"{w}\t{w}\t20\n" for w in words), encoding="utf-8")

    def make(option: str, target: Tokenizer) -> Transplant:
        with loader():
            [(cfg, _)] = jobs("transplant", [f"transplant={option}", "output=x", "tokenizer.name=x"], False)
        node = OmegaConf.to_container(without_hydra(cfg).transplant, resolve=False)
        spaces = dict.fromkeys(node.pop("spaces", {}))
        for step in node.get("fill", []):
            step |= {key: value for key, value in QUICK.get(option, {}).items() if key in step}
            step |= {"dictionary": str(folder / "dictionary.txt")} if "dictionary" in step else {}
            step |= {"table": str(folder / "alignments.tsv")} if "table" in step else {}
        made = build.transplant(OmegaConf.create(node))
        donor = replace(matrix(target, dim=16, seed=13), output_rows=None, output_bias=None)
        static = words_of(corpus, 12, 14)
        further = {name: donor if name == "donor" else static for name in spaces}
        return replace(made, spaces=further) if further else made

    return make


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
@pytest.mark.parametrize("option", OPTIONS)
def test_no_row_is_nan_zero_or_a_duplicate_by_accident(option, source, target, plan, tokenizers_by_family, corpus):
    old, tokenizer = matrix(tokenizers_by_family[source]), tokenizers_by_family[target]
    made = plan(option, tokenizer)(old, tokenizer, 0, corpus)
    summary = summarise(made.provenance, old, made.matrix, notes=made.notes)
    for state in (summary, summary["output_rows"]):
        assert state["not_finite_rows"] == 0
        assert state["duplicate_rows"]["accidental"] == 0
        if option not in ZERO:
            assert state["zero_rows"] == 0  # padding apart
    assert made.matrix.output_bias.isfinite().all()


@pytest.mark.parametrize("option", OPTIONS)
def test_the_seed_alone_decides(option, plan, byte_bpe, unigram, corpus):
    old, transplant = matrix(byte_bpe), plan(option, unigram)
    first = transplant(old, unigram, 1, corpus).matrix
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        torch.manual_seed(99)
        np.random.seed(99)
        again = transplant(old, unigram, 1, corpus).matrix
    finally:
        torch.set_num_threads(threads)
    for part in ("rows", "output_rows", "output_bias"):
        torch.testing.assert_close(getattr(first, part), getattr(again, part), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("option", OPTIONS)
def test_half_precision_stays_and_agrees_with_full(option, dtype, plan, wordpiece, sp_bpe, corpus):
    half = matrix(wordpiece, dtype=dtype)
    full = replace(
        half, rows=half.rows.float(), output_rows=half.output_rows.float(), output_bias=half.output_bias.float()
    )
    transplant = plan(option, sp_bpe)
    made, expected = (transplant(old, sp_bpe, 0, corpus).matrix for old in (half, full))
    assert made.rows.dtype == made.output_rows.dtype == made.output_bias.dtype == dtype
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(made.rows.float(), expected.rows, rtol=2 * step, atol=2 * step)


@pytest.mark.parametrize("option", OPTIONS)
def test_there_and_back_again_returns_the_overlap(option, plan, byte_bpe, unigram, corpus):
    there, back = plan(option, unigram), plan(option, byte_bpe)
    if not isinstance(there, Transplant) or there.match is not True:
        return  # rows are dealt out anew, or nothing but special tokens is copied
    old = matrix(byte_bpe)
    made = there(old, unigram, 0, corpus)
    again = back(made.matrix, byte_bpe, 0, corpus)
    copied = again.provenance.among(("exact",))
    assert copied.sum() > 100
    assert torch.equal(again.matrix.rows[copied], old.rows[copied])
    assert torch.equal(again.matrix.output_rows[copied], old.output_rows[copied])


@pytest.mark.parametrize("option", [o for o in OPTIONS if o not in ("random", "shuffled")])
def test_the_identity_is_bit_exact(option, plan, unigram, corpus):
    old, transplant = matrix(unigram), plan(option, unigram)
    if transplant.match is not True:
        return
    made = transplant(old, unigram, 0, corpus).matrix
    assert torch.equal(made.rows, old.rows)
    assert torch.equal(made.output_rows, old.output_rows)
    assert torch.equal(made.output_bias, old.output_bias)
