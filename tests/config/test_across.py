"""Settings that do not go together; those of `hardware.strategy=fsdp` are told in test_sharding.py."""

from lexigraft.config.across import across_problems
from tests.config.test_schema import HARDWARE, TRAINER


def problems(**changes):
    return across_problems({"hardware": HARDWARE, "trainer": TRAINER | changes}, lambda path: "x.yaml")


def test_a_search_for_texts_that_fit_is_not_for_batches_of_tokens():
    [problem] = problems(micro_batch="auto", batch_tokens=4096)
    assert problem.startswith("trainer.micro_batch=auto in x.yaml counts texts, and is not for batches that")
    assert problem.endswith("or lower batch_tokens and raise trainer.accumulate")
    assert problems(micro_batch=4, batch_tokens=4096) == problems(micro_batch="auto") == []


def test_a_piece_of_each_weight_needs_several_processes():
    cut = {"hardware": HARDWARE | {"strategy": "fsdp", "devices": 1, "nodes": 1}, "trainer": TRAINER}
    [problem] = across_problems(cut, lambda path: "x.yaml")
    assert problem.startswith("hardware.strategy=fsdp cuts a model into pieces")
