"""What several processes spend on exchanging gradients."""

import pytorch_lightning as pl
from torch.nn.parallel import DistributedDataParallel


def communication(trainer: pl.Trainer) -> float | None:
    """Seconds a step for which gradients were still on their way when backward was done; 0 for one process.

    DDP's own figures: it times its first ten steps and then one in a hundred, and what backward hides is left out.
    None for other ways of sharing the work, and before the first step.
    """
    if trainer.world_size == 1:
        return 0.0
    model = trainer.strategy.model
    if not isinstance(model, DistributedDataParallel):
        return None
    figures = model._get_ddp_logging_data()
    whole, hidden = (figures.get(f"avg_backward_{name}_time") for name in ("comm", "compute_comm_overlap"))
    return None if whole is None or hidden is None else max(0.0, (whole - hidden) / 1e9)
