"""Only the bytes needed: checkpoints on a hub and on plain servers, counted byte by byte."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from lexigraft import web
from lexigraft.embeddings.checkpoint import read_checkpoint, whole_checkpoint
from lexigraft.embeddings.weights import open_weights
from lexigraft.vocab.tokenizer import Tokenizer
from tests.fixtures.hub_server import COMMIT, hub_serving, isolate_hub
from tests.fixtures.web_server import Server, serving

MATRIX = "bert.embeddings.word_embeddings.weight"
BIAS = "cls.predictions.bias"
Save = Callable[..., Path]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty caches and working folder, no pauses."""
    isolate_hub(str(tmp_path), monkeypatch)
    monkeypatch.setattr(web, "FIRST_PAUSE", 0.0)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture(scope="module")
def state(wordpiece: Tokenizer) -> dict[str, torch.Tensor]:
    """A BERT whose body is 20 times as large as its matrix, in bfloat16."""
    torch.manual_seed(0)
    size = len(wordpiece.vocabulary)
    matrix = torch.randn(size, 512).to(torch.bfloat16)
    body = {f"bert.encoder.layer.{i}.weight": torch.zeros(2 * size, 512, dtype=torch.bfloat16) for i in range(10)}
    return {MATRIX: matrix, BIAS: torch.randn(size).to(torch.bfloat16), **body}


@pytest.fixture(scope="module")
def large(state: dict[str, torch.Tensor], wordpiece: Tokenizer, tmp_path_factory: Any) -> dict[str, bytes]:
    """Its files, by name."""
    folder = tmp_path_factory.mktemp("large")
    wordpiece.save(folder)
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    return files | {"config.json": b'{"model_type": "bert"}', "model.safetensors": save(state, {"format": "pt"})}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({}) as found:
        yield found


def publish(server: Server, files: dict[str, bytes]) -> str:
    """The address of a folder with these files on the server."""
    server.files |= {f"/some/model/{name}": content for name, content in files.items()}
    return f"{server.address}/some/model"


def matrix_bytes(state: dict[str, torch.Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in (state[MATRIX], state[BIAS]))


def test_of_a_server_the_matrix_alone(server: Server, large: dict[str, bytes], state: dict[str, torch.Tensor]) -> None:
    address = publish(server, large)
    matrix = read_checkpoint(address + "/")
    assert torch.equal(matrix.rows, state[MATRIX])
    assert torch.equal(matrix.output_bias, state[BIAS])
    small = sum(len(content) for name, content in large.items() if name != "model.safetensors")
    assert server.total <= 1.05 * (small + matrix_bytes(state) + (1 << 15)) < len(large["model.safetensors"]) / 10
    fetched = matrix.origin["fetched"]
    assert fetched["of"] == len(large["model.safetensors"])
    assert fetched["bytes"] == server.served["/some/model/model.safetensors"]
    server.forget()
    assert read_checkpoint(address).origin["fetched"] == fetched
    assert server.total == 0, "everything is asked for, and is still the same"


def test_of_the_hub_the_matrix_alone(
    server: Server, large: dict[str, bytes], state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with hub_serving({"owner/bert": large, "owner/copy": large}, monkeypatch, server) as requests:
        matrix = read_checkpoint("owner/bert")
        assert torch.equal(matrix.rows, state[MATRIX])
        assert matrix.origin["revision"] == COMMIT
        assert server.total <= 1.05 * (matrix_bytes(state) + (1 << 15))
        assert matrix.origin["fetched"] == {"bytes": server.total, "of": len(large["model.safetensors"])}
        assert not any("authorization" in headers for _, headers in server.requests), "the token stays with the hub"
        requests.clear()
        server.forget()
        assert read_checkpoint("owner/bert").origin == matrix.origin
        assert requests == server.requests == [], "a commit that is known is not asked for"
        assert torch.equal(read_checkpoint("owner/copy").rows, matrix.rows)
        assert server.total <= 1 << 15, "the same content in another repository is not fetched again"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert read_checkpoint("owner/bert").origin == matrix.origin


def test_the_token_is_the_hubs(
    server: Server, large: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serving({}) as elsewhere:
        address = publish(server, large)
        elsewhere.files = {f"/{name}": content for name, content in large.items()}

        def sent_on(reply: Any) -> None:
            reply.status, reply.body, reply.headers = 302, b"", {"Location": f"{elsewhere.address}/model.safetensors"}

        server.faults = [("/model.safetensors", sent_on)] * 9
        read_checkpoint(address)
        assert elsewhere.count("model.safetensors") >= 3
        assert not any("authorization" in headers for _, headers in server.requests + elsewhere.requests)


def test_a_download_that_breaks_is_continued_by_the_next_run(
    server: Server, large: dict[str, bytes], state: dict[str, torch.Tensor]
) -> None:
    address = publish(server, large)
    half = state[MATRIX].numel()

    def cut(reply: Any) -> None:
        reply.cut = half

    def refuse(reply: Any) -> None:
        reply.status, reply.body = 503, b""

    server.faults = [("/model.safetensors", lambda _: None), ("/model.safetensors", cut)]
    server.faults += [("/model.safetensors", refuse)] * web.ATTEMPTS
    with pytest.raises(FileNotFoundError, match=r"model.safetensors failed 6 times \(status 503\): run again"):
        read_checkpoint(address)
    server.faults.clear()
    assert torch.equal(read_checkpoint(address).rows, state[MATRIX])
    assert server.served["/some/model/model.safetensors"] <= 1.1 * (matrix_bytes(state) + (1 << 15))


def test_two_readers_at_once_fetch_once(
    server: Server, large: dict[str, bytes], state: dict[str, torch.Tensor]
) -> None:
    address = publish(server, large)
    found: list[torch.Tensor] = []
    readers = [threading.Thread(target=lambda: found.append(read_checkpoint(address).rows)) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(found) == 3
    assert all(torch.equal(rows, state[MATRIX]) for rows in found)
    assert server.served["/some/model/model.safetensors"] <= 1.05 * matrix_bytes(state) + 3 * (1 << 15)


def test_a_new_version_on_the_server(server: Server, large: dict[str, bytes], state: dict[str, torch.Tensor]) -> None:
    address = publish(server, large)
    read_checkpoint(address)
    new = {**state, MATRIX: state[MATRIX] + 1}
    server.files["/some/model/model.safetensors"] = save(new)
    assert torch.equal(read_checkpoint(address).rows, new[MATRIX])


@pytest.mark.parametrize("form", ["safetensors", "sharded", "bin", "bin sharded"])
def test_every_form_on_a_server(
    save_checkpoint: Save, models: dict[str, Any], server: Server, tmp_path: Path, form: str
) -> None:
    from transformers import AutoModelForCausalLM

    folder = save_checkpoint("llama", tmp_path / "model", form)
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    address = publish(server, files)
    matrix = read_checkpoint(address)
    assert torch.equal(matrix.rows, models["llama"][0].get_input_embeddings().weight)
    assert torch.equal(matrix.output_rows, models["llama"][0].lm_head.weight)
    assert (matrix.origin["fetched"] is None) == ("bin" in form)
    shards = {n for n in files if n.endswith((".bin", ".safetensors"))}
    asked = {path.rsplit("/", 1)[1] for path, _ in server.requests} & shards
    assert len(asked) == min(2, len(shards))
    whole = whole_checkpoint(matrix)
    loaded = AutoModelForCausalLM.from_pretrained(whole).state_dict()
    assert all(torch.equal(loaded[k], t) for k, t in models["llama"][0].state_dict().items())
    server.forget()
    assert whole_checkpoint(read_checkpoint(address)) == whole
    assert server.total == 0


def test_a_server_without_ranges(server: Server, large: dict[str, bytes], state: dict[str, torch.Tensor]) -> None:
    server.ranges = False
    address = publish(server, large)
    matrix = read_checkpoint(address)
    assert torch.equal(matrix.rows, state[MATRIX])
    size = len(large["model.safetensors"])
    assert matrix.origin["fetched"] == {"bytes": size, "of": size}
    server.forget()
    assert torch.equal(read_checkpoint(address).rows, state[MATRIX])
    assert server.total == 0


def test_an_index_tells_the_size_of_shards_that_are_not_opened(
    save_checkpoint: Save, server: Server, tmp_path: Path
) -> None:
    folder = save_checkpoint("llama", tmp_path / "model", "sharded")
    total = json.loads((folder / "model.safetensors.index.json").read_text())["metadata"]["total_size"]
    address = publish(server, {p.name: p.read_bytes() for p in folder.iterdir()})
    fetched = read_checkpoint(address).origin["fetched"]
    assert fetched["of"] == total > fetched["bytes"]
    with pytest.raises(ValueError, match="candidates: model.embed_tokens.weight"):
        read_checkpoint(address, tensor="nope")


@pytest.mark.parametrize("place", ["folder", "server"])
def test_types_and_shapes(checkpoints: dict[str, Path], server: Server, place: str) -> None:
    folder = checkpoints["bert"]
    name = str(folder)
    if place == "server":
        name = publish(server, {p.name: p.read_bytes() for p in folder.iterdir()})
    weights = open_weights(name, None, folder)
    state = load_file(folder / "model.safetensors")
    assert set(weights.names) == set(state)
    assert set(weights.files.values()) == {"model.safetensors"}
    assert {n: (weights.dtype(n), weights.shape(n)) for n in state} == {n: (t.dtype, t.shape) for n, t in state.items()}
    assert weights.shapes() == {n: tuple(t.shape) for n, t in state.items()}
    assert all(torch.equal(weights.read(n), t) for n, t in state.items())


def test_offline_a_server_is_what_was_read_of_it(
    server: Server, large: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = publish(server, large)
    matrix = read_checkpoint(address)
    server.forget()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert read_checkpoint(address).origin == matrix.origin
    assert server.requests == []
    with pytest.raises(FileNotFoundError, match=f"{address}/x was not read before, and HF_HUB_OFFLINE forbids the net"):
        read_checkpoint(f"{address}/x")


def test_a_tensor_that_its_shard_lacks(save_checkpoint: Save, server: Server, tmp_path: Path) -> None:
    folder = save_checkpoint("llama", tmp_path / "model", "sharded")
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["model.embed_tokens.weight"] = content["weight_map"]["model.norm.weight"]
    index.write_text(json.dumps(content))
    address = publish(server, {p.name: p.read_bytes() for p in folder.iterdir()})
    with pytest.raises(ValueError, match="has no tensor 'model.embed_tokens.weight', though the checkpoint's index"):
        read_checkpoint(address)


@pytest.mark.parametrize("file", ["../../etc/passwd.bin", "/etc/passwd.safetensors", "a/../b.bin", "run.py", 3])
def test_an_index_cannot_name_files_elsewhere(server: Server, large: dict[str, bytes], file: Any) -> None:
    index = json.dumps({"weight_map": {MATRIX: file}}).encode()
    address = publish(server, {**large, "model.safetensors.index.json": index})
    with pytest.raises(ValueError, match="a .safetensors or .bin file below its own folder is expected"):
        read_checkpoint(address)


def test_a_folder_without_a_model(server: Server, large: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    small = {name: content for name, content in large.items() if name != "model.safetensors"}
    address = publish(server, small)
    with pytest.raises(FileNotFoundError, match="/some/model has none of model.safetensors, pytorch_model.bin nor an"):
        read_checkpoint(address)
    with pytest.raises(FileNotFoundError, match=r"/elsewhere has none of config.json, .*\(there is no .*status 404"):
        read_checkpoint(f"{server.address}/elsewhere")
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    with pytest.raises(FileNotFoundError, match="for the model of the hub, take its name: owner/bert$"):
        read_checkpoint(f"{server.address}/owner/bert/tree/main")


def test_files_that_are_gone_from_the_server_are_gone(server: Server, large: dict[str, bytes]) -> None:
    address = publish(server, {**large, "added_tokens.json": b"{}"})
    folder = read_checkpoint(address).checkpoint
    assert folder is not None
    assert (folder / "added_tokens.json").is_file()
    del server.files["/some/model/added_tokens.json"]
    assert read_checkpoint(address).checkpoint == folder
    assert not (folder / "added_tokens.json").exists()


def test_where_files_cannot_be_linked_they_are_copied(
    server: Server, large: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    folder = whole_checkpoint(read_checkpoint(publish(server, large)))
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).digest() == (
        hashlib.sha256(large["model.safetensors"]).digest()
    )


@pytest.mark.parametrize(
    "name", ["https://me:secret@host/model", "https://host/model?token=secret", "https://host/model#secret", "https://"]
)
def test_addresses_that_would_be_recorded_with_secrets(name: str) -> None:
    with pytest.raises(ValueError, match="is no plain address of a folder") as caught:
        read_checkpoint(name)
    assert "secret" not in str(caught.value)
    assert "me" not in str(caught.value).split()[0]


def test_revisions_are_the_hubs(server: Server, large: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="revision=main is for models of the hub, but http://.* is an address"):
        read_checkpoint(publish(server, large), revision="main")


def test_data_sets_have_no_addresses() -> None:
    from lexigraft.hub import resolve

    with pytest.raises(ValueError, match="https://host/data is an address, of which only models are read"):
        resolve("https://host/data", kind="dataset")
