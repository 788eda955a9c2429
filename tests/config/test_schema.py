import copy

import pytest

from lexigraft.config.schema import (
    Hardware,
    TrainConfig,
    Trainer,
    TransplantConfig,
    keys,
    missing_values,
    schema_problems,
    shown_value,
)

NODE = {"_target_": "builtins.dict"}
WRITING = {"write": "auto", "shard_gb": 5, "pad_to_multiple_of": 1}
TRAINER = {
    "epochs": 5,
    "batch_size": 64,
    "batch_tokens": None,
    "sorted_batches": 50,
    "eval_batch_size": 256,
    "max_tokens": 128,
    "monitor": "accuracy",
    "patience": 3,
    "sampling_temperature": 1.0,
    "gradient_clip": 1.0,
    "gradient_clip_by": "norm",
    "accumulate": 1,
    "micro_batch": None,
    "active_vocabulary": True,
    "decay_embeddings": False,
    "workers": 0,
    "progress": True,
    "profile": False,
    "keep_last": False,
    "checkpoint_every": 10,
    "checkpoint_async": False,
}
HARDWARE = {
    "accelerator": "auto",
    "devices": 1,
    "nodes": 1,
    "strategy": "ddp",
    "cpu_offload": False,
    "activation_checkpointing": False,
    "precision": "32",
    "threads": 2,
    "compile": False,
    "deterministic": False,
    "requeue": False,
}


def where(path):
    return "x.yaml"


def problems_of(schema, values):
    return schema_problems(values, schema, where)[1]


@pytest.mark.parametrize("name", ["../elsewhere", "/absolute", "a/../../b"])
def test_an_experiment_stays_below_the_output_root(name):
    [problem] = [p for p in problems_of(TrainConfig, {"experiment": name}) if p.startswith("experiment=")]
    assert "should be a name, or names with / between them, below output_root" in problem
    assert not [p for p in problems_of(TrainConfig, {"experiment": "a/b"}) if p.startswith("experiment=")]


def test_a_good_trainer_has_no_problems():
    settled, problems = schema_problems(TRAINER, Trainer, where)
    assert problems == []
    assert settled == TRAINER


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("epochs", 0, "trainer_epochs=0 in x.yaml should be greater than or equal to 1"),
        ("epochs", "abc", "=abc in x.yaml should be a valid integer"),
        ("epochs", "", "='' in x.yaml should be a valid integer"),
        ("epochs", 1.5, "=1.5 in x.yaml should be a valid integer"),
        ("epochs", True, "=true in x.yaml should be a valid integer"),
        ("epochs", None, "=null in x.yaml should be a valid integer"),
        ("batch_size", 0, "greater than or equal to 1"),
        ("eval_batch_size", 0, "greater than or equal to 1"),
        ("max_tokens", 1, "greater than or equal to 2"),
        ("patience", 0, "greater than or equal to 1"),
        ("gradient_clip", 0, "should be greater than 0"),
        ("gradient_clip", float("nan"), "should be a finite number"),
        ("workers", -1, "greater than or equal to 0"),
        ("progress", "yes", "should be a valid boolean"),
        ("gradient_clip_by", "nrom", "should be 'norm' or 'value'; did you mean 'norm'?"),
        ("sampling_temperature", 0.5, "greater than or equal to 1"),
        ("batch_tokens", 0, "greater than or equal to 1"),
        ("accumulate", 0, "greater than or equal to 1"),
        ("micro_batch", 0, "=0 in x.yaml should be a whole number from 1 on, or auto"),
        ("micro_batch", "most", "=most in x.yaml should be a whole number from 1 on, or auto"),
        ("micro_batch", True, "=true in x.yaml should be a whole number from 1 on, or auto"),
    ],
)
def test_wrong_types_and_ranges_are_named(key, value, says):
    [problem] = problems_of(Trainer, TRAINER | {key: value})
    assert problem.startswith(f"{key}=")
    assert says.removeprefix("trainer_epochs") in problem


@pytest.mark.parametrize(
    ("key", "value"), [("patience", None), ("gradient_clip", None), ("micro_batch", None), ("micro_batch", "auto")]
)
def test_values_that_switch_something_off_are_allowed(key, value):
    assert problems_of(Trainer, TRAINER | {key: value}) == []


def test_an_unknown_key_gets_the_nearest_name():
    assert problems_of(Trainer, TRAINER | {"epoch": 3}) == ["unknown key 'epoch' in x.yaml; did you mean 'epochs'?"]


def test_a_key_that_is_gone_is_missed():
    trainer = {key: value for key, value in TRAINER.items() if key != "epochs"}
    assert problems_of(Trainer, trainer) == ["'epochs' is missing: it should stand in x.yaml"]


def test_several_mistakes_are_all_told():
    assert len(problems_of(Trainer, TRAINER | {"epochs": 0, "epoch": 1, "workers": -1})) == 3


def test_numbers_become_texts_where_a_text_is_asked_for():
    values = {"data": NODE, "source": NODE, "tokenizer": NODE, "transplant": NODE, "output": 2024, "seed": 0, **WRITING}
    settled, problems = schema_problems(values, TransplantConfig, where)
    assert problems == []
    assert settled["output"] == "2024"


@pytest.mark.parametrize("seed", [-1, 2**32, None, 1.5])
def test_a_seed_is_always_a_number_that_every_library_takes(seed):
    values = {
        "data": NODE,
        "source": NODE,
        "tokenizer": NODE,
        "transplant": NODE,
        "output": "x",
        "seed": seed,
        **WRITING,
    }
    [problem] = problems_of(TransplantConfig, values)
    assert problem.startswith("seed=")


def test_a_group_is_not_one_value():
    values = {"data": None, "source": 3, "tokenizer": NODE, "transplant": NODE, "output": "x", "seed": 0, **WRITING}
    assert problems_of(TransplantConfig, values) == [
        "data=null in x.yaml should be a group of keys, not one value",
        "source=3 in x.yaml should be a group of keys, not one value",
    ]


@pytest.mark.parametrize("precision", ["auto", "32", "tf32", "bf16-mixed", "bf16-true", "16-mixed", "fp8"])
def test_precisions_are_known(precision):
    assert problems_of(Hardware, HARDWARE | {"precision": precision}) == []


def test_float32_may_be_written_as_a_number_and_becomes_a_text():
    settled, problems = schema_problems(HARDWARE | {"precision": 32}, Hardware, where)
    assert (settled["precision"], problems) == ("32", [])


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("precision", "bf16-mixd", "did you mean 'bf16-mixed'?"),
        ("precision", "32-true", "should be 32, the name that float32 has here"),
        ("precision", 64, "should be 'auto', '32', 'tf32', 'bf16-mixed', 'bf16-true', '16-mixed' or 'fp8'"),
        ("precision", True, "should be 'auto', '32', 'tf32', 'bf16-mixed', 'bf16-true', '16-mixed' or 'fp8'"),
        ("accelerator", "cuda", "should be 'auto', 'cpu', 'gpu' or 'mps'"),
        ("devices", 0, "should be a whole number from 1 on, or auto"),
        ("devices", True, "should be a whole number from 1 on, or auto"),
        ("nodes", "all", "should be a whole number from 1 on, or auto"),
        ("compile", "maybe", "should be true, false or auto"),
        ("deterministic", "warn", "should be a valid boolean"),
        ("requeue", 1, "should be a valid boolean"),
    ],
)
def test_other_hardware_is_refused_in_one_sentence(key, value, says):
    [problem] = problems_of(Hardware, HARDWARE | {key: value})
    assert problem.startswith(f"{key}={shown_value(value)} in x.yaml should be")
    assert problem.endswith(says)


@pytest.mark.parametrize(("key", "value"), [("devices", "auto"), ("nodes", "auto"), ("compile", "auto"), ("nodes", 3)])
def test_what_the_machine_decides_may_be_auto(key, value):
    assert problems_of(Hardware, HARDWARE | {key: value}) == []


def of_hardware(**changes):
    problems = problems_of(TrainConfig, {"hardware": HARDWARE | changes})
    return [problem for problem in problems if "hardware" in problem]


def test_fp16_on_a_cpu_is_refused():
    [problem] = of_hardware(accelerator="cpu", precision="16-mixed")
    assert problem.startswith("hardware.precision=16-mixed in x.yaml is not for a CPU")
    assert problem.endswith("use bf16-mixed or 32")


def test_missing_values_are_named_wherever_they_stand():
    values = {"data": {"train": "???", "splits": [{"name": "???"}]}, "seed": 0}
    assert missing_values(values, where) == [
        "'data.train' has no value in x.yaml; give it as data.train=...",
        "'data.splits.0.name' has no value in x.yaml; give it as data.splits.0.name=...",
    ]


def test_missing_values_are_not_told_twice():
    assert problems_of(Trainer, TRAINER | {"epochs": "???"}) == []


def test_values_are_not_changed_in_place():
    values = TRAINER | {"epochs": 0}
    before = copy.deepcopy(values)
    problems_of(Trainer, values)
    assert values == before


def test_keys_of_a_schema_are_dotted():
    assert {"seed", "trainer", "trainer.epochs", "hardware.precision", "model.encoder"} <= set(keys(TrainConfig))
