"""`study.yaml` read: composed by Hydra from its folder, and every mistake in it told in a sentence."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException
from pydantic import TypeAdapter

from lexigraft.config.compose import COMPOSITION_ERRORS, explain
from lexigraft.config.errors import ConfigError, by_likeness, did_you_mean, nearest
from lexigraft.config.origin import Origin, shown
from lexigraft.config.preflight import resolved
from lexigraft.config.schema import Node, Where, dotted, schema_problems, shown_value, walk
from lexigraft.studies.cells import label_of, places, read_word, wanted
from lexigraft.studies.study import Axis, Condition, Study

# Axes that `repeats` may name without there being any.
MAY_BE_ABSENT = ("seed", "data.fold")
# What a metric's name begins with.
MEASURED = ("dev", "test", "seconds", "counts", "speed")


def read_study(folder: Path) -> Study:
    """The study in `folder`, or in the file that is given instead; `ConfigError` with every mistake.

    It is a Hydra config: `defaults` may name other files of its folder, and interpolations are resolved (one that is
    meant for the runs is written `\\${...}`). It is called like its folder; one in another file than study.yaml
    `<folder>-<file>`.
    """
    file = folder if folder.suffix in (".yaml", ".yml") else folder / "study.yaml"
    if not file.is_file():
        raise ConfigError(_absent(folder))
    home = file.resolve().parent.name
    values, where = _composed(file)
    problems = [*_unset(values, where), *_misshapen(values, where)]
    if not problems:
        values["name"] = home if file.stem == "study" else f"{home}-{file.stem}"
        values, problems = schema_problems(values, Study, where)
    _report(problems)
    study: Study = TypeAdapter(Study).validate_python(values)
    _report([*_unreadable(study, where), *_unknown_places(study, where), *_contradictions(study, where)])
    return study


def _absent(folder: Path) -> str:
    if folder.suffix in (".yaml", ".yml") or folder.is_dir():
        name = folder.name if folder.suffix else "study.yaml"
        return f"{shown((folder.parent if folder.suffix else folder).absolute())} has no {name}"
    beside = [file.parent.name for file in sorted(folder.parent.glob("*/study.yaml"))]
    hint = did_you_mean(*(str(folder.parent / name) for name in nearest(folder.name, beside)))
    return f"there is no folder '{folder}' with a study.yaml{hint}"


def _composed(file: Path) -> tuple[Node, Where]:
    """The plain values of a study's files, and for a path which of them holds it."""
    name = file.stem
    with initialize_config_dir(str(file.parent.absolute()), job_name="study", version_base="1.3"):
        try:
            cfg = compose(name)
            origin = Origin(GlobalHydra.instance().config_loader(), name, [])
            values = resolved(cfg, origin)
        except MissingConfigException as error:
            known = by_likeness(str(error.missing_cfg_file), [f.stem for f in file.parent.glob("*.yaml")])
            hint = did_you_mean(*nearest(str(error.missing_cfg_file), known))
            missing = f"'{error.missing_cfg_file}', which its folder does not have"
            raise ConfigError(f"the defaults of {shown(file.absolute())} name {missing}{hint}") from error
        except COMPOSITION_ERRORS as error:
            told = explain(error, name, [])
            raise ConfigError(*(line.replace("the command line", shown(file.absolute())) for line in told)) from error
        except ConfigError as error:
            raise ConfigError(
                *(
                    f"{problem} (${{...}} that is meant for the runs is written \\${{...}})"
                    for problem in error.problems
                )
            ) from error
    return values, origin


def _unset(values: Node, where: Where) -> list[str]:
    return [f"'{dotted(p)}' has no value in {where(p)}" for p, value in walk(values) if value == "???"]


def _misshapen(values: Node, where: Where) -> list[str]:
    """Axes and conditions that are neither values nor names; what one name stands for is made a list in place."""
    place = where(("axes",))
    axes = values.get("axes", {})
    if not isinstance(axes, dict) or ("axes" in values and not axes):
        return [f"'axes' in {place} should name at least one axis with its values, such as seed: [0, 1, 2]"]
    problems: list[str] = []
    for name, axis in axes.items():
        if isinstance(axis, dict) and axis:
            problems += _misshapen_names(name, axis, place)
        elif isinstance(axis, list) and axis:
            problems += [
                f"axis '{name}' in {place} holds {shown_value(value)}: a value is a text, a number, true, false, null "
                f"or a list of them; several overrides get a name, {name}: {{some-name: [key=value, ...]}}"
                for value in axis
                if not _is_value(value)
            ]
            labels = Counter(map(label_of, axis))
            problems += [f"axis '{name}' in {place} has {lab} twice" for lab, times in labels.items() if times > 1]
        elif isinstance(axis, (list, dict)):
            problems.append(f"axis '{name}' in {place} is empty: give it values, or leave it out")
        else:
            problems.append(f"axis '{name}' in {place} is {shown_value(axis)}, but should be a list of values: [...]")
    compare = values.get("compare")
    baseline = compare.get("baseline") if isinstance(compare, dict) else None
    skip = values.get("skip")
    for condition in [*(skip if isinstance(skip, list) else []), *([] if baseline is None else [baseline])]:
        if not isinstance(condition, dict) or not condition or not all(map(_is_wanted, condition.values())):
            problems.append(
                f"{shown_value(condition)} in {where(('skip',))} is no condition: write {{axis: value}} or "
                "{axis: [value, value]}"
            )
    return problems


def _misshapen_names(name: str, axis: Node, place: str) -> Iterator[str]:
    for label, words in list(axis.items()):
        if isinstance(label, bool) or label is None:
            written = "on, off, yes or no" if isinstance(label, bool) else "null"
            yield f"axis '{name}' in {place} has the name {shown_value(label)}: quote it, for YAML {written} is no text"
        words = [words] if isinstance(words, str) else [] if words is None else words
        axis[label] = words
        if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
            yield f"'{label}' of axis '{name}' in {place} should be a list of overrides, [key=value, ...]"


def _unreadable(study: Study, where: Where) -> Iterator[str]:
    """Words that are no overrides of one run."""
    axes, base = where(("axes",)), where(("base",))
    words = [(text, base) for text in study.base]
    words += [(text, axes) for name, axis in study.axes.items() for of in places(name, axis).values() for text in of]
    for text, place in words:
        try:
            several = read_word(text, place).is_sweep_override()
        except ConfigError as error:
            yield from error.problems
        else:
            if several:
                key = text.partition("=")[0]
                yield f"'{text}' in {place} holds several values: make {key} an axis, or write {key}=[...] for a list"


def _unknown_places(study: Study, where: Where) -> Iterator[str]:
    """Axes that a part of the study names and that it does not have, and values that they do not have."""
    named = [(name, "repeats") for name in study.repeats if name not in MAY_BE_ABSENT]
    named += [(name, "table") for name in [*study.table.rows, *study.table.columns]]
    conditions: list[tuple[Condition, str]] = [(condition, "skip") for condition in study.skip]
    conditions += [(study.compare.baseline, "compare.baseline")] if study.compare else []
    named += [(name, part) for condition, part in conditions for name in condition]
    for name, part in dict.fromkeys(named):
        if name not in study.axes:
            hint = did_you_mean(*nearest(name, study.axes)) or f"; it has {', '.join(study.axes)}"
            yield f"{part} in {where(tuple(part.split('.')))} names '{name}', which is not an axis of the study{hint}"
    for condition, part in conditions:
        for name, value in condition.items():
            known = list(places(name, study.axes[name])) if name in study.axes else wanted(value)
            for label in wanted(value):
                if label not in known:
                    hint = did_you_mean(*nearest(label, known)) or f"; it has {', '.join(known)}"
                    yield f"{part} in {where(tuple(part.split('.')))}: axis '{name}' has no '{label}'{hint}"


def _contradictions(study: Study, where: Where) -> Iterator[str]:
    """What is right one by one but not together; and metrics that no run has."""
    setters: dict[str, list[str]] = {}
    for name, axis in study.axes.items():
        for key in _keys(name, axis):
            setters.setdefault(key, []).append(name)
    for key, names in setters.items():
        if len(names) > 1:
            yield f"axes {' and '.join(map(repr, names))} in {where(('axes',))} both set {key}: only one of them can"
    for name in study.table.rows:
        if name in study.table.columns:
            yield f"'{name}' in {where(('table',))} cannot be both a row and a column of the table"
    for key in study.search.space if study.search else ():
        if key in setters:
            yield f"{key} in {where(('search', 'space'))} is searched, and axis '{setters[key][0]}' sets it: choose one"
    for metric in study.metrics:
        split, slash, _ = metric.partition("/")
        if split not in MEASURED or not slash:
            hint = did_you_mean(*nearest(f"test/{metric}", ["test/accuracy", "test/macro_f1", "test/loss"]))
            begins = " or ".join(f"{name}/" for name in MEASURED)
            yield f"metric '{metric}' in {where(('metrics',))} should begin with {begins}{hint}"


def _keys(name: str, axis: Axis) -> Iterator[str]:
    """The keys of the config that an axis sets; words that cannot be read are told of elsewhere."""
    found: dict[str, None] = {}
    for words in places(name, axis).values():
        for text in words:
            try:
                found[read_word(text, "").get_key_element().lstrip("+~")] = None
            except ConfigError:
                continue
    yield from found


def _is_value(value: Any) -> bool:
    inside = value if isinstance(value, list) else [value]
    return not any(isinstance(one, (list, Mapping)) for one in inside)


def _is_wanted(value: Any) -> bool:
    return all(map(_is_value, value)) and bool(value) if isinstance(value, list) else _is_value(value)


def _report(problems: list[str]) -> None:
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
