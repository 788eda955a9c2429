"""Settings of different groups that are right by themselves and do not go together."""

from lexigraft.config.schema import Node, Where
from lexigraft.config.sharding import sharding_problems


def across_problems(values: Node, where: Where) -> list[str]:
    """A sentence for each such pair in a resolved config, whose numbers of processes are known by now."""
    if "hardware" not in values:
        return []
    return [*_batches(values["trainer"], where), *sharding_problems(values)]


def _batches(trainer: Node, where: Where) -> list[str]:
    if trainer["micro_batch"] != "auto" or trainer["batch_tokens"] is None:
        return []
    return [
        f"trainer.micro_batch=auto in {where(('trainer', 'micro_batch'))} counts texts, and is not for batches "
        f"that trainer.batch_tokens={trainer['batch_tokens']} bounds by their tokens: leave one of them null, or "
        "lower batch_tokens and raise trainer.accumulate"
    ]
