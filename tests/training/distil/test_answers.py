import pytest
import torch

from lexigraft.training.distil.answers import Answers, kept


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEXIGRAFT_CACHE", str(tmp_path))
    return tmp_path / "teachers"


def test_what_was_read_once_is_kept(cache):
    read = Answers(outputs=torch.randn(3, 2), vectors=torch.randn(3, 4).T.contiguous().T)
    first = kept("a", lambda: read)
    second = kept("a", lambda: pytest.fail("read again"))
    assert first is read
    assert torch.equal(second.outputs, read.outputs)
    assert torch.equal(second.vectors, read.vectors)
    assert second.hidden is None


def test_another_key_is_read_anew():
    kept("a", lambda: Answers(outputs=torch.zeros(1, 2)))
    assert kept("b", lambda: Answers(outputs=torch.ones(1, 2))).outputs.sum() == 2


def test_a_damaged_file_is_read_anew(cache):
    kept("a", lambda: Answers(outputs=torch.zeros(1, 2)))
    (file,) = cache.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    assert kept("a", lambda: Answers(outputs=torch.ones(1, 2))).outputs.sum() == 2
