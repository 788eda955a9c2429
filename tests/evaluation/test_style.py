import importlib.util
import subprocess
import sys
import warnings

import matplotlib
import pytest
from matplotlib.figure import Figure

from lexigraft.evaluation import style


def draw_chinese(path) -> None:
    figure = Figure()
    figure.text(0.5, 0.5, "负面评价：好，不好 café №7 αβ")
    figure.savefig(path)


def test_chinese_has_its_glyphs_and_settings_are_put_back(tmp_path):
    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with style.figure_style():
            assert style.CHINESE_FONT in matplotlib.rcParams["font.family"]
            draw_chinese(tmp_path / "with.png")
    assert dict(matplotlib.rcParams) == before
    # What the test above would see without the font:
    with matplotlib.rc_context({"font.family": ["DejaVu Sans"]}), pytest.warns(UserWarning, match="Glyph .* missing"):
        draw_chinese(tmp_path / "without.png")


def test_the_font_is_found_without_importing_its_package():
    code = (
        "import sys, lexigraft.evaluation.style as s\n"
        "with s.figure_style(): pass\n"
        "print('zhplot' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_without_the_font_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    style._register_chinese_font.cache_clear()
    with pytest.raises(ModuleNotFoundError, match="pip install zhplot"), style.figure_style():
        pass
