"""The resolver: local path, then snapshot, then network, and one sentence when there is none."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lexigraft import network
from lexigraft.hub import local_path, resolve
from tests.fixtures.hub_server import COMMIT, hub_serving, isolate_hub

FILES = {"config.json": b'{"model_type": "bert"}', "tokenizer.json": b"{}", "big.bin": b"x" * 1000}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache and working folder, no proxy, no hub."""
    isolate_hub(str(tmp_path), monkeypatch)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub with the one model `owner/name`; gives the list of requests that it got."""
    with hub_serving({"owner/name": FILES}, monkeypatch) as requests:
        yield requests


def put_in_cache(root: Path, *names: str) -> Path:
    """A snapshot as older hub libraries leave it: without a listing of the repository."""
    repository = root / "cache" / "models--owner--name"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    for name in names:
        (snapshot / name).write_bytes(FILES[name])
    return snapshot


def test_a_local_path_comes_first(tmp_path: Path) -> None:
    put_in_cache(tmp_path, "config.json")
    folder = Path("owner/name")
    folder.mkdir(parents=True)
    (folder / "vectors.txt").write_text("a 1\n")
    assert resolve("owner/name", files=["config.json"]) == folder
    assert resolve(str(tmp_path / "here/owner/name/vectors.txt")).read_text() == "a 1\n"


def test_a_snapshot_with_everything_needs_no_network(tmp_path: Path, server: list[str]) -> None:
    snapshot = put_in_cache(tmp_path, "config.json", "tokenizer.json")
    assert resolve("owner/name", files=["config.json", "tok*.json"]) == snapshot
    assert resolve("owner/name", revision=COMMIT, files=["config.json"]) == snapshot
    assert resolve("owner/name") == snapshot
    assert server == []


def test_a_partial_snapshot_serves_where_there_is_no_network(tmp_path: Path) -> None:
    snapshot = put_in_cache(tmp_path, "config.json")
    assert resolve("owner/name", files=["config.json", "vocab.txt"]) == snapshot
    with pytest.raises(FileNotFoundError, match="nor in the hub's cache"):
        resolve("owner/name", files=["model.safetensors"])


def test_download_takes_only_the_files_asked_for(server: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = resolve("owner/name", files=["*.json", "vocab.txt"])
    assert folder.name == COMMIT
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "tokenizer.json"]
    assert (folder / "config.json").read_bytes() == FILES["config.json"]
    assert not any("big.bin" in r for r in server)
    server.clear()
    assert resolve("owner/name", files=["*.json"]) == folder
    assert resolve("owner/name", files=["*.json", "vocab.txt"]) == folder, "the listing says that there is none"
    assert server == []
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve("owner/name", files=["config.json", "big.bin"]) == folder


def test_download_completes_a_partial_snapshot(tmp_path: Path, server: list[str]) -> None:
    snapshot = put_in_cache(tmp_path, "config.json")
    assert resolve("owner/name", files=["config.json", "big.bin"]) == snapshot
    assert (snapshot / "big.bin").read_bytes() == FILES["big.bin"]


@pytest.mark.parametrize(
    ("name", "revision", "files", "message"),
    [
        ("owner/nobody", None, None, "there is no model 'owner/nobody' on http://127.0.0.1"),
        ("owner/gated", None, None, "is gated: accept its terms there, then set HF_TOKEN"),
        ("owner/name", "v9", None, "has no revision 'v9'"),
        ("owner/name", None, ["*.onnx"], r"has none of \*.onnx"),
        ("owner/broken", None, None, "downloading the model 'owner/broken' from .* failed: .*500"),
    ],
)
def test_what_the_hub_refuses(
    server: list[str], name: str, revision: str | None, files: list[str] | None, message: str
) -> None:
    with pytest.raises(FileNotFoundError, match=message) as caught:
        resolve(name, revision=revision, files=files)
    assert "\n" not in str(caught.value)


def test_without_network_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(FileNotFoundError) as caught:
        resolve("bert-base-chinese", files=["config.json"])
    assert time.monotonic() - started < 5
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "the model 'bert-base-chinese'",
        "http://127.0.0.1:9 cannot be reached",
        str(tmp_path / "here"),
        str(tmp_path / "cache"),
        "give the path of a local folder",
    ):
        assert part in message


def test_dataset_and_revision_are_named() -> None:
    with pytest.raises(FileNotFoundError, match="the dataset 'glue' at revision 'v2' is neither"):
        resolve("glue", kind="dataset", revision="v2")


def test_a_hub_that_never_answers_costs_seconds_not_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "PROBE_SECONDS", 0.1)
    monkeypatch.setattr("socket.create_connection", _answer_too_late)
    with pytest.raises(FileNotFoundError, match=r"cannot be reached \(no answer within 0.1 s\)"):
        resolve("bert-base-chinese")


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_variables_forbid_the_network(
    monkeypatch: pytest.MonkeyPatch, server: list[str], variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(FileNotFoundError, match=f"{variable} forbids the network"):
        resolve("owner/name")
    monkeypatch.setenv(variable, "0")
    assert resolve("owner/name", files=["config.json"]).name == COMMIT


def test_offline_mode_of_the_hub_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match="the hub library is in offline mode"):
        resolve("owner/name")


def test_the_proxy_is_what_must_be_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(FileNotFoundError, match=r"hub.example cannot be reached through the proxy 127.0.0.1"):
        resolve("owner/name")
    monkeypatch.setenv("NO_PROXY", "hub.example")
    monkeypatch.setattr("socket.create_connection", _refuse_and_name_the_host)
    network._unreachable.cache_clear()
    with pytest.raises(FileNotFoundError, match=r"https://hub.example cannot be reached \(hub.example:443\)"):
        resolve("owner/name")


def _refuse_and_name_the_host(address: tuple[str, int], timeout: float) -> None:
    raise OSError(f"{address[0]}:{address[1]}")


def test_a_missing_path_is_told_from_a_hub_name() -> None:
    Path("models/checkpoint-10").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"no 'chekpoint-10' in .*; did you mean checkpoint-10\?"):
        resolve("models/chekpoint-10")
    with pytest.raises(FileNotFoundError, match=r"no 'model' in .*here; did you mean models\?"):
        resolve("./model/deep/er")
    with pytest.raises(FileNotFoundError, match=r"no 'zzz' in .*here; check the path"):
        local_path("zzz")
    with pytest.raises(FileNotFoundError, match=r"cannot be reached .*: did you mean models\?"):
        resolve("modles")


def test_what_is_neither_path_nor_name() -> None:
    with pytest.raises(ValueError, match="'a b' is neither a path that exists nor a name on the hub"):
        resolve("a b")


def _answer_too_late(address: tuple[str, int], timeout: float) -> None:
    time.sleep(0.5)
    raise TimeoutError


def test_everything_of_an_incomplete_snapshot_is_not_there(server: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    resolve("owner/name", files=["config.json"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="nor in the hub's cache"):
        resolve("owner/name")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert (resolve("owner/name") / "big.bin").is_file()
