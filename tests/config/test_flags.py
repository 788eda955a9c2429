import pytest

from lexigraft.config.errors import ConfigError
from lexigraft.config.flags import split


def test_flags_are_found_anywhere_and_put_first():
    line = split(["seed=1", "-m", "model=bigru", "--cfg=job"][:3])
    assert line.overrides == ["seed=1", "model=bigru"]
    assert line.hydra_arguments() == ["--multirun", "seed=1", "model=bigru"]


@pytest.mark.parametrize(
    "words",
    [
        ["--cfg", "job", "seed=1"],
        ["seed=1", "-c", "job"],
        ["seed=1", "--cfg=job"],
    ],
)
def test_a_flag_takes_its_value_with_and_without_equals_sign(words):
    line = split(words)
    assert line.flags == {"--cfg": "job"}
    assert line.overrides == ["seed=1"]


def test_config_dirs_are_kept_apart_since_hydra_knows_only_one():
    line = split(["-cd", "one", "seed=1", "--config-dir=two"])
    assert line.config_dirs == ["one", "two"]
    assert line.hydra_arguments() == ["seed=1"]


def test_info_does_not_swallow_an_override():
    assert split(["--info", "seed=1"]).overrides == ["seed=1"]
    assert split(["--info", "defaults", "seed=1"]).flags == {"--info": "defaults"}


def test_package_and_config_name():
    line = split(["--cfg", "job", "-p", "trainer", "-cn", "study", "--resolve"])
    assert line.flags == {"--cfg": "job", "--package": "trainer", "--config-name": "study", "--resolve": None}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mutlirun"], "unknown flag '--mutlirun'; did you mean '--multirun'?"),
        (["--cfg"], "flag --cfg needs a value: one of job, hydra, all"),
        (["--cfg", "jobb"], "flag --cfg does not know 'jobb': one of job, hydra, all"),
        (["--multirun=3"], "flag --multirun takes no value, but got '3'"),
        (["-m", "--cfg", "job"], "flags --multirun and --cfg exclude each other"),
        (["--resolve"], "flag --resolve belongs to --cfg: try --cfg job --resolve"),
        (["--config-dir"], "flag --config-dir needs a value"),
    ],
)
def test_mistakes_get_a_sentence(words, message):
    with pytest.raises(ConfigError) as caught:
        split(words)
    assert caught.value.problems == (message,)


@pytest.mark.parametrize(
    ("word", "read"),
    [
        ("data.root=/数据/中文", "data.root='/数据/中文'"),
        ("output_root=my outputs", "output_root='my outputs'"),
        ("seed=1", "seed=1"),
        ("data.classes=[差评,好评]", "data.classes=[差评,好评]"),
        ("experiment='实验'", "experiment='实验'"),
        ("experiment=实验,对照", "experiment=实验,对照"),
        ("data.root=${oc.env:数据}", "data.root=${oc.env:数据}"),
        ("模型", "模型"),
    ],
)
def test_a_value_that_is_one_text_beyond_hydras_letters_is_quoted(word, read):
    assert split([word]).overrides == [read]
