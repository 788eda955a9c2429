import pytest
import torch

from lexigraft.transplant.resize import pca, principal_axes
from tests.transplant.matrices import word_matrix

SOURCE = word_matrix([f"w{i}" for i in range(60)], dim=8)


def test_full_width_keeps_all_distances():
    turned, rows = pca(SOURCE, 8).rows.double(), SOURCE.rows.double()
    torch.testing.assert_close(torch.cdist(turned, turned), torch.cdist(rows, rows), atol=1e-5, rtol=1e-5)


def test_kept_variance_is_the_largest_possible():
    centred = (SOURCE.rows - SOURCE.rows.mean(0)).double()
    best = torch.linalg.svdvals(centred)[:3].square().sum()
    torch.testing.assert_close(pca(SOURCE, 3).rows.double().square().sum(), best, rtol=1e-5, atol=0)


def test_signs_do_not_depend_on_the_solver():
    axes = principal_axes(SOURCE.rows)
    assert (axes.gather(1, axes.abs().argmax(1, keepdim=True)) > 0).all()
    torch.testing.assert_close(axes @ axes.T, torch.eye(8, dtype=torch.float64))


def test_dtype_is_kept_and_output_rows_turn_along():
    source = word_matrix([f"w{i}" for i in range(20)], 8, torch.bfloat16, output_rows=torch.randn(20, 8))
    small = pca(source, 2)
    assert small.rows.dtype == torch.bfloat16
    assert small.output_rows.shape == (20, 2)


@pytest.mark.parametrize("dim", [0, 9])
def test_a_width_out_of_reach_is_an_error(dim):
    with pytest.raises(ValueError, match=rf"transplant.dim={dim} cannot be reached by PCA from rows of width 8"):
        pca(SOURCE, dim)
