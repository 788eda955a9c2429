"""Teachers for knowledge distillation: a finished run, or a transformers checkpoint."""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lexigraft import build
from lexigraft.data.batches import Batch, EncodedText, eval_loader
from lexigraft.data.encoded import Encoded
from lexigraft.data.encoding import encode_split
from lexigraft.data.text_data import Split
from lexigraft.embeddings.body import quiet_transformers
from lexigraft.hub import resolve
from lexigraft.models.masking import masked_mean
from lexigraft.models.pretrained import longest_text
from lexigraft.runs.folder import RunFolder
from lexigraft.training.distil.answers import Answers
from lexigraft.training.distil.distiller import told
from lexigraft.training.distil.teaching import Teacher, Teaching
from lexigraft.vocab.tokenizer import Tokenizer

# Of a batch: outputs [B, C] or None, hidden states [B, T, W], word vectors [B, T, D].
Forward = Callable[[Batch], tuple[Tensor | None, Tensor, Tensor]]


def none() -> None:
    """No teacher."""


def run(
    run: str,
    alpha: float = 0.5,
    temperature: float = 2.0,
    hidden: float = 0.0,
    embeddings: float = 0.0,
    batch_size: int = 256,
) -> Teaching:
    """The best weights of a finished run as the teacher; `FileNotFoundError` if the folder is none."""
    folder = RunFolder.open(Path(run))
    return Teaching(partial(_of_run, folder, batch_size), alpha, temperature, hidden, embeddings)


def checkpoint(
    path: str,
    revision: str | None = None,
    classes: Sequence[str] | None = None,
    layer: int = -1,
    max_tokens: int = 512,
    alpha: float = 0.5,
    temperature: float = 2.0,
    hidden: float = 0.0,
    embeddings: float = 0.0,
    batch_size: int = 32,
) -> Teaching:
    """A transformers checkpoint as the teacher: the path of a folder, or a name on the hub.

    `classes` names its outputs in their order (None: as its config does), `layer` is the one whose hidden states are
    taken (0: what goes into the first, -1: the last).
    """
    folder = resolve(path, revision=revision)
    teacher = partial(_of_checkpoint, folder, classes, layer, max_tokens, batch_size)
    return Teaching(teacher, alpha, temperature, hidden, embeddings)


def _of_run(folder: RunFolder, batch_size: int) -> Teacher:
    cfg = folder.read_config()
    task = build.trained_task(folder, cfg)

    def read(split: Split, kind: str) -> Answers:
        model, tokenizer = build.trained_classifier(folder, cfg)
        model.to(_device())

        def forward(batch: Batch) -> tuple[Tensor | None, Tensor, Tensor]:
            vectors = model.embed(batch["input_ids"], batch["mask"])
            features = model.features(vectors, batch["mask"], batch.get("types"))
            outputs = None if task.per_token else told(task, model.outputs(features, batch["mask"]))
            return outputs, features, vectors

        encoded = encode_split(tokenizer, split, kind, cfg.trainer.max_tokens)
        return _answers(forward, encoded, tokenizer.pad_id, batch_size)

    key = _digest(folder.best, folder.model, folder.config, folder.tokenizer / "tokenizer.json")
    return Teacher(f"the run {folder.path}", f"run {key}", task.kind, task.classes, read)


def _of_checkpoint(
    folder: Path, classes: Sequence[str] | None, layer: int, max_tokens: int, batch_size: int
) -> Teacher:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    headed = any(name.endswith("ForSequenceClassification") for name in config.get("architectures") or [])
    kind = _kind(config) if headed else None
    names = tuple(classes or _names(config)) if kind in ("class", "several") else ()

    def read(split: Split, kind: str) -> Answers:
        tokenizer = Tokenizer.load(folder)
        model = _loaded(folder, headed)
        pad_id = tokenizer.vocabulary.roles.get("pad", model.config.pad_token_id or 0)
        if getattr(model.config, "pad_token_id", None) is None:
            model.config.pad_token_id = pad_id  # heads on the last token look for it
        body = model.get_encoder() if model.config.is_encoder_decoder and not headed else model

        def forward(batch: Batch) -> tuple[Tensor | None, Tensor, Tensor]:
            ids, types = batch["input_ids"], {}
            if "types" in batch and getattr(model.config, "type_vocab_size", 0) > 1:
                types["token_type_ids"] = batch["types"]
            out = body(input_ids=ids, attention_mask=batch["mask"].long(), output_hidden_states=True, **types)
            states = getattr(out, "hidden_states", None) or out.encoder_hidden_states
            return out.logits if headed else None, states[layer], body.get_input_embeddings()(ids)

        longest = longest_text(model.config, model)
        encoded = encode_split(tokenizer, split, kind, max_tokens if longest is None else min(max_tokens, longest))
        return _answers(forward, encoded, pad_id, batch_size)

    key = _digest(*sorted(path for path in folder.iterdir() if path.is_file()))
    return Teacher(f"the checkpoint {folder}", f"checkpoint {key} {layer} {max_tokens}", kind, names, read)


def _loaded(folder: Path, headed: bool) -> Any:
    """The network of a checkpoint, frozen; `ValueError` if it says that it has a head and does not hold it."""
    from transformers import AutoModel, AutoModelForSequenceClassification

    make = AutoModelForSequenceClassification if headed else AutoModel
    # A pooler that the checkpoint lacks is drawn at random, though nobody asks for its output.
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        model, loading = make.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    if headed and loading["missing_keys"]:
        raise ValueError(
            f"{folder} lacks {len(loading['missing_keys'])} weights of its classification head or body, "
            f"{min(loading['missing_keys'])} among them: choose another teacher"
        )
    return model.eval().requires_grad_(False).to(_device())


def _kind(config: dict[str, Any]) -> str:
    """The kind of labels that transformers' heads tell by their config."""
    told = {"regression": "number", "multi_label_classification": "several"}
    if config.get("problem_type") in told:
        return told[config["problem_type"]]
    return "number" if len(_names(config)) == 1 else "class"


def _names(config: dict[str, Any]) -> list[str]:
    """The names of the outputs in their order; transformers writes none where there are two without names."""
    names = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    return [names[place] for place in sorted(names, key=int)]


@torch.no_grad()
def _answers(forward: Forward, encoded: Encoded, pad_id: int, batch_size: int) -> Answers:
    """What the network says of every text, in the order of the texts."""
    texts = EncodedText(encoded, [0] * len(encoded), pad_id=pad_id)
    device = _device()
    index: list[Tensor] = []
    said: list[Tensor] = []
    states: list[Tensor] = []
    words: list[Tensor] = []
    for batch in eval_loader(texts, batch_size=batch_size):
        index.append(batch["index"])
        batch = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}
        outputs, hidden, vectors = forward(batch)
        if outputs is not None:
            said.append(outputs.float().cpu())
        states.append(masked_mean(hidden.float(), batch["mask"]).cpu())
        words.append(masked_mean(vectors.float(), batch["mask"]).cpu())
    order = torch.cat(index).argsort()
    return Answers(torch.cat(said)[order] if said else None, torch.cat(states)[order], torch.cat(words)[order])


def _digest(*files: Path) -> str:
    """SHA-256 over the contents of files."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
