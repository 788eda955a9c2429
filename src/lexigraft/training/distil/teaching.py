"""A teacher, and how much of it a student is to take over: what an option of `conf/teacher/` builds."""

from collections.abc import Callable
from dataclasses import dataclass

from lexigraft.data.text_data import Split
from lexigraft.tasks.task import Task
from lexigraft.training.distil.answers import Answers, kept
from lexigraft.training.distil.distiller import KINDS, Distiller, places


@dataclass(frozen=True)
class Teacher:
    """A trained network that reads texts with a tokenizer of its own.

    `key` changes whenever its answers do. `kind` is that of the labels that it tells, None where it has no head;
    `read` gives its answers for texts whose own labels are of some kind.
    """

    name: str
    key: str
    kind: str | None
    classes: tuple[str, ...]
    read: Callable[[Split, str], Answers]


@dataclass(frozen=True)
class Teaching:
    """A teacher and the weights of what is learned from it; see `Distiller`.

    `ValueError` for weights that are negative or all zero, alpha above 1, and a temperature that is not positive.
    """

    teacher: Callable[[], Teacher]
    alpha: float = 0.5
    temperature: float = 2.0
    hidden: float = 0.0
    embeddings: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"teacher.alpha={self.alpha} was given; a share of the loss from 0 to 1 is expected")
        if not self.temperature > 0:
            raise ValueError(f"teacher.temperature={self.temperature} was given; a number above 0 is expected")
        if min(self.hidden, self.embeddings) < 0:
            raise ValueError(
                f"teacher.hidden={self.hidden} teacher.embeddings={self.embeddings} were given; weights of 0 or more "
                "are expected"
            )
        if not (self.alpha or self.hidden or self.embeddings):
            raise ValueError(
                "nothing is learned from the teacher: set teacher.alpha, teacher.hidden or teacher.embeddings above 0, "
                "or teacher=none"
            )

    def distiller(self, train: Split, task: Task) -> Distiller:
        """The regulariser that teaches a student of `task` on these texts, all of which the teacher reads now.

        The answers are kept in the cache. `ValueError` where the teacher cannot tell what the student is to learn.
        """
        teacher = self.teacher()
        order = self._order(teacher, task)
        answers = kept(f"1 {teacher.key} {train.fingerprint()}", lambda: teacher.read(train, task.kind))
        outputs = answers.outputs if order is None or answers.outputs is None else answers.outputs[:, order]
        return Distiller(
            Answers(
                outputs if self.alpha else None,
                answers.hidden if self.hidden else None,
                answers.vectors if self.embeddings else None,
            ),
            alpha=self.alpha,
            temperature=self.temperature,
            hidden=self.hidden,
            embeddings=self.embeddings,
        )

    def _order(self, teacher: Teacher, task: Task) -> list[int] | None:
        """Where the teacher's outputs have the student's classes; None where that does not matter."""
        if not self.alpha:
            return None
        if task.kind not in KINDS:
            raise ValueError(
                f"a student whose labels are of the kind {task.kind!r} cannot learn from a teacher's outputs: set "
                "teacher.alpha=0 and teacher.hidden=1, to learn from its hidden states"
            )
        if teacher.kind is None:
            raise ValueError(
                f"{teacher.name} has no classification head to learn from: set teacher.alpha=0 and teacher.hidden=1, "
                "to learn from its hidden states"
            )
        if teacher.kind != task.kind:
            raise ValueError(
                f"{teacher.name} tells labels of the kind {teacher.kind!r}, but the task needs {task.kind!r}: choose "
                "another teacher, or set teacher.alpha=0 and teacher.hidden=1"
            )
        return places(task.classes, teacher.classes, teacher.name) if task.classes else None
