import pytest
import torch
from torch import nn

from lexigraft.models.embedding import TransplantedEmbedding

IDS = torch.tensor([[3, 1, 4, 0], [2, 0, 0, 0]])
MASK = IDS != 0


def rows(size: int = 6, dim: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, dim, generator=torch.Generator().manual_seed(seed))


def test_vectors_are_the_rows_and_zero_outside_the_mask():
    source = rows()
    vectors = TransplantedEmbedding(source, pad_id=0)(IDS, MASK)
    assert torch.equal(vectors[MASK], source[IDS[MASK]])
    assert vectors[~MASK].abs().max() == 0


def test_masked_positions_are_zero_whatever_id_stands_there():
    embedding = TransplantedEmbedding(rows(), pad_id=0, project_to=3)
    assert embedding(torch.full_like(IDS, 5), MASK)[~MASK].abs().max() == 0


def test_a_mask_of_integers_is_a_mask():
    embedding = TransplantedEmbedding(rows(), pad_id=0)
    assert torch.equal(embedding(IDS, MASK.long()), embedding(IDS, MASK))


def test_rows_are_copied_as_float32():
    source = rows().half()
    embedding = TransplantedEmbedding(source, pad_id=0)
    source.zero_()
    assert embedding.lookup.weight.dtype == torch.float32
    assert embedding.lookup.weight[1:].abs().min() > 0

    double = rows()
    TransplantedEmbedding(double, pad_id=2)
    assert torch.equal(double, rows()), "the source's padding row is not touched"


def test_the_padding_row_stays_zero_in_training():
    embedding = TransplantedEmbedding(rows(), pad_id=2)
    optimizer = torch.optim.AdamW(embedding.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        embedding(torch.tensor([[2, 3]]), torch.ones(1, 2)).sum().backward()
        optimizer.step()
    assert embedding.lookup.weight[2].abs().max() == 0
    assert not torch.allclose(embedding.lookup.weight[3], rows()[3])


def test_the_projection_starts_as_pca():
    source = rows(40, 5) * torch.tensor([1.0, 9.0, 0.1, 4.0, 0.1]) + 2
    embedding = TransplantedEmbedding(source, pad_id=0, project_to=2)
    assert embedding.dim == 2
    projected = embedding(torch.arange(1, 40)[None], torch.ones(1, 39))[0]
    kept = source[1:]
    _, _, directions = torch.linalg.svd(kept - kept.mean(0))
    expected = kept @ directions[:2].T
    assert torch.allclose(projected.abs(), expected.abs(), atol=1e-4)
    assert torch.allclose((projected - projected.mean(0)).T.cov().flatten()[1:3], torch.zeros(2), atol=1e-3)


def test_the_projection_is_deterministic_and_learned():
    first, second = (TransplantedEmbedding(rows(), 0, project_to=3) for _ in range(2))
    assert isinstance(first.projection, nn.Linear)
    assert isinstance(second.projection, nn.Linear)
    assert torch.equal(first.projection.weight, second.projection.weight)
    assert first.projection.bias is None
    assert first.projection.weight.requires_grad


def test_a_wider_projection_keeps_lengths():
    source = rows()
    embedding = TransplantedEmbedding(source, 0, project_to=8)
    assert embedding.dim == 8
    vectors = embedding(IDS, MASK)
    assert torch.allclose(vectors[MASK].norm(dim=1), source[IDS[MASK]].norm(dim=1), atol=1e-5)


def test_fewer_rows_than_directions():
    projection = TransplantedEmbedding(rows(3, 8), 0, project_to=6).projection
    assert projection is not None
    assert torch.allclose(projection.weight @ projection.weight.T, torch.eye(6), atol=1e-5)


def test_dropout_only_in_training():
    embedding = TransplantedEmbedding(rows(6, 50), 0, dropout=0.5)
    assert (embedding(IDS, MASK)[MASK] == 0).float().mean() > 0.2
    assert (embedding.eval()(IDS, MASK)[MASK] == 0).sum() == 0


@pytest.mark.parametrize(
    ("given", "pad_id", "project_to", "message"),
    [
        (torch.zeros(3), 0, None, r"shape \(3,\); a matrix"),
        (torch.zeros(3, 2), 3, None, "pad_id 3 is not the id of one of the 3"),
        (torch.zeros(3, 2), -1, None, "pad_id -1"),
        (torch.zeros(3, 2), 0, 0, "project_to=0"),
    ],
)
def test_what_does_not_fit_is_refused(given, pad_id, project_to, message):
    with pytest.raises(ValueError, match=message):
        TransplantedEmbedding(given, pad_id, project_to=project_to)
