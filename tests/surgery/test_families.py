"""Every family: an identity transplant changes nothing, a swap to any tokenizer loads and runs."""

import pytest
import torch
import transformers

from lexigraft.vocab.targets import source_tokenizer
from tests.surgery.families import FAMILIES, build, logits, reopened, save, stored, transplanted

TARGETS = ("wordpiece", "byte_bpe", "sp_bpe", "unigram", "characters")
# Each family with two of them, each of them with many families.
SWAPS = [(f, TARGETS[(i + shift) % len(TARGETS)]) for i, f in enumerate(FAMILIES) for shift in (0, 2)]
# Tokenizers without a start or an end, for models that cannot generate without one.
SWAPS += [(f, "characters") for f in ("t5", "bart", "mbart", "m2m") if (f, "characters") not in SWAPS]
TEXT = "the film is a charming story about the people of a small town"


@pytest.fixture(scope="module")
def sources(request, tmp_path_factory):
    """Family -> (its checkpoint's folder, the model, the tokenizer)."""
    root, made = tmp_path_factory.mktemp("sources"), {}

    def source(family):
        if family not in made:
            tokenizer = request.getfixturevalue(FAMILIES[family][0])
            model = build(family, len(tokenizer.vocabulary))
            made[family] = save(model, tokenizer, root / family), model, tokenizer
        return made[family]

    return source


@pytest.mark.parametrize("family", FAMILIES)
def test_an_identity_transplant_keeps_every_byte(family, sources, tmp_path):
    folder, model, tokenizer = sources(family)
    target, _, warnings = transplanted(folder, tokenizer, tmp_path / "new")
    assert (target, warnings) == (tokenizer, [])
    for name in ("config.json", "generation_config.json"):
        if (folder / name).exists():
            assert (tmp_path / "new" / name).read_bytes() == (folder / name).read_bytes()
    before, after = stored(folder), stored(tmp_path / "new")
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert tensor.dtype == after[name].dtype
        assert torch.equal(tensor, after[name]), name
    ids = tokenizer.encode([TEXT])
    assert torch.equal(logits(reopened(family, tmp_path / "new"), ids), logits(model, ids))


@pytest.mark.parametrize(("family", "target_name"), SWAPS)
def test_a_swap_loads_and_runs(family, target_name, sources, request, tmp_path):
    folder, model, _ = sources(family)
    wanted = source_tokenizer(request.getfixturevalue(target_name), [], "en")  # with a padding token
    target, written, _ = transplanted(folder, wanted, tmp_path / "new")
    new = reopened(family, tmp_path / "new")
    assert new.get_input_embeddings().weight.shape[0] == written.rows == new.config.get_text_config().vocab_size

    auto = transformers.AutoTokenizer.from_pretrained(tmp_path / "new")
    batch = auto([TEXT, "this phone is good value"], padding=True, return_tensors="pt")
    assert [i[m == 1].tolist() for i, m in zip(batch["input_ids"], batch["attention_mask"].bool())] == target.encode(
        [TEXT, "this phone is good value"]
    )
    assert auto.pad_token_id == new.config.pad_token_id == target.pad_id
    more = {"decoder_input_ids": batch["input_ids"]} if new.config.is_encoder_decoder else {}
    with torch.no_grad():
        output = new(**batch, **more)
    assert all(torch.isfinite(v).all() for v in output.values() if isinstance(v, torch.Tensor))

    unchanged = stored(folder).keys() - set(written.tensors)
    after = stored(tmp_path / "new")
    assert all(torch.equal(stored(folder)[name], after[name]) for name in unchanged)
    assert after.keys() == stored(folder).keys()
    assert new.config.tie_word_embeddings == model.config.tie_word_embeddings
    if new.can_generate():
        made = new.generate(**batch, max_new_tokens=4, do_sample=False)
        assert made.max() < written.rows
