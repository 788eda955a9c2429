"""With real batches of a corpus: ranks and packed rows learn what one process learns of whole, single documents."""

import pytest
import torch

from lexigraft.data.pretraining.corpus import Corpus
from lexigraft.data.pretraining.datamodule import PretrainingData, pretraining_splits
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.models.language_backbone import NewBackbone
from lexigraft.models.language_building import new_language_model
from lexigraft.training.pretraining.module import PretrainingModule
from lexigraft.training.pretraining.objectives import Causal, Masked, Replaced
from lexigraft.training.schedule import Constant
from lexigraft.training.strategy import Strategy
from lexigraft.transplant.engine import Copy
from tests.training.distributed.forked import together
from tests.training.tiny import trainer

SMALL = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 64, "initializer_range": 0.2,
}  # fmt: skip
STEADY = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
OBJECTIVES = {
    "masked": (Masked(), NewBackbone("bert", {**SMALL, **STEADY})),
    "causal": (Causal(), NewBackbone("llama", {**SMALL, "tie_word_embeddings": True})),
    "replaced": (Replaced(rate=0.3), NewBackbone("electra", {**SMALL, **STEADY})),
}


def model_of(kind, tokenizer):
    objective, backbone = OBJECTIVES[kind]
    torch.manual_seed(0)
    rows = torch.randn(len(tokenizer.vocabulary), 16)
    source = EmbeddingMatrix(tokenizer.vocabulary, rows, {"name": "drawn"}, tokenizer=tokenizer)
    model, _ = new_language_model(Copy()(source, tokenizer, 0), backbone, kind, generator=0.5, packed=True)
    if kind == "replaced":
        with torch.no_grad():  # what is drawn must not depend on who draws
            model.heads["generator"].head.bias[40] = 1e3
    return objective, model


def data_of(objective, tokenizer, corpus, *, pack=True, rank=0, ranks=1):
    of = Corpus("sentences", corpus[3:], corpus[:3], "zh", {})
    splits = pretraining_splits(of, tokenizer, objective, max_tokens=48, pack=pack)
    return PretrainingData(splits, batch_size=4, eval_batch_size=2, seed=0, rank=rank, ranks=ranks)


def gradient_of(model, objective, batches):
    """The gradient of the sum of the losses."""
    model.zero_grad()
    for batch in batches:
        objective.loss(model, batch).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_the_mean_gradient_of_the_ranks_is_that_of_the_whole_batch(kind, wordpiece, corpus):
    objective, model = model_of(kind, wordpiece)
    (whole, *_), *shares = (
        list(data_of(objective, wordpiece, corpus, rank=rank, ranks=ranks).train_dataloader())
        for rank, ranks in ((0, 1), (0, 2), (1, 2))
    )
    assert "documents" in whole
    expected = gradient_of(model, objective, [whole])
    found = [gradient_of(model, objective, [first]) for first, *_ in shares]
    for name, gradient in expected.items():
        mean = (found[0][name] + found[1][name]) / 2
        assert (mean - gradient).abs().max() <= 1e-5 * max(1.0, float(gradient.abs().max())), name


def validated(kind, tokenizer, corpus, rank, ranks):
    objective, model = model_of(kind, tokenizer)
    return measured(objective, model, data_of(objective, tokenizer, corpus, rank=rank, ranks=ranks))


def measured(objective, model, data):
    module = PretrainingModule(
        model.eval(), objective, torch.optim.SGD, Constant(), Strategy(), tokens_per_byte=data.tokens_per_byte
    )
    sums = []
    with torch.no_grad():
        for i, batch in enumerate(data.val_dataloader()):
            module.validation_step(batch, i)
    module.log_dict = lambda found, **_: sums.append(found)
    module.on_validation_epoch_end()
    return sums[0]


def metrics_of_rank(kind, tokenizer, corpus):
    """What a rank of two logs."""
    torch.distributed.init_process_group("gloo", init_method="env://")
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    return validated(kind, tokenizer, corpus, rank, ranks)


def test_metrics_of_two_ranks_are_those_of_one_process_to_the_last_bit(wordpiece, corpus):
    alone = validated("replaced", wordpiece, corpus, 0, 1)
    assert together(metrics_of_rank, "replaced", wordpiece, corpus) == [alone, alone]
    assert alone["dev/loss"] > 0


@pytest.mark.parametrize("kind", ["masked", "causal"])
def test_metrics_do_not_depend_on_packing(kind, wordpiece, corpus):
    objective, model = model_of(kind, wordpiece)
    packed, apart = (
        measured(objective, model, data_of(objective, wordpiece, corpus, pack=each)) for each in (True, False)
    )
    for name, value in packed.items():
        assert value == pytest.approx(apart[name], rel=1e-5)


def test_packed_text_is_learned(wordpiece, corpus, tmp_path):
    objective, model = model_of("causal", wordpiece)
    data = data_of(objective, wordpiece, corpus)
    before = measured(objective, model, data)["dev/bits_per_byte"]
    model.train()
    module = PretrainingModule(
        model, objective, lambda groups: torch.optim.AdamW(groups, lr=0.02), Constant(), Strategy(),
        tokens_per_byte=data.tokens_per_byte,
    )  # fmt: skip
    trainer(tmp_path, epochs=8).fit(module, data)
    assert measured(objective, model, data)["dev/bits_per_byte"] < before
