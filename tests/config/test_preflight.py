from dataclasses import fields

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import ReadonlyConfigError

from lexigraft.config import preflight as module
from lexigraft.config.errors import ConfigError
from lexigraft.config.preflight import check_schema, preflight, without_hydra
from lexigraft.config.schema import TrainConfig, TransplantConfig
from tests.config.test_schema import HARDWARE, TRAINER

TARGET = f"{__name__}.made"


def made(size: int = 1, **rest: object) -> None: ...


KEYS = {field.name for field in fields(TrainConfig)}
WRITING = {"write": "auto", "shard_gb": 5, "pad_to_multiple_of": 1}


def transplant_config(**changes):
    node = {"_target_": TARGET, "size": 1}
    values = {"data": dict(node), "source": dict(node), "tokenizer": dict(node), "transplant": dict(node)}
    return OmegaConf.create(values | {"output": "x", "seed": 0} | WRITING | changes)


def train_config(**changes):
    node = {"_target_": TARGET}
    dropouts = dict.fromkeys(("embedding_dropout", "variational_dropout", "word_dropout", "head_dropout"), 0.1)
    model = {"encoder": node, "pooling": node, **dropouts}
    return OmegaConf.create(
        {group: dict(node) for group in module.GROUPS if group in KEYS}
        | {several: {} for several in (*module.SEVERAL, "auxiliary") if several in KEYS}
        | {"leakage_similarity": None}
        | {"model": model, "hardware": HARDWARE, "trainer": TRAINER}
        | {"experiment": "x", "output_root": "outputs", "seed": 0, "test": True, "rerun": False}
        | changes
    )


def problems_of(cfg, schema=TransplantConfig):
    with pytest.raises(ConfigError) as caught:
        preflight(cfg, schema)
    return caught.value.problems


def test_the_result_is_resolved_and_read_only_and_keeps_its_targets():
    checked = preflight(transplant_config(output="${data._target_}"), TransplantConfig)
    assert checked.output == TARGET
    assert checked.data._target_ == TARGET
    with pytest.raises(ReadonlyConfigError):
        checked.seed = 1


def test_a_good_train_config_passes():
    assert preflight(train_config(), TrainConfig).trainer.epochs == 5


def test_types_are_settled():
    checked = preflight(transplant_config(output=2024, data={"_target_": TARGET, "size": "3"}), TransplantConfig)
    assert checked.output == "2024"
    assert checked.data.size == 3


def test_the_schema_is_asked_before_any_target_is_imported(monkeypatch):
    monkeypatch.setattr(module, "target_problems", lambda *_: pytest.fail("imported a target"))
    assert problems_of(transplant_config(seed="x")) == ("seed=x in the config should be a valid integer",)


def test_missing_values_and_wrong_ones_are_told_together():
    assert len(problems_of(transplant_config(seed="x", output="???"))) == 2


def test_targets_are_asked_for_their_arguments():
    [problem] = problems_of(transplant_config(data={"_target_": TARGET, "size": "big"}))
    assert problem == "data.size=big in the config should be a valid integer"


def test_a_group_must_name_its_code():
    [problem] = problems_of(transplant_config(source={"size": 1}))
    assert problem.startswith("'source._target_' is missing in the config")
    model = OmegaConf.to_container(train_config().model) | {"encoder": {}}
    [problem] = problems_of(train_config(model=model), TrainConfig)
    assert problem.startswith("'model.encoder._target_' is missing")


def test_only_transplant_can_do_without_texts():
    assert preflight(transplant_config(data={"root": None}), TransplantConfig).data.root is None
    assert problems_of(train_config(data={"root": None}), TrainConfig) == (
        "data=none has no texts to train on: choose another, see lexigraft show options data",
    )
    assert "'data._target_' is missing" in problems_of(transplant_config(data={"rot": None}))[0]


def test_interpolations_that_lead_nowhere_get_the_nearest_key():
    assert problems_of(transplant_config(output="${data.sizes}")) == (
        "output in the config: Interpolation key 'data.sizes' not found; did you mean 'data.size'?",
    )


def test_an_environment_variable_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("LEXIGRAFT_ABSENT", raising=False)
    [problem] = problems_of(transplant_config(output="${oc.env:LEXIGRAFT_ABSENT}"))
    assert problem == "output in the config: Environment variable 'LEXIGRAFT_ABSENT' not found"


def test_an_unknown_resolver_is_named():
    [problem] = problems_of(transplant_config(data={"_target_": TARGET, "deep": [{"x": "${nope:1}"}]}))
    assert problem == "data.deep.0.x in the config: Unsupported interpolation type nope"


def test_what_the_machine_lacks_is_told_before_anything_is_read(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    cfg = train_config(hardware=HARDWARE | {"accelerator": "gpu", "devices": 2})
    [problem] = problems_of(cfg, TrainConfig)
    assert problem.endswith("there is 1 GPU here; use hardware=auto, or hardware.devices=1")


def test_numbers_of_processes_are_settled(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    cfg = train_config(hardware=HARDWARE | {"accelerator": "gpu", "devices": "auto", "nodes": "auto"})
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    checked = preflight(cfg, TrainConfig).hardware
    assert (checked.devices, checked.nodes) == (4, 1)


def test_check_schema_lets_missing_values_pass_but_not_wrong_ones():
    assert check_schema(transplant_config(output="???"), TransplantConfig)["output"] == "???"
    with pytest.raises(ConfigError, match="seed=x"):
        check_schema(transplant_config(seed="x"), TransplantConfig)


def test_hydras_own_node_is_left_out():
    assert "hydra" not in without_hydra(transplant_config(hydra={"mode": None}))
