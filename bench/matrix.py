"""Seconds and peak memory to get the word embeddings out of a large checkpoint: lexigraft against transformers.

    python bench/matrix.py             # a checkpoint of 4 GB, written to a temporary folder and deleted
    python bench/matrix.py --gb 0.1    # the same, quickly
    python bench/matrix.py --float32   # also AutoModel.from_pretrained(dtype=float32), which needs 3x the checkpoint

The checkpoint is a Llama in bfloat16 with random weights, one shard per layer and tied embeddings of 64,000 rows.
Each measurement is a process of its own; its clock starts after the imports, and its memory is what it holds at most
beyond that moment's (pages mapped from files included). "there" is when the tensor can be used, "used" when all of
its rows have been (their sum). Both libraries map a file's tensors, so that at "there" hardly a byte of them is read:
only "used" compares like with like.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VOCABULARY = 64_000
TENSOR = "model.embed_tokens.weight"
LARGEST_MEMORY = 1.3  # times the matrix's own bytes
LEAST_SPEEDUP = 10.0
JUDGED_BYTES = 1e9  # of smaller checkpoints, other things than the matrix take the time and the memory
READERS = {
    "rows": "lexigraft, the matrix alone",
    "checkpoint": "lexigraft, read_checkpoint",
    "model": "transformers, AutoModel",
    "float32": "transformers, as float32",
}
FOOTNOTE = """\
  there: the tensor can be used, but is mapped and hardly read; used: all its rows have been; speed: AutoModel's
  seconds until used, divided by the reader's. read_checkpoint does more than AutoModel: it reads the tokenizer and
  each token's bytes, checks every row for NaN and infinity, and hashes all rows. AutoModel does more than the matrix
  alone: it maps every layer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gb", type=float, default=4.0, help="size of the checkpoint in 10^9 bytes")
    parser.add_argument("--repeats", type=int, default=3, help="processes per reader; the fastest counts")
    parser.add_argument("--float32", action="store_true", help="also let transformers convert every weight")
    parser.add_argument("--child", nargs=2, metavar=("READER", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.child[0], arguments.child[1])))
        return
    readers = [r for r in READERS if r != "float32" or arguments.float32]
    with tempfile.TemporaryDirectory(prefix="lexigraft-bench-") as folder:
        matrix_bytes, all_bytes = write_checkpoint(Path(folder), arguments.gb)
        found = {reader: best(reader, folder, arguments.repeats) for reader in readers}
    report(found, matrix_bytes, all_bytes)


def report(found: dict[str, tuple[float, float, int]], matrix_bytes: int, all_bytes: int) -> None:
    """Print the table of what `best` found for each reader, and hold it against the targets."""
    model = found["model"][1]
    print(f"checkpoint {all_bytes / 1e9:.2f} GB, its matrix {matrix_bytes / 1e6:.0f} MB; imports are not counted\n")
    print(f"{'seconds until the matrix is':30}{'there':>8}{'used':>8}{'speed':>8}{'peak MB':>10}{'of matrix':>11}")
    for reader, (there, used, peak) in found.items():
        print(
            f"{READERS[reader]:30}{there:8.3f}{used:8.3f}{model / used:7.2f}x{peak / 1e6:10.0f}"
            f"{peak / matrix_bytes:10.2f}x"
        )
    print(FOOTNOTE)
    alone, whole = model / found["rows"][1], model / found["checkpoint"][1]
    memory = found["checkpoint"][2] / matrix_bytes
    if all_bytes < JUDGED_BYTES:
        print("\ntoo small a checkpoint to be held against the targets")
        return
    print(
        f"\nthe matrix alone, used         {alone:6.2f}x as fast as AutoModel   target >= {LEAST_SPEEDUP:.0f}x    "
        f"{verdict(alone >= LEAST_SPEEDUP)}"
        f"\nread_checkpoint, used          {whole:6.2f}x as fast as AutoModel   no target"
        f"\nread_checkpoint, peak memory   {memory:6.2f}x the matrix             target <= {LARGEST_MEMORY}x   "
        f"{verdict(memory <= LARGEST_MEMORY)}"
    )


def verdict(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def write_checkpoint(folder: Path, gigabytes: float) -> tuple[int, int]:
    """Write the model; (bytes of its matrix, bytes of all its weights)."""
    import tokenizers
    import torch
    from safetensors.torch import save_file

    hidden = max(64, int(2048 * (gigabytes / 4) ** 0.5) // 64 * 64)
    layer_bytes = 2 * hidden * hidden * (4 + 3 * 4)
    matrix_bytes = 2 * VOCABULARY * hidden
    layers = max(1, round((gigabytes * 1e9 - matrix_bytes) / layer_bytes))
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": VOCABULARY,
        "hidden_size": hidden,
        "intermediate_size": 4 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 64,
        "num_key_value_heads": hidden // 64,
        "tie_word_embeddings": True,
        "dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config))
    words = {"<unk>": 0} | {f"word{i}": i for i in range(1, VOCABULARY)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape).mul_(0.02).bfloat16()

    block = {f"self_attn.{name}_proj.weight": random(hidden, hidden) for name in "qkvo"}
    block |= {f"mlp.{name}_proj.weight": random(4 * hidden, hidden) for name in ("gate", "up")}
    block |= {"mlp.down_proj.weight": random(hidden, 4 * hidden)}
    block |= {f"{name}_layernorm.weight": random(hidden) for name in ("input", "post_attention")}
    ends = {TENSOR: random(VOCABULARY, hidden), "model.norm.weight": random(hidden)}
    weight_map = {}
    for i in range(layers):
        # Every layer has the same values: what is measured does not depend on them.
        shard = {f"model.layers.{i}.{name}": t for name, t in block.items()} | (ends if i == 0 else {})
        file = f"model-{i + 1:05}-of-{layers:05}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, file)
    total = sum((folder / file).stat().st_size for file in set(weight_map.values()))
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return matrix_bytes, total


def best(reader: str, folder: str, repeats: int) -> tuple[float, float, int]:
    """(seconds until there, seconds until used, peak bytes) of the process that had used the matrix first."""
    runs = []
    for _ in range(repeats):
        command = [sys.executable, __file__, "--child", reader, folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        runs.append(tuple(json.loads(done.stdout.splitlines()[-1])))
    return min(runs, key=lambda run: run[1])


def measure(reader: str, folder: str) -> tuple[float, float, int]:
    """What `best` tells, of this process."""
    import torch

    if reader in ("rows", "checkpoint"):
        from lexigraft.embeddings.checkpoint import read_checkpoint
        from lexigraft.embeddings.weights import open_weights
    else:
        from transformers import AutoModel, LlamaModel  # noqa: F401 - AutoModel would import it on the clock

    before, started = memory("VmRSS"), time.perf_counter()
    if reader == "rows":
        kept = open_weights(folder, None, Path(folder)).read(TENSOR)
    elif reader == "checkpoint":
        kept = read_checkpoint(folder).rows
    else:
        dtype = torch.float32 if reader == "float32" else "auto"
        kept = AutoModel.from_pretrained(folder, dtype=dtype).get_input_embeddings().weight.detach()
    there = time.perf_counter() - started
    kept.sum()
    used = time.perf_counter() - started
    assert len(kept) == VOCABULARY
    return there, used, memory("VmHWM") - before


def memory(line: str) -> int:
    """Bytes that the process holds now (VmRSS), or held at most (VmHWM).

    Not `ru_maxrss`, which on Linux starts from the peak of the process that started this one.
    """
    status = dict(entry.split(":", 1) for entry in Path("/proc/self/status").read_text().splitlines())
    return int(status[line].split()[0]) * 1024


if __name__ == "__main__":
    main()
