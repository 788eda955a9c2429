import pytest
import torch

from lexigraft.evaluation.regression import evaluate_numbers


def test_metrics_by_hand() -> None:
    told = evaluate_numbers(torch.tensor([1.0, 2.0, 4.0, 4.0]), torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert told["mse"] == pytest.approx(5 / 4)
    assert told["mae"] == pytest.approx(3 / 4)
    assert told["r2"] == pytest.approx(1 - 5 / 14, abs=1e-6)
    assert told["pearson"] == pytest.approx(8 / (6.75 * 14) ** 0.5, abs=1e-5)
    assert told["spearman"] == pytest.approx(0.948683, abs=1e-5)  # ranks 1, 2, 3.5, 3.5 against 1, 2, 3, 4
    assert told["count"] == 4


def test_pearson_is_that_of_its_definition() -> None:
    x, y = torch.randn(50, generator=torch.Generator().manual_seed(0)), torch.arange(50.0)
    expected = torch.corrcoef(torch.stack([x, y]))[0, 1].item()
    assert evaluate_numbers(x, y)["pearson"] == pytest.approx(expected, abs=1e-5)


def test_what_is_undefined_is_none() -> None:
    constant = evaluate_numbers(torch.tensor([2.0, 2.0, 2.0]), torch.tensor([1.0, 2.0, 3.0]))
    assert (constant["pearson"], constant["spearman"], constant["r2"]) == (None, None, 0.0)
    equal = evaluate_numbers(torch.tensor([1.0, 2.0]), torch.tensor([5.0, 5.0]))
    assert (equal["pearson"], equal["r2"], equal["mae"]) == (None, None, 3.5)
    assert evaluate_numbers(torch.tensor([1.0]), torch.tensor([5.0]))["r2"] is None


def test_mistakes_get_one_sentence() -> None:
    with pytest.raises(ValueError, match="no samples"):
        evaluate_numbers(torch.zeros(0), torch.zeros(0))
    with pytest.raises(ValueError, match="did training diverge"):
        evaluate_numbers(torch.tensor([torch.nan]), torch.zeros(1))
