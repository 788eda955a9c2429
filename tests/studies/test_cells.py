import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from lexigraft.config.errors import ConfigError
from lexigraft.studies.cells import cells_of, holds, label_of, word
from lexigraft.studies.study import Study

ROWS = {"random": ["transplant=random"], "transplanted": []}


def study(**parts):
    return Study(**{"name": "x", "axes": {"data": ["sst2", "trec"], "rows": ROWS, "seed": [0, 1]}} | parts)


def problems_of(*overrides, **parts):
    with pytest.raises(ConfigError) as caught:
        cells_of(study(**parts), overrides)
    return caught.value.problems


def test_cells_come_in_the_order_of_the_axes_with_base_first():
    cells = cells_of(study(base=["model=textcnn"]))
    assert len(cells) == 8
    assert cells[0] == (
        {"data": "sst2", "rows": "random", "seed": "0"},
        ("model=textcnn", "data=sst2", "transplant=random", "seed=0"),
    )
    assert [tuple(labels.values()) for labels, _ in cells[:4]] == [
        ("sst2", "random", "0"), ("sst2", "random", "1"), ("sst2", "transplanted", "0"), ("sst2", "transplanted", "1"),
    ]  # fmt: skip


def test_skip_leaves_out_where_all_of_a_condition_holds():
    left = [labels for labels, _ in cells_of(study(skip=[{"data": "trec", "rows": "random"}, {"seed": 1}]))]
    assert [tuple(labels.values()) for labels in left] == [
        ("sst2", "random", "0"), ("sst2", "transplanted", "0"), ("trec", "transplanted", "0"),
    ]  # fmt: skip
    assert "'skip' leaves no cell of study x" in problems_of(skip=[{"seed": [0, 1]}])[0]


def test_a_condition_allows_one_of_several_values():
    assert holds({"seed": [0, 2]}, {"seed": "2", "data": "a"})
    assert not holds({"seed": [0, 2], "data": "b"}, {"seed": "2", "data": "a"})
    assert holds({"augment": [["swap", "deletion"]]}, {"augment": "[swap, deletion]"})
    assert not holds({"seed": 1}, {"data": "a"})


def test_a_word_of_an_axis_replaces_its_values():
    cells = cells_of(study(), ["seed=7,8,9", "data=mr"])
    assert len(cells) == 6
    assert cells[0][1] == ("data=mr", "transplant=random", "seed=7")
    assert [labels["seed"] for labels, _ in cells_of(study(), ["seed=range(3,5)", "data=mr", "rows=random"])] == [
        "3",
        "4",
    ]


def test_a_word_of_an_axis_of_names_keeps_those():
    assert {labels["rows"] for labels, _ in cells_of(study(), ["rows=transplanted"])} == {"transplanted"}
    assert problems_of("rows=transplantd") == (
        "axis 'rows' has no 'transplantd'; did you mean 'transplanted'? it has random, transplanted",
    )


def test_other_words_come_last_in_every_cell():
    assert {words[-2:] for _, words in cells_of(study(), ["trainer.epochs=1", "seed=3", "+data.x=1"])} == {
        ("trainer.epochs=1", "+data.x=1")
    }


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("sed=1,2", "'sed=1,2' holds several values, and 'sed' is not an axis of study x, which has data, rows, seed; "
                    "did you mean 'seed'?"),
        ("seed=1,1", "'seed=1,1' in the command line names 1 twice"),
        ("seed=interval(0,1)", "'seed=interval(0,1)' in the command line: write the values of an axis one by one"),
        ("data=glob(*)", "'data=glob(*)' in the command line: write the values of an axis one by one"),
        ("seed=[1", "cannot read 'seed=[1' in the command line: quote a value with special characters"),
    ],
)  # fmt: skip
def test_words_that_cannot_be_used(override, says):
    assert problems_of(override)[0].startswith(says)


@pytest.mark.parametrize(
    ("value", "label", "written"),
    [
        ("sst2", "sst2", "k=sst2"),
        (1e-05, "1e-05", "k=1e-05"),
        (None, "null", "k=null"),
        (True, "true", "k=true"),
        ("true", "true", "k='true'"),
        ("", "''", "k=''"),
        ("a, b", "a, b", "k='a, b'"),
        ("书", "书", "k='书'"),
        (["deletion", 1.0, None], "[deletion, 1.0, null]", "k=[deletion,1.0,null]"),
        ([], "[]", "k=[]"),
        ("${seed}", "${seed}", "k='${seed}'"),
    ],
)
def test_labels_and_words_of_values(value, label, written):
    assert label_of(value) == label
    assert word("k", value) == written


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)


@given(scalars | st.lists(scalars, max_size=3))
def test_hydra_reads_a_word_as_the_value_it_was_made_of(value):
    read = OverridesParser.create().parse_override(word("k", value))
    assert not read.is_sweep_override()
    assert repr(read.value()) == repr(value)
