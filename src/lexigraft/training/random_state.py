"""The state of every random stream of this process, in plain containers that load with `weights_only=True`."""

import random
from typing import Any

import numpy as np
import torch


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
