"""Train only the rows that the data uses; the others rest outside the optimizer and are put back at every checkpoint.

It is exact where the optimizer treats each row alone (`training/row_wise.py`): a row without gradient moves by weight
decay only, by a factor that is the same for all of them. No one keeps count of that factor: a *witness* beside the
trained rows is decayed by the optimizer itself, so schedules, parameter groups, averages (EMA) and frozen epochs
treat it as they would have treated the rows that rest.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexigraft.models import witness as law
from lexigraft.models.embedding import TransplantedEmbedding

_CHUNK = 4096  # rows that are looked at at a time


def activate(embedding: TransplantedEmbedding, ids: Tensor) -> None:
    """From now on train the rows of these ids and the padding row only; other ids are refused in `forward`.

    Call it before the optimizer is made: the trained rows are new parameters, `[A, D]` and the witness. Nothing
    changes if all rows are used. `ValueError` for an id that has no row.
    """
    lookup = embedding.lookup
    assert isinstance(lookup, nn.Embedding), "the embedding is active already"
    pad_id = lookup.padding_idx
    assert pad_id is not None
    used = torch.cat([ids.reshape(-1).cpu().long(), torch.tensor([pad_id])]).unique()
    if used[0] < 0 or used[-1] >= lookup.num_embeddings:
        wrong = used[0] if used[0] < 0 else used[-1]
        raise ValueError(
            f"token id {int(wrong)} was given as used, but the embedding has the ids 0 to {lookup.num_embeddings - 1}: "
            "use the tokenizer that the embedding was made for"
        )
    if len(used) < lookup.num_embeddings:
        embedding.lookup = ActiveRows(lookup, used)


def deactivate(embedding: TransplantedEmbedding) -> None:
    """Put a plain `nn.Embedding` with all rows back; optimizers made before do not know its weight."""
    lookup = embedding.lookup
    if isinstance(lookup, ActiveRows):
        rows = lookup.full().to(lookup.weight.device)
        frozen = not lookup.weight.requires_grad
        plain = nn.Embedding.from_pretrained(rows, freeze=frozen, padding_idx=lookup.padding_idx)
        embedding.lookup = plain.train(lookup.training)


def full_rows(embedding: TransplantedEmbedding) -> Tensor:
    """All rows `[V, D]` as they stand now, without gradient: of active rows a new matrix on the CPU."""
    lookup = embedding.lookup
    return lookup.full() if isinstance(lookup, ActiveRows) else lookup.weight.detach()


def active_ids(embedding: TransplantedEmbedding) -> Tensor | None:
    """Ids `[A]` of the rows of `lookup.weight`, ascending; None where its rows are those of all ids."""
    return embedding.lookup.ids if isinstance(embedding.lookup, ActiveRows) else None


class ActiveRows(nn.Module):
    """Token ids -> rows, as `nn.Embedding`, of which only the rows `ids` `[A]` of `plain` are parameters.

    `state_dict` holds and loads the whole matrix `weight` `[V, D]`, as that of the plain layer; it loads the parameters
    themselves too, which a sharded checkpoint holds. Parameters: `weight` `[A, D]` and `witness`, both of which belong
    into one group of the optimizer; if they are cut into pieces, `full` asks all ranks for theirs. `ValueError` in
    `forward` for an id that is not active (on a GPU an assertion of the device, which costs no wait).
    """

    def __init__(self, plain: nn.Embedding, ids: Tensor):
        super().__init__()
        weight = plain.weight.detach()
        self.weight = nn.Parameter(weight[ids.to(weight.device)], requires_grad=plain.weight.requires_grad)
        self.witness = nn.Parameter(law.fresh(weight), requires_grad=plain.weight.requires_grad)
        slots = torch.full((len(weight),), -1, dtype=torch.int32)
        slots[ids] = torch.arange(len(ids), dtype=torch.int32)
        assert plain.padding_idx is not None
        self.padding_idx = plain.padding_idx
        self._pad_slot = int(slots[self.padding_idx])
        # No buffers: averages of models round integers on their way, and DDP would send them at every step.
        self._kept = _Kept(weight.cpu(), ids, slots.to(weight.device))

    @property
    def ids(self) -> Tensor:
        """Ids `[A]` of the rows of `weight`, ascending, on the CPU."""
        return self._kept.ids

    def forward(self, ids: Tensor) -> Tensor:
        """Rows `[..., D]` of ids `[...]`."""
        rows = self._kept.slots.index_select(0, ids.reshape(-1)).view(ids.shape)
        self._refuse_inactive(ids, rows)
        if self.witness.requires_grad != self.weight.requires_grad:  # only the weight was frozen, or thawed
            self.witness.requires_grad_(self.weight.requires_grad)
        return _Lookup.apply(rows, self.weight, self.witness, self._pad_slot)

    def full(self) -> Tensor:
        """All rows `[V, D]`, a new matrix on the CPU: the trained ones, and the others decayed as they would be."""
        rows = self._kept.rows.clone()
        lost = law.loss(_whole(self.witness).cpu())
        if lost is not None:
            for part in rows.split(_CHUNK):
                part.copy_(law.moved(part, lost))
        return rows.index_copy_(0, self.ids, _whole(self.weight).cpu())

    def parameters_of(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Weight `[A, D]` and witness as they are where these are all rows `[V, D]`; the others rest so from now on."""
        return rows[self.ids.to(rows.device)], self._rest(rows.to(self._kept.rows))

    def extra_repr(self) -> str:
        """What `print` shows of the layer."""
        active, dim = self.weight.shape
        return f"{active} of {len(self._kept.rows)}, {dim}, padding_idx={self.padding_idx}"

    def _refuse_inactive(self, ids: Tensor, rows: Tensor) -> None:
        if rows.device.type == "cpu" and not torch.compiler.is_compiling():
            if rows.numel() and rows.min() < 0:
                raise ValueError(
                    f"token id {int(ids[rows < 0][0])} is not one of the {len(self.weight)} whose rows are trained: "
                    "name it when the rows are chosen, or train the whole matrix"
                )
        else:
            torch._assert_async((rows >= 0).all(), "a token id is not one of those whose rows are trained")

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        destination[prefix + "weight"] = self.full()

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        key, witness = prefix + "weight", prefix + "witness"
        themselves = {key, witness} <= state_dict.keys() and state_dict[key].shape == self.weight.shape
        own = (key, witness) if themselves else (key,)
        unexpected_keys += [each for each in state_dict if strict and each.startswith(prefix) and each not in own]
        if key not in state_dict:
            missing_keys.append(key)
            return
        given = state_dict[key].detach()
        if not themselves and given.shape != self._kept.rows.shape:
            expected = tuple(self._kept.rows.shape)
            error_msgs.append(f"{key} has the shape {tuple(given.shape)}; all rows, {expected}, are expected")
            return
        with torch.no_grad():
            parameters = (given, state_dict[witness]) if themselves else self.parameters_of(given)
            self.weight.copy_(parameters[0])
            self.witness.copy_(parameters[1])

    def _rest(self, rows: Tensor) -> Tensor:
        """Take these `[V, D]` for what rests; the witness under which they do.

        The resting rows of before stay where they can, under a witness that tells them apart from the new. It spares
        a second matrix, and the average of a model's weights, which averages witnesses, is of the same rows for ever.
        """
        changes, like = _Changes(self._kept.rows, rows, self.ids), self._like_witness()
        if all(torch.equal(before, now) for before, now in changes):
            return law.fresh(like)
        witness = law.of_change(changes, like)
        if witness is not None:
            return witness
        # A copy, for the matrix may be someone's live weight; and not in place, for an average has the old one too.
        self._kept = replace(self._kept, rows=rows.clone())
        return law.fresh(like)

    def _like_witness(self) -> Tensor:
        """A tensor of its type and on its device, whole or in pieces."""
        return torch.empty(0, dtype=self.witness.dtype, device=self.witness.device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "ActiveRows":
        """What `.to`, `.half`, `.cuda` do: a new type is that of the resting rows as well."""
        wanted = fn(self.weight.detach()[:0]).dtype
        rows = self._kept.rows if wanted == self.weight.dtype else self.full().to(wanted)
        changed = wanted != self.weight.dtype
        super()._apply(fn, recurse)
        self._kept = replace(self._kept, rows=rows, slots=self._kept.slots.to(self.weight.device))
        if changed:
            self.witness.data.copy_(law.fresh(self.witness))
        return self


def _whole(parameter: Tensor) -> Tensor:
    """Its values; of one that is cut into pieces for several ranks (a DTensor), those of all of them."""
    values = parameter.detach()
    return values.full_tensor() if hasattr(values, "full_tensor") else values


@dataclass(frozen=True)
class _Kept:
    """What does not train: rows as they were `[V, D]`, on the CPU; ids `[A]`; the place of each id in `[V]`, or -1.

    Copies of a model (an average of its weights is one) share it: it is replaced, never written to.
    """

    rows: Tensor
    ids: Tensor
    slots: Tensor

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Kept":
        return self


@dataclass(frozen=True)
class _Changes:
    """Pairs of resting rows `[n, D]`, before and now; can be gone through again and again."""

    before: Tensor
    now: Tensor
    active: Tensor

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        resting = torch.ones(len(self.before), dtype=torch.bool)
        resting[self.active] = False
        for chosen, before, now in zip(*(each.split(_CHUNK) for each in (resting, self.before, self.now)), strict=True):
            yield before[chosen], now[chosen]


class _Lookup(torch.autograd.Function):
    """The rows looked up; the witness gets a gradient of zeros whenever the weight gets one."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, witness: Tensor, pad_slot: int) -> Tensor:
        ctx.save_for_backward(rows, witness)
        ctx.size, ctx.pad_slot = len(weight), pad_slot
        return F.embedding(rows, weight, pad_slot)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor, None]:
        rows, witness = ctx.saved_tensors
        (gradient,) = gradients
        of_weight = torch.ops.aten.embedding_dense_backward(gradient, rows, ctx.size, ctx.pad_slot, False)
        return None, of_weight, torch.zeros_like(witness), None
