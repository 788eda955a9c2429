import pytest
from tokenizers import Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from lexigraft.transplant.digits import ARBITRARY, GROUPS, SINGLE, digit_scheme
from lexigraft.vocab.tokenizer import Tokenizer
from lexigraft.vocab.vocabulary import Vocabulary

NUMBERS = [str(n) for n in range(1000)] + ["0" * n for n in (1, 2, 3)]
PADDED = sorted({f"{n:03}" for n in range(1000)} | {f"{n:02}" for n in range(100)} | {str(n) for n in range(10)})


def tokenizer(entries, cut):
    backend = Backend(models.WordLevel({e: i for i, e in enumerate(["<unk>", *entries])}, unk_token="<unk>"))
    if cut is not None:
        backend.pre_tokenizer = pre_tokenizers.Split(Regex(cut), "isolated")
    backend.add_special_tokens(["<unk>"])
    return Tokenizer.of_backend(backend)


@pytest.mark.parametrize(
    ("entries", "cut", "scheme"),
    [
        (list("0123456789"), r"\d", SINGLE),
        (PADDED, r"\d{1,3}", GROUPS),
        (PADDED, r"\d{1,3}(?=(\d{3})*$)", GROUPS),
        (PADDED, r"\d{1,2}", ARBITRARY),
        (["2026", "42", "365"], None, ARBITRARY),
        (["x"], r"\d", None),
    ],
    ids=["single", "threes from the left", "threes from the right", "twos", "whole numbers", "no digits"],
)
def test_scheme_of_a_tokenizer(entries, cut, scheme):
    made = tokenizer(entries, cut)
    assert digit_scheme(made, made.vocabulary) == scheme


def test_bytes_and_boundaries_do_not_matter():
    backend = Backend(models.BPE({"▁": 0, **{f"<0x{b:02X}>": b + 1 for b in range(256)}}, [], byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    made = Tokenizer.of_backend(backend)
    assert digit_scheme(made, made.vocabulary) == SINGLE


@pytest.mark.parametrize(
    ("words", "scheme"),
    [(["a", "7"], SINGLE), (["a"], None), (NUMBERS, GROUPS), (["12", "7"], ARBITRARY), ([*NUMBERS, "2026"], ARBITRARY)],
)
def test_without_a_tokenizer_the_entries_tell(words, scheme):
    assert digit_scheme(None, Vocabulary.of_words(words)) == scheme
