"""Runs of the study under one and the same masks: of 15 % of the characters of the held-out documents.

    LEXIGRAFT_DATA=... python experiments/tiny-zh/compare.py outputs/runs/ID ...

Each recipe's own figures are of its own masks, of which 30 % are harder than 15.
"""

import sys
from pathlib import Path

import torch
from omegaconf import OmegaConf
from rich.console import Console
from transformers import AutoModelForMaskedLM

from lexigraft.commands.preparing_corpus import read_corpus
from lexigraft.data.pretraining.datamodule import PretrainingData, PretrainingSplits, pretraining_splits
from lexigraft.runs.folder import RunFolder
from lexigraft.training.pretraining.objectives import Masked
from lexigraft.training.pretraining.said import asked
from lexigraft.vocab.tokenizer import Tokenizer


def main(folders: list[Path]) -> None:
    runs, objective = [RunFolder(folder) for folder in folders], Masked()
    corpus = read_corpus(OmegaConf.load(runs[0].config), Console(quiet=True))
    splits = pretraining_splits(corpus, Tokenizer.load(runs[0].pretrained), objective, max_tokens=128, pack=False)
    print("| run | loss | accuracy | bits per byte |")
    print("|---|---|---|---|")
    for run in runs:
        found = objective.metrics(sums(run.pretrained, splits), splits.tokens_per_byte)
        print(f"| {run.path.name} | {found['loss']:.3f} | {found['accuracy']:.1%} | {found['bits_per_byte']:.3f} |")


@torch.no_grad()
def sums(folder: Path, splits: PretrainingSplits) -> list[float]:
    """Cross entropy in nats, characters asked for, and those that were said rightly."""
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = torch.zeros(3, dtype=torch.float64)
    for batch in PretrainingData(splits, batch_size=64, eval_batch_size=64, seed=0).val_dataloader():
        places, words = asked(batch)
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["mask"].long()).logits.flatten(0, 1)[places]
        loss = torch.nn.functional.cross_entropy(logits, words, reduction="sum")
        found += torch.tensor([loss, len(words), (logits.argmax(1) == words).sum()])
    return found.tolist()


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
