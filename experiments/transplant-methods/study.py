"""Every transplant method on two tokenizer swaps, measured; a JSON line per measurement, and what is there is skipped.

    python experiments/transplant-methods/study.py WORK SWAP MINILM PART...

SWAP is `same` or `cross` (see `swap`), MINILM the donor's folder, PART one of
reconstruct, step0, frozen, small (fine-tuning at 100 and 1,000 examples), all (at 4,000), probe, further (probes).
"""

import json
import math
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from lexigraft import build
from lexigraft.config.compose import jobs, loader
from lexigraft.config.preflight import without_hydra
from lexigraft.embeddings.checkpoint import read_checkpoint
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant.engine import Transplant
from lexigraft.vocab.alignment import EXACT, SURFACE, align
from lexigraft.vocab.renumber import renumber
from lexigraft.vocab.targets import train_unigram
from lexigraft.vocab.tokenizer import Tokenizer

CONTROLS = ("original", "random", "shuffled", "zero", "mean")
METHODS = {
    "normal": [],
    "hewitt": [],
    "resize": [],
    "subtoken_mean": [],
    "subtoken_length": [],
    "subtoken_exponential": [],
    "subtoken_first": [],
    "subtoken_random": [],
    "calibrated": [],
    "omp": ["donor"],
    "knn": ["donor"],
    "procrustes": ["donor"],
    "landmark": ["donor"],
    "clp": ["donor"],
    "focus": [],
    "tokalign": [],
    "ofa": ["multilingual"],
}
# Further settings of an option. Distillation is cut short: 3 snippets a token instead of 100, at thirty times the rate.
VARIANTS = {
    "knn-softmax": ("knn", ["transplant.fill.0.weights=softmax"]),
    "knn-barycentric": ("knn", ["transplant.fill.0.weights=barycentric"]),
    "knn-least-squares": ("knn", ["transplant.fill.0.weights=least_squares"]),
    "distillation": ("distillation", ["transplant.fill.0.snippets=3", "transplant.fill.0.lr=3e-3"]),
}
# Training is dear: what trains the same rows as another is left out, and only these have every seed and all examples.
SAME_INPUT_ROWS = {"subtoken_first": "subtoken_mean", "resize": "mean"}
PRINCIPAL = ("original", "random", "mean", "subtoken_mean", "knn", "omp", "focus")
SEEDS = {("tuned", True): 5, ("tuned", False): 3, ("probe", True): 3, ("probe", False): 1}
PROBE = {"steps": 200, "batch": 8, "length": 64, "lr": 5e-4, "at": (0, 10, 25, 50, 100, 200)}
SIZES = {"100": (100, 6), "1k": (1000, 2), "all": (4000, 1)}  # examples, epochs
TUNE = {"batch": 16, "tokens": 32, "lr": 5e-4, "frozen_lr": 1e-2}


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def swap(name: str, work: Path, minilm: EmbeddingMatrix) -> Tokenizer:
    """The target tokenizer: `same`: 6,000 Unigram pieces learned from the news; `cross`: the donor model's own
    WordPiece vocabulary, cut down to what the news use.
    """
    news = lines(work / "news.txt")
    if name == "same":
        return train_unigram(None, news, "en", size=6000)
    assert minilm.tokenizer is not None
    counts = minilm.tokenizer.counts(minilm.tokenizer.encode(news))
    special = [i for i, token in enumerate(minilm.tokenizer.vocabulary) if token.role is not None]
    single = [i for i, t in enumerate(minilm.tokenizer.vocabulary) if t.role is None and len(t.surface) == 1]
    keep = sorted({*np.flatnonzero(counts >= 10).tolist(), *special, *single})
    keep = [i for i in keep if not minilm.tokenizer.backend.id_to_token(i).startswith("[unused")]
    return renumber(minilm.tokenizer, keep)


def transplant(name: str, donor: EmbeddingMatrix) -> Transplant:
    """The option of conf/transplant, its further matrices replaced by the one that is in memory."""
    option, overrides = VARIANTS.get(name, (name, []))
    with loader():
        [(cfg, _)] = jobs("transplant", [f"transplant={option}", "output=x", "tokenizer.name=x", *overrides], False)
    node = OmegaConf.create(without_hydra(cfg).transplant)
    OmegaConf.set_struct(node, False)
    spaces = list(node.pop("spaces", None) or {})
    made = build.transplant(OmegaConf.create(OmegaConf.to_container(node, resolve=True)))
    return type(made)(**{**vars(made), "spaces": dict.fromkeys(spaces, donor)}) if spaces else made


def grafted(base: LlamaForCausalLM, rows: torch.Tensor, output_rows: torch.Tensor) -> LlamaForCausalLM:
    """The base model with new input and output rows."""
    model = LlamaForCausalLM(type(base.config)(**{**base.config.to_dict(), "vocab_size": len(rows)}))
    state = {k: v for k, v in base.state_dict().items() if k not in ("model.embed_tokens.weight", "lm_head.weight")}
    model.load_state_dict(state, strict=False)
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(rows)
        model.lm_head.weight.copy_(output_rows)
    return model


def stream(tokenizer: Tokenizer, texts: list[str], length: int) -> torch.Tensor:
    """Texts one after the other, the closing token between them, in blocks `[n, length]`."""
    roles = tokenizer.vocabulary.roles
    end = roles.get("eos", roles.get("sep"))
    special = {i for i, token in enumerate(tokenizer.vocabulary) if token.role in ("bos", "eos", "cls", "sep")}
    ids = [i for text in tokenizer.encode(texts) for i in (*(j for j in text if j not in special), end)]
    ids += [end] * (-len(ids) % length)
    return torch.tensor(ids).reshape(-1, length)


@torch.no_grad()
def bits_per_byte(model: LlamaForCausalLM, blocks: torch.Tensor, size: int) -> float:
    """Comparable across vocabularies: bits of all tokens over the bytes of the text."""
    model.eval()
    total = 0.0
    for block in blocks.split(32):
        logits = model(input_ids=block).logits[:, :-1]
        total += F.cross_entropy(logits.flatten(0, 1).float(), block[:, 1:].flatten(), reduction="sum").item()
    return total / math.log(2) / size


def probe(model: LlamaForCausalLM, train: torch.Tensor, held: torch.Tensor, size: int, seed: int) -> dict[int, float]:
    """Bits per byte after so many steps of training everything."""
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PROBE["lr"], betas=(0.9, 0.95), weight_decay=0.0)
    curve = {}
    for step in range(PROBE["steps"] + 1):
        if step in PROBE["at"]:
            curve[step] = bits_per_byte(model, held, size)
        model.train()
        batch = train[torch.randint(len(train), (PROBE["batch"],))]
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return curve


def padded(tokenizer: Tokenizer, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    special = {i for i, token in enumerate(tokenizer.vocabulary) if token.role in ("bos", "eos", "cls", "sep")}
    encoded = [[i for i in ids if i not in special][: TUNE["tokens"]] for ids in tokenizer.encode(texts)]
    ids = torch.full((len(encoded), TUNE["tokens"]), tokenizer.pad_id)
    mask = torch.zeros(len(encoded), TUNE["tokens"], dtype=torch.bool)
    for i, row in enumerate(encoded):
        ids[i, : len(row)], mask[i, : len(row)] = torch.tensor(row), True
    return ids, mask


def pooled(body: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    width = int(mask.any(0).sum())
    hidden = body(input_ids=ids[:, :width], attention_mask=mask[:, :width]).last_hidden_state
    weight = mask[:, :width, None].float()
    return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)


def all_pooled(body: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.cat([pooled(body, i, m) for i, m in zip(ids.split(256), mask.split(256))])


def example_order(task: dict, size: str, seed: int) -> torch.Tensor:
    """The examples of a size: the first so many in the seed's order."""
    torch.manual_seed(seed)
    return torch.randperm(len(task["train"][2]))[: SIZES[size][0]]


def probed(features: dict[str, torch.Tensor], task: dict, size: str, seed: int) -> dict[str, float]:
    """Accuracy of a linear classifier on the frozen model's mean-pooled hidden states."""
    order = example_order(task, size, seed)
    known, labels = features["train"][order], task["train"][2][order]
    mean, std = known.mean(0), known.std(0) + 1e-6
    head = torch.nn.Linear(known.shape[1], 4)
    optimizer = torch.optim.AdamW(head.parameters(), lr=TUNE["frozen_lr"], weight_decay=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        F.cross_entropy(head((known - mean) / std), labels).backward()
        optimizer.step()
    return {s: accuracy(head((features[s] - mean) / std), task[s][2]) for s in ("dev", "test")}


def tuned(model: LlamaForCausalLM, task: dict, size: str, seed: int) -> dict[str, float]:
    """Accuracy after fine-tuning everything."""
    order = example_order(task, size, seed)
    count, epochs = len(order), SIZES[size][1]
    ids, mask, labels = (part[order] for part in task["train"])
    body, head = model.model, torch.nn.Linear(model.config.hidden_size, 4)
    parameters = [*body.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=TUNE["lr"], weight_decay=0.01)
    steps = epochs * math.ceil(count / TUNE["batch"])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1, (s + 1) / 10) * (1 - s / steps))
    body.train()
    for _ in range(epochs):
        for batch in torch.randperm(count).split(TUNE["batch"]):
            loss = F.cross_entropy(head(pooled(body, ids[batch], mask[batch])), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
    body.eval()
    with torch.no_grad():
        return {s: accuracy(head(all_pooled(body, *task[s][:2])), task[s][2]) for s in ("dev", "test")}


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    return (logits.argmax(1) == labels).float().mean().item()


def labelled(work: Path, split: str, limit: int | None = None) -> tuple[list[str], torch.Tensor]:
    rows = [line.split("\t", 1) for line in lines(work / f"{split}.tsv")[1:]]
    # The test file may be sorted: a fixed spread of it, not its head.
    step = 1 if limit is None else len(rows) // limit
    rows = rows[::step][:limit]
    return [text for _, text in rows], torch.tensor([int(label) - 1 for label, _ in rows])


def without(source: EmbeddingMatrix, ids: set[int]) -> EmbeddingMatrix:
    """The source as if its tokenizer had never had these tokens."""
    assert source.tokenizer is not None
    keep = [i for i in range(len(source.vocabulary)) if i not in ids]
    smaller = renumber(source.tokenizer, keep)
    return EmbeddingMatrix(
        vocabulary=smaller.vocabulary,
        rows=source.rows[keep],
        origin=source.origin,
        output_rows=source.output_rows[keep],
        tokenizer=smaller,
        checkpoint=None,
    )


def hidden_tokens(source: EmbeddingMatrix, target: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """A fifth of the overlap as (source ids, target ids): tokens of which no other source token is made by a merge."""
    assert source.tokenizer is not None
    specification = json.loads(source.tokenizer.backend.to_str())["model"]
    parts = {part for merge in specification["merges"] for part in merge}
    contents = {i: piece for piece, i in specification["vocab"].items()}
    alignment = align(source.vocabulary, target.vocabulary, normalised=False)
    found = np.flatnonzero(np.isin(alignment.tier, (EXACT, SURFACE)))
    # Of tokens that several target tokens share, only those with one partner.
    ids, first, times = np.unique(alignment.source_id[found], return_index=True, return_counts=True)
    pairs = [(i, found[f]) for i, f, n in zip(ids, first, times) if n == 1 and contents[i] not in parts]
    chosen = np.random.default_rng(0).permutation(len(pairs))[: len(found) // 5]
    return np.array([pairs[i][0] for i in chosen]), np.array([pairs[i][1] for i in chosen])


def reconstruction(made: torch.Tensor, true: torch.Tensor, known: torch.Tensor) -> dict[str, float]:
    """Relative error, cosine, norm ratio, and the share of the 10 nearest known rows that are the same."""
    near = [F.normalize(r, dim=1) @ F.normalize(known, dim=1).T for r in (made, true)]
    ours, theirs = (n.topk(10, dim=1).indices for n in near)
    shared = (ours[:, :, None] == theirs[:, None, :]).any(2).float().mean().item()
    return {
        "error": ((made - true).norm(dim=1) / true.norm(dim=1)).mean().item(),
        "cosine": F.cosine_similarity(made, true, dim=1).mean().item(),
        "norm": (made.norm(dim=1) / true.norm(dim=1)).mean().item(),
        "neighbours": shared,
    }


class Study:
    def __init__(self, work: Path, name: str, minilm: Path) -> None:
        self.work, self.name = work, name
        self.base = LlamaForCausalLM.from_pretrained(work / "base", dtype=torch.float32)
        self.source = read_checkpoint(str(work / "base"))
        self.donor = read_checkpoint(str(minilm))
        self.target = swap(name, work, self.donor)
        self.news = lines(work / "news.txt")
        held = lines(work / "held_out.txt")
        self.held = {"all": held, "probe": held[:100]}
        self.file = work / f"results-{name}.jsonl"
        self.done = {tuple(json.loads(line)["key"]) for line in self.file.open()} if self.file.exists() else set()

    def record(self, *key: object, **values: object) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps({"key": [self.name, *map(str, key)], **values}) + "\n")
        print(self.name, *key, values, flush=True)

    def todo(self, *key: object) -> bool:
        return (self.name, *map(str, key)) not in self.done

    def tokenizer(self, method: str) -> Tokenizer:
        assert self.source.tokenizer is not None
        return self.source.tokenizer if method == "original" else self.target

    def transplanted(self, method: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Input and output rows, kept in a file: some methods take minutes."""
        kept = self.work / "rows" / f"{self.name}-{method}.pt"
        if not kept.exists():
            began = time.time()
            option = "subtoken_mean" if method == "original" else method
            made = transplant(option, self.donor)(self.source, self.tokenizer(method), 0, self.news)
            seconds, tiers = round(time.time() - began, 2), made.provenance.count()
            notes = json.loads(json.dumps(dict(made.notes), default=str))
            kept.parent.mkdir(exist_ok=True)
            torch.save((made.matrix.rows, made.matrix.output_rows), kept)
            self.record("made", method, seconds=seconds, tiers=tiers, notes=notes)
        return torch.load(kept)

    @cache  # noqa: B019 - one study a process
    def blocks(self, original: bool, which: str) -> tuple[torch.Tensor, int]:
        tokenizer = self.tokenizer("original" if original else "other")
        texts = self.news if which == "train" else self.held[which]
        return stream(tokenizer, texts, PROBE["length"]), sum(len(t.encode()) + 1 for t in texts)

    @cache  # noqa: B019
    def task(self, original: bool) -> dict:
        tokenizer = self.tokenizer("original" if original else "other")
        limits = {"train": None, "dev": 500, "test": 1000}
        splits = {s: labelled(self.work, s, limit) for s, limit in limits.items()}
        return {s: (*padded(tokenizer, texts), labels) for s, (texts, labels) in splits.items()}

    def reconstruct(self, method: str) -> None:
        if method == "original" or not self.todo("reconstruct", method):
            return
        ids, targets = hidden_tokens(self.source, self.target)
        smaller = without(self.source, set(ids.tolist()))
        if method == "distillation":
            return  # trains in the model that still knows the tokens
        made = transplant(method, self.donor)(smaller, self.target, 0, self.news)
        known = torch.ones(len(self.source.rows), dtype=torch.bool)
        known[ids] = False
        values = {}
        sides = {"input": (made.matrix.rows, self.source.rows)}
        sides["output"] = (made.matrix.output_rows, self.source.output_rows)
        for side, (new, old) in sides.items():
            values[side] = reconstruction(new[targets].float(), old[ids].float(), old[known].float())
        self.record("reconstruct", method, tokens=len(ids), **values)

    def step0(self, method: str) -> None:
        if self.todo("step0", method):
            model = grafted(self.base, *self.transplanted(method))
            self.record("step0", method, bpb=bits_per_byte(model, *self.blocks(method == "original", "all")))

    def probe(self, method: str) -> None:
        for seed in range(SEEDS["probe", method in PRINCIPAL]):
            if self.todo("probe", method, seed):
                model = grafted(self.base, *self.transplanted(method))
                original = method == "original"
                curve = probe(model, self.blocks(original, "train")[0], *self.blocks(original, "probe"), seed)
                self.record("probe", method, seed, curve=curve)

    def frozen(self, method: str) -> None:
        todo = [(size, seed) for size in SIZES for seed in range(5) if self.todo("frozen", method, size, seed)]
        if not todo:
            return
        body, task = grafted(self.base, *self.transplanted(method)).model.eval(), self.task(method == "original")
        with torch.no_grad():
            features = {split: all_pooled(body, *task[split][:2]) for split in task}
        for size, seed in todo:
            self.record("frozen", method, size, seed, **probed(features, task, size, seed))

    def tune(self, method: str, sizes: tuple[str, ...]) -> None:
        for size in sizes:
            for seed in range(SEEDS["tuned", method in PRINCIPAL]):
                if self.todo("tuned", method, size, seed):
                    model = grafted(self.base, *self.transplanted(method))
                    scores = tuned(model, self.task(method == "original"), size, seed)
                    self.record("tuned", method, size, seed, **scores)


def main(work: Path, name: str, minilm: Path, parts: list[str]) -> None:
    torch.set_num_threads(1)
    study = Study(work, name, minilm)
    print(f"{name}: {len(study.target.vocabulary):,} target tokens", flush=True)
    does: dict[str, Callable[[str], object]] = {
        "reconstruct": study.reconstruct,
        "step0": study.step0,
        "frozen": study.frozen,
        "probe": lambda m: m in PRINCIPAL and study.probe(m),
        "further": lambda m: m in SAME_INPUT_ROWS or study.probe(m),
        "small": lambda m: m in SAME_INPUT_ROWS or study.tune(m, ("100", "1k")),
        "all": lambda m: m in PRINCIPAL and study.tune(m, ("all",)),
    }
    for part in parts:
        for method in [*CONTROLS, *METHODS, *VARIANTS]:
            try:
                does[part](method)
            except (ValueError, ImportError, FileNotFoundError) as error:
                study.record("failed", part, method, error=str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
