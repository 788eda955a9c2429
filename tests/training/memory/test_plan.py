"""Plans: exact bytes of what stands all the time, and what conditions make of them."""

from dataclasses import replace

import pytest
import torch
from torch import optim

from lexigraft.models.active import activate
from lexigraft.training.finetune.phases import EmbeddingFirst
from lexigraft.training.finetune.steady import EmbeddingOnly, Frozen
from lexigraft.training.memory.available import Free
from lexigraft.training.memory.parts import Conditions, parts_of, used_rows
from lexigraft.training.memory.plan import plan, planned
from lexigraft.training.random_state import random_state
from lexigraft.training.strategy import Strategy

from .modules import ADAMW, DIM, ROWS, TOKENS, batches, module
from .test_untouched import assert_same, everything

HERE = Conditions(batch_size=8)
PLENTY = Free(10**12, "on the CPU")


def of(trained, conditions=HERE, data=None):
    return plan(trained, data or batches(), conditions, PLENTY)


def real(trained, optimizer):
    """Bytes of weights, gradients and state after a step."""
    trained.loss_of(batches(8).train.__getitems__([0, 1])).backward()
    optimizer.step()
    weights = list(trained.parameters())
    state = [v.nbytes for of_one in optimizer.state.values() for v in of_one.values() if torch.is_tensor(v)]
    return (
        sum(weight.nbytes for weight in weights),
        sum(weight.grad.nbytes for weight in weights if weight.grad is not None),
        sum(state),
    )


@pytest.mark.parametrize("strategy", [Strategy(), Frozen(), EmbeddingOnly()])
@pytest.mark.parametrize("optimizer", [ADAMW, optim.SGD, optim.Adafactor])
def test_weights_gradients_and_optimizer_are_those_after_a_real_step(strategy, optimizer):
    trained = module("bert", optimizer, finetune=strategy)
    made = of(trained)
    strategy.apply(trained.model, 0)
    buffers = sum(buffer.nbytes for buffer in trained.buffers())
    expected = real(trained, trained.made_optimizer(1))
    assert (made.weights - buffers, made.gradients, made.optimizer) == expected


def test_the_last_epoch_counts_when_weights_thaw():
    trained = module("transformer", finetune=EmbeddingFirst(epochs=2))
    first, last = of(trained), of(trained, replace(HERE, epochs=3))
    assert last.gradients == last.weights
    assert first.gradients < last.gradients


def test_nothing_to_train_needs_no_gradient_and_no_optimizer():
    class Held(Strategy):
        def apply(self, model, epoch):
            model.requires_grad_(False)

    made = of(module(finetune=Held()))
    assert (made.gradients, made.optimizer, made.trained, made.optimizer_name) == (0, 0, 0, "none")
    assert made.activations == 0
    assert made.total > made.weights


@pytest.mark.parametrize("encoder", ["bilstm", "bert"])
def test_a_module_is_left_as_it_was(encoder):
    trained = module(encoder, finetune=Frozen()).eval()
    trained.model.encoder.train()
    trained.model.heads["main"].weight.grad = torch.ones(2, trained.model.encoder.width)
    before, streams = everything(trained), random_state()
    of(trained)
    assert_same(before, everything(trained))
    assert torch.equal(random_state()["torch"], streams["torch"])
    assert random_state()["python"] == streams["python"]


def test_rows_that_rest_need_memory_but_no_gradient():
    whole, some = module(), module()
    activate(some.model.embedding, torch.arange(100))
    a, b = of(whole), of(some)
    witness = some.model.embedding.lookup.witness.nbytes
    assert a.gradients - b.gradients == (ROWS - 100) * DIM * 4 - witness
    assert b.weights > a.weights, "on a CPU the whole matrix stands beside the trained rows"
    assert used_rows(batches()) == 100


def test_half_the_bytes_in_16_bits():
    trained = module("transformer")
    whole, half = of(trained), of(trained, replace(HERE, precision="bf16-true"))
    mixed = of(trained, replace(HERE, precision="bf16-mixed"))
    assert (half.weights, half.gradients) == (whole.weights // 2, whole.gradients // 2)
    assert (mixed.weights, mixed.optimizer) == (whole.weights, whole.optimizer)
    assert mixed.activations < whole.activations


def test_an_average_is_a_second_set_of_weights():
    trained = module()
    assert of(trained, replace(HERE, averaging=True)).averages == of(trained).weights


def test_ranks_share_batches_and_what_the_strategy_divides():
    parts = parts_of(module("transformer"), batches(), HERE)
    one = planned(parts, HERE, PLENTY)
    ddp = planned(parts, replace(HERE, ranks=4, strategy="ddp"), PLENTY)
    fsdp = planned(parts, replace(HERE, ranks=4, strategy="fsdp"), PLENTY)
    assert ddp.shape == (2, TOKENS)
    assert ddp.gradients == 2 * one.gradients, "buckets are a copy"
    assert ddp.optimizer == one.optimizer
    assert [fsdp.weights, fsdp.gradients, fsdp.optimizer] == pytest.approx(
        [one.weights / 4, one.gradients / 4, one.optimizer / 4], abs=4
    )
    assert one.checkpoint - fsdp.checkpoint == parts.state, "a rank reads its own piece of the optimizer"


def test_offloaded_weights_and_activation_checkpointing():
    parts = parts_of(module("transformer"), batches(), HERE)
    fsdp = replace(HERE, ranks=2, strategy="fsdp")
    whole = planned(parts, fsdp, PLENTY)
    aside = planned(parts, replace(fsdp, cpu_offload=True), PLENTY)
    again = planned(parts, replace(fsdp, activation_checkpointing=True), PLENTY)
    assert (aside.weights - parts.buffers, aside.optimizer) == (0, 0)
    on_gpus = replace(fsdp, accelerator="gpu")
    waiting = planned(parts, replace(on_gpus, cpu_offload=True), PLENTY).host
    assert waiting - planned(parts, on_gpus, PLENTY).host >= (parts.weights * 8 + parts.state) / 2
    assert again.activations < whole.activations


def test_a_gpu_leaves_rows_and_checkpoints_to_the_machine():
    trained = module()
    activate(trained.model.embedding, torch.arange(100))
    parts = parts_of(trained, batches(), HERE)
    here, there = planned(parts, HERE, PLENTY), planned(parts, replace(HERE, accelerator="gpu"), PLENTY)
    assert here.weights - there.weights == ROWS * DIM * 4
    assert (here.host, there.checkpoint, there.held) == (0, 0, 0)
    assert there.host == here.checkpoint + ROWS * DIM * 4
    assert here.free == PLENTY.bytes + here.held, "what the module holds already can be taken"


def test_activations_are_those_of_the_largest_part_of_a_batch():
    trained = module("transformer")
    whole, part = of(trained), of(trained, replace(HERE, micro_batch=3))
    small = of(trained, replace(HERE, batch_size=3), batches(batch_size=3))
    assert part.shape == small.shape == (3, TOKENS)
    assert part.activations == small.activations < whole.activations
    assert of(trained, replace(HERE, micro_batch=3, ranks=2)).shape == (2, TOKENS)  # 4 texts in two parts
    assert of(trained, replace(HERE, micro_batch=99)).shape == whole.shape


def test_a_bound_on_tokens_bounds_the_batch():
    data = batches(batch_tokens=2 * TOKENS)
    assert of(module(), data=data).shape == (2, TOKENS)


def test_the_largest_batch_of_several_tasks_counts():
    trained, both = module(), batches()
    other = batches(2 * TOKENS).tasks["main"]
    both.tasks = {"main": both.tasks["main"], "other": other}
    assert of(trained, data=both).shape == (8, 2 * TOKENS)


def test_values_for_a_result_are_plain():
    made = of(module())
    values = made.as_dict()
    assert values["bytes"]["total"] == made.total
    assert values["batch"] == [8, TOKENS]
    kinds = {type(value) for value in values["bytes"].values()}
    assert kinds == {int}
