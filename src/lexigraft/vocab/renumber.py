"""A tokenizer rebuilt from its own JSON with other ids: permuted, or without some of its tokens."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import tokenizers

from lexigraft.vocab.reading import read_vocabulary
from lexigraft.vocab.spelling import parsed
from lexigraft.vocab.tokenizer import Tokenizer


def renumber(tokenizer: Tokenizer, order: Sequence[int]) -> Tokenizer:
    """The tokenizer with id `order[i]` renumbered to i: a permutation of its ids, or fewer of them (trimming).

    Segmenter and roles are kept; a token that `order` leaves out is gone, and with it the BPE merges that need it. An
    `unused` id stays a hole at its new place (one at the end vanishes). Texts are cut as before as long as no token is
    left out. `ValueError` for ids that are not there or named twice, and where the tokenizer cannot do without a
    token that is left out: its unknown token, or one that it puts around texts.
    """
    count = len(tokenizer.vocabulary)
    if wrong := [int(i) for i in order if not 0 <= i < count]:
        raise ValueError(f"the new order names id {wrong[0]}, but the tokenizer's ids are 0 to {count - 1}")
    new_ids = {int(old): new for new, old in enumerate(order)}
    if len(new_ids) < len(order):
        raise ValueError(f"the new order names {len(order) - len(new_ids)} ids more than once: name each at most once")
    specification = parsed(tokenizer.backend)
    model = specification["model"]
    _check_unknown(model, new_ids)
    entries = {new_ids[i]: entry for i, entry in entries_by_id(model).items() if i in new_ids}
    specification["added_tokens"] = [
        entry | {"id": new_ids[entry["id"]]} for entry in specification["added_tokens"] if entry["id"] in new_ids
    ]
    if model.get("unk_id") is not None:
        model["unk_id"] = new_ids[model["unk_id"]]
    return rebuilt(tokenizer, specification, entries)


def entries_by_id(model: dict[str, Any]) -> dict[int, list[Any]]:
    """Id -> [content, score] of a model's entries as its JSON gives them; only Unigram has scores, else 0."""
    if isinstance(model["vocab"], dict):
        return {i: [content, 0.0] for content, i in model["vocab"].items()}
    return dict(enumerate(model["vocab"]))


def rebuilt(tokenizer: Tokenizer, specification: dict[str, Any], entries: dict[int, list[Any]]) -> Tokenizer:
    """The tokenizer of an edited JSON whose model gets the `entries` (id -> [content, score]).

    Everything else that holds ids or names tokens follows the entries and `specification["added_tokens"]`: BPE merges
    with a missing part are dropped, and the post-processor and the padding get the new ids.
    """
    model, added = specification["model"], specification["added_tokens"]
    added.sort(key=lambda entry: entry["id"])
    entries = _with_added(entries, added)
    if model["type"] == "Unigram":
        assert sorted(entries) == list(range(len(entries))), "a Unigram's ids are positions in a list"
        model["vocab"] = [entries[i] for i in range(len(entries))]
    else:
        model["vocab"] = {content: i for i, (content, _) in sorted(entries.items())}
    if "merges" in model:
        prefix = model["continuing_subword_prefix"] or ""
        model["merges"] = [pair for pair in model["merges"] if _possible(pair, prefix, model["vocab"])]
    ids = {content: i for i, (content, _) in entries.items()} | {entry["content"]: entry["id"] for entry in added}
    if specification["post_processor"] is not None:
        specification["post_processor"] = _post_processor(specification["post_processor"], ids)
    if specification["padding"] is not None:
        pad = ids.get(specification["padding"]["pad_token"])
        specification["padding"] = None if pad is None else specification["padding"] | {"pad_id": pad}

    backend = tokenizers.Tokenizer.from_str(json.dumps(specification, ensure_ascii=False))
    assert all(backend.token_to_id(entry["content"]) == entry["id"] for entry in added)
    roles = {role: content for role, content in tokenizer.role_contents().items() if content in ids}
    return Tokenizer(backend, read_vocabulary(backend, roles), tokenizer.segmenter)


def _with_added(entries: dict[int, list[Any]], added: Iterable[dict[str, Any]]) -> dict[int, list[Any]]:
    """The entries, and as many added tokens as it takes that the library gives every one its id.

    It ignores the ids that its JSON names: an added token has the id of the model's entry of that content, else those
    after the model's last count up. As an entry, a token can also be made by the model; that changes no text unless it
    is an added token that is only sought as a whole word.
    """
    known = {content for content, _ in entries.values()}
    outside = [entry for entry in added if entry["content"] not in known]
    lowest = min((score for _, score in entries.values()), default=0.0)
    entries = dict(entries)
    highest = max(entries, default=-1)
    for i, entry in enumerate(outside):
        size = len(entries)
        if highest < size and [e["id"] for e in outside[i:]] == list(range(size, size + len(outside) - i)):
            break
        entries[entry["id"]] = [entry["content"], lowest]
        highest = max(highest, entry["id"])
    return entries


def _possible(pair: Sequence[str], prefix: str, vocabulary: dict[str, int]) -> bool:
    left, right = pair
    return left in vocabulary and right in vocabulary and left + right.removeprefix(prefix) in vocabulary


def _post_processor(step: dict[str, Any], ids: dict[str, int]) -> dict[str, Any]:
    """The same post-processor with the new ids of its tokens."""

    def new_id(content: str) -> int:
        if content not in ids:
            raise ValueError(f"this tokenizer puts {content} around texts, so that it cannot be left out: keep it")
        return ids[content]

    if step["type"] == "Sequence":
        return step | {"processors": [_post_processor(s, ids) for s in step["processors"]]}
    if step["type"] in ("BertProcessing", "RobertaProcessing"):
        return step | {key: [step[key][0], new_id(step[key][0])] for key in ("cls", "sep")}
    if step["type"] == "TemplateProcessing":
        special = {
            name: token | {"ids": [new_id(content) for content in token["tokens"]]}
            for name, token in step["special_tokens"].items()
        }
        return step | {"special_tokens": special}
    return step


def _check_unknown(model: dict[str, Any], new_ids: dict[int, int]) -> None:
    """Refuse an order without the token that the model gives for what it does not know."""
    vocabulary = model["vocab"]
    unknown = model["unk_id"] if model["type"] == "Unigram" else vocabulary.get(model["unk_token"])
    if unknown is not None and unknown not in new_ids:
        content = vocabulary[unknown][0] if model["type"] == "Unigram" else model["unk_token"]
        raise ValueError(f"{content} stands for what this tokenizer does not know and cannot be left out: keep it")
