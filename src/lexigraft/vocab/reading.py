"""A vocabulary by bytes, read from a tokenizer backend's own JSON: never from class names, never from `decode()`."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import tokenizers

from lexigraft.vocab.pieces import Pieces, rebuilt_normalizer
from lexigraft.vocab.spelling import Spelling, flat_steps, parsed
from lexigraft.vocab.vocabulary import ROLES, UNUSED, Token, Vocabulary

# The role that `Token.role` names when a token plays several.
_MAIN = ("eos", "bos", "cls", "sep", "mask", "unk", "pad")


def read_vocabulary(backend: tokenizers.Tokenizer, roles: Mapping[str, str]) -> Vocabulary:
    """The backend's tokens by id, 0 to the highest id; `roles` maps a role to the content of the token that plays it.

    Ids that no token claims get the role `unused`. `ValueError` for an unknown role or a token that is not there.
    """
    specification = parsed(backend)
    spelling = Spelling.of(backend, specification)
    contents = _contents(specification)
    added = {entry["id"]: entry for entry in specification["added_tokens"]}
    playing = _roles_by_id(roles, contents)
    cut = _cut(backend)

    tokens = [Token(b"", None, UNUSED)] * (max(contents, default=-1) + 1)
    unreachable = set()
    for i, content in contents.items():
        if i in playing:
            tokens[i] = Token(content.encode(), None, playing[i][0])
        elif i not in added:
            token = tokens[i] = spelling.read(content)
            if spelling.prefix is not None:
                isolated, whole = cut(token.surface.decode())
                if isolated and token.starts_word:
                    tokens[i] = Token(token.surface, None)
                if not whole or (isolated and not token.starts_word):
                    unreachable.add(i)
        elif added[i]["special"]:
            tokens[i] = Token(content.encode(), None, f"special:{content}")
        else:
            tokens[i] = spelling.read_added(content)

    return Vocabulary(
        tokens=tuple(tokens),
        normalize=_folding(specification, spelling),
        segment=Pieces(backend, spelling, {i for i, found in playing.items() if "unk" in found}),
        further_roles=tuple((role, i) for i, found in playing.items() for role in found[1:]),
        unreachable=frozenset(unreachable),
    )


def _contents(specification: dict[str, Any]) -> dict[int, str]:
    """Id -> content, of the model's entries and of the added ones."""
    entries = specification["model"]["vocab"]
    if isinstance(entries, dict):
        contents = {i: content for content, i in entries.items()}
    else:  # Unigram: [piece, score] by id
        contents = {i: piece for i, (piece, _) in enumerate(entries)}
    contents.update((entry["id"], entry["content"]) for entry in specification["added_tokens"])
    return contents


def _roles_by_id(roles: Mapping[str, str], contents: dict[int, str]) -> dict[int, list[str]]:
    """Id -> the roles that it plays, the main one first."""
    named = set(roles.values())
    ids = {content: i for i, content in contents.items() if content in named}
    found: dict[int, list[str]] = {}
    for role, content in roles.items():
        if role not in ROLES:
            raise ValueError(
                f"{role!r} is no role of a special token: expected {', '.join(ROLES)}, each with its token"
            )
        if content not in ids:
            raise ValueError(f"the tokenizer has no token {content!r}, which was named as its {role} token")
        found.setdefault(ids[content], []).append(role)
    return {i: sorted(playing, key=_MAIN.index) for i, playing in sorted(found.items())}


def _cut(backend: tokenizers.Tokenizer) -> Callable[[str], tuple[bool, bool]]:
    """Whether the tokenizer cuts before a text wherever it stands, and whether it leaves the text itself whole.

    A letter put before the text shows it.
    """
    normalizer, pre_tokenizer = backend.normalizer, backend.pre_tokenizer

    @cache  # most Han characters stand in a vocabulary twice, as `中` and as `##中`
    def cut(text: str) -> tuple[bool, bool]:
        if pre_tokenizer is None or (text.isascii() and text.isalnum()):
            return False, True
        probe = "a" + text
        if normalizer is not None:
            probe = normalizer.normalize_str(probe)
        words = [word for word, _ in pre_tokenizer.pre_tokenize_str(probe)]
        isolated = len(words) > 1 and words[0] == "a"
        return isolated, len(words) == 1 + isolated

    return cut


def _folding(specification: dict[str, Any], spelling: Spelling) -> Callable[[str], str] | None:
    """What the normalizer folds (case, accents, NFKC) without what it does to spaces and boundaries."""
    steps = []
    for step in flat_steps(specification["normalizer"]):
        if step["type"] == "BertNormalizer":
            # Otherwise Han characters come back with a space on either side.
            steps.append(step | {"handle_chinese_chars": False})
        elif step["type"] == "Replace":
            if step["content"].strip(f" {spelling.mark or ''}"):
                steps.append(step)
        elif step["type"] not in ("Prepend", "Strip", "ByteLevel"):
            steps.append(step)
    normalizer = rebuilt_normalizer(steps)
    return None if normalizer is None else normalizer.normalize_str
