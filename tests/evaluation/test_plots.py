import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from lexigraft.evaluation import plots
from lexigraft.evaluation.plots import plot_confusion, plot_curve, plot_lr_curve

CHINESE = ["财经", "房产", "股票", "教育", "科技", "社会", "时政", "体育", "游戏", "娱乐"]
HISTORY = [
    {"epoch": 1, "step": 50, "train_loss": 0.9, "dev_accuracy": 0.70, "dev_loss": 0.5},
    {"epoch": 2, "step": 100, "train_loss": 0.6, "dev_accuracy": 0.82, "dev_loss": 0.6},
    {"epoch": 3, "step": 150, "train_loss": 0.4, "dev_accuracy": 0.81, "dev_loss": 0.7},
]


pytestmark = pytest.mark.usefixtures("no_warning")


@pytest.fixture
def figures(monkeypatch) -> list[Figure]:
    """The figures that are saved."""
    saved: list[Figure] = []
    save = plots._save
    monkeypatch.setattr(plots, "_save", lambda figure, path: (saved.append(figure), save(figure, path)))
    return saved


def confusion(classes: int) -> list[list[int]]:
    rng = np.random.default_rng(0)
    return (rng.integers(0, 3, (classes, classes)) + np.diag(rng.integers(10, 50, classes))).tolist()


@pytest.mark.parametrize(
    "names",
    [
        ["负面评价", "正面评价"],
        CHINESE,
        [f"$一个长名字{i}$" for i in range(15)],
        [f"intent_{i}_余额" for i in range(77)],
    ],
    ids=len,
)
def test_confusion_of_any_number_of_classes(names, tmp_path, figures):
    path = tmp_path / "figures" / "confusion.png"
    plot_confusion(confusion(len(names)), names, path)
    height, width, _ = imread(path).shape
    assert 300 < width < 3000
    assert 300 < height < 3000
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == names
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    # Names do not overlap: rows are as far apart as the letters are high.
    row = axes.get_window_extent().height / len(names) * 72 / figures[0].dpi
    assert row > axes.get_yticklabels()[0].get_fontsize()


def test_confusion_of_very_many_classes_names_some(tmp_path, figures, monkeypatch):
    monkeypatch.setattr(Figure, "savefig", lambda figure, path: None)  # takes seconds
    plot_confusion(np.eye(400, dtype=int).tolist(), [str(i) for i in range(400)], tmp_path / "c.png")
    assert figures[0].get_size_inches().tolist() == [30, 30]
    assert [t.get_text() for t in figures[0].axes[0].get_yticklabels()][:3] == ["0", "3", "6"]


def test_confusion_shows_counts_and_shares(tmp_path, figures):
    plot_confusion([[3, 1], [0, 0]], ["a", "b"], tmp_path / "c.png")
    axes = figures[0].axes[0]
    assert {(t.get_position(), t.get_text()) for t in axes.texts} == {((0, 0), "3"), ((1, 0), "1")}
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25], [0, 0]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


@pytest.mark.parametrize(
    ("metric", "step", "title"), [("accuracy", 100, "best: epoch 2, 0.8200"), ("loss", 50, "best: epoch 1, 0.5000")]
)
def test_curve_marks_the_best_epoch(metric, step, title, tmp_path, figures):
    plot_curve(HISTORY, tmp_path / "curve.png", metric)
    upper, lower = figures[0].axes
    assert upper.get_title(loc="left") == title
    assert upper.lines[0].get_xydata().tolist() == [[50, 0.9], [100, 0.6], [150, 0.4]]
    assert lower.lines[-1].get_xdata() == [step]
    assert lower.get_ylabel() == f"dev {metric}"
    assert imread(tmp_path / "curve.png").std() > 0.05


def test_curve_of_one_point_and_of_an_undefined_metric(tmp_path, figures):
    plot_curve(HISTORY[:1], tmp_path / "one.png")
    plot_curve(HISTORY, tmp_path / "undefined.png", "roc_auc")
    assert figures[0].axes[0].get_title(loc="left") == "best: epoch 1, 0.7000"
    assert figures[1].axes[0].get_title(loc="left") == ""


def test_the_curve_of_the_learning_rate_finder_has_its_rates_and_marks(tmp_path, figures):
    rates = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    losses, smoothed = [0.7, 0.75, 0.2, 0.3, 90.0], [0.7, 0.7, 0.3, 0.4, 1.4]
    plot_lr_curve(rates, losses, smoothed, {"safe": 1e-3, "steepest": 2e-3}, tmp_path / "lr.png")
    [axes] = figures[0].axes
    assert axes.get_xscale() == "log"
    assert axes.lines[1].get_xydata().tolist() == [list(pair) for pair in zip(rates, smoothed)]
    assert [line.get_xdata()[0] for line in axes.lines[2:]] == [1e-3, 2e-3]
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert named == ["each step", "smoothed", "safe: 1.0e-03", "steepest: 2.0e-03"]
    assert 1.4 < axes.get_ylim()[1] < 2  # one exploded step does not flatten the curve
    assert {"1e-03", "1e-01"} <= {label.get_text() for label in axes.get_xticklabels()}
    assert imread(tmp_path / "lr.png").std() > 0.05


def test_the_curve_of_the_learning_rate_finder_without_a_suggestion(tmp_path, figures):
    plot_lr_curve([1e-4, 1e-3], [0.7, 0.7], [0.7, 0.7], {}, tmp_path / "flat.png")
    assert len(figures[0].axes[0].lines) == 2
