"""Letting some parameters move and holding the others."""

from collections.abc import Callable

from lexigraft.models.classifier import Classifier

HEAD = ("pooling.", "heads.")  # what their names begin with


def let_move(model: Classifier, moves: Callable[[str], bool]) -> None:
    """Set `requires_grad` of every parameter by its name; one that is held loses the gradient it may have."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(moves(name))
        if not parameter.requires_grad:
            parameter.grad = None


def require_epochs(epochs: int, key: str) -> None:
    """`ValueError` for less than one epoch."""
    if epochs < 1:
        raise ValueError(f"finetune.{key}={epochs}: give at least 1 epoch, or use finetune=full")


def require_positive(**scales: float | None) -> None:
    """`ValueError` for a factor of the learning rate that is not above 0; None is let pass."""
    for key, scale in scales.items():
        if scale is not None and scale <= 0:
            raise ValueError(f"finetune.{key}={scale}: a factor of optimizer.lr above 0 is expected")
