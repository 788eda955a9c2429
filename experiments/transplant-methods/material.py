"""The texts, tokenizers and models of this study, made from LEXIGRAFT_DATA alone.

    LEXIGRAFT_DATA=... python experiments/transplant-methods/material.py WORK

writes WORK/corpus.txt, WORK/held_out.txt, the splits and the checkpoint WORK/base: a Llama-type decoder (4 layers,
width 128, untied head, byte-level BPE of 6,000 tokens), trained for STEPS steps on the corpus.
"""

import csv
import gzip
import json
import math
import os
import sys
import time
from pathlib import Path

import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from lexigraft.vocab.tokenizer import Tokenizer

STEPS, BATCH, LENGTH, LR = 3000, 16, 64, 3e-3


def table(root: Path, name: str) -> list[dict[str, str]]:
    with gzip.open(root / name, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def texts(work: Path) -> None:
    """Corpus, held-out lines and the task; no text of the task's dev and test stands in the corpus."""
    root = Path(os.environ["LEXIGRAFT_DATA"])
    labelled = [(row["label"], row["text"]) for row in table(root, "en_agnews/train5k_titledesc.tsv.gz")]
    test = [(row["label"], f"{row['title']} {row['text']}") for row in table(root, "en_agnews/test7600.tsv.gz")]
    train, dev = labelled[:4000], labelled[4000:]
    kept_out = " ".join(text for _, text in dev + test)
    described = [row["text"] for row in table(root, "en_agnews/train10k_desc.tsv.gz")]
    described = [text for text in dict.fromkeys(described) if text not in kept_out]
    held_out, described = described[:400], described[400:]
    other = [row["text"] for name in ("subj", "mr") for row in table(root, f"en_sentconv/{name}.tsv.gz")]
    other += [row["en"] for row in table(root, "mt_cmn_eng/cmn.tsv.gz")]
    corpus = list(dict.fromkeys(described + [text for _, text in train] + other))
    write_lines(work / "corpus.txt", corpus)
    write_lines(work / "news.txt", described + [text for _, text in train])
    write_lines(work / "held_out.txt", held_out)
    for name, rows in (("train", train), ("dev", dev), ("test", test)):
        write_lines(work / f"{name}.tsv", ["label\ttext", *(f"{label}\t{text}" for label, text in rows)])


def byte_level(lines: list[str], size: int) -> Tokenizer:
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<pad>", "<s>", "</s>", "<unk>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(lines, trainer)
    return Tokenizer.of_backend(backend)


def pretrain(work: Path) -> None:
    """The checkpoint WORK/base, its loss curve in WORK/base/curve.json."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    lines = (work / "corpus.txt").read_text(encoding="utf-8").splitlines()
    tokenizer = byte_level(lines, 6000)
    end = tokenizer.vocabulary.roles["eos"]
    stream = torch.tensor([i for ids in tokenizer.encode(lines) for i in (*ids, end)])
    blocks = stream[: len(stream) // LENGTH * LENGTH].reshape(-1, LENGTH)
    print(f"{len(lines):,} texts, {len(stream):,} tokens", flush=True)
    config = LlamaConfig(
        vocab_size=len(tokenizer.vocabulary),
        hidden_size=128,
        intermediate_size=344,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=128,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.95), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1.0, (s + 1) / 100) * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * s / STEPS)))
    )
    curve, began, losses = [], time.time(), []
    for step in range(STEPS):
        batch = blocks[torch.randint(len(blocks), (BATCH,))]
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            curve.append((step + 1, round(sum(losses[-100:]) / 100, 4), round(time.time() - began)))
            print(*curve[-1], flush=True)
    model.eval()
    model.save_pretrained(work / "base")
    tokenizer.save(work / "base")
    (work / "base" / "curve.json").write_text(json.dumps(curve))


if __name__ == "__main__":
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    texts(work)
    pretrain(work)
