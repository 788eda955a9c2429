"""A matrix comes back from its folder as it was."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lexigraft.embeddings.checkpoint import read_checkpoint
from lexigraft.embeddings.matrix import EmbeddingMatrix, padded
from lexigraft.embeddings.write import load_matrix, read_matrix, save_matrix
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Token, Vocabulary
from tests.fixtures.checkpoints import FAMILIES


def assert_equal(found: EmbeddingMatrix, expected: EmbeddingMatrix) -> None:
    assert found.vocabulary.fingerprint() == expected.vocabulary.fingerprint()
    assert found.vocabulary == expected.vocabulary
    assert found.origin == expected.origin
    assert found.tied == expected.tied
    for name in ("rows", "output_rows", "output_bias"):
        there, wanted = getattr(found, name), getattr(expected, name)
        assert (there is None) == (wanted is None)
        if wanted is not None:
            assert there.dtype == wanted.dtype
            assert torch.equal(there, wanted)


@pytest.mark.parametrize("family", FAMILIES)
def test_with_a_tokenizer(checkpoints: dict[str, Path], tmp_path: Path, family: str) -> None:
    matrix = read_checkpoint(str(checkpoints[family]))
    save_matrix(matrix, tmp_path / "out")
    found = load_matrix(tmp_path / "out")
    assert_equal(found, matrix)
    assert found.tokenizer is not None
    assert matrix.tokenizer is not None
    text = "the naïve critic 这家酒店 3.5 %"
    assert found.tokenizer.encode([text]) == matrix.tokenizer.encode([text])
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "embeddings.safetensors", "tokenizer.json", "tokenizer_config.json", "origin.json",
    }  # fmt: skip
    assert len({p.stat().st_mode for p in (tmp_path / "out").iterdir()}) == 1  # readable for whom the umask says


TOKENS = st.builds(
    Token,
    surface=st.binary(max_size=6) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4).map(str.encode),
    starts_word=st.sampled_from([True, False, None]),
    role=st.sampled_from([None, "pad", "unused", "special:<x>"]),
    byte_fallback=st.booleans(),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=10))
def test_without_a_tokenizer_any_tokens_come_back(tmp_path: Path, tokens: list[Token]) -> None:
    vocabulary = Vocabulary(tuple(tokens), further_roles=(("bos", 0),), unreachable=frozenset({0}))
    matrix = EmbeddingMatrix(vocabulary, torch.randn(len(tokens), 3).bfloat16(), {"reader": "test"}, tied=True)
    save_matrix(matrix, tmp_path)
    assert_equal(load_matrix(tmp_path), matrix)


def test_rows_that_share_memory(tmp_path: Path) -> None:
    both = torch.randn(4, 6)
    vocabulary = Vocabulary.of_words(["a", "b", "c", "d"])
    matrix = EmbeddingMatrix(vocabulary, both[:, :3], {}, output_rows=both[:, 3:], output_bias=torch.ones(4))
    save_matrix(matrix, tmp_path)
    assert_equal(load_matrix(tmp_path), matrix)
    save_matrix(replace(matrix, rows=both, output_rows=both), tmp_path)
    assert torch.equal(load_matrix(tmp_path).output_rows, both)


def test_as_a_source(tmp_path: Path, characters: Tokenizer) -> None:
    vocabulary = padded(characters.vocabulary, len(characters.vocabulary) + 2)
    matrix = EmbeddingMatrix(vocabulary, torch.ones(len(vocabulary), 2), {"reader": "lac"}, tokenizer=characters)
    save_matrix(matrix, tmp_path / "out")
    found = read_matrix(tmp_path / "out")
    assert found.vocabulary == vocabulary
    assert found.origin["reader"] == "matrix"
    assert found.origin["of"] == {"reader": "lac"}
    assert found.origin["path"] == str(tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"did you mean out\?"):
        read_matrix(tmp_path / "outt")
    save_matrix(replace(matrix, rows=matrix.rows * float("nan")), tmp_path / "out")
    with pytest.raises(ValueError, match="has NaN or infinity in"):
        read_matrix(tmp_path / "out")


def test_an_older_matrix_is_replaced_whole(tmp_path: Path, characters: Tokenizer) -> None:
    size = len(characters.vocabulary)
    save_matrix(EmbeddingMatrix(Vocabulary.of_words(["a"]), torch.ones(1, 2), {}), tmp_path)
    save_matrix(EmbeddingMatrix(characters.vocabulary, torch.ones(size, 2), {}, tokenizer=characters), tmp_path)
    assert load_matrix(tmp_path).vocabulary == characters.vocabulary


def test_damaged_folders(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no origin.json: a folder that `lexigraft transplant` wrote"):
        load_matrix(tmp_path)
    matrix = EmbeddingMatrix(Vocabulary.of_words(["a", "b"]), torch.ones(2, 2), {})
    save_matrix(matrix, tmp_path)
    (tmp_path / "tokens.jsonl").write_text(
        "".join(json.dumps({"text": w, "starts_word": True, "role": None, "byte_fallback": False}) + "\n" for w in "ac")
    )
    with pytest.raises(ValueError, match="are not those that its rows were saved with"):
        load_matrix(tmp_path)
    save_matrix(matrix, tmp_path)
    os.truncate(tmp_path / "embeddings.safetensors", 60)
    with pytest.raises(ValueError, match="is missing, cut off or no safetensors file"):
        load_matrix(tmp_path)
    (tmp_path / "embeddings.safetensors").unlink()
    with pytest.raises(ValueError, match="is missing, cut off or no safetensors file"):
        load_matrix(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["origin.json", "tokens.jsonl"]
