"""Arguments of a `_target_` held against the signature of the code that it names."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from lexigraft.config.errors import did_you_mean, nearest
from lexigraft.config.schema import KeyPath, Node, Where, dotted, shown_value

HYDRA_KEYS = ("_target_", "_partial_", "_args_", "_recursive_", "_convert_")
SCALARS = (bool, int, float, str)


def target_problems(value: Any, where: Where, path: KeyPath = ()) -> list[str]:
    """A sentence for each argument, in any `_target_` node below `value`, that the target does not take, misses, or
    takes in another type. Texts and numbers are converted in place to the type that the target declares.
    """
    problems = []
    if isinstance(value, dict) and "_target_" in value:
        problems += _node_problems(value, where, path)
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        problems += target_problems(child, where, (*path, key))
    return problems


def locate(target: str) -> Callable[..., Any]:
    """The function or class of a dotted name; `ValueError` with the nearest name where there is none."""
    parts = target.split(".")
    module, rest = _import_deepest(parts)
    if module is None:
        raise ValueError(f"there is no module '{parts[0]}'")
    found: Any = module
    for i, name in enumerate(rest, len(parts) - len(rest)):
        if not hasattr(found, name):
            holder = ".".join(parts[:i])
            inside = [n for n in dir(found) if not n.startswith("_")]
            if isinstance(found, ModuleType) and hasattr(found, "__path__"):
                inside += [m.name for m in pkgutil.iter_modules(found.__path__)]
            raise ValueError(f"{holder} has no '{name}'{did_you_mean(*nearest(name, inside))}")
        found = getattr(found, name)
    if not callable(found):
        raise ValueError("it is neither a class nor a function")
    return found


def plain(annotation: Any) -> Any:
    """An annotation reduced to what YAML can write; None where nothing of it can be checked.

    `float | Tensor` becomes `float`, `Sequence[int]` stays, `Tensor` becomes None.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in (*SCALARS, NoneType) or origin is Literal:
        return annotation
    if annotation is None:
        return NoneType
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return str
    if origin is Annotated:
        return plain(arguments[0])
    if origin in (Union, UnionType):
        kept = [p for p in map(plain, arguments) if p is not None]
        # A union that keeps nothing but None says nothing about a value.
        return Union[tuple(kept)] if any(p is not NoneType for p in kept) else None  # noqa: UP007
    if isinstance(origin, type) and issubclass(origin, (Sequence, Mapping)):
        kept = [a if a is Ellipsis else plain(a) for a in arguments]
        return None if None in kept else origin[tuple(kept)]  # type: ignore[index]
    return None


def _import_deepest(parts: list[str]) -> tuple[ModuleType | None, list[str]]:
    """The module of the longest importable prefix of `parts`, and the names that remain."""
    module, rest = None, list(parts)
    for i in range(1, len(parts)):
        name = ".".join(parts[:i])
        try:
            module, rest = importlib.import_module(name), parts[i:]
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise ValueError(f"{name} needs the package '{error.name}', which is not installed") from error
            break
    return module, rest


def _node_problems(node: Node, where: Where, path: KeyPath) -> list[str]:
    target = node["_target_"]
    place = (*path, "_target_")
    if not isinstance(target, str):
        return [f"{dotted(place)}={shown_value(target)} in {where(place)} should be a dotted name"]
    try:
        function = locate(target)
    except ValueError as error:
        return [f"{dotted(place)}={target} in {where(place)} cannot be used: {error}"]
    try:
        # eval_str gives types where a module postpones the evaluation of its annotations.
        parameters = dict(inspect.signature(function, eval_str=True).parameters)
    except NameError:  # an annotation that exists for type checkers only
        parameters = dict(inspect.signature(function).parameters)
    except (ValueError, TypeError):  # written in C, without a signature
        return []
    return (
        _unknown(node, parameters, where, path)
        + _missing(node, parameters, where, path)
        + _mistyped(node, parameters, where, path)
    )


def _unknown(node: Node, parameters: dict[str, inspect.Parameter], where: Where, path: KeyPath) -> list[str]:
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return []
    taken = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    name_of_target = node["_target_"].rpartition(".")[2]
    problems = []
    for name in node:
        if name not in taken and name not in HYDRA_KEYS:
            close = nearest(str(name), [*taken, *HYDRA_KEYS], cutoff=0.5)
            hint = did_you_mean(*close) or f"; it takes {', '.join(taken) or 'no arguments'}"
            problems.append(
                f"unknown key '{dotted((*path, name))}' in {where((*path, name))}: "
                f"{name_of_target} does not take it{hint}"
            )
    return problems


def _missing(node: Node, parameters: dict[str, inspect.Parameter], where: Where, path: KeyPath) -> list[str]:
    if node.get("_partial_"):
        return []  # the caller supplies the rest
    required = [
        name
        for name, p in parameters.items()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return [
        f"'{dotted((*path, name))}' is missing in {where(path)}: "
        f"{node['_target_'].rpartition('.')[2]} needs it; give it as +{dotted((*path, name))}=..."
        for name in required[len(node.get("_args_", ())) :]
        if name not in node
    ]


def _mistyped(node: Node, parameters: dict[str, inspect.Parameter], where: Where, path: KeyPath) -> list[str]:
    problems = []
    for name, value in node.items():
        parameter = parameters.get(name)
        if parameter is None or name in HYDRA_KEYS or _builds_objects(value):
            continue
        annotation = plain(parameter.annotation)
        if annotation is None or (value is None and parameter.default is None):
            continue
        adapter: TypeAdapter[Any] = TypeAdapter(annotation, config=ConfigDict(coerce_numbers_to_str=True))
        try:
            # Strictly for true and false, which pydantic would take as 1 and 0.
            settled = adapter.validate_python(value, strict=isinstance(value, bool))
        except ValidationError as error:
            where_is = where((*path, name))
            expected = " or ".join(dict.fromkeys(_expected(e["msg"]) for e in error.errors()))
            problems.append(f"{dotted((*path, name))}={shown_value(value)} in {where_is} should be {expected}")
        else:
            if isinstance(value, SCALARS) and isinstance(settled, SCALARS):
                node[name] = settled
    return problems


def _expected(message: str) -> str:
    return message.removeprefix("Input should be ").partition(", unable")[0].partition(", got")[0]


def _builds_objects(value: Any) -> bool:
    """Whether a `_target_` stands in `value`: what it will be cannot be known from the config."""
    if isinstance(value, dict):
        return "_target_" in value or any(map(_builds_objects, value.values()))
    return isinstance(value, list) and any(map(_builds_objects, value))
