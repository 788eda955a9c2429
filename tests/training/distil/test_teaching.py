from dataclasses import replace

import pytest
import torch

from lexigraft.data.text_data import Split
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.tasks.tagging import Tagging
from lexigraft.training.distil.answers import Answers
from lexigraft.training.distil.teaching import Teacher, Teaching

TRAIN = Split(["x", "y"], [0, 1])
TASK = Classification(loss=CrossEntropy(), classes=("bad", "good"), train=TRAIN.labels)
TAGS = Tagging(loss=CrossEntropy(), classes=("O", "B-X"), train=[(0,), (1,)])
READ = Answers(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.randn(2, 3), torch.randn(2, 4))
TEACHER = Teacher("the run x", "key", "class", ("good", "bad"), lambda split, kind: READ)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEXIGRAFT_CACHE", str(tmp_path))


def test_outputs_are_put_into_the_student_s_order_of_classes():
    distiller = Teaching(lambda: TEACHER).distiller(TRAIN, TASK)
    assert torch.equal(distiller._answers.outputs, READ.outputs[:, [1, 0]])


def test_only_what_is_learned_from_is_handed_on():
    first = Teaching(lambda: TEACHER, alpha=1.0).distiller(TRAIN, TASK)
    second = Teaching(lambda: TEACHER, alpha=0.0, hidden=1.0).distiller(TRAIN, TASK)
    assert [value is not None for value in vars(first._answers).values()] == [True, False, False]
    assert [value is not None for value in vars(second._answers).values()] == [False, True, False]


def test_other_texts_are_read_anew_and_the_same_ones_are_not():
    read = []
    teacher = replace(TEACHER, read=lambda split, kind: read.append(split.texts) or READ)
    for texts in (["x", "y"], ["x", "z"], ["x", "y"]):
        Teaching(lambda: teacher).distiller(Split(texts, [0, 1]), TASK)
    assert read == [["x", "y"], ["x", "z"]]


@pytest.mark.parametrize(
    ("teacher", "task", "message"),
    [
        (replace(TEACHER, classes=("good", "fair")), TASK, r"the run x tells the classes good, fair, but"),
        (replace(TEACHER, kind=None, classes=()), TASK, r"the run x has no classification head .*: set teacher"),
        (replace(TEACHER, kind="number", classes=()), TASK, r"labels of the kind 'number', but the task needs 'class'"),
        (TEACHER, TAGS, r"labels are of the kind 'tags' cannot learn from a teacher's outputs: set teacher\.alpha=0"),
    ],
)  # fmt: skip
def test_a_teacher_that_cannot_tell_what_is_to_be_learned_is_refused(teacher, task, message):
    with pytest.raises(ValueError, match=message):
        Teaching(lambda: teacher).distiller(TRAIN, task)


@pytest.mark.parametrize("teacher", [replace(TEACHER, kind=None, classes=()), replace(TEACHER, classes=("x",))])
def test_hidden_states_can_be_learned_from_any_teacher_for_any_task(teacher):
    for task in (TASK, TAGS):
        assert Teaching(lambda: teacher, alpha=0.0, hidden=1.0).distiller(TRAIN, task).hidden == 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 1.5}, r"teacher\.alpha=1\.5 was given; a share of the loss from 0 to 1"),
        ({"temperature": 0.0}, r"teacher\.temperature=0\.0 was given; a number above 0"),
        ({"hidden": -1.0}, r"teacher\.hidden=-1\.0 .* weights of 0 or more"),
        ({"alpha": 0.0}, r"nothing is learned from the teacher: set teacher\.alpha"),
    ],
)
def test_senseless_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Teaching(lambda: TEACHER, **settings)
