"""What transformers knows of an architecture without its weights: default settings and the shapes of its tensors."""

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

Shapes = Mapping[str, tuple[int, ...]]


def default_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The architecture's settings where config.json says nothing; empty for one that transformers does not know."""
    kind = config.get("model_type")
    return {} if kind is None or "auto_map" in config else dict(_defaults(kind))


@cache
def takes_null(kind: str | None, key: str) -> bool:
    """Whether null is a value of that setting; transformers refuses to open a config with one that is not."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if kind not in CONFIG_MAPPING:
        return True
    hints = [inspect.get_annotations(c) for c in CONFIG_MAPPING[kind].__mro__]
    # As it is written: other settings' types need imports to be evaluated.
    hint = next((h[key] for h in hints if key in h), None)
    return hint is None or "None" in str(hint)


def tensor_shapes(config: dict[str, Any]) -> Shapes | None:
    """The shape of every tensor of the model of that config, by the names of its checkpoint.

    None where transformers cannot build it here: code of its own, an unknown architecture, a package that is missing.
    """
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = config.get("model_type")
    named = config.get("architectures") or [None]
    model_class = getattr(transformers, named[0] or "AutoModel", None)
    if kind not in CONFIG_MAPPING or "auto_map" in config or model_class is None:
        return None
    built = CONFIG_MAPPING[kind].from_dict(config)
    build = model_class if named[0] else model_class.from_config
    try:
        with torch.device("meta"):
            model = build(built)
    except (ImportError, RuntimeError):  # what it needs is not installed, or it computes while it is built
        return None
    prefix = model.base_model_prefix
    shapes = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    # A checkpoint of the bare model fits one with a head, and the other way round.
    for name in list(shapes):
        shapes.setdefault(name.removeprefix(f"{prefix}."), shapes[name])
        shapes.setdefault(f"{prefix}.{name}", shapes[name])
    return shapes


@cache
def _defaults(kind: str) -> dict[str, Any]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if kind not in CONFIG_MAPPING:
        return {}
    built: dict[str, Any] = CONFIG_MAPPING[kind]().to_dict()
    return {key: value for key, value in built.items() if not isinstance(value, dict)}
