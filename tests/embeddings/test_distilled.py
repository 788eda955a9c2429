import numpy as np
import pytest
import torch
from transformers import AutoModel

from lexigraft.embeddings import distilled
from lexigraft.embeddings.checkpoint import read_checkpoint
from lexigraft.embeddings.distilled import read_distilled
from lexigraft.transplant.subtokens import subtokens
from tests.transplant.gaps import make_gap


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "t5", "llama"])
def test_a_row_is_the_hidden_state_of_a_token_between_the_special_ones(checkpoints, family):
    matrix = read_distilled(str(checkpoints[family]), dim=None, weighting="none")
    tokenizer = matrix.tokenizer
    model = AutoModel.from_pretrained(checkpoints[family]).eval()
    model = model.get_encoder() if family == "t5" else model
    compared = 0
    for text in ("the", "a", "film", "good"):
        whole = tokenizer.encode([text])[0]
        places = [place for place, i in enumerate(whole) if tokenizer.vocabulary[i].role is None]
        if len(places) != 1:
            continue
        with torch.no_grad():
            expected = model(input_ids=torch.tensor([whole])).last_hidden_state[0, places[0]]
        torch.testing.assert_close(matrix.rows[whole[places[0]]], expected, atol=1e-5, rtol=1e-4)
        compared += 1
    assert compared > 0


def test_rows_are_weighted_principal_components(checkpoints):
    """In float64, by NumPy's singular values."""
    path = str(checkpoints["bert"])
    plain = read_distilled(path, dim=None, weighting="none")
    rows = plain.rows.double().numpy()
    ordinary = np.array([t.role is None for t in plain.vocabulary])
    centred = rows - rows[ordinary].mean(0)
    _, _, axes = np.linalg.svd(centred[ordinary], full_matrices=False)
    expected = centred @ axes[:8].T
    p = 1 / np.arange(1, ordinary.sum() + 1)
    weight = np.ones(len(rows))
    weight[ordinary] = 1e-3 / (1e-3 + p / p.sum())
    found = read_distilled(path, dim=8, a=1e-3).rows.double().numpy()
    assert found.shape == (len(rows), 8)
    sign = np.sign((found * expected).sum(0))
    np.testing.assert_allclose(found, expected * sign * weight[:, None], atol=1e-4, rtol=1e-3)


def test_the_matrix_is_a_table_with_the_checkpoint_s_tokenizer(checkpoints):
    path = str(checkpoints["t5"])
    matrix, model = read_distilled(path, dim=4), read_checkpoint(path)
    assert matrix.checkpoint is None
    assert matrix.output_rows is None
    assert matrix.vocabulary.tokens == model.tokenizer.vocabulary.tokens  # without the padding of T5's matrix
    assert matrix.rows.dtype == torch.float32
    about = matrix.origin
    assert about["reader"] == "distilled"
    assert about["of"] == model.origin["sha256"]
    assert (about["components"], about["weighting"], about["a"]) == (4, "sif", 1e-4)


def test_the_number_of_tokens_at_once_changes_nothing(checkpoints):
    path = str(checkpoints["bert"])
    few, many = (read_distilled(path, dim=8, batch_size=size) for size in (7, 1000))
    torch.testing.assert_close(few.rows, many.rows, atol=1e-5, rtol=1e-4)
    assert torch.equal(many.rows, read_distilled(path, dim=8, batch_size=1000).rows)


@pytest.mark.parametrize("dim", [0, 33])
def test_more_components_than_there_are_is_an_error(checkpoints, dim):
    with pytest.raises(ValueError, match=rf"source.dim={dim} was given, but the hidden states of .*bert have 32"):
        read_distilled(str(checkpoints["bert"]), dim=dim)


def test_hidden_states_that_are_not_finite_are_an_error(checkpoints, monkeypatch):
    monkeypatch.setattr(distilled, "_hidden_states", lambda model, count, batch_size: torch.full((count, 32), np.nan))
    with pytest.raises(ValueError, match="hidden states with NaN or infinity"):
        read_distilled(str(checkpoints["bert"]), dim=8)


def test_it_is_a_source_like_any_other(checkpoints, words):
    gap = make_gap(read_distilled(str(checkpoints["bert"]), dim=8), words)
    rows = subtokens(gap).rows.apply(gap.source.rows)
    assert rows.isfinite().all()
    assert rows.shape[1] == 8
