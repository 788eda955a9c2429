import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest

from lexigraft.config.signatures import locate, plain, target_problems

HERE = __name__


class Tensor:
    """Stands for a type that no YAML can write."""


def encoder(
    dim: int,
    sizes: Sequence[int] = (2, 3),
    cell: Literal["lstm", "gru"] = "lstm",
    dropout: float | Tensor = 0.1,
    bias: bool = True,
    name: str | None = None,
    path: Path | None = None,
    inner: Any = None,
    width: int = None,  # type: ignore[assignment]  # noqa: RUF013
) -> None: ...


class Pooling:
    def __init__(self, width: int) -> None: ...


def anything(**kwargs: Any) -> None: ...


def positional(x: int, /, y: int) -> None: ...


def unevaluated(x: "NoSuchName", y: int = 0) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def where(path):
    return "x.yaml"


def node(_target_="encoder", **arguments):
    return {"_target_": f"{HERE}.{_target_}", **arguments}


def problems(value):
    return target_problems({"model": value}, where)


def test_good_arguments_have_no_problems():
    assert problems(node(dim=3, sizes=[2, 3], cell="gru", dropout=0, bias=False, name="x", path="a/b")) == []
    assert problems(node("Pooling", width=3)) == []


def test_an_argument_that_is_not_taken_gets_the_nearest_name():
    assert problems(node(dim=3, siezs=[2])) == [
        "unknown key 'model.siezs' in x.yaml: encoder does not take it; did you mean 'sizes'?"
    ]


def test_what_is_like_no_argument_gets_the_list():
    assert problems(node("Pooling", width=3, zzz=1)) == [
        "unknown key 'model.zzz' in x.yaml: Pooling does not take it; it takes width"
    ]


def test_a_misspelt_partial_is_seen():
    [first, second] = problems(node(_partail_=True))
    assert first.endswith("did you mean '_partial_'?")
    assert second == "'model.dim' is missing in x.yaml: encoder needs it; give it as +model.dim=..."


def test_under_partial_arguments_are_checked_but_may_be_absent():
    assert problems(node(_partial_=True)) == []
    assert len(problems(node(_partial_=True, kernel=3))) == 1


def test_positional_arguments_count():
    assert problems(node("positional", _args_=[1], y=2)) == []
    assert problems(node("positional", _args_=[1])) == [
        "'model.y' is missing in x.yaml: positional needs it; give it as +model.y=..."
    ]
    assert "does not take it" in problems(node("positional", _args_=[1], x=2, y=2))[0]


def test_a_target_that_takes_everything_is_not_held_to_names():
    assert problems(node("anything", a=1, b="x")) == []


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("dim", "abc", "model.dim=abc in x.yaml should be a valid integer"),
        ("dim", True, "model.dim=true in x.yaml should be a valid integer"),
        ("dim", None, "model.dim=null in x.yaml should be a valid integer"),
        ("dim", 1.5, "model.dim=1.5 in x.yaml should be a valid integer"),
        ("sizes", 3, "model.sizes=3 in x.yaml should be"),
        ("sizes", ["a"], "should be a valid integer"),
        ("cell", "lstmm", "should be 'lstm' or 'gru'"),
        ("dropout", "much", "should be a valid number"),
        ("bias", "maybe", "should be a valid boolean"),
        ("name", ["x"], "should be a valid string"),
    ],
)
def test_wrongly_typed_arguments_are_named(key, value, says):
    [problem] = problems(node(**{"dim": 3, key: value}))
    assert says in problem


def test_null_is_allowed_where_it_is_the_default():
    assert problems(node(dim=3, width=None)) == []


def test_texts_and_numbers_take_the_declared_type():
    value = node(dim=3, name=2024)
    assert problems(value) == []
    assert value["name"] == "2024"


def test_what_will_be_an_object_is_not_typed_but_checked_itself():
    assert problems(node(dim=3, sizes=node("anything"))) == []
    assert problems(node(dim=3, inner=[node("Pooling", width=1, wdth=2)])) == [
        "unknown key 'model.inner.0.wdth' in x.yaml: Pooling does not take it; did you mean 'width'?"
    ]
    assert problems(node(dim=3, sizes={"a": [node("anything")]})) == []


def test_annotations_that_cannot_be_evaluated_are_passed_over():
    assert problems(node("unevaluated", x=1, z=2))[0].startswith("unknown key 'model.z'")


def test_targets_without_a_signature_are_passed_over():
    assert target_problems({"_target_": "builtins.dict", "a": 1}, where) == []


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (f"{HERE}.encodr", f"{HERE} has no 'encodr'; did you mean 'encoder'?"),
        ("lexigraft.config.schemas.Trainer", "lexigraft.config has no 'schemas'; did you mean 'schema'?"),
        ("nowhere_at_all.thing", "there is no module 'nowhere_at_all'"),
        ("plain", "there is no module 'plain'"),
        ("os.sep", "it is neither a class nor a function"),
        (f"{HERE}.Pooling.tests", f"{HERE}.Pooling has no 'tests'"),
        (f"{HERE}.Pooling.build", f"{HERE}.Pooling has no 'build'"),
    ],
)
def test_a_target_that_cannot_be_found_gets_the_nearest_name(target, says):
    [problem] = problems({"_target_": target})
    assert problem == f"model._target_={target} in x.yaml cannot be used: {says}"


def test_a_target_that_is_not_a_name_is_refused():
    assert problems({"_target_": None}) == ["model._target_=null in x.yaml should be a dotted name"]


def test_a_module_that_misses_a_package_says_which(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import absent_package\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    [problem] = problems({"_target_": "needs_more.thing"})
    assert problem.endswith("needs_more needs the package 'absent_package', which is not installed")
    sys.modules.pop("needs_more", None)


def test_nested_names_are_located():
    assert locate("functools.partial.__call__") is functools.partial.__call__


@pytest.mark.parametrize(
    ("annotation", "reduced"),
    [
        (int, int),
        (None, type(None)),
        (float | Tensor, float),
        (Optional[Tensor], None),  # noqa: UP045
        (Tensor, None),
        (Any, None),
        (Path, str),
        (Annotated[int, "x"], int),
        (Sequence[int], Sequence[int]),
        (Sequence[Tensor], None),
        (Mapping[str, float], Mapping[str, float]),
        (tuple[float | Tensor, ...], tuple[float, ...]),
        (list, None),
    ],
)
def test_annotations_are_reduced_to_what_yaml_can_write(annotation, reduced):
    assert plain(annotation) == reduced
