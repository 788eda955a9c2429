"""Where a search is kept: a journal file or SQLite, which survive `kill -9` of whoever writes."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from lexigraft.config.errors import ConfigError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage

SQLITE = "sqlite:///"
OVER = "lexigraft:over"  # the attribute of a study that says what it searches over


def import_optuna() -> Any:
    """The module, silent about what it does; `ConfigError` names the extra without it."""
    try:
        import optuna
    except ImportError as error:
        raise ConfigError("a search needs Optuna: pip install 'lexigraft[search]'") from error
    optuna.logging.set_verbosity(logging.ERROR)
    # Nobody who searches can act on it that an argument of a sampler may change one day.
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def file_of(spec: str) -> Path:
    """The file of a storage; `ConfigError` unless it is a journal file or SQLite."""
    if spec.startswith(SQLITE) and len(spec) > len(SQLITE):
        return Path(spec.removeprefix(SQLITE))
    if spec.endswith(".journal") and "://" not in spec:
        return Path(spec)
    raise ConfigError(f"storage={spec} should be a file whose name ends with .journal, or sqlite:///FILE")


def absolute(spec: str) -> str:
    """The storage by its absolute path, for processes that stand in another folder."""
    file = file_of(spec).absolute()
    return f"{SQLITE}{file}" if spec.startswith(SQLITE) else str(file)


def open_storage(spec: str) -> "BaseStorage":
    """The storage, made if it is not there; `ConfigError` where its file cannot be made or read."""
    optuna = import_optuna()
    file = file_of(spec)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if spec.startswith(SQLITE):
            # Trials of several processes write side by side; each waits its turn.
            return optuna.storages.RDBStorage(spec, engine_kwargs={"connect_args": {"timeout": 60}})
        lock: Any = _JournalLock(file)
        return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(file), lock_obj=lock))
    except (OSError, ValueError, KeyError, optuna.exceptions.OptunaError) as error:
        raise ConfigError(f"storage={spec} cannot be opened: {error}") from error
    except Exception as error:
        if type(error).__module__.startswith("sqlalchemy"):
            raise ConfigError(f"storage={spec} cannot be opened: {str(error).splitlines()[0]}") from error
        raise


def open_study(spec: str, name: str, directions: Sequence[str], over: Mapping[str, Any]) -> "Study":
    """The study of that name, made if it is not there.

    `over` is what its trials can be compared by (plain values): the space, the objectives, and the config that all
    trials have in common. `ConfigError` if the storage holds the study with another one.
    """
    optuna = import_optuna()
    storage = open_storage(spec)
    _require_same(storage, spec, name, directions, over)
    # Named directions cannot differ now but for a process killed between the two lines below.
    study = optuna.create_study(storage=storage, study_name=name, directions=list(directions), load_if_exists=True)
    if OVER not in study.user_attrs:
        study.set_user_attr(OVER, dict(over))
    made: Study = study
    return made


def existing_study(spec: str, name: str, directions: Sequence[str], over: Mapping[str, Any]) -> "Study | None":
    """The study of that name in an existing storage, None where there is none; `ConfigError` as for `open_study`."""
    optuna = import_optuna()
    storage = open_storage(spec)
    if not _require_same(storage, spec, name, directions, over):
        return None
    study: Study = optuna.load_study(storage=storage, study_name=name)
    return study


def _require_same(
    storage: "BaseStorage", spec: str, name: str, directions: Sequence[str], over: Mapping[str, Any]
) -> bool:
    """Whether the storage holds the study; `ConfigError` if its trials are others."""
    found = {study.study_name: study for study in storage.get_all_studies()}
    if name not in found:
        return False
    before = found[name].user_attrs.get(OVER)
    changes = [] if before is None else list(_differences(before, json.loads(json.dumps(over))))
    if changes:
        more = f" ({len(changes)} differences in all)" if len(changes) > 1 else ""
        raise ConfigError(
            f"storage={spec} holds the search '{name}' with other trials than these: {changes[0]}{more}; "
            "give another storage=, or set it back"
        )
    if list(directions) != [direction.name.lower() for direction in found[name].directions]:
        raise ConfigError(f"storage={spec} holds the search '{name}' with other objectives; give another storage=")
    return True


@contextmanager
def searched_alone(spec: str, name: str) -> Iterator[None]:
    """The right to add trials to a study; `ConfigError` while another process has it. A killed one loses it."""
    file = file_of(spec)
    lock = file.with_name(f"{file.name}.{hashlib.sha256(name.encode()).hexdigest()[:8]}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock).acquire(timeout=1)
    except Timeout as error:
        raise ConfigError(
            f"another process is searching in storage={spec} at this moment: wait until it is done, or give another "
            "storage="
        ) from error
    except OSError as error:
        raise ConfigError(f"storage={spec} cannot be opened: {error}") from error
    with held:
        yield


def _differences(before: Any, now: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """A few words for each value that is not what it was."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            yield from _differences(before.get(key), now.get(key), (*path, key))
    elif before != now:
        kind, *rest = path
        what = ".".join(rest) or kind
        where = {"space": f"the range of {what}", "objectives": "what is optimised"}.get(kind, what)
        yield f"{where} was {_shown(before)} and is now {_shown(now)}"


def _shown(value: Any) -> str:
    return "not there" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class _JournalLock:
    """A lock that the operating system frees when its holder is killed; Optuna's own are waited for 30 s then."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._lock = FileLock(journal.with_name(journal.name + ".lock"))

    def acquire(self) -> bool:
        self._lock.acquire()
        _drop_unfinished_line(self._journal)
        return True

    def release(self) -> None:
        self._lock.release()


def _drop_unfinished_line(file: Path) -> None:
    """Cut off what a writer left that was killed within a line, or that found the disk full."""
    with open(file, "r+b") as journal:
        size = journal.seek(0, 2)
        if not size:
            return
        journal.seek(size - 1)
        if journal.read(1) == b"\n":
            return
        journal.seek(0)
        journal.truncate(journal.read().rfind(b"\n") + 1)
