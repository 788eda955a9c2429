"""The picture of a transplant: norms before and after, and where copied and new rows lie."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from lexigraft.embeddings.axes import fixed_signs
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.evaluation.style import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, figure_style
from lexigraft.transplant.provenance import CARRY_NOTHING, COPIED, NO_TOKEN, Provenance, label
from lexigraft.vocab.vocabulary import Vocabulary

MOST_POINTS = 1500  # of a group; the projection is fitted on as many copied as new rows
MOST_NAMES = 9  # of a group's tokens
ROOM_BESIDE = 60  # pixels: nearer to the right edge, a name stands left of its point
FEW_ROWS = 90  # too few for a histogram
_COLOURS = (VERMILION, GREEN, PURPLE, ORANGE)
_OF_CHANCE = "#8a8a8a"


@dataclass(frozen=True)
class _Group:
    """Rows that are drawn alike."""

    name: str
    colour: str
    ids: np.ndarray
    by_chance: bool = False


def plot_transplant(
    source: EmbeddingMatrix,
    new: EmbeddingMatrix,
    provenance: Provenance,
    path: Path,
    counts: np.ndarray | None = None,
    seed: int = 0,
) -> None:
    """Draw the norms of source, copied and new rows, and two principal components of the rows' directions.

    `counts` [T] says which tokens are frequent and worth a name. Rows of NaN and of zeros are left out.
    """
    old, norms = _norms(source.rows), _norms(new.rows)
    ordinary = new.vocabulary.ordinary
    groups = _groups(provenance, ordinary & (norms > 0))
    with figure_style():
        figure = Figure(figsize=(10.7, 5.0), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
        _draw_norms(left, [(f"source  {len(source.rows):,}", GREY, old[old > 0])]
                    + [(f"{g.name}  {len(g.ids):,}", g.colour, norms[g.ids]) for g in groups])  # fmt: skip
        _draw_directions(right, new, groups, norms, counts, np.random.default_rng(seed))
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            # A vocabulary may hold any script of the world; what no font here has is drawn as a box.
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
            figure.savefig(path)


def _norms(rows: torch.Tensor) -> np.ndarray:
    """Of each row, 0 for those that are not finite."""
    norms = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float32)
    return np.asarray(torch.where(torch.isfinite(norms), norms, 0).numpy())


def _groups(provenance: Provenance, drawn: np.ndarray) -> list[_Group]:
    """Copied rows, the largest tiers of new rows that carry something, and those that carry nothing."""
    tiers = {name: np.flatnonzero(drawn & (provenance.tier == i)) for i, name in enumerate(provenance.tiers)}
    made = [name for name in tiers if name not in (*COPIED, *CARRY_NOTHING) and len(tiers[name])]
    made.sort(key=lambda name: -len(tiers[name]))
    chance = [name for name in tiers if name in CARRY_NOTHING and name not in NO_TOKEN and len(tiers[name])]
    groups = [_Group("copied", BLUE, np.flatnonzero(drawn & provenance.among(COPIED)))]
    groups += [_Group(name, colour, tiers[name]) for name, colour in zip(made, _COLOURS)]
    rest = made[len(_COLOURS) :] + chance
    if rest:
        groups.append(_Group(", ".join(rest), _OF_CHANCE, np.concatenate([tiers[name] for name in rest]), True))
    return [group for group in groups if len(group.ids)]


def _draw_norms(axes: Axes, groups: Sequence[tuple[str, str, np.ndarray]]) -> None:
    """A histogram of each group over bins of equal width in the logarithm; heights are shares of the group.

    A group of few rows gets a tick for each row instead.
    """
    low = min((float(np.quantile(norms, 0.002)) for _, _, norms in groups if len(norms)), default=1.0)
    high = max((float(np.quantile(norms, 0.998)) for _, _, norms in groups if len(norms)), default=1.0)
    bins = np.geomspace(low / 1.15, high * 1.15, 50).tolist()
    for i, (name, colour, norms) in enumerate(groups):
        shares = np.full(len(norms), 100 / max(1, len(norms)))
        values = norms.clip(bins[0], bins[-1])
        if i == 0:
            axes.hist(values, bins, weights=shares, color="#d9d9d9", label=name)
        elif len(norms) < FEW_ROWS:
            axes.plot(values, np.full(len(values), 0.02), "|", color=colour, markersize=12, label=name, zorder=3,
                      transform=axes.get_xaxis_transform())  # fmt: skip
        else:
            axes.hist(values, bins, weights=shares, histtype="step", color=colour, linewidth=1.6, label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 10 * low else range(1, 10)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set(xlabel="norm of a row", ylabel="% of the group's rows")
    axes.set_title("How long the rows are", loc="left")
    axes.legend(loc="upper left", fontsize=9, handlelength=1.2, borderaxespad=0.2)
    axes.set_ylim(top=axes.get_ylim()[1] * 1.05)


def _draw_directions(
    axes: Axes,
    new: EmbeddingMatrix,
    groups: Sequence[_Group],
    norms: np.ndarray,
    counts: np.ndarray | None,
    random: np.random.Generator,
) -> None:
    drawn = [np.sort(random.permutation(group.ids)[:MOST_POINTS]) for group in groups]
    axes.set_title("Where they point: two principal components", loc="left")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if not drawn or new.dim < 2 or sum(map(len, drawn)) < 3:
        return
    named = [
        _words_first(new.vocabulary, ids) if counts is None else _frequent(group.ids, counts)
        for group, ids in zip(groups, drawn)
    ]
    units = [_units(new.rows, np.concatenate([ids, names]), norms) for ids, names in zip(drawn, named)]
    samples = [unit[: len(ids)] for unit, ids in zip(units, drawn)]
    # Random rows would blur the axes.
    axis, shares = _principal([u for u, g in zip(samples, groups) if not g.by_chance] or samples)
    points = [(unit @ axis).numpy() for unit in units]
    for group, ids, at in zip(groups, drawn, points):
        size = 9 if len(ids) > 300 else 18
        axes.scatter(at[: len(ids), 0], at[: len(ids), 1], s=size, color=group.colour, alpha=0.35, linewidths=0)
    shown = np.concatenate([at[: len(ids)] for at, ids in zip(points, drawn)])
    for limits, along in ((axes.set_xlim, shown[:, 0]), (axes.set_ylim, shown[:, 1])):
        low, high = np.quantile(along, (0.002, 0.998)).tolist()
        margin = max(0.05 * (high - low), 1e-3)
        limits(low - margin, high + margin)
    axes.set_xlabel(f"first: {100 * shares[0]:.0f} % of the variance")
    axes.set_ylabel(f"second: {100 * shares[1]:.0f} %")
    _name(axes, new.vocabulary, [(g.colour, names, at[len(ids) :]) for g, ids, names, at in
                                 zip(groups, drawn, named, points)])  # fmt: skip


def _frequent(ids: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return ids[np.argsort(-counts[ids], kind="stable")][: 20 * MOST_NAMES]


def _words_first(vocabulary: Vocabulary, ids: np.ndarray) -> np.ndarray:
    """Words before marks, single letters and `[unused7]`, which stand first in most vocabularies."""
    texts = [label(vocabulary[i]).removeprefix("##") for i in ids.tolist()]
    return ids[np.argsort([not (text.isalpha() and len(text) > 2) for text in texts], kind="stable")]


def _units(rows: torch.Tensor, ids: np.ndarray, norms: np.ndarray) -> torch.Tensor:
    """The directions `[n, D]` of some rows."""
    return rows[ids].float() / torch.from_numpy(norms[ids])[:, None]


def _principal(groups: Sequence[torch.Tensor]) -> tuple[torch.Tensor, list[float]]:
    """Two axes `[D, 2]` of largest variance of rows, the groups weighing alike, and their shares of the variance.

    Of each axis the largest entry is positive: its sign would be the eigensolver's choice otherwise.
    """
    width = groups[0].shape[1]
    centre = torch.stack([rows.double().mean(0) for rows in groups]).mean(0)
    scatter = torch.zeros(width, width, dtype=torch.float64)
    for rows in groups:
        centred = rows.double() - centre
        scatter += centred.T @ centred / len(rows)
    variances, axes = torch.linalg.eigh(scatter)
    axes = axes[:, -2:].flip(1)
    axes = fixed_signs(axes)
    total = max(float(variances.sum()), 1e-30)
    return axes.float(), [float(variances[-1]) / total, float(variances[-2]) / total]


def _name(axes: Axes, vocabulary: Vocabulary, groups: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> None:
    """Write the first tokens of each group beside their points, as far as they do not cover one another."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # settles the layout, and with it what a distance in pixels is
    to_pixels, taken = axes.transData.transform, np.empty((0, 2))
    for colour, ids, points in groups:
        names = 0
        for i, (x, y) in zip(ids.tolist(), points.tolist()):
            at = to_pixels((x, y))
            text = label(vocabulary[i])
            apart = np.abs(taken - at) > (60, 16)
            inside = axes.bbox.contains(*at)
            if names < MOST_NAMES and inside and apart.any(axis=1).all() and text and len(text) < 16:
                axes.plot(x, y, ".", color=colour, markersize=5)
                left = at[0] > axes.bbox.x1 - ROOM_BESIDE
                written = axes.annotate(text, (x, y), (-3 if left else 3, 2), textcoords="offset points",
                                        ha="right" if left else "left", color=colour, fontsize=9)  # fmt: skip
                written.set_in_layout(False)
                written.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground="white")])
                taken = np.vstack([taken, at])
                names += 1
