"""What would make a run fit, found by planning it again with other settings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.util import find_spec
from math import ceil
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from lexigraft.config.sharding import OF_EACH_NUMBER
from lexigraft.data.datamodule import TextDataModule
from lexigraft.training.finetune.steady import EmbeddingOnly, Frozen
from lexigraft.training.memory.available import Free
from lexigraft.training.memory.parts import Conditions, Parts, parts_of, used_rows
from lexigraft.training.memory.plan import ROOM, MemoryPlan, plan, planned
from lexigraft.training.micro_batches import largest_part, why_whole
from lexigraft.training.module import SupervisedModule
from lexigraft.training.strategy import Strategy

_RANK = 8  # of conf/finetune/lora.yaml
_DIVISIBLE = (*OF_EACH_NUMBER, "Lion")  # optimizers that step a piece of a matrix as they step the whole


@dataclass(frozen=True)
class Remedy:
    """Settings as they are written on the command line, and the bytes that a device then needs."""

    settings: str
    total: int


@dataclass(frozen=True)
class _Choice:
    """Which settings are changed; None and 1: not."""

    active: bool = False
    sharded: bool = False
    precision: str | None = None
    split: int = 1
    optimizer: str | None = None
    finetune: str | None = None
    shorter: int = 1


Change = dict[str, Any]  # of one setting of a choice


@dataclass(frozen=True)
class Remedies:
    """Those that make a run fit, or, where none does, the one that needs least."""

    fitting: tuple[Remedy, ...]
    least: Remedy | None


def remedies(module: SupervisedModule, batches: TextDataModule, conditions: Conditions, free: Free) -> Remedies:
    """At most two settings that fit by themselves, else as few as fit together.

    Those that leave the result as it is come first (active rows, batches in parts), then those that change it
    least. The module is left as it was.
    """
    assert free.bytes is not None
    tried = _Tried(module, batches, conditions, free)

    def fits(choice: _Choice) -> bool:
        made = tried.plan(choice)
        assert made.free is not None
        return made.total <= ROOM * made.free

    ways = list(tried.ways())
    alone = [next((c for c in way if fits(replace(_Choice(), **c))), None) for way in ways]
    found = [replace(_Choice(), **change) for change in alone if change is not None][:2]
    together = _Choice()
    for way in ways if not found else []:
        enough = next((c for c in way if fits(replace(together, **c))), None)
        together = replace(together, **(way[-1] if enough is None else enough))
        if enough is not None:
            found = [_fewest(together, fits)]
            break
    fitting = tuple(tried.remedy(choice) for choice in found)
    return Remedies(fitting, None if fitting or together == _Choice() else tried.remedy(together))


def _fewest(choice: _Choice, fits: Callable[[_Choice], bool]) -> _Choice:
    """The choice without what is not needed, the gravest change given back first."""
    for name in ("shorter", "finetune", "optimizer", "sharded", "split", "precision", "active"):
        less = replace(choice, **{name: getattr(_Choice(), name)})
        choice = less if fits(less) else choice
    return choice


class _Tried:
    """Plans of one run under other settings."""

    def __init__(self, module: SupervisedModule, batches: TextDataModule, conditions: Conditions, free: Free) -> None:
        self.module, self.batches, self.conditions, self.free = module, batches, conditions, free
        self.facts = cache(self._facts)
        self.used = cache(partial(used_rows, batches))

    def ways(self) -> Iterator[list[Change]]:
        """Changes of one setting each, the mildest one of each first."""
        facts, now = self.facts(None, None, None), self.conditions
        if not facts.resting and self.used() < facts.rows[0] and self.module.all_rows_move(now.epochs) is None:
            yield [{"active": True}]
        _, tokens = max(facts.train, key=lambda shape: shape[0] * shape[1])
        bound = self.batches.batch_tokens
        most = self._texts() if bound is None else bound // max(length for _, length in facts.train)
        if splits := [Change(split=2**i) for i in range(1, 11) if 2**i <= most]:
            yield splits
        if self.can_be_sharded(facts):
            yield [{"sharded": True}]
        if now.precision.startswith(("32", "tf32")):
            yield [{"precision": "bf16-mixed"}]
        if facts.optimizer != "Adafactor" and facts.state > facts.trained and now.strategy == "ddp":
            yield [{"optimizer": "adafactor"}]
        if facts.trained == facts.weights:
            if _linear(self.module) and find_spec("peft") is not None:
                yield [{"finetune": "lora"}]
            yield [{"finetune": "frozen"}]
        if tokens >= 64:
            yield [{"shorter": 2}, {"shorter": 4}]

    def plan(self, choice: _Choice) -> MemoryPlan:
        """The plan with these changes."""
        facts = self.facts(choice.precision, choice.optimizer, choice.finetune)
        if choice.active:
            facts = _with_active_rows(facts, self.used())
        by, shorter = choice.split, choice.shorter
        conditions = self._conditions(choice.precision)
        if choice.sharded:
            conditions = replace(conditions, strategy="fsdp")
        if by > 1 and self.in_parts(choice):
            conditions, by = replace(conditions, micro_batch=self._micro_batch(by)), 1
        facts = replace(facts, train=tuple((ceil(b / by), ceil(t / shorter)) for b, t in facts.train))
        facts = replace(facts, evaluated=tuple((b, ceil(t / shorter)) for b, t in facts.evaluated))
        return planned(facts, conditions, self.free)

    def remedy(self, choice: _Choice) -> Remedy:
        """The settings of a choice, and what they need."""
        now, longest = self.conditions, max(length for _, length in self.facts(None, None, None).train)
        bound = self.batches.batch_tokens
        parts = f"trainer.micro_batch={self._micro_batch(choice.split)}"
        if not self.in_parts(choice):
            smaller = f"batch_size={ceil(now.batch_size / choice.split)}"
            smaller = smaller if bound is None else f"batch_tokens={bound // choice.split}"
            parts = f"trainer.{smaller} trainer.accumulate={now.accumulate * choice.split}"
        told = {
            "trainer.active_vocabulary=true": choice.active,
            "hardware.strategy=fsdp": choice.sharded,
            f"hardware.precision={choice.precision}": choice.precision,
            parts: choice.split > 1,
            f"optimizer={choice.optimizer}": choice.optimizer,
            f"finetune={choice.finetune}": choice.finetune,
            f"trainer.max_tokens={ceil(longest / choice.shorter)}": choice.shorter > 1,
        }
        return Remedy(" ".join(text for text, is_set in told.items() if is_set), self.plan(choice).total)

    def can_be_sharded(self, facts: Parts) -> bool:
        """Whether processes that are there anyway could have pieces of the weights: see `config/sharding.py`."""
        now = self.conditions
        several = now.ranks > 1 and now.strategy == "ddp" and now.micro_batch is None
        held = getattr(self.module._finetune, "holds_rows", False)
        return several and not now.averaging and not held and facts.optimizer in _DIVISIBLE

    def in_parts(self, choice: _Choice) -> bool:
        """Whether a batch can be trained in parts; parts are counted in texts, and budgets are not."""
        alone = self.conditions.strategy == "ddp" and not choice.sharded
        return alone and self.batches.batch_tokens is None and why_whole(self.module.modules()) is None

    def _texts(self) -> int:
        """The most texts that a device trains at once now."""
        now = self.conditions
        texts = max(ceil(texts / now.ranks) for texts, _ in self.facts(None, None, None).train)
        return texts if now.micro_batch is None else largest_part(texts, now.micro_batch)

    def _micro_batch(self, split: int) -> int:
        return ceil(self._texts() / split)

    def _conditions(self, precision: str | None) -> Conditions:
        return replace(self.conditions, precision=precision or self.conditions.precision)

    def _facts(self, precision: str | None, optimizer: str | None, finetune: str | None) -> Parts:
        conditions = self._conditions(precision)
        # Adapters keep what the layers beside them would have kept; all else that LoRA trains, this one trains too.
        strategy: dict[str | None, Strategy] = {"lora": EmbeddingOnly(), "frozen": Frozen()}
        made: Callable[[Any], Optimizer] | None = torch.optim.Adafactor if optimizer else None
        facts = parts_of(self.module, self.batches, conditions, finetune=strategy.get(finetune), optimizer=made)
        if finetune == "lora":
            added = sum(_RANK * (each.in_features + each.out_features) for each in _linear(self.module))
            share = 1 + added / max(1, facts.trained)
            activations = self.facts(precision, None, None).activations
            facts = replace(
                facts,
                weights=facts.weights + added,
                trained=facts.trained + added,
                state=ceil(facts.state * share),
                activations=activations,
            )
        return facts


def _linear(module: SupervisedModule) -> list[nn.Linear]:
    """The layers that adapters stand beside; the parts of torch's own attention are none."""
    parts = dict(module.model.encoder.named_modules())
    inside = tuple(f"{name}." for name, part in parts.items() if isinstance(part, nn.MultiheadAttention))
    return [part for name, part in parts.items() if isinstance(part, nn.Linear) and not name.startswith(inside)]


def _with_active_rows(facts: Parts, used: int) -> Parts:
    """The facts if only so many rows were trained and the whole matrix kept aside."""
    rows, width = facts.rows
    if facts.resting or used >= rows:
        return facts
    gone = (rows - used) * width
    trained = max(0, facts.trained - gone) if facts.trained >= gone else facts.trained
    return replace(
        facts,
        weights=facts.weights - gone,
        trained=trained,
        rows=(used, width),
        resting=rows * width,
        state=ceil(facts.state * trained / max(1, facts.trained)),
    )


def plan_with_remedies(
    module: SupervisedModule, batches: TextDataModule, conditions: Conditions, free: Free
) -> tuple[MemoryPlan, Remedies | None]:
    """The plan, and what would make it fit where it is tight or does not."""
    made = plan(module, batches, conditions, free)
    tight = made.free is not None and made.total > ROOM * made.free
    return made, remedies(module, batches, conditions, free) if tight else None
