"""Short training that tells transplants apart: a few steps, then the loss on texts that were held out.

Equal seeds give equal texts in equal order, and equal random weights, whatever the rows: losses are paired by seed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding_bag

from lexigraft.data.batches import Batch, EncodedText
from lexigraft.data.encoded import Encoded
from lexigraft.data.text_data import Split
from lexigraft.embeddings.body import quiet_transformers
from lexigraft.embeddings.checkpoint import whole_checkpoint
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.models.classifier import Classifier
from lexigraft.tasks.task import Task
from lexigraft.training.finetune.rates import optimizer_groups, scale_rates
from lexigraft.training.schedule import Constant
from lexigraft.training.strategy import Strategy
from lexigraft.vocab.tokenizer import Tokenizer

_HELD_OUT = 2000  # texts on which a classifier is measured
_LM_HELD_OUT = 500
_LM_BATCH, _LM_TOKENS, _LM_RATE, _MASKED = 16, 64, 1e-3, 0.15
_LINEAR_TEXTS, _LINEAR_SHARE, _LINEAR_DECAY = 5000, 0.8, 1e-3


def classifier_loss(
    make: Callable[[], Classifier],
    train: EncodedText,
    dev: EncodedText,
    task: Task,
    *,
    steps: int,
    seed: int,
    batch_size: int,
    eval_batch_size: int,
    optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
    finetune: Strategy,
    new_rows: Tensor | None = None,
    weight_decay: float = 0.0,
    gradient_clip: float | None = None,
    device: torch.device | None = None,
) -> float:
    """The task's loss on (2,000 texts of) dev of the classifier that `make` builds, after `steps` steps on train.

    In float32, the learning rate constant after a tenth of warm-up: of a schedule for a whole run, so few steps would
    see the beginning only.
    """
    device = device or device_of("auto")
    with _seeded(seed):
        model = make().to(device)
        finetune.prepare(model, new_rows)
        finetune.apply(model.train(), 0)
        moving = scale_rates(optimizer(optimizer_groups(model, finetune, weight_decay, epochs=1)))

        def loss(batch: Batch) -> Tensor:
            outputs = model(*(batch[key].to(device) for key in ("input_ids", "mask", "types") if key in batch))
            return task.loss(outputs, batch["labels"].to(device))

        order = _order(len(train), batch_size, steps, seed)
        _train(model, moving, lambda texts: loss(train.__getitems__(texts)), order, gradient_clip)
        model.eval()
        chosen = _some(len(dev), _HELD_OUT)
        with torch.inference_mode():
            cuts = (chosen[i : i + eval_batch_size] for i in range(0, len(chosen), eval_batch_size))
            return sum(float(loss(dev.__getitems__(cut))) * len(cut) for cut in cuts) / len(chosen)


def language_model_loss(
    matrix: EmbeddingMatrix,
    train: Sequence[str],
    dev: Sequence[str],
    *,
    mask_row: Tensor | None,
    steps: int,
    seed: int,
    device: torch.device | None = None,
) -> float:
    """Bits per byte on (500 texts of) dev of the checkpoint with the matrix in it, after `steps` steps on train.

    Causal, or masked with `mask_row` `[D]` at 15 % of the tokens, which gives a pseudo-likelihood. Only the matrix and
    the head's rows and bias move, as they will move farthest after a transplant: AdamW at 1e-3, 16 texts of 64 tokens
    a step. Bits of a token times tokens per byte: comparable whatever the vocabulary. `ValueError` if the checkpoint
    lacks its head, or has rows of another width.
    """
    device = device or device_of("auto")
    tokenizer = matrix.tokenizer
    assert tokenizer is not None
    with _seeded(seed):
        language = _Language(matrix, mask_row, device)
        moving = torch.optim.AdamW(language.rows, lr=_LM_RATE, weight_decay=0.0)

        order = _order(len(train), _LM_BATCH, steps, seed)
        random = torch.Generator().manual_seed(seed)

        def loss(indices: np.ndarray) -> Tensor:
            nats, count = language.nats(tokenizer.encode([train[int(i)] for i in indices], _LM_TOKENS), random)
            return nats / max(1, count)

        _train(language.model, moving, loss, order, None)
        texts = [dev[i] for i in _some(len(dev), _LM_HELD_OUT)]
        return language.bits_per_byte(texts, tokenizer)


def linear_loss(matrix: EmbeddingMatrix, train: Split, dev: Split, classes: int, *, steps: int, seed: int) -> float:
    """Cross-entropy on dev of a logistic regression from the mean row of a text's tokens to its class.

    Fitted to four fifths of (5,000 texts of) train, drawn by the seed, in at most `steps` iterations of L-BFGS.
    """
    assert matrix.tokenizer is not None
    chosen = _some(len(train), _LINEAR_TEXTS)
    drawn = np.random.default_rng(seed).permutation(chosen)[: max(1, round(_LINEAR_SHARE * len(chosen)))].tolist()
    held_out = _some(len(dev), _HELD_OUT)
    x = _mean_rows(matrix, [train.texts[i] for i in drawn])
    centre, spread = x.mean(0), x.std(0, correction=0).clamp(min=1e-6)
    x, y = (x - centre) / spread, torch.tensor([train.labels[i] for i in drawn])
    weight, bias = (torch.zeros(*shape, requires_grad=True) for shape in ((classes, x.shape[1]), (classes,)))
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(x @ weight.T + bias, y) + _LINEAR_DECAY * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    unseen = (_mean_rows(matrix, [dev.texts[i] for i in held_out]) - centre) / spread
    labels = torch.tensor([dev.labels[i] for i in held_out])
    return float(cross_entropy(unseen @ weight.detach().T + bias.detach(), labels))


class _Language:
    """A checkpoint with its language-model head, another matrix in both of them."""

    def __init__(self, matrix: EmbeddingMatrix, mask_row: Tensor | None, device: torch.device) -> None:
        self.model, self.causal = _with_head(matrix)
        if not self.causal and mask_row is None:
            raise ValueError(f"{matrix.origin['name']} has no mask token, by which its masked language model is probed")
        self.rows = _put_in(matrix, self.model)
        self.model.to(device).eval()  # without dropout: less noise for as few steps
        self.device = device
        self.words = self.model.get_input_embeddings()
        self.mask_row = None if mask_row is None else mask_row.float().to(device)
        self.ordinary = torch.tensor(matrix.vocabulary.ordinary)

    def nats(self, encoded: Sequence[list[int]], random: torch.Generator) -> tuple[Tensor, int]:
        """The summed loss of the predicted tokens, and their number."""
        batch = EncodedText(Encoded.of(encoded), [0] * len(encoded), pad_id=0).__getitems__(range(len(encoded)))
        ids, mask = batch["input_ids"], batch["mask"]
        counted = mask & self.ordinary[ids]
        # Vectors, not ids: positions then do not depend on which id is the padding token's.
        vectors = self.words(ids.to(self.device))
        if self.causal:
            counted = counted[:, 1:] & mask[:, :-1]
        else:
            counted &= torch.rand(ids.shape, generator=random) < _MASKED
            assert self.mask_row is not None
            vectors = torch.where(counted[:, :, None].to(self.device), self.mask_row, vectors)
        logits = self.model(inputs_embeds=vectors, attention_mask=mask.long().to(self.device)).logits
        if self.causal:
            logits, ids = logits[:, :-1], ids[:, 1:]
        loss = cross_entropy(logits[counted.to(self.device)].float(), ids[counted].to(self.device), reduction="sum")
        return loss, int(counted.sum())

    def bits_per_byte(self, texts: Sequence[str], tokenizer: Tokenizer) -> float:
        """Of texts, in which the same tokens are masked every time."""
        random, nats, count = torch.Generator().manual_seed(0), 0.0, 0
        with torch.no_grad():
            for start in range(0, len(texts), _LM_BATCH):
                some, number = self.nats(tokenizer.encode(texts[start : start + _LM_BATCH], _LM_TOKENS), random)
                nats, count = nats + float(some), count + number
        tokens = sum(int(self.ordinary[torch.tensor(ids)].sum()) for ids in tokenizer.encode(texts))
        size = sum(len(text.encode()) for text in texts)
        return nats / max(1, count) / math.log(2) * tokens / size


def language_head(matrix: EmbeddingMatrix) -> Any:
    """The class of transformers that opens the checkpoint with the language-model head that it names; None without.

    The head of an encoder-decoder does not count: plain text is not what it was trained on.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    if matrix.checkpoint is None:
        return None
    config = AutoConfig.from_pretrained(matrix.checkpoint, local_files_only=True)
    if config.is_encoder_decoder:
        return None
    named = " ".join(config.architectures or ())
    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and ("ForCausalLM" in named or "LMHeadModel" in named):
        return AutoModelForCausalLM
    if type(config) in MODEL_FOR_MASKED_LM_MAPPING and ("ForMaskedLM" in named or "ForPreTraining" in named):
        return AutoModelForMaskedLM
    return None


def device_of(accelerator: str) -> torch.device:
    """Where Lightning's name for an accelerator leads on this machine."""
    if accelerator == "cpu" or not torch.accelerator.is_available():
        return torch.device("cpu")
    found = torch.accelerator.current_accelerator()
    assert found is not None
    return found


def _with_head(matrix: EmbeddingMatrix) -> tuple[Any, bool]:
    """The checkpoint's language model in float32, and whether it is causal."""
    opener = language_head(matrix)
    assert opener is not None, "ask language_head first"
    with quiet_transformers():
        model, loading = opener.from_pretrained(
            whole_checkpoint(matrix), dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    if loading["missing_keys"]:
        raise ValueError(
            f"{matrix.origin['name']} lacks {min(loading['missing_keys'])} of the language-model head by which "
            "transplant=auto would compare methods: use a checkpoint with that head"
        )
    return model, opener.__name__ == "AutoModelForCausalLM"


def _put_in(matrix: EmbeddingMatrix, model: Any) -> list[nn.Parameter]:
    """Put the matrix into a model, freeze the rest, and return what moves: rows, and the head's rows and bias."""
    words = model.get_input_embeddings()
    if words.embedding_dim != matrix.dim:
        raise ValueError(
            f"rows of width {matrix.dim} cannot be probed in {matrix.origin['name']}, whose rows are "
            f"{words.embedding_dim} wide: leave dim=null in transplant.candidates"
        )
    model.requires_grad_(False)
    with quiet_transformers():
        model.resize_token_embeddings(len(matrix.rows), mean_resizing=False)
    words, head = model.get_input_embeddings(), model.get_output_embeddings()
    words.padding_idx = None  # of the old vocabulary
    new = [(words.weight, matrix.rows)]
    if head.weight is not words.weight:
        new.append((head.weight, matrix.rows if matrix.output_rows is None else matrix.output_rows))
    if head.bias is not None:
        new.append((head.bias, torch.zeros(()) if matrix.output_bias is None else matrix.output_bias))
    with torch.no_grad():
        for parameter, values in new:
            parameter.copy_(values)
            parameter.requires_grad_(True)
    return [parameter for parameter, _ in new]


def _train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[np.ndarray], Tensor],
    order: np.ndarray,
    gradient_clip: float | None,
) -> None:
    """A step for each row of `order`."""
    schedule = Constant(warmup=0.1)(optimizer, len(order))
    for indices in order:
        optimizer.zero_grad()
        loss(indices).backward()
        if gradient_clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), gradient_clip)
        optimizer.step()
        schedule.step()


def _order(count: int, batch_size: int, steps: int, seed: int) -> np.ndarray:
    """Indices int64 [steps, batch] of shuffled texts, as many times over as it takes."""
    random = np.random.default_rng(seed)
    size = min(batch_size, count)
    rounds = -(-steps * size // count)
    return np.concatenate([random.permutation(count) for _ in range(rounds)])[: steps * size].reshape(steps, size)


def _some(count: int, most: int) -> list[int]:
    """Indices of at most so many texts, always the same."""
    if count <= most:
        return list(range(count))
    return sorted(np.random.default_rng(0).choice(count, most, replace=False).tolist())


def _mean_rows(matrix: EmbeddingMatrix, texts: Sequence[str]) -> Tensor:
    """The mean row `[N, D]` of the tokens of each text."""
    assert matrix.tokenizer is not None
    encoded = matrix.tokenizer.encode(texts)
    starts = np.concatenate([[0], np.cumsum([len(ids) for ids in encoded])[:-1]])
    ids = torch.tensor([i for text in encoded for i in text])
    used, ids = ids.unique(return_inverse=True)
    return embedding_bag(ids, matrix.rows[used].float(), torch.from_numpy(starts), mode="mean")


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Random weights and dropout by the seed; the global random stream goes on afterwards as if nothing had been."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
