"""What cannot be asked of a run whose weights are cut into pieces, one for each process: `hardware.strategy=fsdp`."""

from lexigraft.config.schema import Node

# torch's optimizers whose steps are those of each number alone: a piece of a matrix is stepped as in the whole.
OF_EACH_NUMBER = ("SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "Adamax")
_DIVISIBLE = (*(f"torch.optim.{name}" for name in OF_EACH_NUMBER), "lexigraft.training.optimizers.lion")
_HERE = "with hardware.strategy=fsdp"


def sharding_problems(values: Node) -> list[str]:
    """A sentence for each setting that does not go with the config's `hardware.strategy`; counts are known by now."""
    hardware, trainer = values["hardware"], values.get("trainer") or {}
    if hardware["strategy"] != "fsdp":
        return [_OFFLOADED] if hardware["cpu_offload"] else []
    if hardware["devices"] * hardware["nodes"] == 1:
        return [
            "hardware.strategy=fsdp cuts a model into pieces for several processes, and this run has one: use "
            "hardware.devices=2 or more, or hardware.strategy=ddp"
        ]
    told = []
    if hardware["cpu_offload"] and hardware["accelerator"] == "cpu":
        told.append("hardware.cpu_offload=true is for GPUs, and on a CPU all is in its memory anyway: leave it false")
    if hardware["precision"] in ("16-mixed", "fp8"):
        told.append(f"hardware.precision={hardware['precision']} is not {_HERE}: use bf16-mixed, bf16-true or 32")
    if hardware["compile"] is True:
        told.append(f"hardware.compile=true is not {_HERE}, whose pieces come and go: use hardware.compile=false")
    if trainer.get("micro_batch") is not None:
        told.append(
            f"trainer.micro_batch={trainer['micro_batch']} is not {_HERE}, whose processes wait for one another in "
            "each pass: use trainer.micro_batch=null, with a lower trainer.batch_size and a higher trainer.accumulate"
        )
    if trainer.get("checkpoint_async"):
        told.append(
            f"trainer.checkpoint_async=true is not {_HERE}, where the processes write a checkpoint together: use "
            "trainer.checkpoint_async=false"
        )
    return told + _of_groups(values)


_OFFLOADED = (
    "hardware.cpu_offload=true moves pieces of weights off the GPU, and hardware.strategy=ddp cuts none: use "
    "hardware=fsdp"
)


def _of_groups(values: Node) -> list[str]:
    """What chosen options would do to weights that no process holds as a whole."""
    optimizer, averaging, finetune = (_target(values, group) for group in ("optimizer", "averaging", "finetune"))
    told = []
    if optimizer and optimizer not in _DIVISIBLE:
        told.append(
            f"the optimizer {optimizer} is not {_HERE}: its step needs whole matrices, or it is not known whether it "
            "does; use optimizer=adamw, or hardware.strategy=ddp"
        )
    if averaging and not averaging.endswith(".none"):
        told.append(
            f"averaging is not {_HERE}, as each process would keep a second set of all weights: use averaging=none, or "
            "hardware.strategy=ddp"
        )
    if finetune.endswith(".Transfer"):
        told.append(
            f"finetune=transfer is not {_HERE}, where no process sees the gradient of whole rows that it would hold: "
            "use finetune=embedding_first, or hardware.strategy=ddp"
        )
    return told


def _target(values: Node, group: str) -> str:
    """What an option of the group names as its code."""
    of = values.get(group)
    return str(of.get("_target_", "")) if isinstance(of, dict) else ""
