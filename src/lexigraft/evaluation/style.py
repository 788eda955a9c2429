"""How figures look: one light style, colours that colour-blind readers tell apart, and a font for Chinese."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager

# Okabe & Ito (2008).
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#666666"
GREEN, PURPLE, ORANGE = "#009E73", "#CC79A7", "#E69F00"

CHINESE_FONT = "Noto Sans SC"


@contextmanager
def figure_style() -> Iterator[None]:
    """matplotlib's settings for our figures, inside a `with` block only."""
    _register_chinese_font()
    settings: dict[Any, Any] = {
        "font.family": ["DejaVu Sans", CHINESE_FONT],
        "font.size": 10,
        "text.hinting": "none",  # hinting smears thin strokes of Chinese characters
        "text.parse_math": False,  # a class may be named $5-$10
        "axes.titlesize": 11,
        "axes.edgecolor": GREY,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": False,
        "grid.color": "#e6e6e6",
        "legend.frameon": False,
        "figure.facecolor": "white",
        "savefig.dpi": 150,
        "savefig.bbox": "tight",
    }
    with matplotlib.rc_context(settings):
        yield


@cache
def _register_chinese_font() -> None:
    """Make the font known to matplotlib; zhplot is not imported, because that changes matplotlib's settings."""
    package = importlib.util.find_spec("zhplot")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("zhplot, which carries the font for Chinese, is missing: pip install zhplot")
    font_manager.fontManager.addfont(Path(package.origin).parent / "fonts" / "NotoSansSC-Regular.ttf")
