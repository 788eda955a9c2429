"""`lexigraft find-lr`: the learning-rate range test on the model, data and optimizer of a run."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich import box
from rich.console import Console
from rich.table import Table

from lexigraft.commands.preparing import prepare
from lexigraft.commands.running import Clock
from lexigraft.evaluation.plots import plot_lr_curve
from lexigraft.runs.folder import require_writable, write_json, write_text
from lexigraft.training.lr_finder import RateCurve, find_lr


def run(cfg: DictConfig, steps: int = 200, first: float = 1e-7, last: float = 10.0) -> float | None:
    """Print the rates that the test suggests for `optimizer.lr`, leave its curve in a folder; the safe one of them."""
    console = Console(soft_wrap=True, highlight=False)
    require_writable(Path(cfg.output_root), "output_root")
    prepared = prepare(_without_schedule(cfg), console, Clock())
    curve = find_lr(
        prepared.module,
        prepared.batches,
        steps=steps,
        first=first,
        last=last,
        gradient_clip=cfg.trainer.gradient_clip,
        bar=cfg.trainer.progress and console.is_terminal,
        accelerator=cfg.hardware.accelerator,
        precision=cfg.hardware.precision,
    )
    folder = _folder(cfg, steps, first, last)
    write_json(folder / "curve.json", asdict(curve))
    marks = {"safe": curve.safe, "steepest": curve.steepest, "lowest loss": curve.lowest}
    named = {name: rate for name, rate in marks.items() if rate is not None}
    plot_lr_curve(curve.rates, curve.losses, curve.smoothed, named, folder / "curve.png")
    console.print(_table(cfg, curve, last))
    console.print(f"curve       {folder / 'curve.png'}", markup=False)
    return curve.safe


def _without_schedule(cfg: DictConfig) -> DictConfig:
    """The config with a constant rate, which the test overrules: a long warm-up need not fit into its steps."""
    values = OmegaConf.to_container(cfg)
    assert isinstance(values, dict)
    return OmegaConf.create({**values, "scheduler": {"_target_": "lexigraft.training.schedule.Constant"}})


def _folder(cfg: DictConfig, steps: int, first: float, last: float) -> Path:
    """outputs/<experiment>/find-lr-<hash of config and range>, the config in it; the same test writes it anew."""
    config = OmegaConf.to_yaml(cfg)
    digest = hashlib.sha256(f"{config}{steps} {first} {last}".encode()).hexdigest()[:8]
    folder = Path(cfg.output_root) / cfg.experiment / f"find-lr-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "config.yaml", config)
    return folder


def _table(cfg: DictConfig, curve: RateCurve, last: float) -> Table | str:
    """What the test found, a row each."""
    if curve.safe is None or curve.steepest is None or curve.lowest is None:
        return (
            "The loss never fell by more than its noise, so no rate can be suggested: give more --steps, or look at "
            "the curve"
        )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("optimizer.lr")
    table.add_column("loss", justify="right")
    table.add_column("what it is")
    for rate, meaning in (
        (curve.safe, "safe: the steepest, at most a tenth of the lowest"),
        (curve.steepest, "steepest: where the loss falls fastest"),
        (curve.lowest, "lowest loss: already too high to train with"),
    ):
        table.add_row(f"{rate:.1e}", f"{np.interp(rate, curve.rates, curve.smoothed):.4f}", meaning)
    end = f"{curve.exploded:.1e}" if curve.exploded is not None else f"{last:.1e}"
    table.add_row(end, "", "where the loss exploded" if curve.exploded is not None else "the end of the test")
    table.add_section()
    table.add_row(f"{cfg.optimizer.lr:.1e}", "", "as configured")
    return table
