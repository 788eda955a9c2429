"""README.md of a new checkpoint: what it was made of and how, as the hub's model cards say it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

# owner/name; a folder of this machine says nothing to others.
_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w.-]+")


def model_card(
    title: str,
    summary: Mapping[str, Any],
    warnings: Sequence[str],
    *,
    base: str,
    target: str,
    method: str,
    command: str,
) -> str:
    """Markdown with a YAML header. `summary` is that of `transplant.provenance.summarise`."""
    header: dict[str, Any] = {"library_name": "transformers", "tags": ["lexigraft", "embedding-transplant"]}
    if _HUB_NAME.fullmatch(base):
        header["base_model"] = base
    elif Path(base).exists():
        base = Path(base).resolve().name
    tiers = summary["tokens_per_tier"]
    total = sum(tiers.values())
    rows = "\n".join(
        f"| {tier} | {count:,} | {100 * count / total:.1f} % |"
        for tier, count in sorted(tiers.items(), key=lambda item: -item[1])
    )
    told = "\n".join(f"- {warning}" for warning in warnings) or "None."
    return f"""---
{OmegaConf.to_yaml(OmegaConf.create(header), sort_keys=True).strip()}
---

# {title}

`{base}` on the vocabulary of `{target}`. Its word embeddings were moved by lexigraft (method `{method}`);
all other weights are those of the base model, bit for bit.

| Rows made by | Tokens | Share |
|---|---:|---:|
{rows}

- Tokens: {summary["source_tokens"]:,} before, {summary["target_tokens"]:,} now; width {summary["dim"]}.
- Norm of a row (mean and standard deviation): {_norm(summary["norm_of_source_rows"])} before,
  {_norm(summary["norm_of_new_rows"])} now.

`provenance.parquet` tells of every row what it was made of, `config.yaml` and `provenance.json` how to make it again.

## Warnings

{told}

## Command

```
{command}
```
"""


def _norm(of: Mapping[str, float | None]) -> str:
    mean, std = of["mean"], of["std"]
    return "unknown" if mean is None or std is None else f"{mean:.4g} ± {std:.2g}"
