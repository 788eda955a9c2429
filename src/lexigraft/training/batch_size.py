"""How many texts fit into the memory at once, found by training steps on the longest of them that leave no trace."""

import gc
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from lexigraft.data.batches import Batch, EncodedText
from lexigraft.process_group import connected
from lexigraft.training.distributed.strategies import DataParallel
from lexigraft.training.memory.available import free
from lexigraft.training.memory.plan import ROOM
from lexigraft.training.memory.untouched import untouched
from lexigraft.training.micro_batches import require_whole_model

# What torch, its libraries and C++ say where memory is not to be had, besides `torch.OutOfMemoryError`.
_SAID = (
    "out of memory", "not enough memory", "can't allocate memory", "bad_alloc", "CUBLAS_STATUS_ALLOC_FAILED",
    "could not create a memory",
)  # fmt: skip


class FittingMicroBatch(Callback):
    """Finds at the beginning of training how many texts fit at once, up to `limit`, and sets `module.micro_batch`.

    `longest` gives a batch of so many of the longest texts, `ready` lets go of all weights that the run trains at any
    time, `memory` tells how many bytes a CPU has to spare, where too much would end the process (None: not known).
    `say` prints a line. All ranks take the least that any of them found. A resumed run keeps what was found: another
    number is another order of rounding. `ValueError` where ranks share one model, or if not even one text fits.
    """

    def __init__(
        self,
        longest: Callable[[int], Batch],
        limit: int,
        *,
        ready: Callable[[], None] = lambda: None,
        memory: Callable[[], int | None] = lambda: None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        assert limit >= 1
        self._longest, self._limit, self._ready, self._memory, self._say = longest, limit, ready, memory, say
        self.found: int | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        require_whole_model(trainer.strategy)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.found is None:
            device = pl_module.device
            with unchanged(pl_module, trainer.optimizers), _limited(device, self._memory):
                self._ready()
                found = largest_that_fits(lambda size: self._train(trainer, pl_module, size), 1, self._limit)
            self.found = _least(found, device)
            if isinstance(trainer.strategy, DataParallel):
                trainer.strategy.renew()
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(device)
        pl_module.micro_batch = self.found  # type: ignore[assignment]  # not a tensor or module
        self._say(f"micro batch {min(self.found, self._limit)} of {self._limit} texts")

    def state_dict(self) -> dict[str, Any]:
        return {"found": self.found}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.found = state_dict["found"]

    def _train(self, trainer: pl.Trainer, module: pl.LightningModule, size: int) -> None:
        """Two steps: only the second one has the state of the optimizer beside its activations."""
        batch = trainer.strategy.batch_to_device(self._longest(size))
        for _ in range(2):
            with trainer.precision_plugin.forward_context():
                loss: Tensor = module.loss_of(batch)  # type: ignore[operator]  # a TrainingModule has it
            loss.backward()
            for optimizer in trainer.optimizers:
                optimizer.step()
            module.zero_grad()
        if loss.is_cuda:
            torch.cuda.synchronize(loss.device)


def largest_that_fits(step: Callable[[int], None], start: int, limit: int) -> int:
    """The most texts, up to `limit`, with which `step` does not run out of memory, to a factor of 2.

    `start` is doubled while it fits, or halved until it does. `ValueError` if one text alone does not fit; other errors
    of `step` pass through.
    """
    assert 1 <= start <= limit
    fits, size = 0, start
    while _fits(step, size):
        if size == limit:
            return limit
        fits, size = size, min(2 * size, limit)
    while not fits:
        if size == 1:
            raise ValueError(
                "not even one of the longest texts fits into the memory: try a lower trainer.max_tokens, "
                "hardware.precision=bf16-mixed or finetune=lora"
            )
        size //= 2
        fits = size if _fits(step, size) else 0
    return fits


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory was not to be had, on a GPU or under a limit of the CPU's."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _SAID)


def longest_texts(tasks: Mapping[str, Mapping[str, EncodedText]], size: int) -> Batch:
    """A batch of the longest training texts of the task that has the longest; of fewer texts, some several times."""
    train = max((splits["train"] for splits in tasks.values()), key=lambda of: int(of.encoded.lengths().max()))
    order = np.argsort(-train.encoded.lengths(), kind="stable")
    return train.__getitems__(np.resize(order, size))


def largest_batch(tasks: Mapping[str, Mapping[str, EncodedText]], batch_size: int, ranks: int = 1) -> int:
    """How many texts the largest batch of a rank has."""
    return -(-min(batch_size, max(len(splits["train"]) for splits in tasks.values())) // ranks)


def spare_memory(accelerator: str, processes: int) -> int | None:
    """Bytes that a search may take of what is free now for each of so many processes; None: not known."""
    found = free(accelerator, processes).bytes
    return None if found is None else int(ROOM * found)


@contextmanager
def unchanged(module: nn.Module, optimizers: list[torch.optim.Optimizer]) -> Iterator[None]:
    """Put back weights, what optimizers remember and all that `untouched` does; kept in the CPU's memory."""
    weights = [(weight, weight.detach().to("cpu", copy=True)) for weight in module.parameters()]
    remembered = [_on_cpu(optimizer.state_dict()) for optimizer in optimizers]
    with untouched(module):
        module.zero_grad()  # lest something is added to gradients that are there
        try:
            yield
        finally:
            with torch.no_grad():
                for weight, before in weights:
                    weight.copy_(before)
            for optimizer, state in zip(optimizers, remembered):
                optimizer.load_state_dict(state)


@contextmanager
def memory_limit(spare: int | None, status: Path = Path("/proc/self/status")) -> Iterator[None]:
    """Let this process take so many more bytes and no more: then torch raises, and the system need not end it.

    Nothing is limited where `spare` is None, or where Linux does not say what the process has taken.
    """
    try:
        taken = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmData:"))
    except (OSError, StopIteration):
        spare = None
    if spare is None:
        yield
        return
    import resource  # not on Windows

    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = taken * 1024 + spare
    allowed = [limit for limit in (before, most) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *allowed]), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))


@contextmanager
def gpu_memory_limit(device: torch.device) -> Iterator[None]:
    """Let this process take a share of `ROOM` of what a GPU has left, so that training has room to spare."""
    before = torch.cuda.get_per_process_memory_fraction(device)
    left, whole = torch.cuda.mem_get_info(device)
    share = (torch.cuda.memory_reserved(device) + ROOM * left) / whole
    torch.cuda.set_per_process_memory_fraction(min(before, share), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(before, device)


def _limited(device: torch.device, memory: Callable[[], int | None]) -> AbstractContextManager[None]:
    if device.type == "cuda":
        return gpu_memory_limit(device)
    return memory_limit(memory()) if device.type == "cpu" else nullcontext()


def _fits(step: Callable[[int], None], size: int) -> bool:
    try:
        step(size)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # which hold tensors
    else:
        return True
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False


def _least(found: int, device: torch.device) -> int:
    """The least of all ranks."""
    if connected() == 1:
        return found
    value = torch.tensor(found, device=device)
    torch.distributed.all_reduce(value, torch.distributed.ReduceOp.MIN)
    return int(value)


def _on_cpu(value: Any) -> Any:
    """Containers with copies of their tensors."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _on_cpu(of) for key, of in value.items()}
    return [_on_cpu(of) for of in value] if isinstance(value, list) else value
