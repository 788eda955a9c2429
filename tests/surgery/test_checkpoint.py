import json
import os
import subprocess
import sys
import types

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from lexigraft.surgery.checkpoint import open_body
from lexigraft.transplant.engine import Transplant
from lexigraft.transplant.statistics import normal
from lexigraft.vocab.targets import source_tokenizer
from tests.surgery.families import build, logits, reopened, save, stored, transplanted


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("family", ["bert", "llama"])
def test_the_dtype_is_kept(family, dtype, wordpiece, sp_bpe, tmp_path):
    own = {"bert": wordpiece, "llama": sp_bpe}[family]
    folder = save(build(family, len(own.vocabulary)).to(dtype), own, tmp_path / "old")
    transplanted(folder, wordpiece if family == "llama" else source_tokenizer(sp_bpe, [], "en"), tmp_path / "new")
    assert {t.dtype for t in stored(tmp_path / "new").values()} == {dtype}
    assert json.loads((tmp_path / "new/config.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")
    assert reopened(family, tmp_path / "new").dtype == dtype


def test_shards_in_and_out_hold_the_same_tensors(sp_bpe, tmp_path):
    model = build("llama", len(sp_bpe.vocabulary))
    folder = save(model, sp_bpe, tmp_path / "old", max_shard_size="40KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    transplanted(folder, sp_bpe, tmp_path / "one")
    transplanted(folder, sp_bpe, tmp_path / "many", shard_gb=50e-6)
    assert [p.name for p in (tmp_path / "one").glob("*.safetensors*")] == ["model.safetensors"]
    files = sorted(p.name for p in (tmp_path / "many").glob("*.safetensors"))
    assert files[0] == f"model-00001-of-{len(files):05}.safetensors"
    index = json.loads((tmp_path / "many/model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in stored(folder).values())
    assert set(index["weight_map"].values()) == set(files)
    for name, tensor in stored(folder).items():
        assert torch.equal(stored(tmp_path / "one")[name], tensor)
        assert torch.equal(load_file(tmp_path / "many" / index["weight_map"][name])[name], tensor)
    for file in files:
        size = sum(t.nbytes for t in load_file(tmp_path / "many" / file).values())
        assert size <= 50_000 or len(load_file(tmp_path / "many" / file)) == 1
    assert torch.equal(logits(reopened("llama", tmp_path / "many"), [[1, 5, 300]]), logits(model, [[1, 5, 300]]))
    assert (tmp_path / "one/model.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("family", ["bert", "t5", "bart", "llama"])
def test_a_pickled_checkpoint_becomes_safetensors_with_shared_tensors_once(
    family, wordpiece, unigram, roberta_bpe, sp_bpe, tmp_path
):
    own = {"bert": wordpiece, "t5": unigram, "bart": roberta_bpe, "llama": sp_bpe}[family]
    model = build(family, len(own.vocabulary))
    folder = save(model, own, tmp_path / "old")
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    _, written, _ = transplanted(folder, own, tmp_path / "same")
    new = reopened(family, tmp_path / "same")
    assert torch.equal(logits(new, [[1, 5, 300]]), logits(model, [[1, 5, 300]]))
    matrices = [
        n for n, t in stored(tmp_path / "same").items() if t.ndim == 2 and len(t) == written.rows and t.shape[0] > 1
    ]
    expected = {"bert": 1, "t5": 1, "bart": 1, "llama": 2}[family]
    assert len(matrices) == expected, matrices
    assert not any("head" in n for n in matrices) or family == "llama"
    transplanted(folder, wordpiece if family != "bert" else roberta_bpe, tmp_path / "other")
    reopened(family, tmp_path / "other")


def test_a_head_stored_twice_stays_twice(wordpiece, roberta_bpe, tmp_path):
    """Older safetensors files hold tied tensors under each name, and biases under two."""
    model = build("bert", len(wordpiece.vocabulary))
    folder = save(model, wordpiece, tmp_path / "old")
    save_file({n: t.clone() for n, t in model.state_dict().items()}, folder / "model.safetensors", {"format": "pt"})
    _, written, _ = transplanted(folder, roberta_bpe, tmp_path / "new")
    new = stored(tmp_path / "new")
    assert new.keys() == model.state_dict().keys()
    assert set(written.tensors) == {
        "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight",
        "cls.predictions.bias", "cls.predictions.decoder.bias",
    }  # fmt: skip
    assert torch.equal(new["cls.predictions.decoder.weight"], new["bert.embeddings.word_embeddings.weight"])
    assert torch.equal(new["cls.predictions.bias"], new["cls.predictions.decoder.bias"])
    assert len(new["cls.predictions.bias"]) == written.rows == len(roberta_bpe.vocabulary)


def test_further_matrices_are_transplanted_by_themselves(unigram, wordpiece, tmp_path):
    folder = save(build("marian_apart", len(unigram.vocabulary)), unigram, tmp_path / "old")
    target, _, _ = transplanted(folder, wordpiece, tmp_path / "new")
    old, new = stored(folder), stored(tmp_path / "new")
    for side in ("encoder", "decoder"):
        name = f"model.{side}.embed_tokens.weight"
        i, j = (t.backend.token_to_id(c) for t, c in ((unigram, "▁film"), (target, "film")))
        assert torch.equal(new[name][j], old[name][i])
    assert not torch.equal(new["model.encoder.embed_tokens.weight"], new["model.decoder.embed_tokens.weight"])


def test_an_architecture_that_transformers_cannot_build_is_judged_by_names(wordpiece, roberta_bpe, tmp_path):
    folder = save(build("bert", len(wordpiece.vocabulary)), wordpiece, tmp_path / "old")
    config = json.loads((folder / "config.json").read_text())
    own = {"model_type": "ours", "auto_map": {"AutoModel": "modeling_ours.Ours"}}
    (folder / "config.json").write_text(json.dumps(config | own))
    (folder / "modeling_ours.py").write_text("raise SystemExit('never run')\n")
    (folder / "LICENSE").write_text("as you like\n")
    _, written, warnings = transplanted(folder, roberta_bpe, tmp_path / "new")
    assert any("modeling_ours.py" in w for w in warnings)
    for name in ("LICENSE", "modeling_ours.py"):
        assert (tmp_path / "new" / name).read_text() == (folder / name).read_text()
    new = stored(tmp_path / "new")
    assert len(new["bert.embeddings.word_embeddings.weight"]) == len(new["cls.predictions.bias"]) == written.rows
    assert json.loads((tmp_path / "new/config.json").read_text())["vocab_size"] == written.rows


def test_a_factorised_matrix_is_multiplied_out(wordpiece, roberta_bpe, tmp_path):
    folder = save(build("bert", len(wordpiece.vocabulary)), wordpiece, tmp_path / "old")
    method = Transplant(fill=[normal], dim=8, resize="factorised")
    transplanted(folder, roberta_bpe, tmp_path / "new", method)
    rows = reopened("bert", tmp_path / "new").get_input_embeddings().weight
    assert rows.shape[1] == 32
    assert torch.linalg.matrix_rank(rows.detach()) == 8


def test_rows_of_another_width_are_refused(wordpiece, roberta_bpe, tmp_path):
    folder = save(build("bert", len(wordpiece.vocabulary)), wordpiece, tmp_path / "old")
    with pytest.raises(ValueError, match=r"16 wide, but the layers of .* demand 32: leave out transplant.dim"):
        transplanted(folder, roberta_bpe, tmp_path / "new", Transplant(fill=[normal], dim=16))


@pytest.mark.parametrize("family", ["roberta", "bart"])
def test_a_model_that_needs_padding_refuses_a_tokenizer_without(family, roberta_bpe, byte_bpe, tmp_path):
    folder = save(build(family, len(roberta_bpe.vocabulary)), roberta_bpe, tmp_path / "old")
    with pytest.raises(ValueError, match=rf"{family} (needs|counts) .*padding token.* add one to it"):
        transplanted(folder, byte_bpe, tmp_path / "new")


def test_a_source_without_model_is_refused():
    from tests.transplant.matrices import word_matrix

    with pytest.raises(ValueError, match="is a matrix without a model: take source=hf"):
        open_body(word_matrix(["a", "b"]))


def test_a_full_disk_is_told_before_anything_is_written(wordpiece, tmp_path, monkeypatch):
    folder = save(build("bert", len(wordpiece.vocabulary)), wordpiece, tmp_path / "old")
    monkeypatch.setattr("shutil.disk_usage", lambda _: types.SimpleNamespace(free=10))
    with pytest.raises(ValueError, match=r"needs 0\.0 GB and the disk of .* has 0\.0 GB free: choose another output"):
        transplanted(folder, wordpiece, tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())


def test_the_tokenizers_own_settings_stay(wordpiece, roberta_bpe, tmp_path):
    folder = save(build("bert", len(wordpiece.vocabulary)), wordpiece, tmp_path / "old")
    own = tmp_path / "own"
    roberta_bpe.save(own)
    settings = {
        "padding_side": "left", "chat_template": "{{ messages }}", "model_max_length": 10**30,
        "tokenizer_class": "RobertaTokenizer", "added_tokens_decoder": {"0": {"content": "<s>"}},
    }  # fmt: skip
    (own / "tokenizer_config.json").write_text(json.dumps(settings))
    (own / "chat_template.jinja").write_text("{{ messages }}")
    transplanted(folder, roberta_bpe, tmp_path / "new", tokenizer_folder=own)
    opened = transformers.AutoTokenizer.from_pretrained(tmp_path / "new")
    assert (opened.padding_side, opened.chat_template) == ("left", "{{ messages }}")
    assert opened.model_max_length == 66
    assert opened.model_input_names == ["input_ids", "token_type_ids", "attention_mask"]
    assert "added_tokens_decoder" not in json.loads((tmp_path / "new/tokenizer_config.json").read_text())


MEASURE = """
import sys
from pathlib import Path
from lexigraft.embeddings.checkpoint import read_checkpoint
from lexigraft.surgery.architecture import tensor_shapes
from lexigraft.surgery.checkpoint import fitted, open_body, write_checkpoint
from lexigraft.transplant.engine import Transplant
from lexigraft.transplant.statistics import normal
from lexigraft.vocab.tokenizer import Tokenizer

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024

root = Path(sys.argv[1])
method = Transplant(fill=[normal])
for form in ("safetensors", "bin"):
    source = read_checkpoint(str(root / form))
    body = open_body(source)
    tensor_shapes(body.config)  # imports the model's code
    target, _ = fitted(body, Tokenizer.load(root / "target"))
    made = method(source, target, 0)
    to = root / f"new_{form}"
    to.mkdir()
    before = peak()
    write_checkpoint(body, source, made, to, again=lambda m: method(m, target, 0).matrix, shard_gb=0.03)
    print(peak() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peak memory is read from /proc")
def test_peak_memory_is_bounded_by_a_shard(sp_bpe, wordpiece, tmp_path):
    """A checkpoint of 230 MB in shards of 30 MB: writing it takes about one shard and the matrix."""
    config = transformers.LlamaConfig(
        vocab_size=len(sp_bpe.vocabulary), hidden_size=768, intermediate_size=2304, num_hidden_layers=8,
        num_attention_heads=8, num_key_value_heads=8, tie_word_embeddings=False, architectures=["LlamaForCausalLM"],
    )  # fmt: skip
    with torch.device("meta"):
        shapes = {n: t.shape for n, t in transformers.LlamaForCausalLM(config).state_dict().items()}
    for form, prefix in (("safetensors", "model"), ("bin", "pytorch_model")):
        folder = tmp_path / form
        config.save_pretrained(folder)
        sp_bpe.save(folder)
        weight_map, shard = {}, {}
        for i, (name, shape) in enumerate(shapes.items(), 1):
            shard[name] = torch.full(shape, i / 7)
            if sum(t.nbytes for t in shard.values()) > 22e6 or i == len(shapes):
                file = f"{prefix}-{i}.{form}"
                save_file(shard, folder / file) if form == "safetensors" else torch.save(shard, folder / file)
                weight_map |= dict.fromkeys(shard, file)
                shard = {}
        (folder / f"{prefix}.{form}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    wordpiece.save(tmp_path / "target")
    done = subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True)
    for form, grown in zip(("safetensors", "bin"), map(int, done.stdout.split()[-2:])):
        assert sum(p.stat().st_size for p in (tmp_path / f"new_{form}").glob("*.safetensors")) > 225e6
        # A shard, two matrices of 2 MB each, and what opening the tokenizer takes.
        assert grown < 90e6, (form, grown)
