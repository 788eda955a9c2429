from pathlib import Path

from lexigraft.runs.identity import run_id
from lexigraft.studies.job import Job, Outcome

VALUES = {"output_root": "outputs", "seed": 0, "auxiliary": {}}


def test_a_job_names_its_run_by_what_decides_the_result():
    job = Job("seed=0", VALUES)
    assert job.id == run_id(VALUES)
    assert job.folder == Path("outputs/runs") / job.id
    assert job.log == job.folder / "log.txt"
    assert Job("other", {**VALUES, "output_root": "elsewhere"}).id == job.id
    assert Job("seed=1", {**VALUES, "seed": 1}).id != job.id


def test_a_job_shows_its_name_and_not_its_whole_config():
    assert repr(Job("seed=0", VALUES, {"TOKEN": "secret"})) == "Job(name='seed=0')"


def test_the_sentence_of_an_outcome_is_the_first_line_of_its_error():
    job = Job("seed=0", VALUES)
    assert Outcome(job, "killed", error="killed by SIGKILL\nlast\nlines").sentence == "killed by SIGKILL"
    assert Outcome(job, "finished", 0.5).sentence == ""
