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
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    assert call("predict", str(trained), "--batch-size", "2") == 0
    from_stdin = answers(capsys)
    assert [a["text"] for a in from_file] == lines
    assert [a["label"] for a in from_stdin] == [a["label"] for a in from_file]
    for one, other in zip(from_file, from_stdin):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=2e-6)


def test_a_missing_file_is_one_sentence(trained, capsys):
    assert call("predict", str(trained), "--file", "nowhere.txt") == 1
    assert "nowhere.txt" in capsys.readouterr().err
