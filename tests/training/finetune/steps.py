"""A step of training that tells what it moved."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lexigraft.models.classifier import Classifier
from lexigraft.training.finetune.rates import optimizer_groups, scale_rates
from lexigraft.training.strategy import Strategy
from tests.models.test_classifier import VOCABULARY

EPOCHS, LR = 8, 0.01
BERT = "encoder.backbone.encoder.layer"  # what the names of its layers begin with


def texts() -> tuple[Tensor, Tensor]:
    """Ids and mask `[2, 20]` of two texts that hold every word but the padding."""
    ids = torch.tensor([*range(1, VOCABULARY), 7]).reshape(2, 20)
    return ids, torch.arange(20) < torch.tensor([[20], [19]])


def optimizer_of(model: Classifier, strategy: Strategy) -> torch.optim.Optimizer:
    """AdamW with the strategy's groups and their rates."""
    return scale_rates(torch.optim.AdamW(optimizer_groups(model, strategy, 0.1, epochs=EPOCHS), lr=LR))


def step(model: Classifier, strategy: Strategy, epoch: int, optimizer: torch.optim.Optimizer) -> None:
    """One step in that epoch."""
    strategy.apply(model, epoch)
    optimizer.zero_grad()
    cross_entropy(model.train()(*texts()), torch.tensor([0, 1])).backward()
    optimizer.step()


def moved(model: Classifier, strategy: Strategy, epoch: int, optimizer: torch.optim.Optimizer) -> set[str]:
    """Names of the parameters that are others after a step in that epoch."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    step(model, strategy, epoch, optimizer)
    return {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}


def named(model: Classifier, *starts: str) -> set[str]:
    """Names of the model's parameters that begin so."""
    return {name for name, _ in model.named_parameters() if name.startswith(starts)}


def rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """The learning rate of each parameter by its name."""
    return {name: group["lr"] for group in optimizer.param_groups for name in group["names"]}
