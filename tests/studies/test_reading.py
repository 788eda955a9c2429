from pathlib import Path

import pytest

from lexigraft.config.errors import ConfigError
from lexigraft.studies.reading import read_study

GOOD = """
base: [model=textcnn, trainer.epochs=3]
axes:
  data: [sst2, trec]
  rows: {random: [transplant=random], transplanted: []}
  seed: [0, 1, 2]
skip: [{data: trec, rows: random}]
repeats: [seed]
metrics: [test/accuracy, test/macro_f1]
table: {rows: [data], columns: [rows]}
compare: {baseline: {rows: random}, tests: [paired_bootstrap, welch], correction: holm}
launch: {jobs: 2, timeout: 3600, retries: 1}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A function that writes files into experiments/x, which lies in the working folder, and returns that folder."""
    monkeypatch.chdir(tmp_path)

    def write(text, **others):
        home = tmp_path / "experiments" / "x"
        home.mkdir(parents=True, exist_ok=True)
        for name, content in {"study": text, **others}.items():
            (home / f"{name}.yaml").write_text(content, encoding="utf-8")
        return home

    return write


def problems_of(path):
    with pytest.raises(ConfigError) as caught:
        read_study(path)
    return caught.value.problems


def test_a_study_is_read_and_called_like_its_folder(folder):
    study = read_study(folder(GOOD))
    assert study.name == "x"
    assert list(study.axes) == ["data", "rows", "seed"]
    assert study.axes["rows"] == {"random": ["transplant=random"], "transplanted": []}
    assert study.compare.baseline == {"rows": "random"}
    assert study.launch.timeout == 3600.0


def test_what_is_left_out_has_a_default(folder):
    study = read_study(folder("axes: {seed: [0]}"))
    assert (study.base, study.skip, study.metrics, study.compare, study.launch.jobs) == (
        [], [], ["test/accuracy"], None, 1,
    )  # fmt: skip
    assert study.repeats == ["seed", "data.fold"]


def test_a_file_can_be_given_instead_of_its_folder(folder):
    home = folder(GOOD, small="axes: {seed: [0]}")
    assert read_study(home / "study.yaml") == read_study(home)
    assert read_study(home / "small.yaml").name == "x-small"


def test_the_types_of_values_are_kept(folder):
    study = read_study(folder("axes: {a.b: [1, 1.5, true, null, '2', [3, 4]], n: {3: [seed=1], 4: seed=2}}"))
    assert list(map(repr, study.axes["a.b"])) == ["1", "1.5", "True", "None", "'2'", "[3, 4]"]
    assert study.axes["n"] == {"3": ["seed=1"], "4": ["seed=2"]}


def test_other_files_of_the_folder_are_its_defaults_and_interpolations_are_resolved(folder):
    home = folder(
        "defaults: [common, _self_]\nmetrics: ['${table.rows.0}']\nbase: ['experiment=\\${seed}']\n",
        common="axes: {seed: [0], test/loss: [1]}\ntable: {rows: [test/loss]}\nbase: [seed=3]\n",
    )
    study = read_study(home)
    assert study.axes == {"seed": [0], "test/loss": [1]}
    assert study.metrics == ["test/loss"]
    assert study.base == ["experiment=${seed}"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("axis: {seed: [0]}\naxes: {seed: [0]}", "unknown key 'axis' in FILE; did you mean 'axes'?"),
        ("base: []", "'axes' is missing: it should stand in FILE"),
        ("axes: {}", "'axes' in FILE should name at least one axis with its values, such as"),
        ("axes: {seed: []}", "axis 'seed' in FILE is empty: give it values, or leave it out"),
        ("axes: {seed: 3}", "axis 'seed' in FILE is 3, but should be a list of values"),
        ("axes: {seed: [1, 1]}", "axis 'seed' in FILE has 1 twice"),
        ("axes: {seed: [1, '1']}", "axis 'seed' in FILE has 1 twice"),
        ("axes: {seed: [{a: 1}]}", "several overrides get a name, seed: {some-name: [key=value, ...]}"),
        ("axes: {r: {a: 3}}", "'a' of axis 'r' in FILE should be a list of overrides"),
        ("axes: {r: {on: [seed=1]}}", "axis 'r' in FILE has the name true: quote it"),
        ("axes: {r: {a: ['seed=[1']}}", "cannot read 'seed=[1' in FILE: quote"),
        ("axes: {r: {a: [seed]}}", "cannot read 'seed' in FILE: write key=value"),
        ("axes: {seed: [1]}\nbase: ['a=1,2']", "'a=1,2' in FILE holds several values: make a an axis"),
        ("axes: {seed: [1], r: {a: [seed=2]}}", "axes 'seed' and 'r' in FILE both set seed"),
        ("axes: {model: [a], r: {b: [+model=c]}}", "axes 'model' and 'r' in FILE both set model"),
        (
            "axes: {seed: [1]}\nskip: [{sed: 1}]",
            "skip in FILE names 'sed', which is not an axis of the study; did you mean 'seed'?",
        ),
        ("axes: {seed: [1]}\nrepeats: [fold]", "repeats in FILE names 'fold'"),
        ("axes: {seed: [1]}\ntable: {rows: [data]}", "names 'data', which is not an axis of the study; it has seed"),
        ("axes: {seed: [1]}\ntable: {rows: [seed], columns: [seed]}", "'seed' in FILE cannot be both"),
        ("axes: {seed: [1]}\nskip: [{seed: 2}]", "skip in FILE: axis 'seed' has no '2'; it has 1"),
        (
            "axes: {data: [sst2]}\ncompare: {baseline: {data: sst}}",
            "compare.baseline in FILE: axis 'data' has no 'sst'; did you mean 'sst2'?",
        ),
        ("axes: {seed: [1]}\ncompare: {baseline: 3}", "3 in FILE is no condition: write {axis: value}"),
        (
            "axes: {seed: [1]}\nmetrics: [macro_f1]",
            "should begin with dev/ or test/ or seconds/ or counts/ or speed/; did you mean 'test/macro_f1'?",
        ),
        ("axes: {seed: [1]}\nlaunch: {jobs: 0}", "launch.jobs=0 in FILE should be greater than"),
        ("axes: {seed: [1]}\nlaunch: {job: 1}", "unknown key 'launch.job' in FILE; did you mean 'launch.jobs'?"),
        (
            "axes: {seed: [1]}\nsearch: {space: {seed: 'range(0,9)'}, trials: 3}",
            "seed in FILE is searched, and axis 'seed' sets it",
        ),
        ("axes: {seed: [1]}\ntitle: ???", "'title' has no value in FILE"),
        ("axes: {seed: [1\n", "FILE, line 2: not valid YAML"),
        ("axes: {seed: [1]}\naxes: {seed: [1]}\n", "not valid YAML: found duplicate key axes"),
        (
            "axes: {seed: [1]}\nbase: ['a=${nope}']",
            "Interpolation key 'nope' not found (${...} that is meant for the runs is written \\${...})",
        ),
        ("axes: {seed: [1]}\nbase: ['a=${nope']", "FILE"),
        ("defaults: [comon, _self_]\naxes: {seed: [1]}", "the defaults of FILE name 'comon', which its folder"),
    ],
)
def test_mistakes_are_told_with_their_file(folder, text, says):
    problems = problems_of(folder(text))
    assert any(says.replace("FILE", "experiments/x/study.yaml") in problem for problem in problems), problems


def test_every_mistake_is_told(folder):
    problems = problems_of(folder("axes: {seed: [], data: 3, r: {a: [x]}}\n"))
    assert len(problems) == 2  # words are read when the axes have their shape
    problems = problems_of(folder("axes: {seed: [1]}\nskip: [{a: 1}]\nrepeats: [b]\nmetrics: [c]\nbase: ['d']"))
    assert len(problems) == 4


def test_a_mistake_in_another_file_is_told_with_that(folder):
    home = folder("defaults: [common, _self_]\naxes: {seed: [1]}\n", common="launch: {jobs: x}\n")
    assert problems_of(home) == ("launch.jobs=x in experiments/x/common.yaml should be a valid integer",)


def test_the_nearest_folder_is_named(folder, tmp_path):
    folder(GOOD)
    assert problems_of(Path("experiments/xx")) == (
        "there is no folder 'experiments/xx' with a study.yaml; did you mean 'experiments/x'?",
    )
    (tmp_path / "experiments" / "empty").mkdir()
    assert problems_of(tmp_path / "experiments" / "empty") == ("experiments/empty has no study.yaml",)
    assert problems_of(tmp_path / "experiments" / "x" / "smal.yaml") == ("experiments/x has no smal.yaml",)
