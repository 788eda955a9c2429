import io
import json

import pytest

from tests.fixtures.task import call


def answers(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_texts_as_arguments(trained, capsys):
    assert call("predict", str(trained), "我们喜欢今天", "东西坏") == 0
    found = answers(capsys)
    assert [a["label"] for a in found] == ["好评", "差评"]
    assert [a["text"] for a in found] == ["我们喜欢今天", "东西坏"]
    for answer in found:
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert max(answer["probabilities"], key=answer["probabilities"].get) == answer["label"]


def test_stdin_and_file_give_the_same_in_any_batch_size(trained, tmp_path, capsys, monkeypatch):
    lines = ["我们喜欢今天", "", "差", "没见过的字", "糟" * 200]
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert call("predict", str(trained), "--file", str(file)) == 0
    from_file = answers(capsys)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(lines).encode())))
    assert call("predict", str(trained), "--batch-size", "2") == 0
    from_stdin = answers(capsys)
    assert [a["text"] for a in from_file] == lines
    assert [a["label"] for a in from_stdin] == [a["label"] for a in from_file]
    for one, other in zip(from_file, from_stdin):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=2e-6)


@pytest.mark.parametrize("by", ["file", "stdin"])
def test_texts_that_are_not_utf_8_are_one_sentence(trained, tmp_path, capsys, monkeypatch, by):
    content = "我们\n喜欢".encode("gb18030")
    (tmp_path / "gbk.txt").write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert call("predict", str(trained), *(["--file", str(tmp_path / "gbk.txt")] if by == "file" else [])) == 1
    error = capsys.readouterr().err
    assert "line 1 is not UTF-8: convert it, e.g. iconv -f GB18030 -t UTF-8" in error
    assert error.count("\n") == 1


def test_a_text_gets_the_same_answer_alone_and_among_long_ones(trained, capsys):
    texts = ["好书", "今天我们买了东西" * 30, "", "的书店差" * 9]
    assert call("predict", str(trained), *texts) == 0
    together = answers(capsys)
    for text, one in zip(texts, together):
        assert call("predict", str(trained), text) == 0
        assert answers(capsys)[0]["probabilities"] == pytest.approx(one["probabilities"], abs=2e-6)


def test_a_missing_file_is_one_sentence(trained, capsys):
    assert call("predict", str(trained), "--file", "nowhere.txt") == 1
    assert "nowhere.txt" in capsys.readouterr().err
