"""A memory plan in words: lines for the console, and the sentence that says what would fit."""

from lexigraft.training.memory.plan import ROOM, MemoryPlan
from lexigraft.training.memory.remedies import Remedies

_TOO_BIG = 1.15  # times what is free: the estimate of activations may be as far off


def plan_line(plan: MemoryPlan) -> str:
    """One line: what is needed of what is free, and its parts."""
    parts = {"weights": plan.weights, "gradients": plan.gradients, "optimizer": plan.optimizer}
    if plan.averages:
        parts["average"] = plan.averages
    parts["activations"] = plan.activations + plan.working
    return f"{_head(plan)}: {', '.join(f'{name} {size(taken)}' for name, taken in parts.items())}"


def plan_text(plan: MemoryPlan) -> str:
    """Lines, aligned: what is needed of what is free, and the parts of which it is made."""
    texts, tokens = plan.shape
    passing = {
        "activations": (plan.activations + plan.working, f"{texts:,} texts of {tokens:,} tokens, {plan.precision}"),
        "update": (plan.update, "what the optimizer's step makes"),
        "evaluation": (plan.evaluation, "one batch"),
        "checkpoint": (plan.checkpoint, "read at the end and on resuming, when activations are gone"),
    }
    highest = max(passing, key=lambda name: passing[name][0])
    lines = [
        ("weights", plan.weights, "with those of rows that rest" if plan.resting else ""),
        ("gradients", plan.gradients, f"of {plan.trained:,} trained numbers"),
        ("optimizer", plan.optimizer, plan.optimizer_name),
        *([("average", plan.averages, "a second set of weights")] if plan.averages else []),
        ("activations", *passing["activations"]),
        *([(highest, *passing[highest])] if highest != "activations" else []),
    ]
    return "\n".join([_head(plan), *(f"  {name:<12}{size(taken):>8}  {told}".rstrip() for name, taken, told in lines)])


def fits(plan: MemoryPlan, found: Remedies | None = None) -> str | None:
    """None if the plan fits with room to spare; else a sentence: what is needed, what is free, and what would fit."""
    if plan.free is None or plan.total <= ROOM * plan.free:
        return None
    each = " each" if plan.devices > 1 else ""
    needs = f"training needs about {size(plan.total)} {plan.where}{each}, but {size(plan.free)} can be taken"
    if plan.total <= plan.free:
        needs = f"training needs about {size(plan.total)} {plan.where}{each}, of {size(plan.free)} that can be taken"
    if found is None:
        return needs
    if found.fitting:
        return f"{needs}: it fits with " + ", or ".join(f"{r.settings} ({size(r.total)})" for r in found.fitting)
    if found.least is not None:
        return f"{needs}, and even {found.least.settings} needs {size(found.least.total)}: use a smaller model"
    return f"{needs}: use a smaller model"


def require_fitting(plan: MemoryPlan, found: Remedies | None = None) -> str | None:
    """The sentence of `fits`, as a warning; `ValueError` with it where the plan is clearly too big."""
    told = fits(plan, found)
    if told is not None and plan.free is not None and plan.total > _TOO_BIG * plan.free:
        raise ValueError(told)
    return told


def _head(plan: MemoryPlan) -> str:
    left = "" if plan.free is None else f" of {size(plan.free)}"
    each = f", each of {plan.devices}" if plan.devices > 1 else ""
    return f"memory      {size(plan.total)}{left} {plan.where}{each}"


def size(count: int) -> str:
    """Bytes in kB, MB or GB, of 1000 each, with two or three digits."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= 0.9995 * factor:
            value = count / factor
            return f"{value:.1f} {unit}" if value < 99.95 and unit == "GB" else f"{value:,.0f} {unit}"
    return f"{count / 1e3:,.0f} kB"
