import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.evaluation.transplant_picture import plot_transplant
from lexigraft.transplant.filling import Combination
from lexigraft.transplant.provenance import ProvenanceBuilder
from lexigraft.vocab.vocabulary import Token, Vocabulary

pytestmark = pytest.mark.usefixtures("no_warning")


@pytest.fixture
def figure(monkeypatch):
    """A function that returns the last figure that was saved."""
    saved: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, path: (saved.append(self), save(self, path)))
    return lambda: saved[-1]


def matrix(rows):
    tokens = [Token(b"[PAD]", None, "pad"), Token(b"$x^\xff", True), Token("酒店".encode(), None)]
    tokens += [Token(chr(0x4E00 + i).encode(), None) for i in range(len(rows) - 3)]
    return EmbeddingMatrix(Vocabulary(tuple(tokens[: len(rows)])), rows, {})


def transplant(tiers, dtype=torch.float32, count=300, width=8):
    """Rows of which each tier has as many."""
    rows = torch.randn(count, width, generator=torch.Generator().manual_seed(0)).to(dtype)
    rows[0] = 0
    builder = ProvenanceBuilder(count)
    for i, tier in enumerate(tiers):
        ids = np.arange(i, count, len(tiers))
        builder.combine(tier, ids, Combination.mean_of([[j] for j in ids.tolist()]))
    return matrix(rows), matrix(rows), builder.build()


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_norms_and_directions(dtype, tmp_path, figure):
    source, new, provenance = transplant(["exact", "subtokens", "normal"], dtype)
    plot_transplant(source, new, provenance, tmp_path / "new" / "t.png", np.arange(300)[::-1])
    height, width, _ = imread(tmp_path / "new" / "t.png").shape
    assert 1500 < width < 1700
    assert 600 < height < 900
    left, right = figure().axes
    assert legend(left) == ["source  300", "copied  99", "subtokens  100", "normal  100"]
    shares = [sum(patch.get_height() for patch in left.containers[0])]
    assert shares == [pytest.approx(100)]
    assert [len(points.get_offsets()) for points in right.collections] == [99, 100, 100]
    names = {text.get_text() for text in right.texts}
    assert 10 < len(names) <= 27
    assert "[PAD]" not in names


def test_frequent_tokens_are_named_whatever_they_hold(tmp_path, figure):
    plot_transplant(*transplant(["omp"]), tmp_path / "t.png", np.arange(300)[::-1])
    names = [text.get_text() for text in figure().axes[1].texts]
    assert names[:2] == ["$x^<0xFF>", "酒店"]


def test_without_frequencies_words_are_named_before_marks(tmp_path, figure):
    source, new, provenance = transplant(["omp"])
    tokens = list(new.vocabulary.tokens)
    tokens[200] = Token(b"market", True)
    new = EmbeddingMatrix(Vocabulary(tuple(tokens)), new.rows, {})
    plot_transplant(source, new, provenance, tmp_path / "t.png")
    assert figure().axes[1].texts[0].get_text() == "market"


def test_a_script_that_no_font_here_has_is_no_warning(tmp_path, figure):
    source, new, provenance = transplant(["omp"])
    tokens = [Token("\U00010c80".encode(), None, t.role) if i == 1 else t for i, t in enumerate(new.vocabulary)]
    new = EmbeddingMatrix(Vocabulary(tuple(tokens)), new.rows, {})
    plot_transplant(source, new, provenance, tmp_path / "t.png", np.arange(300)[::-1])
    assert "\U00010c80" in [text.get_text() for text in figure().axes[1].texts]


def test_names_do_not_cover_one_another(tmp_path, figure):
    source, new, provenance = transplant(["exact", "omp"])
    plot_transplant(source, new, provenance, tmp_path / "t.png")
    right = figure().axes[1]
    boxes = [text.get_window_extent() for text in right.texts]
    assert len(boxes) > 5
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_projection_is_the_same_for_every_sign_of_the_eigenvectors(tmp_path, figure, monkeypatch):
    made = transplant(["exact", "omp"])
    plot_transplant(*made, tmp_path / "one.png")
    one = figure().axes[1].collections[0].get_offsets()
    solve = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda m: (solve(m)[0], -solve(m)[1]))
    plot_transplant(*made, tmp_path / "other.png")
    other = figure().axes[1].collections[0].get_offsets()
    assert np.array_equal(one, other)


def test_projection_is_the_plane_of_largest_variance(tmp_path, figure):
    source, new, provenance = transplant(["exact", "omp"], width=6)
    new.rows[:, 2:] *= 0.01
    plot_transplant(source, new, provenance, tmp_path / "t.png")
    right = figure().axes[1]
    first, second = right.get_xlabel(), right.get_ylabel()
    assert first.endswith(" % of the variance")
    assert int(first.split()[1]) + int(second.split()[1]) in (99, 100, 101)


@pytest.mark.parametrize(
    "tiers",
    [["exact"], ["normal"], ["padding"], ["exact", "omp", "knn", "focus", "clp", "wechsel", "zero", "mean"]],
    ids=["copied", "chance", "padding", "many"],
)
def test_any_tiers_can_be_drawn(tiers, tmp_path, figure):
    plot_transplant(*transplant(tiers), tmp_path / "t.png")
    entries = legend(figure().axes[0])
    assert len(entries) == {"exact": 2, "normal": 2, "padding": 1}.get(tiers[-1], 7)
    if len(tiers) > 1:
        assert entries[-1].startswith("wechsel, zero, mean  ")


def test_a_few_rows_get_a_tick_each(tmp_path, figure):
    plot_transplant(*transplant(["exact", "omp", "normal"], count=150), tmp_path / "t.png")
    left = figure().axes[0]
    assert [len(line.get_xdata()) for line in left.lines] == [49, 50, 50]
    assert legend(left) == ["source  150", "copied  49", "omp  50", "normal  50"]


@pytest.mark.parametrize(("count", "width"), [(2, 8), (30, 1)])
def test_too_little_for_a_projection(count, width, tmp_path, figure):
    plot_transplant(*transplant(["exact"], count=count, width=width), tmp_path / "t.png")
    assert not figure().axes[1].collections


def test_rows_that_are_not_finite_or_all_equal_are_no_obstacle(tmp_path):
    source, new, provenance = transplant(["exact", "omp"])
    new.rows[1:] = 1.0
    new.rows[5] = float("nan")
    plot_transplant(source, new, provenance, tmp_path / "t.png")
    assert (tmp_path / "t.png").is_file()
