"""What a run is: the hash of its resolved config, without what cannot change its result."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Where things lie, what is shown or recorded beside, and hardware on which the same numbers come out but for rounding:
# however many processes or micro-batches share a batch, its gradient is the same, and a run goes on in its folder with
# fewer or more of them (only dropout draws other masks then). Not so the precision, which changes every number by far
# more than rounding does, nor `deterministic`, the promise that a run of this name comes out in the same bits again.
IRRELEVANT = (
    ("experiment",),
    ("rerun",),
    ("output_root",),
    ("logger",),
    ("trainer", "progress"),
    ("trainer", "profile"),
    ("trainer", "keep_last"),
    ("trainer", "workers"),
    ("trainer", "checkpoint_every"),
    ("trainer", "checkpoint_async"),
    ("trainer", "micro_batch"),
    ("hardware", "accelerator"),
    ("hardware", "devices"),
    ("hardware", "nodes"),
    ("hardware", "strategy"),
    ("hardware", "cpu_offload"),
    ("hardware", "activation_checkpointing"),
    ("hardware", "requeue"),
    ("hardware", "threads"),
    ("hardware", "compile"),
)
# Wherever it stands, as in `data.root`: the folder in which files lie, not which files. What they hold is
# fingerprinted in provenance.json.
ROOT = "root"


def identity(values: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved config that decides the result, as plain values."""
    kept: dict[str, Any] = _without_roots(_without(values, IRRELEVANT))
    return kept


def run_id(values: Mapping[str, Any]) -> str:
    """The name of the run's folder: 16 hexadecimal digits of the SHA-256 of `identity(values)`.

    The order of keys does not matter; 1 and 1.0 are different values, as they are to a config's schema.
    """
    text = json.dumps(identity(values), sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_roots(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_roots(of) for key, of in value.items() if key != ROOT}
    return [_without_roots(of) for of in value] if isinstance(value, list) else value


def _without(values: Mapping[str, Any], paths: Any) -> dict[str, Any]:
    """`values` without some keys; nothing of it is changed."""
    found = dict(values)
    for first, *rest in paths:
        if not rest:
            found.pop(first, None)
        elif isinstance(found.get(first), Mapping):
            found[first] = _without(found[first], [rest])
    return found
