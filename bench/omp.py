"""Orthogonal matching pursuit: rows per second of ours and of a plain batched one with a QR update, on one input.

python bench/omp.py [--atoms 16384] [--dim 768] [--k 64] [--rows 1024] [--plain-rows 64] [--repeat 3]
"""

import argparse
import time
from collections.abc import Callable

import torch

from lexigraft.transplant.matching_pursuit import gram_matrix, pursue

LEAST_SPEEDUP = 8.0
LARGEST_DIFFERENCE = 1e-4
JUDGED_ATOMS = 16_000
FOOTNOTE = """ours: with the Gram matrix at hand, which is made once for all rows of a transplant.
The three take turns, the middle ratio counts. Difference: the largest relative one between the norms of residuals."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--atoms", type=int, default=16_384)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument("--rows", type=int, default=1024, help="targets of ours")
    parser.add_argument("--plain-rows", type=int, default=64, help="targets of the slow ones")
    parser.add_argument("--repeat", type=int, default=3, help="rounds")
    args = parser.parse_args()

    generator = torch.Generator().manual_seed(0)
    atoms = torch.randn(args.atoms, args.dim, generator=generator)
    targets = torch.randn(args.rows, args.dim, generator=generator)
    few = targets[: args.plain_rows]
    started = time.perf_counter()
    gram = gram_matrix(atoms)
    gram_seconds = time.perf_counter() - started
    pursue(targets[:8], atoms, args.k, gram=gram)  # compiles

    rounds = []
    for _ in range(args.repeat):
        plain, expected = timed(lambda: plain_pursuit(few, atoms, args.k))
        ours, found = timed(lambda: pursue(targets, atoms, args.k, gram=gram).residuals)
        fallback, found_too = timed(lambda: pursue(few, atoms, args.k, gram_bytes=0).residuals)
        rounds.append((len(few) / plain, len(targets) / ours, len(few) / fallback))
    print(f"{args.atoms:,} atoms, D = {args.dim}, k = {args.k}; Gram matrix {gram_seconds:.1f} s\n")
    judged = args.atoms >= JUDGED_ATOMS
    report(rounds, difference(expected, found[: len(few)]), difference(expected, found_too), judged)


def report(rounds: list[tuple[float, float, float]], ours_off: float, fallback_off: float, judged: bool) -> None:
    """Print rows/s of (plain, ours, fallback) per round, and hold ours against the target."""
    print(f"{'rows/s':>8}{'plain':>10}{'ours':>10}{'torch':>10}{'ours/plain':>14}{'torch/plain':>14}")
    for i, (plain, ours, fallback) in enumerate(rounds, 1):
        print(f"round {i:<2}{plain:10.1f}{ours:10.1f}{fallback:10.1f}{ours / plain:13.2f}x{fallback / plain:13.2f}x")
    print(FOOTNOTE)
    if not judged:
        print("\ntoo few atoms to be held against the targets")
        return
    ratios = sorted(ours / plain for plain, ours, _ in rounds)
    ratio = ratios[(len(ratios) - 1) // 2]
    print(
        f"\nours, rows/s             {ratio:6.2f}x the plain one's   target >= {LEAST_SPEEDUP:.0f}x       "
        f"{verdict(ratio >= LEAST_SPEEDUP)}"
    )
    for name, off in (("ours", ours_off), ("torch", fallback_off)):
        print(
            f"{name + ', difference':24} {off:.1e}                  target <= {LARGEST_DIFFERENCE:.0e}   "
            f"{verdict(off <= LARGEST_DIFFERENCE)}"
        )


def verdict(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def timed(work: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def difference(expected: torch.Tensor, found: torch.Tensor) -> float:
    return float(((found - expected).abs() / expected).max())


def plain_pursuit(targets: torch.Tensor, atoms: torch.Tensor, k: int) -> torch.Tensor:
    """Relative residuals of all targets at once: correlations anew at every step, and one more column of Q."""
    unit = atoms / atoms.norm(dim=1, keepdim=True)
    residual = targets
    basis = torch.zeros(len(targets), k, targets.shape[1])
    chosen = torch.zeros(len(targets), len(atoms), dtype=torch.bool)
    for j in range(k):
        correlation = (residual @ unit.T).abs_().masked_fill_(chosen, -1.0)
        new = correlation.argmax(1)
        chosen.scatter_(1, new[:, None], True)
        column, before = unit[new], basis[:, :j]
        for _ in range(2):
            column = column - ((before @ column[..., None]).mT @ before)[:, 0]
        column = column / column.norm(dim=1, keepdim=True)
        basis[:, j] = column
        residual = residual - (residual * column).sum(1, keepdim=True) * column
    return residual.double().norm(dim=1) / targets.double().norm(dim=1)


if __name__ == "__main__":
    main()
