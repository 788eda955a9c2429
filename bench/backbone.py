"""Three ways to fine-tune a BERT-type backbone with random weights: lexigraft's, a hand-written loop, and Trainer."""

import tempfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sides import CLIP, DECAY, Portion, now, synthetic, trained
from torch import nn
from torch.nn.functional import cross_entropy

from lexigraft.data.batches import EncodedText
from lexigraft.data.datamodule import TextDataModule
from lexigraft.data.encoded import Encoded
from lexigraft.models.active import activate
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.pooling import First
from lexigraft.models.pretrained import Pretrained

LR = 1e-4


@dataclass(frozen=True)
class Backbone:
    """A backbone with a linear head for two classes, and how it is trained: by AdamW (fused), its gradients clipped.

    `warm_up`: so many batches of a block come before the clock starts.
    """

    rows: int = 21_128
    width: int = 384
    layers: int = 6
    batch: int = 32
    device: str = "cpu"  # or cuda
    precision: str = "32"  # or bf16-mixed
    compiled: bool = False
    warm_up: int = 0


def bert(how: Backbone) -> Any:
    """The backbone with its random weights."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=how.rows, hidden_size=how.width, num_hidden_layers=how.layers, num_attention_heads=12,
        intermediate_size=4 * how.width, max_position_embeddings=512,
    )  # fmt: skip
    torch.manual_seed(0)
    return BertModel(config, add_pooling_layer=False)


def classifier(how: Backbone, start: nn.Module, used: np.ndarray | None) -> Classifier:
    """Lexigraft's network with the backbone's weights; of its rows those of `used` ids are trained, None: all."""
    embedding = TransplantedEmbedding(start.get_input_embeddings().weight.detach(), 0)
    if used is not None:
        activate(embedding, torch.from_numpy(np.unique(used)))
    encoder = Pretrained(how.width, config=dict(start.config.to_dict()))
    encoder.load_backbone({k: v for k, v in start.state_dict().items() if "word_embeddings" not in k})
    return Classifier(embedding, encoder, First(encoder.width), {"main": Head(2)}, head_dropout=0.1)


def lexigraft_seconds(
    how: Backbone, start: nn.Module, dataset: EncodedText, active: bool, batches: list[list[int]]
) -> float:
    """Seconds of a block; `active`: only the rows that the data uses are trained."""
    model = classifier(how, start, dataset.encoded.ids if active else None)
    dev = EncodedText(dataset.encoded.take(range(4)), [0, 1, 0, 1], pad_id=0)
    data = TextDataModule({"main": {"train": dataset, "dev": dev}}, batch_size=how.batch, eval_batch_size=256, seed=0)
    data.batches = Portion(batches)
    accelerator = "gpu" if how.device == "cuda" else how.device
    settings = {"accelerator": accelerator, "precision": how.precision, "compile": how.compiled}
    return trained(model, 2, data, LR, warm_up=how.warm_up, **settings)[0].train_seconds


def loop_seconds(how: Backbone, start: nn.Module, dataset: EncodedText, batches: list[list[int]]) -> float:
    """Seconds of a block of a loop as one writes it by hand."""
    from transformers import BertModel

    body = BertModel(start.config, add_pooling_layer=False)
    body.load_state_dict(start.state_dict())
    head = nn.Sequential(nn.Dropout(0.1), nn.Linear(how.width, 2))
    model = nn.ModuleList([body, head]).train().to(how.device)
    if how.compiled:
        body.compile(dynamic=True)
    decayed = [p for n, p in model.named_parameters() if p.ndim > 1 and "embeddings" not in n]
    spared = [p for n, p in model.named_parameters() if p.ndim < 2 or "embeddings" in n]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": spared, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, fused=True)
    parameters = decayed + spared
    ids = [torch.from_numpy(dataset.encoded[i].astype(np.int64)) for i in range(len(dataset))]
    began = now()
    for number, batch in enumerate(batches):
        if how.warm_up and number == how.warm_up:
            began = now()
        input_ids = nn.utils.rnn.pad_sequence([ids[i] for i in batch], batch_first=True)
        lengths = torch.tensor([len(ids[i]) for i in batch])
        mask = (torch.arange(input_ids.shape[1]) < lengths[:, None]).long()
        input_ids, mask, labels = (_to(how.device, each) for each in (input_ids, mask, dataset.targets[batch]))
        with torch.autocast(how.device, torch.bfloat16, enabled=how.precision == "bf16-mixed"):
            hidden = body(input_ids=input_ids, attention_mask=mask).last_hidden_state
            loss = cross_entropy(head(hidden[:, 0]), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
    return now() - began


def trainer_seconds(how: Backbone, start: nn.Module, dataset: EncodedText, batches: list[list[int]]) -> float:
    """Seconds of a block of transformers.Trainer: the same texts in random order."""
    rows = [i for batch in batches for i in batch]
    of_block = EncodedText(dataset.encoded.take(rows), dataset.targets[rows], pad_id=0)
    return trained_by_trainer(how, start, of_block, None)[0]


def trained_by_trainer(
    how: Backbone, start: nn.Module, train: EncodedText, dev: EncodedText | None, epochs: int = 1
) -> tuple[float, float]:
    """Seconds and dev accuracy of transformers.Trainer with its defaults, but for batch, precision, rate and decay."""
    from transformers import BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.began = now()

        def on_step_begin(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
            if how.warm_up and state.global_step == how.warm_up:
                self.began = now()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.seconds = now() - self.began

    model = BertForSequenceClassification(start.config)
    model.bert.load_state_dict(start.state_dict(), strict=False)
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="lexigraft-bench-") as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=how.batch, learning_rate=LR, num_train_epochs=epochs,
            weight_decay=DECAY, use_cpu=how.device == "cpu", bf16=how.precision == "bf16-mixed", save_strategy="no",
            report_to="none", disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(
            model=model, args=arguments, train_dataset=_examples(train), callbacks=[clock],
            processing_class=_pad_only(),
        )  # fmt: skip
        trainer.log = lambda *_: None  # type: ignore[method-assign]  # it prints
        trainer.train()
        if dev is None:
            return clock.seconds, 0.0
        said = trainer.predict(_examples(dev)).predictions.argmax(1)
    return clock.seconds, float((said == dev.targets.numpy()).mean())


def like_reviews(count: int, longest: int, rows: int) -> tuple[Encoded, np.ndarray]:
    """Ids below `rows` and labels of made-up texts, of lengths as they were measured on the reviews of ChnSentiCorp."""
    draw = np.random.default_rng(0)
    lengths = draw.lognormal(4.33, 0.72, count).astype(int).clip(5, longest)
    labels = draw.integers(0, 2, count)
    return synthetic(draw, lengths, labels, rows), labels


def _to(device: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor if device == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def _examples(texts: EncodedText) -> list[dict[str, Any]]:
    encoded = texts.encoded
    return [{"input_ids": encoded[i].tolist(), "label": int(texts.targets[i])} for i in range(len(texts))]


def _pad_only() -> Any:
    """A tokenizer of which Trainer needs only the padding."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")
