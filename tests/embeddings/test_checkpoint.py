"""Checkpoints of every family and file form, read without the rest of the model."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lexigraft.embeddings.checkpoint import read_checkpoint, whole_checkpoint
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Vocabulary
from tests.fixtures.checkpoints import FAMILIES
from tests.fixtures.hub_server import COMMIT, hub_serving, isolate_hub

FORMS = ("safetensors", "sharded", "bin", "bin sharded")
Save = Callable[..., Path]


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_are_those_of_the_model(checkpoints: dict[str, Path], family: str) -> None:
    from transformers import AutoModel

    matrix = read_checkpoint(str(checkpoints[family]))
    model = AutoModel.from_pretrained(checkpoints[family])
    expected = model.get_input_embeddings().weight
    assert torch.equal(matrix.rows, expected)
    assert matrix.rows.dtype == expected.dtype
    assert matrix.checkpoint == checkpoints[family]
    assert matrix.tokenizer is not None
    assert matrix.vocabulary.tokens[: len(matrix.tokenizer.vocabulary)] == matrix.tokenizer.vocabulary.tokens
    assert matrix.origin["path"] == str(checkpoints[family])
    assert (matrix.origin["rows"], matrix.origin["dim"], matrix.origin["dtype"]) == (*expected.shape, "float32")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_file_form_gives_the_same(
    save_checkpoint: Save, models: dict[str, Any], tmp_path: Path, family: str, form: str
) -> None:
    model, tokenizer = models[family]
    folder = save_checkpoint(family, tmp_path / "model", form)
    index = list(folder.glob("*.index.json"))
    assert bool(index) == ("sharded" in form)
    assert any(folder.glob("*.bin")) == ("bin" in form)
    matrix = read_checkpoint(str(folder))
    assert torch.equal(matrix.rows, model.get_input_embeddings().weight)
    assert matrix.tokenizer is not None
    assert matrix.tokenizer.vocabulary.fingerprint() == tokenizer.vocabulary.fingerprint()
    if family == "llama":
        assert not matrix.tied
        assert matrix.output_rows is not None
        assert torch.equal(matrix.output_rows, model.lm_head.weight)
        assert matrix.output_bias is None
    else:
        assert matrix.tied
        assert matrix.output_rows is None
    bias = {"bert": "cls.predictions.bias", "roberta": "lm_head.bias", "xlm-r": "lm_head.bias"}.get(family)
    assert (matrix.output_bias is None) == (bias is None)
    if bias is not None:
        assert torch.equal(matrix.output_bias, model.state_dict()[bias])


def test_rows_beyond_the_tokenizer_are_unused(checkpoints: dict[str, Path]) -> None:
    matrix = read_checkpoint(str(checkpoints["t5"]))
    assert matrix.tokenizer is not None
    missing = len(matrix.rows) - len(matrix.tokenizer.vocabulary)
    assert missing > 0
    assert [t.role for t in matrix.vocabulary.tokens[-missing:]] == ["unused"] * missing
    assert matrix.origin["repairs"]["unused"] == missing


def _configs() -> dict[str, Any]:
    """Further architectures: name -> transformers configuration, class suffix."""
    import transformers as t

    deep = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    llama = {**deep, "num_key_value_heads": 2, "head_dim": 8}
    return {
        "distilbert": t.DistilBertConfig(dim=16, n_layers=1, n_heads=2, hidden_dim=32),
        "electra": t.ElectraConfig(embedding_size=8, **deep),
        "albert": t.AlbertConfig(embedding_size=8, **deep),
        "deberta-v2": t.DebertaV2Config(**deep),
        "modernbert": t.ModernBertConfig(**deep),
        "gpt_neox": t.GPTNeoXConfig(**deep),
        "opt": t.OPTConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=32, word_embed_proj_dim=16
        ),
        "qwen2": t.Qwen2Config(**llama),
        "mistral": t.MistralConfig(**llama),
        "gemma": t.GemmaConfig(**llama),
        "bart": t.BartConfig(
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
        ),
    }


@pytest.mark.parametrize(
    "architecture",
    [
        "distilbert",
        "electra",
        "albert",
        "deberta-v2",
        "modernbert",
        "gpt_neox",
        "opt",
        "qwen2",
        "mistral",
        "gemma",
        "bart",
    ],
)
def test_further_architectures(wordpiece: Tokenizer, tmp_path: Path, architecture: str) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

    config = _configs()[architecture]
    config.vocab_size = len(wordpiece.vocabulary)
    config.pad_token_id, config.bos_token_id, config.eos_token_id = 0, 2, 3
    kinds = {
        "gpt_neox": AutoModelForCausalLM,
        "opt": AutoModelForCausalLM,
        "qwen2": AutoModelForCausalLM,
        "mistral": AutoModelForCausalLM,
        "gemma": AutoModelForCausalLM,
        "bart": AutoModelForSeq2SeqLM,
    }
    model = kinds.get(architecture, AutoModelForMaskedLM).from_config(config)
    model.save_pretrained(tmp_path)
    wordpiece.save(tmp_path)
    matrix = read_checkpoint(str(tmp_path))
    assert torch.equal(matrix.rows, model.get_input_embeddings().weight)
    head = model.get_output_embeddings()
    shared = head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    assert matrix.tied == shared
    if not shared:
        assert matrix.output_rows is not None
        assert torch.equal(matrix.output_rows, head.weight)
    bias = getattr(head, "bias", None)
    if bias is not None:
        assert matrix.output_bias is not None
        assert torch.equal(matrix.output_bias, bias)
    assert matrix.origin["architecture"] == architecture


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_dtype_is_kept(checkpoints: dict[str, Path], tmp_path: Path, dtype: torch.dtype) -> None:
    folder = _copied(checkpoints["bert"], tmp_path)
    _rewrite(folder, lambda state: {k: t.to(dtype) for k, t in state.items()})
    matrix = read_checkpoint(str(folder))
    assert matrix.rows.dtype == dtype
    assert matrix.origin["dtype"] == str(dtype).removeprefix("torch.")


def test_files_from_before_torch_1_6(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = _copied(checkpoints["bert"], tmp_path)
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert torch.equal(read_checkpoint(str(folder)).rows, state["bert.embeddings.word_embeddings.weight"])


def test_a_stored_head_wins_over_the_configuration(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = _copied(checkpoints["gpt2"], tmp_path)
    rows = read_checkpoint(str(folder)).rows.clone()
    _rewrite(folder, lambda state: state | {"lm_head.weight": rows.clone()})
    assert read_checkpoint(str(folder)).tied
    _rewrite(folder, lambda state: state | {"lm_head.weight": rows + 1})
    matrix = read_checkpoint(str(folder))
    assert not matrix.tied
    assert torch.equal(matrix.output_rows, rows + 1)


def test_transformers_is_not_imported(checkpoints: dict[str, Path]) -> None:
    program = (
        "import sys; from lexigraft.embeddings.checkpoint import read_checkpoint; "
        f"print(len(read_checkpoint({str(checkpoints['bert'])!r}).rows)); "
        "sys.exit('transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_an_unknown_architecture_lists_candidates(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = _copied(checkpoints["bert"], tmp_path)
    name = "bert.embeddings.word_embeddings.weight"
    _rewrite(folder, lambda state: {k.replace("word_embeddings", "lookup"): t for k, t in state.items()})
    with pytest.raises(
        ValueError, match=r"no word embeddings are recognised in .*set source.tensor=.*lookup.weight \("
    ):
        read_checkpoint(str(folder))
    matrix = read_checkpoint(str(folder), tensor=name.replace("word_embeddings", "lookup"))
    assert torch.equal(matrix.rows, read_checkpoint(str(checkpoints["bert"])).rows)
    with pytest.raises(ValueError, match=r"has no tensor 'nope'; set source.tensor= .*lookup.weight"):
        read_checkpoint(str(folder), tensor="nope")
    with pytest.raises(ValueError, match=r"'bert.embeddings.LayerNorm.weight' .* has shape \(32,\)"):
        read_checkpoint(str(folder), tensor="bert.embeddings.LayerNorm.weight")


def test_an_encoder_comes_before_a_decoder(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = _copied(checkpoints["bert"], tmp_path)
    rows = read_checkpoint(str(folder)).rows.clone()
    both = {"model.encoder.embed_tokens.weight": rows, "model.decoder.embed_tokens.weight": rows + 1}
    _rewrite(folder, lambda _: both)
    assert torch.equal(read_checkpoint(str(folder)).rows, rows)
    _rewrite(folder, lambda _: {k.replace("encoder", "left").replace("decoder", "right"): t for k, t in both.items()})
    with pytest.raises(ValueError, match=r"has 2 embedding matrices: set source.tensor= to one of model.left.embed"):
        read_checkpoint(str(folder))


def test_nan_rows(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = _copied(checkpoints["gpt2"], tmp_path)

    def spoil(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        state["transformer.wte.weight"][3:5] = float("nan")
        return state

    _rewrite(folder, spoil)
    with pytest.raises(ValueError, match="'transformer.wte.weight' of .* has NaN or infinity in 2 of "):
        read_checkpoint(str(folder))


def test_nan_rows_of_the_head(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = _copied(checkpoints["gpt2"], tmp_path)
    head = torch.full_like(read_checkpoint(str(folder)).rows, float("nan"))
    _rewrite(folder, lambda state: state | {"lm_head.weight": head})
    with pytest.raises(ValueError, match="'lm_head.weight' of .* has NaN or infinity in"):
        read_checkpoint(str(folder))


def test_more_tokens_than_rows(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = _copied(checkpoints["gpt2"], tmp_path)
    _rewrite(folder, lambda state: state | {"transformer.wte.weight": state["transformer.wte.weight"][:50].clone()})
    with pytest.raises(ValueError, match="has .* tokens, but its matrix only 50 rows"):
        read_checkpoint(str(folder))


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _damage_index(folder: Path, change: Callable[[dict[str, str]], None]) -> None:
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    change(content["weight_map"])
    index.write_text(json.dumps(content))


DAMAGE: dict[str, tuple[str, Callable[[Path], Any], type[Exception], str]] = {
    "cut safetensors": (
        "safetensors",
        lambda f: _cut(f / "model.safetensors"),
        ValueError,
        "model.safetensors is cut off or no safetensors file",
    ),
    "cut bin": (
        "bin",
        lambda f: _cut(f / "pytorch_model.bin"),
        ValueError,
        "pytorch_model.bin is cut off or no file of tensors",
    ),
    "empty bin": (
        "bin",
        lambda f: (f / "pytorch_model.bin").write_bytes(b""),
        ValueError,
        "pytorch_model.bin is cut off or no file of tensors",
    ),
    "no state dict": (
        "bin",
        lambda f: torch.save([1, 2], f / "pytorch_model.bin"),
        ValueError,
        "holds a list: a dictionary of tensors by name is expected",
    ),
    "missing shard": (
        "sharded",
        lambda f: [p.unlink() for p in f.glob("model-*.safetensors")],
        FileNotFoundError,
        "lacks model-.*safetensors, which its index names",
    ),
    "missing tensor": (
        "sharded",
        lambda f: _damage_index(f, lambda m: m.update({"model.embed_tokens.weight": m["model.norm.weight"]})),
        ValueError,
        "has no tensor 'model.embed_tokens.weight', though the checkpoint's index says so",
    ),
    "broken index": (
        "sharded",
        lambda f: (f / "model.safetensors.index.json").write_text("{}"),
        ValueError,
        "model.safetensors.index.json is no index of shards",
    ),
    "no config": ("safetensors", lambda f: (f / "config.json").unlink(), FileNotFoundError, "holds no config.json"),
    "broken config": (
        "safetensors",
        lambda f: (f / "config.json").write_text("{"),
        ValueError,
        "config.json is no JSON",
    ),
    "list as config": (
        "safetensors",
        lambda f: (f / "config.json").write_text("[]"),
        ValueError,
        "config.json holds a list: an object is expected",
    ),
    "no weights": (
        "safetensors",
        lambda f: (f / "model.safetensors").unlink(),
        FileNotFoundError,
        "holds none of model.safetensors, pytorch_model.bin nor an index",
    ),
    "no tokenizer": (
        "safetensors",
        lambda f: [p.unlink() for p in f.glob("tokenizer*")],
        FileNotFoundError,
        "holds no tokenizer",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_gets_one_sentence(save_checkpoint: Save, tmp_path: Path, kind: str) -> None:
    form, damage, error, message = DAMAGE[kind]
    folder = save_checkpoint("llama", tmp_path / "model", form)
    damage(folder)
    with pytest.raises(error, match=message) as caught:
        read_checkpoint(str(folder))
    assert "\n" not in str(caught.value)


def test_bin_shard_without_its_tensor(save_checkpoint: Save, tmp_path: Path) -> None:
    folder = save_checkpoint("llama", tmp_path / "model", "bin sharded")
    index = json.loads((folder / "pytorch_model.bin.index.json").read_text())["weight_map"]
    torch.save({}, folder / index["model.embed_tokens.weight"])
    with pytest.raises(ValueError, match="has no tensor 'model.embed_tokens.weight'"):
        read_checkpoint(str(folder))


def test_a_file_is_no_checkpoint(checkpoints: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="is a file: the folder of a checkpoint is expected"):
        read_checkpoint(str(checkpoints["bert"] / "model.safetensors"))


@pytest.mark.parametrize("form", FORMS)
def test_of_a_hub_model_only_what_is_needed_is_fetched(
    save_checkpoint: Save, models: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    isolate_hub(str(tmp_path), monkeypatch)
    monkeypatch.chdir(tmp_path)
    folder = save_checkpoint("llama", tmp_path / "model", form)
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    with hub_serving({"owner/llama": files | {"flax_model.msgpack": b"0" * 1000}}, monkeypatch) as requests:
        matrix = read_checkpoint("owner/llama")
    assert torch.equal(matrix.rows, models["llama"][0].get_input_embeddings().weight)
    assert torch.equal(matrix.output_rows, models["llama"][0].lm_head.weight)
    assert matrix.origin["path"] == "owner/llama"
    assert matrix.origin["revision"] == COMMIT
    fetched = {r.rsplit("/", 1)[1] for r in requests if r.startswith("GET /owner/llama/resolve/")}
    weights = {name for name in fetched if name.endswith((".bin", ".safetensors")) and name in files}
    shards = [name for name in files if name.endswith((".bin", ".safetensors"))]
    assert len(weights) == min(2, len(shards)) <= len(shards)
    assert "sharded" not in form or len(shards) > 2
    assert "flax_model.msgpack" not in fetched
    assert read_checkpoint("owner/llama").origin == matrix.origin, "now without the hub"


def test_the_rest_of_a_hub_model_can_be_fetched(
    save_checkpoint: Save, models: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM

    isolate_hub(str(tmp_path), monkeypatch)
    monkeypatch.chdir(tmp_path)
    folder = save_checkpoint("llama", tmp_path / "model", "sharded")
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    with hub_serving({"owner/llama": files}, monkeypatch):
        whole = whole_checkpoint(read_checkpoint("owner/llama"))
    assert {p.name for p in folder.glob("*.safetensors")} <= {p.name for p in whole.iterdir()}
    loaded = AutoModelForCausalLM.from_pretrained(whole).state_dict()
    assert all(torch.equal(loaded[k], t) for k, t in models["llama"][0].state_dict().items())
    assert whole_checkpoint(read_checkpoint(str(folder))) == folder


def test_static_vectors_have_no_model() -> None:
    matrix = EmbeddingMatrix(Vocabulary.of_words(["a"]), torch.ones(1, 2), {"name": "vectors.txt"})
    with pytest.raises(ValueError, match="the source 'vectors.txt' is a matrix without a model: take source=hf"):
        whole_checkpoint(matrix)


def test_a_hub_model_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate_hub(str(tmp_path), monkeypatch)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="the model 'bert-base-chinese' is neither .* cannot be reached"):
        read_checkpoint("bert-base-chinese")


def _copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def _rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    path = folder / "model.safetensors"
    state = {k: t.clone() for k, t in load_file(path).items()}
    save_file(change(state), path, metadata={"format": "pt"})
