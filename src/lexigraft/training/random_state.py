"""The state of every random stream of this process, in plain containers that load with `weights_only=True`."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from lexigraft.process_group import connected


def random_state() -> dict[str, Any]:
    """Where the streams of Python, NumPy, torch and, if there are any, its GPUs stand."""
    name, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)
    version, words, spare = random.getstate()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), int(place), int(has_gauss), float(gauss)],
        "python": [version, list(words), spare],
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Let all streams go on from there; those of GPUs where there are as many as then."""
    torch.set_rng_state(state["torch"])
    name, keys, place, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), place, has_gauss, gauss))
    version, words, spare = state["python"]
    random.setstate((version, tuple(words), spare))
    if "cuda" in state and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])


def random_states() -> list[dict[str, Any]]:
    """`random_state` of every rank, in their order; all of them have to ask."""
    state = random_state()
    if connected() == 1:
        return [state]
    states: list[Any] = [None] * connected()
    dist.all_gather_object(states, state)
    return states


def set_random_states(states: Sequence[dict[str, Any]], rank: int, ranks: int) -> bool:
    """Let this rank's streams go on; whether they do, and the saved ranks are as many as there are now.

    Otherwise the first rank goes on where the first one stood, and the others' streams are seeded from there.
    """
    if len(states) == ranks:
        set_random_state(states[rank])
        return True
    set_random_state(states[0])
    if rank:
        seed = int(torch.randint(2**31, (1,))) + rank
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
    return False
