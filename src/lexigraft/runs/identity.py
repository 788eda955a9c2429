"""What a run is: the hash of its resolved config, without what cannot change its result."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Where things lie, what is shown or recorded beside, and hardware on which the same numbers come out but for rounding.
# `data.root` says where files lie and not which; what they hold is fingerprinted in provenance.json.
IRRELEVANT = (
    ("experiment",),
    ("rerun",),
    ("output_root",),
    ("logger",),
    ("data", "root"),
    ("trainer", "progress"),
    ("trainer", "profile"),
    ("trainer", "keep_last"),
    ("trainer", "workers"),
    ("hardware", "accelerator"),
    ("hardware", "threads"),
    ("hardware", "compile"),
)


def identity(values: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved config that decides the result, as plain values."""
    kept = _without(values, IRRELEVANT)
    auxiliary = kept.get("auxiliary") or {}
    return {**kept, "auxiliary": {name: _without(of, [("data", "root")]) for name, of in auxiliary.items()}}


def run_id(values: Mapping[str, Any]) -> str:
    """The name of the run's folder: 16 hexadecimal digits of the SHA-256 of `identity(values)`.

    The order of keys does not matter; 1 and 1.0 are different values, as they are to a config's schema.
    """
    text = json.dumps(identity(values), sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without(values: Mapping[str, Any], paths: Any) -> dict[str, Any]:
    """`values` without some keys; nothing of it is changed."""
    found = dict(values)
    for first, *rest in paths:
        if not rest:
            found.pop(first, None)
        elif isinstance(found.get(first), Mapping):
            found[first] = _without(found[first], [rest])
    return found
