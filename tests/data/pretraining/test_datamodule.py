import pytest
import torch
from tokenizers import Regex, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from lexigraft.data.batches import NOT_COUNTED
from lexigraft.data.pretraining.causal import Causal
from lexigraft.data.pretraining.corpus import Corpus
from lexigraft.data.pretraining.datamodule import PretrainingData, PretrainingSplits, pretraining_splits
from lexigraft.data.pretraining.masking import Masking
from lexigraft.vocab.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def splits(wordpiece: Tokenizer, corpus: list[str]) -> PretrainingSplits:
    made = Corpus("made", corpus[3:] * 3, corpus[:3], "en", {})
    return pretraining_splits(made, wordpiece, Masking(), max_tokens=24, pack=True, seed=1)


def data(splits: PretrainingSplits, **settings: int) -> PretrainingData:
    return PretrainingData(splits, **{"batch_size": 4, "eval_batch_size": 2, "seed": 1, **settings})


def test_every_token_of_train_comes_once_an_epoch(splits: PretrainingSplits, wordpiece: Tokenizer) -> None:
    module = data(splits)
    seen: list[list[int]] = []
    for _ in range(2):
        batches = list(module.train_dataloader())
        assert len(batches) == len(module.batches)
        words = [torch.where(b["labels"] != NOT_COUNTED, b["labels"], b["input_ids"])[b["mask"]] for b in batches]
        seen.append(sorted(torch.cat(words).tolist()))
        assert len({int(i) for b in batches for i in b["index"]}) == len(splits.train)
    assert seen[0] == seen[1] == sorted(splits.train.pieces.ids.tolist())
    assert max(b["input_ids"].shape[1] for b in batches) <= 24


def test_an_epoch_can_be_entered_anywhere_with_any_number_of_workers(splits: PretrainingSplits) -> None:
    module = data(splits)
    epochs = [list(module.train_dataloader()) for _ in range(2)]
    resumed = data(splits, workers=1)
    resumed.batches.at(1, done=3)
    for one, other in zip(epochs[1][3:], resumed.train_dataloader(), strict=True):
        assert torch.equal(one["input_ids"], other["input_ids"])
        assert torch.equal(one["labels"], other["labels"])


def test_dev_is_the_same_every_time_and_leaves_the_global_stream_alone(splits: PretrainingSplits) -> None:
    state = torch.get_rng_state()
    module = data(splits, seed=5)
    first, again = (list(module.val_dataloader()) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one["labels"], other["labels"])
    assert sorted(int(i) for batch in first for i in batch["index"]) == list(range(len(splits.dev)))
    assert torch.equal(state, torch.get_rng_state())


def test_ranks_divide_batches_between_them(splits: PretrainingSplits) -> None:
    whole = [batch["index"].tolist() for batch in data(splits).train_dataloader()]
    ranks = [[b["index"].tolist() for b in data(splits, rank=r, ranks=2).train_dataloader()] for r in range(2)]
    assert [sorted(one + other) for one, other in zip(*ranks, strict=True)] == [sorted(batch) for batch in whole]
    dev = [[b["index"].tolist() for b in data(splits, rank=r, ranks=2).val_dataloader()] for r in range(2)]
    assert sorted(i for of_rank in dev for batch in of_rank for i in batch) == list(range(len(splits.dev)))
    many = [list(data(splits, rank=r, ranks=9).val_dataloader()) for r in range(9)]
    assert all(len(of_rank) == 1 for of_rank in many)


def test_a_budget_of_tokens_bounds_every_batch(splits: PretrainingSplits) -> None:
    module = data(splits, batch_size=100, batch_tokens=60)
    for batch in [*module.train_dataloader(), *module.val_dataloader()]:
        assert batch["input_ids"].numel() <= 60


def test_tokens_per_byte_counts_text_by_its_bytes(characters_with_mask: Tokenizer) -> None:
    corpus = Corpus("c", ["天地 玄黄" * 5, "宇宙"], ["天地人 ab", ""], "zh", {})
    for objective in Masking(), Causal():
        made = pretraining_splits(corpus, characters_with_mask, objective, max_tokens=6, seed=0)
        assert made.tokens_per_byte == 5 / 12  # three characters of three bytes, a space, two letters
        assert data(made).tokens_per_byte == made.tokens_per_byte
        assert made.report["dev"] == {
            "documents": 2,
            "empty_documents": 1,
            "text_tokens": 5,
            "unknown_share": 3 / 5,  # 人, a and b
            "pieces": 2,
            "tokens": 5 + 2 * 2,
            "rows": 2,
            "padding_share": 1 - 9 / 12,
            "tokens_per_byte": 5 / 12,
        }
        assert made.report["train"]["pieces"] == 6
    unpacked = pretraining_splits(corpus, characters_with_mask, Causal(), max_tokens=6, pack=False, seed=0)
    assert "padding_share" not in unpacked.report["train"]
    assert len(unpacked.train) == 6


def test_a_tokenizer_that_does_not_fit_is_told(characters: Tokenizer, characters_with_mask: Tokenizer) -> None:
    corpus = Corpus("c", ["天"], [" "], "zh", {})
    with pytest.raises(ValueError, match="this objective hides tokens, but the tokenizer has no mask token"):
        pretraining_splits(corpus, characters, Masking(), max_tokens=6)
    with pytest.raises(ValueError, match="corpus c: this tokenizer leaves no token of dev; choose another"):
        pretraining_splits(corpus, characters_with_mask, Causal(), max_tokens=6)
    with pytest.raises(ValueError, match="max_tokens is 2, but this tokenizer puts 2 special tokens around every text"):
        pretraining_splits(corpus, characters_with_mask, Causal(), max_tokens=2)


@pytest.fixture
def characters_with_mask() -> Tokenizer:
    """Eight characters, and BERT's special tokens."""
    from tokenizers.processors import TemplateProcessing

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    backend = Backend(models.WordLevel({t: i for i, t in enumerate([*special, *"天地玄黄宇宙洪荒"])}, "[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\s+"), "removed"), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    backend.add_special_tokens(special)
    backend.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return Tokenizer.of_backend(backend)
