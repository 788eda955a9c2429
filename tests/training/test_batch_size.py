import multiprocessing
import os
import random
import sys
from functools import partial

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.strategies import ModelParallelStrategy

from lexigraft.training.batch_size import (
    FittingMicroBatch,
    largest_batch,
    largest_that_fits,
    longest_texts,
    memory_limit,
    out_of_memory,
    unchanged,
)
from lexigraft.training.module import SupervisedModule
from lexigraft.training.random_state import random_state
from tests.training.tiny import batches, module, trainer


def full(most, tried):
    """A step for which there is memory for so many texts."""

    def step(size):
        tried.append(size)
        if size > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    return step


@pytest.mark.parametrize(
    ("most", "start", "limit", "found", "sizes"),
    [
        (99, 1, 64, 64, [1, 2, 4, 8, 16, 32, 64]),
        (99, 64, 64, 64, [64]),
        (20, 1, 64, 16, [1, 2, 4, 8, 16, 32]),
        (20, 64, 64, 16, [64, 32, 16]),
        (20, 16, 24, 16, [16, 24]),
        (24, 5, 24, 24, [5, 10, 20, 24]),
        (1, 48, 48, 1, [48, 24, 12, 6, 3, 1]),
        (1, 1, 1, 1, [1]),
    ],
)
def test_sizes_are_doubled_while_they_fit_and_halved_until_they_do(most, start, limit, found, sizes):
    tried = []
    assert largest_that_fits(full(most, tried), start, limit) == found
    assert tried == sizes


@pytest.mark.parametrize("start", [1, 8])
def test_no_room_for_one_text_is_told(start):
    with pytest.raises(ValueError, match="not even one of the longest texts fits .* try a lower trainer.max_tokens"):
        largest_that_fits(full(0, []), start, 8)


def test_other_errors_are_not_taken_for_full_memory():
    def step(size):
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        largest_that_fits(step, 1, 8)


def test_what_a_step_held_is_free_before_the_next():
    held = []

    class Big:
        def __del__(self):
            held.remove(self.size)

        def __init__(self, size):
            self.size = size
            held.append(size)

    def step(size):
        assert held == []
        big = Big(size)
        if big.size > 2:
            raise MemoryError

    assert largest_that_fits(step, 8, 8) == 2


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)  # fmt: skip
def test_errors_that_mean_full_memory(error, full):
    assert out_of_memory(error) == full


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
def test_a_cpu_s_memory_is_limited_and_free_again():
    """In a process of its own: the limit is for all threads of one."""
    process = multiprocessing.get_context("fork").Process(target=_limited)
    process.start()
    process.join()
    assert process.exitcode == 32


def _limited():
    with memory_limit(200 * 2**20):
        found = largest_that_fits(lambda size: torch.ones(size * 2**20), 1, 128)
    torch.ones(128 * 2**20)
    os._exit(found)


def test_without_a_known_limit_nothing_is_limited(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with memory_limit(None):
        assert resource.getrlimit(resource.RLIMIT_DATA) == before
    with memory_limit(2**20, tmp_path / "none"):
        assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_the_longest_texts_come_first_and_again_where_they_are_few():
    data = batches()
    batch = longest_texts(data.tasks, 5)
    lengths = data.tasks["main"]["train"].encoded.lengths()
    assert batch["mask"].sum(1).tolist() == sorted(lengths.tolist(), reverse=True)[:5]
    assert len(longest_texts(data.tasks, 200)["index"]) == 200


def test_training_in_between_leaves_no_trace():
    made = module(optimizer=torch.optim.AdamW)
    optimizer = made.made_optimizer(1)
    batch = longest_texts(batches().tasks, 4)

    def step():
        made.loss_of(batch).backward()
        optimizer.step()

    step()  # so that there is something to lose: gradients, and what the optimizer remembers
    before = [p.clone() for p in made.parameters()], [p.grad.clone() for p in made.parameters()]
    moments = [state["exp_avg"].clone() for state in optimizer.state.values()]
    streams = random_state()
    with unchanged(made, [optimizer]):
        made.model.embedding.requires_grad_(False)
        for _ in range(2):
            step()
        torch.rand(3), np.random.rand(3), random.random()
        assert not torch.equal(before[0][-1], [*made.parameters()][-1])
    for parameter, weight, gradient in zip(made.parameters(), *before):
        assert parameter.requires_grad
        assert torch.equal(parameter, weight)
        assert torch.equal(parameter.grad, gradient)
    assert all(torch.equal(state["exp_avg"], was) for state, was in zip(optimizer.state.values(), moments))
    assert [float(state["step"]) for state in optimizer.state.values()] == [1.0] * len(moments)
    assert torch.equal(random_state()["torch"], streams["torch"])
    assert torch.equal(random_state()["numpy"][1], streams["numpy"][1])
    assert random_state()["python"] == streams["python"]


class Limited(SupervisedModule):
    """A module on a device with memory for so many texts."""

    most = 99

    def loss_of(self, batch):
        if len(batch["index"]) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().loss_of(batch) + 0 * torch.rand(())


def made(most=99):
    limited = module(optimizer=torch.optim.AdamW)
    limited.__class__, limited.most = Limited, most
    return limited


def trained(folder, of, *callbacks):
    trainer(folder, *callbacks, epochs=1).fit(of, datamodule=batches())
    return of.state_dict()


def test_a_run_finds_its_number_and_trains_as_if_it_had_been_given(tmp_path):
    data, lines = batches(), []
    search = FittingMicroBatch(partial(longest_texts, data.tasks), 8, memory=lambda: 2**30, say=lines.append)
    searching, given = made(most=6), made(most=6)
    given.micro_batch = 4
    found, expected = trained(tmp_path, searching, search), trained(tmp_path, given)
    assert search.found == searching.micro_batch == 4
    assert lines == ["micro batch 4 of 8 texts"]
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_it_is_looked_for_with_all_weights_that_are_ever_trained(tmp_path):
    one, moved = made(), []
    one.model.embedding.requires_grad_(False)

    def ready():
        one.model.embedding.requires_grad_(True)
        one.model.embedding.lookup.weight.register_hook(lambda gradient: moved.append(len(gradient)))

    search = FittingMicroBatch(partial(longest_texts, batches().tasks), 1, ready=ready)
    search.on_train_start(Started(one), one)
    assert moved == [20, 20]
    assert not one.model.embedding.lookup.weight.requires_grad


class Started:
    """As much of a trainer as a search needs."""

    def __init__(self, of):
        self.optimizers, self.strategy, self.precision_plugin = [of.made_optimizer(1)], self, Precision()

    def batch_to_device(self, batch):
        return batch


def test_a_number_that_was_found_before_is_kept(tmp_path):
    first, again = (FittingMicroBatch(pytest.fail, 8) for _ in range(2))
    first.found = 3
    again.load_state_dict(first.state_dict())
    one = made()
    trained(tmp_path, one, again)
    assert one.micro_batch == 3


def test_processes_that_share_one_model_cannot_search():
    class Sharded(Callback):
        strategy = ModelParallelStrategy()

    with pytest.raises(ValueError, match="trainer.micro_batch is not for processes that share one model"):
        FittingMicroBatch(pytest.fail, 8).setup(Sharded(), module(), "fit")


@pytest.mark.parametrize(("size", "ranks", "largest"), [(8, 1, 8), (9, 2, 5), (500, 1, 64), (500, 3, 22)])
def test_the_largest_batch_of_a_rank(size, ranks, largest):
    assert largest_batch(batches().tasks, size, ranks) == largest
