"""What a diagnosis should warn of: what it is, why it hurts, what to do; nothing where it does not matter."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lexigraft.transplant.provenance import CARRY_NOTHING, COPIED

# A row this many times as long as the median one, or with this mean cosine to all others, is out of the ordinary.
OUTLYING_NORM, OUTLYING_COSINE = 8.0, 0.9
# Rows that a step made should not be this many times longer, or shorter, than copied ones.
NORM_RATIO = 2.0
# Shares of the new rows from which a finding about them matters.
MANY_ROWS, MANY_EQUAL, MANY_UNREACHABLE = 0.002, 0.05, 0.1


def warnings_of(summary: Mapping[str, Any], diagnosis: Mapping[str, Any], calculates: bool) -> Iterator[str]:
    """A sentence for each finding that matters, out of what `summarise` and `diagnose` counted.

    `calculates`: layers follow that may have learned to calculate with the source's digits.
    """
    target_tokens = summary["target_tokens"]
    yield from _on_rows(summary)
    if calculates:
        yield from _on_digits(diagnosis["digits"])
    for name, found in diagnosis["outliers"].items():
        yield from _on_outliers(name, found, target_tokens)
    yield from _on_untrained(diagnosis["untrained"], target_tokens)
    yield from _on_norms(diagnosis["norms"], target_tokens)
    yield from _on_unreachable(diagnosis["unreachable"]["target"], target_tokens)


def _on_rows(summary: Mapping[str, Any]) -> Iterator[str]:
    """What the summary says of NaN, zero and equal rows, for input and output rows."""
    total = summary["target_tokens"]
    for what, state, tiers in (
        ("", summary, summary["tokens_per_tier"]),
        ("output ", summary.get("output_rows"), summary.get("output_tokens_per_tier", summary["tokens_per_tier"])),
    ):
        if state is None:
            continue
        if state["not_finite_rows"]:
            yield (
                f"{_count(state['not_finite_rows'], f'{what}row')} with NaN or infinity: any text with such a token "
                "makes the loss NaN; find them in provenance.parquet and check the source and the step that made them"
            )
        unmeant = state["zero_rows"] - tiers.get("zero", 0)
        if unmeant > 0:
            yield (
                f"{_count(unmeant, f'{what}row')} of only zeros: the model cannot tell these tokens "
                "apart; let transplant.fill end with statistics.normal, or drop the source's zero rows"
            )
        equal = state["duplicate_rows"]
        if equal["accidental"]:
            yield (
                f"{_count(equal['accidental'], f'{what}row')} equal to another row, though not made of the same source "
                f"rows (ids {_some(map(str, equal['accidental_ids']))}): a step gave different tokens one row; check it"
            )
        explained = equal["copies_of_one_source_row"] + equal["sums_of_the_same_rows"]
        if explained > MANY_EQUAL * total:
            yield (
                f"{_count(explained, f'{what}row')} equal to another row, because they are made of the same source "
                "rows: until training moves them apart, these tokens mean the same to the model; a method with a donor "
                "or texts (omp, knn, focus) tells them apart"
            )


def _on_digits(digits: Mapping[str, str | None]) -> Iterator[str]:
    old, new = digits["source"], digits["target"]
    if old and new and old != new:
        yield (
            f"the source's tokenizer writes numbers as {old}, the target's as {new}: what the model knows of numbers "
            "will suffer (a published swap lost 79 % of its GSM8K score); where numbers matter, choose a target "
            "tokenizer with the source's scheme"
        )


def _on_outliers(name: str, found: Mapping[str, Any], target_tokens: int) -> Iterator[str]:
    if found["not_finite"]:
        yield f"{_count(found['not_finite'], 'row')} of {name} with NaN or infinity: repair or leave out these rows"
    if found.get("sums", target_tokens) <= MANY_ROWS * target_tokens:
        return
    if found["long"]:
        yield (
            f"{_count(found['long'], 'row')} of {name} longer than {OUTLYING_NORM:g} times the median "
            f"({_tokens(found['longest'])}): such a row outweighs all others in sums and products; leave these "
            f"tokens out of {name}, or look at the nearest neighbours of the new tokens"
        )
    if found["close"]:
        yield (
            f"{_count(found['close'], 'row')} of {name} with a mean cosine above {OUTLYING_COSINE:g} to all others "
            f"({_tokens(found['closest'])}): such a row is a neighbour of every token, whatever it means; leave these "
            f"tokens out of {name}, or subtract its mean row first"
        )


def _on_untrained(suspects: Mapping[str, Any], target_tokens: int) -> Iterator[str]:
    if suspects["new_rows"] > MANY_ROWS * target_tokens:
        yield (
            f"{_count(suspects['new_rows'], 'new row')} made of source rows that look untrained "
            f"({suspects['tokens']:,} of {suspects['of']:,} source tokens, such as {_tokens(suspects['worst'])}): they "
            "know nothing of their tokens, although they count as covered; train long enough for them to be learned, "
            "or take another source"
        )


def _on_norms(norms: Mapping[str, Mapping[str, float]], target_tokens: int) -> Iterator[str]:
    copied = [norms[tier] for tier in COPIED if tier in norms and tier != "role"] or [norms.get("source", {})]
    usual = max(copied, key=lambda n: n.get("rows", 0)).get("median")
    if usual is None:
        return
    for tier, of in norms.items():
        ratio = of["median"] / usual
        if (
            tier in ("source", *COPIED, *CARRY_NOTHING)
            or of["rows"] < MANY_ROWS * target_tokens
            or 1 / NORM_RATIO <= ratio <= NORM_RATIO
        ):
            continue
        times = f"{ratio:.1f} times as long as" if ratio > 1 else f"{1 / ratio:.1f} times shorter than"
        hurts = "they drown the others" if ratio > 1 else "they are drowned by the others"
        yield (
            f"the {of['rows']:,} rows made by {tier} are {times} copied ones (median {of['median']:.3g} against "
            f"{usual:.3g}): {hurts} wherever rows are added or averaged; transplant=calibrated sets the norms right"
        )


def _on_unreachable(found: Mapping[str, Any], target_tokens: int) -> Iterator[str]:
    if found["tokens"] > MANY_UNREACHABLE * target_tokens:
        yield (
            f"{found['tokens']:,} of {target_tokens:,} target tokens (such as {_some(found['examples'])}) are never "
            "produced by their tokenizer: their rows only take up memory; tokenizer=trim drops them"
        )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _tokens(found: Sequence[Mapping[str, Any]]) -> str:
    return _some(each["token"] for each in found)


def _some(names: Any) -> str:
    return ", ".join(list(names)[:3])
