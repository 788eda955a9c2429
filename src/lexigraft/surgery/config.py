"""config.json and generation_config.json on another vocabulary: its size, and every token id that they name."""

import re
from typing import Any

from lexigraft.surgery.architecture import default_config, takes_null
from lexigraft.surgery.ids import NewIds

Config = dict[str, Any]

_SIZE = re.compile(r"(\w+_)?vocab_size|n_words|n_vocab")
_ROLE = re.compile(r"(pad|bos|eos|cls|sep|mask|unk)_(token_id|index)")
_TOKEN = re.compile(
    r"\w+_(token_ids?|token_index)|(pad|bos|eos|cls|sep|mask|unk)_index|(begin_)?suppress_tokens"
    r"|bad_words_ids|forced_decoder_ids|(lang|language|task)_to_id"
)
# An encoder-decoder cannot generate without one of these; what stands in, in this order.
_START = ("decoder_start_token_id", "bos_token_id")
_STAND_IN = ("bos", "eos", "sep", "cls", "pad")
# An id that no text contains.
_NOWHERE = -1


def new_config(config: Config, ids: NewIds, old_size: int, new_size: int) -> tuple[Config, list[str]]:
    """The config for a matrix of `new_size` rows in place of `old_size`, and warnings for what was lost.

    Follows `text_config`, `encoder` and the like, but leaves alone what has a vocabulary of another size (a codec's).
    Values that the file leaves to the architecture's defaults are written down where they change. An id without
    counterpart becomes null, or -1 (which no text contains) where it is no id of `generate` or cannot be null.
    """
    warnings: list[str] = []
    return _walk(config, ids, (old_size, new_size), is_seq2seq(config), "", warnings), warnings


def new_generation_config(config: Config, ids: NewIds, seq2seq: bool) -> tuple[Config, list[str]]:
    """generation_config.json with its ids on the new vocabulary, and warnings for what was lost."""
    warnings: list[str] = []
    return _mapped(config, {}, ids, seq2seq, "generation_config.", warnings), warnings


def is_seq2seq(config: Config) -> bool:
    """Whether the model is an encoder-decoder."""
    return bool({**default_config(config), **config}.get("is_encoder_decoder"))


def resized(config: Config, old_size: int, new_size: int) -> Config:
    """The config with another vocabulary size and the same ids."""
    sizes = _sizes({**default_config(config), **config})
    found = {**config, **{key: new_size for key, size in sizes.items() if size == old_size}}
    for key, value in config.items():
        if _is_config(key, value):
            found[key] = resized(value, old_size, new_size)
    return found


def token_id(config: Config, key: str) -> int | None:
    """What the config says, else the architecture's default."""
    value = config.get(key, default_config(config).get(key))
    return value if isinstance(value, int) else None


def _walk(
    config: Config, ids: NewIds, change: tuple[int, int], seq2seq: bool, path: str, warnings: list[str]
) -> Config:
    defaults = default_config(config)
    sizes = _sizes({**defaults, **config})
    old_size, new_size = change
    if path and sizes and old_size not in sizes.values():
        return config  # of another vocabulary
    found = _mapped(config, defaults, ids, seq2seq, path, warnings)
    for key, size in sizes.items():
        if size == old_size and (key in config or new_size != old_size):
            found[key] = new_size
    for key, value in config.items():
        if _is_config(key, value):
            found[key] = _walk(value, ids, change, seq2seq, f"{path}{key}.", warnings)
    return found


def _mapped(config: Config, defaults: Config, ids: NewIds, seq2seq: bool, path: str, warnings: list[str]) -> Config:
    """The config with its own token ids mapped, not those of configs within."""
    found = dict(config)
    if ids.same:
        return found
    for key, old in {**defaults, **config}.items():
        if not _TOKEN.fullmatch(key) or isinstance(old, (str, float, bool)) or _is_config(key, old):
            continue
        new = _new_value(key, old, ids)
        lost = _lost(old, new)
        if lost and seq2seq and key in _START:
            new = next((ids.target.roles[r] for r in _STAND_IN if r in ids.target.roles), None)
        if new is None and old is not None and not takes_null(config.get("model_type"), key):
            new = _NOWHERE
        if lost:
            warnings.append(
                f"{path}{key} was {_short(old)} and is now {_short(new)}: the tokenizer has no token for it"
            )
        if key in config or new != old:
            found[key] = new
    return found


def _new_value(key: str, old: Any, ids: NewIds) -> Any:
    role = _ROLE.fullmatch(key)
    if old is None:
        # A padding token of the target is told; other roles that the source does without stay away.
        return ids.of_role("pad", None) if key == "pad_token_id" else None
    if isinstance(old, dict):
        return {name: new for name, i in old.items() if isinstance(i, int) and (new := ids.of_token(i)) is not None}
    if isinstance(old, int):
        if old < 0:
            return old
        if role is not None:
            return ids.of_role(role[1], old)
        new = ids.of_token(old)
        return new if new is not None or _may_be_null(key) else _NOWHERE
    if role is not None:
        return ids.of_roles(role[1], old) or ids.of_role(role[1], None)
    return _new_list(key, old, ids)


def _new_list(key: str, old: list[Any], ids: NewIds) -> list[Any] | None:
    """Ids, or lists of ids of which each is needed (`bad_words_ids`), or pairs (`forced_decoder_ids`)."""
    if key == "forced_decoder_ids":
        pairs = [[place, i if i is None else ids.of_token(i)] for place, i in old]
        return [pair for pair, (_, i) in zip(pairs, old) if pair[1] is not None or i is None] or None
    found: list[Any] = []
    for entry in old:
        if isinstance(entry, list):
            sequence = [ids.of_token(i) for i in entry]
            found += [sequence] if None not in sequence else []
        elif isinstance(entry, int):
            found += ids.all_of(entry) if entry >= 0 else [entry]
        else:
            found.append(entry)
    return found or None


def _may_be_null(key: str) -> bool:
    return key.startswith(("forced_", "decoder_", "blank_"))


def _lost(old: Any, new: Any) -> bool:
    if isinstance(old, int):
        return old >= 0 and (new is None or new == _NOWHERE)
    return bool(old) and len(new or ()) < len({str(entry) for entry in old})


def _is_config(key: str, value: Any) -> bool:
    return isinstance(value, dict) and (key.endswith("_config") or key in ("encoder", "decoder", "generator"))


def _sizes(config: Config) -> dict[str, int]:
    return {k: v for k, v in config.items() if _SIZE.fullmatch(k) and isinstance(v, int) and k != "type_vocab_size"}


def _short(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
