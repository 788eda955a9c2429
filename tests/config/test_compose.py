import os

import pytest
from omegaconf import OmegaConf

from lexigraft.config.compose import extend_conf, jobs, loader, refuse_devices_under_multirun
from lexigraft.config.errors import ConfigError


def composed(*overrides, config="train", multirun=False):
    with loader():
        return [cfg for cfg, _ in jobs(config, overrides, multirun)]


def problems_of(*overrides, config="train", multirun=False):
    with pytest.raises(ConfigError) as caught:
        composed(*overrides, config=config, multirun=multirun)
    return caught.value.problems


def origin_of(path, *overrides, config="train"):
    with loader():
        [(_, origin)] = jobs(config, overrides, multirun=False)
        return origin(path)


@pytest.fixture
def user_folder(tmp_path, monkeypatch):
    """A folder of options, and the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEXIGRAFT_CONF", "")

    def write(name, text):
        file = tmp_path / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        extend_conf(["mine"])

    return write


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("seeed=1", "unknown key 'seeed' in the command line; did you mean 'seed'?"),
        ("trainer.epoch=1", "unknown key 'trainer.epoch' in the command line; did you mean 'trainer.epochs'?"),
        ("lr=0.1", "unknown key 'lr' in the command line; did you mean 'optimizer.lr'?"),
        ("modle=textcnn", "unknown key 'modle' in the command line; did you mean 'model'?"),
        ("seed.x=1", "unknown key 'seed.x' in the command line"),
        ("hydra.swepeer=1", "unknown key 'hydra.swepeer' in the command line; did you mean 'hydra.sweeper'?"),
        ("model/poolin=max", "unknown group 'model/poolin' in the command line; did you mean 'model/pooling'?"),
        ("+seed=1", "'seed' exists already: leave out the + before it"),
        ("~trainer.foo", "'~trainer.foo' in the command line: there is no such key to delete"),
        ("lr", "'lr' is not an override: write key=value"),
        ("seed=1,2", "'seed=1,2' holds several values: add -m for one run each, or write seed=[...] for a list"),
        ("model=null", "the command line: Config group override must be a string or a list. Got NoneType"),
    ],
)
def test_what_does_not_compose_gets_a_sentence(override, says):
    assert problems_of(override) == (says,)


def test_every_unknown_key_is_told():
    assert len(problems_of("seeed=1", "trainer.epoch=1", "trainer.epochs=2")) == 2


def test_hydras_advice_to_add_a_plus_is_never_given():
    assert "+" not in " ".join(problems_of("seeed=1"))


def test_an_unknown_option_lists_those_that_exist_nearest_first():
    [problem] = problems_of("model=textcn")
    assert problem.startswith("unknown option 'model=textcn'; did you mean 'textcnn'? model has textcnn, ")
    assert "bilstm" in problem
    assert "_shared" not in problems_of("hardware=x")[0]


def test_an_override_that_cannot_be_read_says_how_to_quote():
    [problem] = problems_of("trainer.epochs=[1")
    assert problem.startswith("cannot read 'trainer.epochs=[1' on the command line: quote")
    [problem] = problems_of('data.classes={"a": 1}')
    assert problem.endswith("check its quotes and brackets (a name before a colon in {...} stands without quotes)")


def test_an_entry_of_a_list_cannot_be_deleted():
    [problem] = problems_of("~transplant.fill.1")
    assert problem == (
        "'~transplant.fill.1' in the command line: an entry of a list cannot be taken out; give the whole list, "
        "transplant.fill=[...]"
    )


def test_an_unknown_primary_config():
    [problem] = problems_of(config="studdy")
    assert problem.startswith("there is no primary config 'studdy'")


def test_a_group_of_the_other_command():
    [problem] = problems_of("model=textcnn", config="transplant")
    assert problem == "'model' is not a part of transplant.yaml, which the command line asks to change"


def test_a_sweep_is_composed_as_its_jobs():
    found = composed("seed=0,1", "model=textcnn,bigru", "trainer.epochs=2", multirun=True)
    assert [(cfg.seed, cfg.hydra.runtime.choices.model) for cfg in found] == [
        (0, "textcnn"),
        (0, "bigru"),
        (1, "textcnn"),
        (1, "bigru"),
    ]
    assert {cfg.trainer.epochs for cfg in found} == {2}


def test_a_mistake_in_any_job_of_a_sweep_is_found():
    assert "unknown option 'model=bigruu'" in problems_of("model=textcnn,bigruu", multirun=True)[0]


def test_a_range_that_only_another_sweeper_knows():
    assert "does not support sweep type" in problems_of("optimizer.lr=interval(0,1)", multirun=True)[0]


def test_another_sweeper_gets_the_fixed_part_checked(user_folder):
    user_folder("study.yaml", "defaults: [train, _self_]\nhydra: {sweeper: {_target_: my.OwnSweeper}}\n")
    assert len(composed("seed=0,1", "trainer.epochs=2", config="study", multirun=True)) == 1


def test_a_primary_config_can_be_a_sweep_by_itself(user_folder):
    user_folder(
        "study.yaml",
        "defaults: [train, _self_]\nhydra: {mode: MULTIRUN, sweeper: {params: {seed: '0,1,2'}}}\n",
    )
    assert [cfg.seed for cfg in composed(config="study")] == [0, 1, 2]


def test_each_job_of_a_sweep_knows_its_number():
    found = composed("experiment=number${hydra:job.num}", "seed=5,6", multirun=True)
    assert [(cfg.hydra.job.num, cfg.hydra.job.id) for cfg in found] == [(0, "0"), (1, "1")]


def test_references_to_hydras_own_node_resolve():
    [cfg] = composed("experiment=${hydra:runtime.choices.model}", "model=bigru")
    assert cfg.experiment == "bigru"


def test_several_devices_are_refused_in_a_sweep_within_one_process():
    [first, _] = composed("seed=0,1", "hardware.devices=2", multirun=True)
    refuse_devices_under_multirun(first.hydra, first)
    for setting in ("hardware.devices=2", "hardware.nodes=2", "hardware.devices=auto"):
        [first, _] = composed("seed=0,1", setting, "hydra/launcher=basic", multirun=True)
        with pytest.raises(ConfigError, match=f"{setting} cannot be combined with hydra/launcher=basic"):
            refuse_devices_under_multirun(first.hydra, first)
    [single] = composed("hardware.devices=2")
    refuse_devices_under_multirun(single.hydra, single)


def test_user_folders_come_from_the_flag_and_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LEXIGRAFT_CONF", f"{tmp_path}")
    (tmp_path / "a b").mkdir()
    extend_conf([str(tmp_path / "a b")])
    assert os.environ["LEXIGRAFT_CONF"].split(os.pathsep) == [str(tmp_path / "a b"), str(tmp_path)]


def test_a_user_folder_that_does_not_exist(monkeypatch):
    monkeypatch.setenv("LEXIGRAFT_CONF", "")
    with pytest.raises(ConfigError, match="--config-dir names '/nope', which is not a folder"):
        extend_conf(["/nope"])
    monkeypatch.setenv("LEXIGRAFT_CONF", "/nope")
    with pytest.raises(ConfigError, match="LEXIGRAFT_CONF names '/nope'"):
        extend_conf([])


def test_options_of_a_user_folder_extend_ours(user_folder):
    user_folder("scheduler/wave.yaml", "# Mine.\n_target_: x.Wave\nwarmup: 3\n")
    [cfg] = composed("scheduler=wave")
    assert cfg.scheduler.warmup == 3


def test_a_user_option_that_ours_would_hide_is_refused(user_folder):
    with pytest.raises(ConfigError, match=r"mine/model/textcnn.yaml would be hidden by lexigraft's own conf/model"):
        user_folder("model/textcnn.yaml", "a: 1\n")


def test_a_primary_config_that_ours_would_hide_is_refused(user_folder):
    with pytest.raises(ConfigError, match=r"mine/train.yaml would be hidden by lexigraft's own conf/train.yaml"):
        user_folder("train.yaml", "a: 1\n")


@pytest.mark.parametrize("text", ["a: [1\nb: 2\n", "a: 1\na: 2\n"])
def test_yaml_that_cannot_be_read_is_told_with_file_and_line(user_folder, text):
    user_folder("scheduler/broken.yaml", text)
    [problem] = problems_of("scheduler=broken")
    assert problem.startswith("mine/scheduler/broken.yaml, line ")
    assert "not valid YAML" in problem


def test_an_interpolation_that_cannot_be_read_is_told_with_its_file(user_folder):
    user_folder("scheduler/other.yaml", "a: [1\n")
    user_folder("scheduler/broken.yaml", "a: ${nope\n")
    [problem] = problems_of("scheduler=broken")
    assert problem.startswith("mine/scheduler/broken.yaml: no viable alternative")


@pytest.mark.parametrize(
    ("path", "overrides", "file"),
    [
        (("seed",), [], "conf/train.yaml"),
        (("trainer", "epochs"), [], "conf/train.yaml"),
        (("trainer", "epochs"), ["trainer.epochs=3"], "the command line"),
        (("trainer", "epochs"), ["trainer={epochs: 3}"], "the command line"),
        (("model", "encoder", "channels"), [], "conf/model/textcnn.yaml"),
        (("model", "pooling", "_target_"), [], "conf/model/pooling/max.yaml"),
        (("model", "encoder", "channels"), ["model=textcnn"], "conf/model/textcnn.yaml"),
        (("data", "train"), ["data=thucnews"], "conf/data/thucnews.yaml"),
        (("data", "text"), ["data=thucnews"], "conf/data/files.yaml"),
        (("transplant", "fill", 1, "_target_"), [], "conf/transplant/subtoken_mean.yaml"),
        (("transplant", "fill", 9, "_target_"), [], "conf/transplant/subtoken_mean.yaml"),
        (("optimizer", "momentum"), [], "conf/optimizer/adamw.yaml"),
        (("no_such_key",), [], "conf/train.yaml"),
    ],
)
def test_the_origin_of_a_value(path, overrides, file):
    assert origin_of(path, *overrides) == file


def test_the_origin_of_a_users_value_is_shown_as_the_user_knows_it(user_folder):
    user_folder("scheduler/wave.yaml", "# Mine.\n_target_: x.Wave\nwarmup: 3\n")
    assert origin_of(("scheduler", "warmup"), "scheduler=wave") == "mine/scheduler/wave.yaml"


def test_the_files_of_a_part():
    with loader():
        [(_, origin)] = jobs("train", ["data=thucnews"], multirun=False)
        assert origin.files("data") == ["conf/data/files.yaml", "conf/data/thucnews.yaml"]
        assert origin.files("seed") == []


def test_hydra_makes_no_log_file_and_no_output_folder():
    [cfg] = composed()
    assert OmegaConf.select(cfg, "hydra.job_logging.root") is None
    assert cfg.hydra.output_subdir is None
