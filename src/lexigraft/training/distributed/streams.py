"""Random streams of a rank's own, so that ranks do not drop the same units."""

import os
import random

import numpy as np
import torch


def own_streams(seed: int, rank: int) -> None:
    """From now on Python, NumPy and torch draw other numbers on each rank; rank 0 draws what one process would.

    Dropout and mixup draw from these streams, so that a run of two ranks is not bit for bit that of one where they are
    used. Weights and the order of texts are made before, or from streams of their own: they are equal on all ranks.
    """
    # Lightning would set all ranks to this one again, when they join.
    os.environ.pop("PL_GLOBAL_SEED", None)
    if rank:
        of_python, of_numpy, of_torch = np.random.SeedSequence([seed, rank]).generate_state(3).tolist()
        random.seed(of_python)
        np.random.seed(of_numpy)
        torch.manual_seed(of_torch)
