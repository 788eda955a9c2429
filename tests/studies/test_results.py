import csv
from dataclasses import replace

import pytest

from lexigraft.config.errors import ConfigError
from lexigraft.studies.results import read_results, write_records
from tests.studies.cells_done import cells_of, finish, leave

AXES = {"model": ["b", "a"], "seed": [0, 1]}


def test_a_record_per_cell_in_the_order_of_the_cells(tmp_path):
    cells = cells_of(tmp_path, AXES)
    for number, cell in reversed(list(enumerate(cells[:3]))):
        finish(cell, number / 10, macro_f1=None)
    results = read_results(cells, ["test/accuracy", "test/macro_f1", "dev/accuracy", "counts/parameters"])
    assert [dict(record.labels) for record in results.records] == [dict(cell.labels) for cell in cells]
    assert [record.id for record in results.records] == [cell.id for cell in cells]
    assert [record.finished for record in results.records] == [True, True, True, False]
    assert dict(results.records[2].values) == {
        "test/accuracy": 0.2, "test/macro_f1": None, "dev/accuracy": 0.5, "counts/parameters": 1234,
    }  # fmt: skip
    assert set(results.records[3].values.values()) == {None}
    assert results.records[3].run.state == "new"
    assert results.axes == ("model", "seed")
    assert results.warnings == ()


def test_a_run_that_has_not_finished_has_no_values(tmp_path):
    done, other = cells_of(tmp_path, {"seed": [0, 1]})
    finish(done, 0.5)
    leave(other, "failed", "out of memory")
    record = read_results([done, other], ["test/accuracy"]).records[1]
    assert (record.run.state, record.run.error, record.values["test/accuracy"]) == ("failed", "out of memory", None)


def test_an_unknown_metric_is_named_with_the_nearest(tmp_path):
    [cell] = cells_of(tmp_path, {"seed": [0]})
    assert read_results([cell], ["test/acuracy"]).records[0].values == {"test/acuracy": None}
    finish(cell, 0.5)
    with pytest.raises(ConfigError) as told:
        read_results([cell], ["test/acuracy", "dev/accuracy", "test/bleu"])
    assert told.value.problems == (
        "metrics: no finished run of this study has 'test/acuracy'; did you mean 'test/accuracy'?",
        "metrics: no finished run of this study has 'test/bleu'; choose one of test/accuracy",
    )


def test_roots_of_their_own(tmp_path):
    here, there = cells_of(tmp_path / "a", {"seed": [0]}) + cells_of(tmp_path / "b", {"seed": [0]})
    finish(here, 0.1)
    finish(there, 0.2)
    assert [r.values["test/accuracy"] for r in read_results([here, there], ["test/accuracy"]).records] == [0.1, 0.2]


def test_other_code_is_warned_of(tmp_path):
    cells = cells_of(tmp_path, AXES)
    for cell, code in zip(cells, ("aaaaaaaaaa", "aaaaaaaaaa", "aaaaaaaaaa", "bbbbbbbbbb")):
        finish(cell, 0.5, code=code)
    assert read_results(cells, ["test/accuracy"]).warnings == (
        "the runs were made by different code: 3 by aaaaaaaa (commit commit o), 1 by bbbbbbbb (commit commit o); "
        "run the older ones again with rerun=true",
    )


def test_other_devices_and_precisions_are_warned_of(tmp_path):
    cells = cells_of(tmp_path, AXES)
    for cell, device in zip(cells, ("cuda:0", "cuda:1", "cuda:0", "cuda:0")):
        finish(cell, 0.5, device=device)
    assert read_results(cells, ["test/accuracy"]).warnings == ()
    finish(cells[1], 0.5, device="cpu", precision="bf16-mixed")
    assert read_results(cells, ["test/accuracy"]).warnings == (
        "the runs were made on different devices: 3 cuda, 1 cpu",
        "the runs were made in different precisions: 3 32, 1 bf16-mixed",
    )


def test_precisions_that_were_asked_for_are_no_surprise(tmp_path):
    cells = [
        replace(cell, values={**cell.values, "hardware": {"precision": cell.labels["precision"]}})
        for cell in cells_of(tmp_path, {"precision": ["32", "bf16-mixed"], "seed": [0]})
    ]
    for cell in cells:
        finish(cell, 0.5, precision=cell.labels["precision"])
    assert read_results(cells, ["test/accuracy"]).warnings == ()


def test_texts_that_changed_are_warned_of(tmp_path):
    cells = cells_of(tmp_path, {"model": ["a", "b"], "seed": [0, 1]}, data={"root": str(tmp_path), "train": "a.tsv"})
    for cell in cells:
        finish(cell, 0.5, data="old" if cell.labels["seed"] == "0" else "new")
    assert read_results(cells, ["test/accuracy"]).warnings == (
        "the texts of the same data config changed between runs (2 fingerprints of 1 data config): run those again "
        "that were made before",
    )


def test_texts_that_the_seed_draws_are_no_surprise(tmp_path):
    drawn = {"subset": {"per_class": 16, "seed": None}}
    for values, warned in (
        (drawn, 0), ({"subset": {"per_class": 16, "seed": 3}}, 1), ({"augment_texts": {"synonyms": {}}}, 0),
    ):  # fmt: skip
        cells = cells_of(tmp_path, {"seed": [0, 1]}, **values)
        for cell in cells:
            finish(cell, 0.5, data=f"texts of {cell.labels['seed']}")
        assert len(read_results(cells, ["test/accuracy"]).warnings) == warned


def test_other_data_sets_have_other_texts(tmp_path):
    cells = cells_of(tmp_path, {"seed": [0]}, data={"train": "a"}) + cells_of(
        tmp_path, {"seed": [0]}, data={"train": "b"}
    )
    for cell in cells:
        finish(cell, 0.5, data=cell.values["data"]["train"])
    assert read_results(cells, ["test/accuracy"]).warnings == ()


def test_what_is_wrong_with_the_index_is_passed_on(tmp_path):
    [cell] = cells_of(tmp_path, {"seed": [0]})
    finish(cell, 0.5)
    (tmp_path / "runs" / "index.sqlite").mkdir()
    [warning] = read_results([cell], ["test/accuracy"]).warnings
    assert "cannot be written" in warning


def test_records_as_csv(tmp_path):
    cells = cells_of(tmp_path, {"model": ["a, b"], "seed": [0, 1]})
    finish(cells[0], 1 / 3)
    results = read_results(cells, ["test/accuracy"])
    write_records(results, tmp_path / "records.csv")
    text = (tmp_path / "records.csv").read_text()
    first, second = csv.DictReader(text.splitlines())
    assert text.splitlines()[0] == "model,seed,run,state,test/accuracy,seconds,device,precision,commit,code"
    assert (first["model"], first["seed"], first["run"], first["state"]) == ("a, b", "0", cells[0].id, "finished")
    assert float(first["test/accuracy"]) == 1 / 3
    assert (second["state"], second["test/accuracy"], second["seconds"]) == ("new", "", "")
    write_records(read_results(cells, ["test/accuracy"]), tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == text
