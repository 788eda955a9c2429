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
        {group: dict(node) for group in module.GROUPS}
        | {several: {} for several in (*module.SEVERAL, "auxiliary")}
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


@pytest.mark.parametrize(("available", "refused"), [(False, True), (True, False)])
def test_fp16_needs_a_gpu_also_where_the_accelerator_is_chosen_automatically(monkeypatch, available, refused):
    import torch

    monkeypatch.setattr(torch.accelerator, "is_available", lambda: available)
    cfg = train_config(hardware=HARDWARE | {"precision": "16-mixed"})
    if refused:
        assert "hardware.precision=16-mixed needs a GPU" in problems_of(cfg, TrainConfig)[0]
    else:
        assert preflight(cfg, TrainConfig).hardware.precision == "16-mixed"


@pytest.mark.parametrize(("here", "says"), [(0, "there are 0 GPUs here"), (1, "there is 1 GPU here"), (2, None)])
def test_gpus_that_are_not_here_are_refused_before_anything_is_read(monkeypatch, here, says):
    import torch

    monkeypatch.setattr(torch.accelerator, "device_count", lambda: here)
    cfg = train_config(hardware=HARDWARE | {"accelerator": "gpu", "devices": 2})
    if says:
        assert says in problems_of(cfg, TrainConfig)[0]
    else:
        assert preflight(cfg, TrainConfig).hardware.devices == 2


def test_check_schema_lets_missing_values_pass_but_not_wrong_ones():
    assert check_schema(transplant_config(output="???"), TransplantConfig)["output"] == "???"
    with pytest.raises(ConfigError, match="seed=x"):
        check_schema(transplant_config(seed="x"), TransplantConfig)


def test_hydras_own_node_is_left_out():
    assert "hydra" not in without_hydra(transplant_config(hydra={"mode": None}))
