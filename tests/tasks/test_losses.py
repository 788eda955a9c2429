import re
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from lexigraft.data.batches import NOT_COUNTED
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import BinaryCrossEntropy, CrossEntropy, Focal, require_fit
from lexigraft.tasks.multilabel import MultiLabel
from lexigraft.tasks.number_losses import Corn, Cumulative, Huber, SquaredError
from lexigraft.tasks.ordinal import Ordinal
from lexigraft.tasks.regression import Regression
from lexigraft.tasks.tagging import Tagging

CLASSES = ("a", "b", "c")
OUTPUTS = torch.tensor([[1.0, 0.5, -1.0], [0.0, 2.0, 0.0], [3.0, 0.0, 0.0], [0.1, 0.2, 0.3]])
LABELS = torch.tensor([0, 1, 1, 2])
COUNTS = np.array([6, 3, 0])


def test_cross_entropy_is_torch_s() -> None:
    loss = CrossEntropy().for_classes(CLASSES, COUNTS, 9)
    assert torch.equal(loss(OUTPUTS, LABELS), cross_entropy(OUTPUTS, LABELS))
    assert torch.equal(CrossEntropy()(OUTPUTS, LABELS), cross_entropy(OUTPUTS, LABELS))
    some = LABELS.clone()
    some[2] = NOT_COUNTED
    assert torch.allclose(loss(OUTPUTS, some), cross_entropy(OUTPUTS[[0, 1, 3]], LABELS[[0, 1, 3]]))


def test_smoothing_moves_mass_to_all_classes() -> None:
    smoothed = CrossEntropy(label_smoothing=0.3).for_classes(CLASSES, COUNTS, 9)(OUTPUTS, LABELS)
    log_p = OUTPUTS.log_softmax(-1)
    target = torch.nn.functional.one_hot(LABELS, 3) * 0.7 + 0.1
    assert smoothed.item() == pytest.approx(-(target * log_p).sum(-1).mean().item(), abs=1e-6)


@pytest.mark.parametrize("weights", ["balanced", [0.75, 1.5, 1.0]])
def test_class_weights(weights: Any) -> None:
    """Balanced: 9 rows over the 2 classes that have rows are 9 / (2 * 6) and 9 / (2 * 3); the third stays at 1."""
    loss = CrossEntropy(class_weights=weights).for_classes(CLASSES, COUNTS, 9)
    w = torch.tensor([0.75, 1.5, 1.0])
    each = cross_entropy(OUTPUTS, LABELS, reduction="none") * w[LABELS]
    assert loss(OUTPUTS, LABELS).item() == pytest.approx((each.sum() / w[LABELS].sum()).item(), abs=1e-6)


def test_focal_by_its_formula() -> None:
    p = OUTPUTS.softmax(-1).gather(1, LABELS[:, None]).squeeze(1)
    for gamma in (0.0, 0.5, 2.0):
        expected = (-((1 - p) ** gamma) * p.log()).mean()
        assert Focal(gamma).for_classes(CLASSES, COUNTS, 9)(OUTPUTS, LABELS).item() == pytest.approx(expected.item())
    alpha = torch.tensor([0.2, 0.3, 0.5])
    expected = (-alpha[LABELS] * (1 - p) ** 2 * p.log()).mean()
    found = Focal(alpha=[0.2, 0.3, 0.5]).for_classes(CLASSES, COUNTS, 9)(OUTPUTS, LABELS)
    assert found.item() == pytest.approx(expected.item())


def test_focal_has_a_gradient_where_a_text_is_surely_right() -> None:
    sure = torch.tensor([[100.0, 0.0, 0.0]], requires_grad=True)
    Focal(0.5).for_classes(CLASSES, COUNTS, 9)(sure, torch.tensor([0])).backward()
    assert sure.grad is not None
    assert sure.grad.isfinite().all()


def test_binary_cross_entropy_and_its_weights() -> None:
    labels = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]])
    plain = BinaryCrossEntropy().for_classes(CLASSES, COUNTS, 9)
    assert torch.equal(plain(OUTPUTS, labels), binary_cross_entropy_with_logits(OUTPUTS, labels))
    # Balanced: 3 without / 6 with, 6 / 3, and 1 where no row has the class.
    balanced = BinaryCrossEntropy("balanced").for_classes(CLASSES, COUNTS, 9)
    expected = binary_cross_entropy_with_logits(OUTPUTS, labels, pos_weight=torch.tensor([0.5, 2.0, 1.0]))
    assert balanced(OUTPUTS, labels).item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: CrossEntropy(label_smoothing=1.0),
            "task.loss.label_smoothing is 1.0; 0 or more, below 1, is expected",
        ),
        (lambda: Focal(gamma=-1.0), "task.loss.gamma is -1.0; 0 or more is expected"),
        (lambda: Huber(delta=0.0), "task.loss.delta is 0.0; a number above 0 is expected"),
        (
            lambda: CrossEntropy(class_weights="even").for_classes(CLASSES, COUNTS, 9),
            "task.loss.class_weights is 'even'; null, balanced, or a list of numbers is expected",
        ),
        (
            lambda: Focal(alpha=[1.0, 2.0]).for_classes(CLASSES, COUNTS, 9),
            "task.loss.alpha has 2 numbers for 3 classes: give one for each, in the order 'a', 'b', 'c'",
        ),
        (
            lambda: BinaryCrossEntropy([1.0, -2.0, 1.0]).for_classes(CLASSES, COUNTS, 9),
            "task.loss.pos_weight is [1.0, -2.0, 1.0]; numbers of 0 or more are expected",
        ),
        (
            lambda: CrossEntropy(class_weights=[0, 0, 0]).for_classes(CLASSES, COUNTS, 9),
            "numbers of 0 or more are expected, not all of them 0",
        ),
    ],
)
def test_settings_that_do_not_fit_get_one_sentence(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_each_task_takes_the_losses_of_its_labels_alone() -> None:
    losses = [CrossEntropy(), Focal(), BinaryCrossEntropy(), SquaredError(), Huber(), Corn(), Cumulative()]
    fitting = {
        Classification: {CrossEntropy, Focal},
        Tagging: {CrossEntropy, Focal},
        MultiLabel: {BinaryCrossEntropy},
        Regression: {SquaredError, Huber},
        Ordinal: {Corn, Cumulative},
    }
    for task, wanted in fitting.items():
        for loss in losses:
            if type(loss) in wanted:
                require_fit(task, loss)
            else:
                message = f"those of the task {task.__name__} are of the kind {task.kind}: use task/loss="
                with pytest.raises(ValueError, match=message):
                    require_fit(task, loss)


def test_ranks_by_the_formula_of_corn() -> None:
    outputs, labels = torch.tensor([[0.3, -0.2], [1.0, 0.5], [-1.0, 2.0]]), torch.tensor([0, 1, 2])
    p = outputs.sigmoid()
    # The second step is asked of the texts above rank 0 only.
    terms = [1 - p[0, 0], p[1, 0], 1 - p[1, 1], p[2, 0], p[2, 1]]
    expected = -torch.stack(terms).log().mean()
    assert Corn()(outputs, labels).item() == pytest.approx(expected.item(), abs=1e-6)
    assert torch.allclose(Corn().above(outputs), torch.stack([p[:, 0], p[:, 0] * p[:, 1]], 1))


def test_ranks_by_extended_binary_classification() -> None:
    outputs, labels = torch.tensor([[0.3, -0.2], [1.0, 2.0]]), torch.tensor([0, 1])
    p = outputs.sigmoid()
    expected = -torch.stack([1 - p[0, 0], 1 - p[0, 1], p[1, 0], 1 - p[1, 1]]).log().mean()
    assert Cumulative()(outputs, labels).item() == pytest.approx(expected.item(), abs=1e-6)
    assert Cumulative().above(outputs).tolist()[1] == pytest.approx([p[1, 0].item()] * 2)  # never rising


def test_losses_of_numbers() -> None:
    outputs, labels = torch.tensor([0.0, 3.0]), torch.tensor([0.5, 0.0])
    assert SquaredError()(outputs, labels).item() == pytest.approx((0.25 + 9) / 2)
    assert Huber(1.0)(outputs, labels).item() == pytest.approx((0.125 + 2.5) / 2)
