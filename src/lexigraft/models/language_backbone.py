"""The backbone of a language model: a new one of any transformers type, or the source's own."""

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from lexigraft.embeddings.body import quiet_transformers

# What rows and tokenizer say, not the user.
_GIVEN = ("vocab_size", "pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")
_ATTENTION = "attn_implementation"


@dataclass(frozen=True)
class SourceBackbone:
    """The layers of the checkpoint that the source's rows are of, all or the first `layers`."""

    layers: int | None = None


@dataclass(frozen=True)
class NewBackbone:
    """Layers drawn anew, of a type of transformers; `settings` are those of its config that differ from its defaults.

    `ValueError` for a type or a setting that transformers does not know.
    """

    model_type: str
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        if self.model_type not in CONFIG_MAPPING:
            near = ", ".join(get_close_matches(self.model_type, list(CONFIG_MAPPING), n=5, cutoff=0.0))
            raise ValueError(f"backbone.model_type={self.model_type}: transformers has no such type; near are {near}")
        known = _settings(CONFIG_MAPPING[self.model_type])
        for key in self.settings:
            if key in _GIVEN:
                raise ValueError(f"backbone.settings.{key} is what the tokenizer says: leave it out")
            if key not in known:
                near = ", ".join(get_close_matches(key, known, n=3, cutoff=0.0))
                raise ValueError(f"backbone.settings.{key}: the type {self.model_type} has {near}, and no such setting")

    @property
    def width(self) -> int:
        """The width of word vectors that it takes where no source has one."""
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        with quiet_transformers():
            built = CONFIG_MAPPING[self.model_type](**self.settings)
        return int(getattr(built, "embedding_size", built.hidden_size))

    def config(self, dim: int, pad_id: int) -> dict[str, Any]:
        """The config in plain values, for word vectors of width `dim`: what `Pretrained` is built from.

        Types with a width of their own for words (ELECTRA, ALBERT) take it from there. `ValueError` where others have
        another width.
        """
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        settings = dict(self.settings)
        if "embedding_size" in _settings(CONFIG_MAPPING[self.model_type]):
            settings.setdefault("embedding_size", dim)
        with quiet_transformers():  # it warns of ids beyond the words, whose number is not told
            built = CONFIG_MAPPING[self.model_type](**settings, pad_token_id=pad_id)
        width = getattr(built, "embedding_size", built.hidden_size)
        if width != dim:
            raise ValueError(
                f"word vectors are {dim} wide, and the {self.model_type} of backbone.settings takes {width}: set "
                f"transplant.dim={width}, or backbone=electra, which adapts to any"
            )
        values: dict[str, Any] = json.loads(built.to_json_string(use_diff=False))
        if _ATTENTION in settings:  # how it is computed is no part of a config.json
            values[_ATTENTION] = settings[_ATTENTION]
        return values


def _settings(kind: Any) -> list[str]:
    """The names that a config takes, the type's own and those that all types share."""
    own = [name for each in kind.__mro__ for name in inspect.get_annotations(each) if not name.startswith("_")]
    taken = {*own, *inspect.signature(kind.__init__).parameters, *kind.attribute_map, _ATTENTION}
    return sorted(taken - {"self", "kwargs"})
