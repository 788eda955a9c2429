"""Whether a run fits into memory, told before its first step."""

from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from lexigraft import build
from lexigraft.commands.preparing import Prepared
from lexigraft.evaluation.tables import warning_text
from lexigraft.training.hardware import chosen_precision
from lexigraft.training.memory.available import free
from lexigraft.training.memory.parts import Conditions
from lexigraft.training.memory.remedies import plan_with_remedies
from lexigraft.training.memory.telling import plan_line, plan_text, require_fitting


def require_memory(cfg: DictConfig, prepared: Prepared, console: Console) -> dict[str, Any]:
    """The plan of a run's memory for `result.json`; says it in a line, or where it is tight in several.

    `ValueError` where it is clearly too big, with settings that would fit.
    """
    trainer, hardware = cfg.trainer, cfg.hardware
    conditions = Conditions(
        batch_size=trainer.batch_size,
        accelerator=hardware.accelerator,
        precision=chosen_precision(hardware.precision, hardware.accelerator),
        strategy=hardware.strategy,
        cpu_offload=hardware.cpu_offload,
        activation_checkpointing=hardware.activation_checkpointing,
        ranks=hardware.devices * hardware.nodes,
        epochs=trainer.epochs,
        accumulate=trainer.accumulate,
        micro_batch=1 if trainer.micro_batch == "auto" else trainer.micro_batch,  # the least that a search may find
        averaging=build.averaging(cfg.averaging) is not None,
    )
    plan, remedies = plan_with_remedies(
        prepared.module, prepared.batches, conditions, free(hardware.accelerator, hardware.devices)
    )
    console.print(plan_line(plan) if remedies is None else plan_text(plan), markup=False)
    if told := require_fitting(plan, remedies):
        console.print(warning_text(told))
    return plan.as_dict()
