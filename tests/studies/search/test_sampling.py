import subprocess
import sys
from typing import Any

import pytest

from lexigraft.config.errors import ConfigError
from lexigraft.studies.search.sampling import PRUNERS, SAMPLERS, pruner, require_fit, sampler
from lexigraft.studies.search.space import read_space

optuna = pytest.importorskip("optuna")

NUMBERS = read_space(["x=interval(0,1)", "y=interval(0,1)"])
MIXED = read_space(["x=interval(0,1)", "model=a,b"])


def test_every_sampler_and_pruner_is_made() -> None:
    made = [sampler(name, 2**32 - 1) for name in SAMPLERS if name != "grid"]
    assert len({type(of) for of in made}) == 5
    assert len({type(pruner(name, 9)) for name in PRUNERS}) == 4


def test_settings_are_arguments_of_optunas_class() -> None:
    study = optuna.create_study(sampler=sampler("tpe", 0, {"n_startup_trials": 3}), pruner=pruner("none", 1))
    assert study.sampler._n_startup_trials == 3
    assert pruner("asha", 9, {"reduction_factor": 4})._reduction_factor == 4


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: sampler("tpee", 0), "unknown sampler 'tpee'; did you mean 'tpe'? there are tpe, cmaes, gp, nsga2, "),
        (lambda: pruner("best", 3), "unknown pruner 'best'; there are none, median, hyperband, asha"),
        (
            lambda: sampler("tpe", 0, {"n_startup_trial": 3}),
            "sampler=tpe has no setting 'n_startup_trial'; did you mean 'n_startup_trials'?",
        ),
        (lambda: pruner("asha", 3, {"reduction_factor": 1}), "pruner=asha: The value of `reduction_factor` is 1, but"),
        (lambda: require_fit("tp", "none", MIXED, 1), "unknown sampler 'tp'; did you mean 'tpe'? there are"),
        (lambda: require_fit("tpe", "mdian", MIXED, 1), "unknown pruner 'mdian'; did you mean 'median'? there are"),
        (
            lambda: require_fit("cmaes", "none", MIXED, 1),
            "sampler=cmaes searches over two or more numbers, but model is a choice of words: use sampler=tpe",
        ),
        (
            lambda: require_fit("cmaes", "none", read_space(["x=interval(0,1)"]), 1),
            "sampler=cmaes searches over two or more numbers, but there is one key only: use sampler=tpe",
        ),
        (lambda: require_fit("cmaes", "none", NUMBERS, 2), "sampler=cmaes has one objective: use sampler=nsga2"),
        (lambda: require_fit("nsga2", "asha", NUMBERS, 2), "pruner=asha judges trials by one objective: use "),
        (lambda: require_fit("grid", "none", NUMBERS, 1), "sampler=grid tries every value, but x may be any number"),
    ],
)
def test_what_does_not_fit_is_told(make: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert str(error.value).startswith(sentence)


def test_without_a_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(ConfigError, match=r"^sampler=cmaes needs the package cmaes: pip install 'lexigraft"):
        sampler("cmaes", 0)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"^a search needs Optuna: pip install 'lexigraft\[search\]'$"):
        sampler("tpe", 0)


def test_hyperbands_races_are_those_of_the_epochs() -> None:
    """With 9 epochs, races begin at 1, 3 and 9 epochs."""
    study = optuna.create_study(pruner=pruner("hyperband", 9))
    for _ in range(20):
        trial = study.ask()
        trial.report(1.0, 1)
        trial.should_prune()
    assert study.pruner._n_brackets == 3


def test_what_hydra_and_the_command_line_import_is_light() -> None:
    code = (
        "import sys, hydra_plugins.lexigraft_sweepers, lexigraft.studies.search.search, lexigraft.training.trial\n"
        "print([name for name in ('torch', 'optuna', 'pytorch_lightning', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
