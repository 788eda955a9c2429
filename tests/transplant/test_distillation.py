import dataclasses

import numpy as np
import pytest
import torch
from transformers import AutoModel

from lexigraft.embeddings.body import around, frozen_body, reads_left_to_right
from lexigraft.embeddings.checkpoint import read_checkpoint
from lexigraft.transplant.distillation import _Lesson, _WithNewRows, distilled
from lexigraft.transplant.snippets import Snippet
from lexigraft.transplant.subtokens import subtokens
from tests.transplant.gaps import make_gap
from tests.transplant.matrices import word_matrix, word_tokenizer

QUICK = {"snippets": 6, "snippet_tokens": 16, "lr": 1e-2, "epochs": 4}
FAMILIES = ("bert", "roberta", "gpt2", "xlm-r", "t5", "llama")


@pytest.fixture(scope="module")
def gap_of(checkpoints, corpus, words):
    def make(family, texts=None, seed=0, most=12):
        source = read_checkpoint(str(checkpoints[family]))
        gap = make_gap(source, words, corpus if texts is None else texts, seed=seed)
        return dataclasses.replace(gap, ids=gap.ids[:most])

    return make


def made(gap, filled):
    return filled.rows(gap.source.rows)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_falls_below_that_of_the_subtoken_mean(gap_of, family):
    gap = gap_of(family)
    filled, start = distilled(gap, **QUICK), subtokens(gap)
    assert filled.tier == "distilled"
    assert filled.done.tolist() == start.done.tolist()
    assert filled.notes["rows_learned"] > 0
    assert filled.notes["loss_after"] < 0.9 * filled.notes["loss_before"]
    begin, rows = start.rows.apply(gap.source.rows), made(gap, filled)
    moved = (rows != begin).any(1)
    assert int(moved.sum()) == filled.notes["rows_learned"]
    assert rows.isfinite().all()


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_hidden_states_come_closer_to_those_of_the_old_pieces(gap_of, family, checkpoints):
    """With transformers alone: a text with the token's pieces against one with its row in their place."""
    gap = gap_of(family, most=30)
    source = gap.source
    filled = distilled(gap, **QUICK | {"epochs": 10})
    model = AutoModel.from_pretrained(checkpoints[family], dtype=torch.float32).eval()
    words = model.get_input_embeddings()
    nearer = []
    begin = subtokens(gap).rows.apply(source.rows)
    for token, new, old in zip([t for t, d in zip(gap.tokens, filled.done) if d], made(gap, filled), begin):
        pieces = source.vocabulary.segment(token)
        if torch.equal(new, old) or len(pieces) < 2:
            continue
        head, tail = around(source.tokenizer)
        ids = torch.tensor([[*head, *pieces, *tail]])
        with torch.no_grad():
            taught = model(input_ids=ids).last_hidden_state[0, len(head) + len(pieces) - 1]
            error = []
            for row in (new, old):
                x = words(torch.tensor([[*head, 0, *tail]]))
                x[0, len(head)] = row
                error.append((model(inputs_embeds=x).last_hidden_state[0, len(head)] - taught).square().mean())
        nearer.append(bool(error[0] < error[1]))
    assert len(nearer) > 3
    assert np.mean(nearer) > 0.6


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_the_loss_agrees_with_the_formula(gap_of, family, checkpoints):
    """Positions that are counted: encoders, all of the text; decoders, from the token on."""
    gap = gap_of(family)
    lesson = _Lesson(frozen_body(gap.source), gap, -1)
    row = torch.randn(2, gap.source.dim, generator=torch.Generator().manual_seed(0))
    snippets = [Snippet(np.array([10, 11, 12, 13, 14]), 1, 3), Snippet(np.array([20, 21, 22]), 1, 2)]
    found = lesson.losses(row, list(enumerate(snippets)))
    model = AutoModel.from_pretrained(checkpoints[family], dtype=torch.float64).eval()
    words, (head, tail) = model.get_input_embeddings(), around(gap.source.tokenizer)
    for i, s in enumerate(snippets):
        old = [*head, *s.ids.tolist(), *tail]
        begin, gone = len(head) + s.start, s.stop - s.start - 1
        x = words(torch.tensor([old[: begin + 1] + old[begin + 1 + gone :]]))
        with torch.no_grad():
            x[0, begin] = row[i].double()
            new = model(inputs_embeds=x).last_hidden_state[0]
            taught = model(input_ids=torch.tensor([old])).last_hidden_state[0]
        errors = []
        for place in range(len(head), x.shape[1] - len(tail)):
            if place < begin and family == "llama":
                continue
            there = place if place < begin else place + gone
            errors.append((new[place] - taught[there]).square().mean().item())
        assert found[i].item() == pytest.approx(np.mean(errors), rel=1e-4)


def test_old_rows_and_the_checkpoint_stay(gap_of):
    gap = gap_of("bert")
    before = gap.source.rows.clone()
    distilled(gap, **QUICK)
    assert torch.equal(gap.source.rows, before)


def test_equal_seeds_give_equal_rows_and_the_global_stream_stays(gap_of):
    state = torch.get_rng_state()
    first = distilled(gap_of("bert", seed=1), **QUICK)
    assert torch.equal(torch.get_rng_state(), state)
    torch.randn(3)
    again = distilled(gap_of("bert", seed=1), **QUICK)
    other = distilled(gap_of("bert", seed=2), **QUICK | {"snippets": 2})
    like = torch.zeros(1)
    assert torch.equal(first.rows(like), again.rows(like))
    assert not torch.equal(first.rows(like), other.rows(like))


def test_a_row_does_not_depend_on_what_is_learned_beside_it(gap_of):
    together = distilled(gap_of("bert"), **QUICK)
    alone = distilled(gap_of("bert"), **QUICK, batch_size=1)
    torch.testing.assert_close(together.rows(torch.zeros(1)), alone.rows(torch.zeros(1)), atol=1e-4, rtol=1e-3)


def test_rows_come_in_the_dtype_of_the_source(gap_of):
    gap = gap_of("bert")
    half = dataclasses.replace(gap, source=dataclasses.replace(gap.source, rows=gap.source.rows.bfloat16()))
    filled = distilled(half, **QUICK)
    assert made(half, filled).dtype == torch.bfloat16
    assert filled.notes["rows_learned"] > 0


def test_an_inner_layer_may_teach(gap_of):
    first, second, last = (distilled(gap_of("bert"), **QUICK, layer=layer) for layer in (1, 2, -1))
    assert first.notes["loss_after"] < first.notes["loss_before"]
    like = torch.zeros(1)
    assert not torch.equal(first.rows(like), last.rows(like))
    # BERT has no norm behind its last layer, so that 2 of 2 is -1.
    torch.testing.assert_close(second.rows(like), last.rows(like))


def test_tokens_that_occur_nowhere_keep_the_mean_of_their_pieces(gap_of):
    gap = gap_of("bert", texts=["no such words here"])
    filled = distilled(gap, **QUICK)
    torch.testing.assert_close(made(gap, filled), subtokens(gap).rows.apply(gap.source.rows))
    assert filled.notes["tokens_with_snippets"] == filled.notes["rows_learned"] == 0
    assert filled.notes["loss_before"] is None


def test_a_decoder_writes_snippets_where_there_are_none(gap_of):
    gap = gap_of("llama", texts=[], most=4)
    filled = distilled(gap, **QUICK | {"epochs": 10})
    assert filled.notes["tokens_with_written_snippets"] == filled.done.sum() > 0
    assert filled.notes["loss_after"] < filled.notes["loss_before"]
    again = distilled(gap_of("llama", texts=[], most=4), **QUICK | {"epochs": 10})
    assert torch.equal(made(gap, filled), made(gap, again))


def test_output_rows_are_the_sums_of_the_pieces(gap_of):
    gap = gap_of("llama")
    filled, start = distilled(gap, **QUICK), subtokens(gap)
    assert torch.equal(filled.output.apply(gap.source.output_rows), start.rows.apply(gap.source.output_rows))
    assert filled.made_of is not None


def test_tokens_that_cannot_be_spelled_are_declined(gap_of):
    gap = gap_of("bert")
    special = [i for i, token in enumerate(gap.target.vocabulary) if token.role is not None]
    gap = dataclasses.replace(gap, ids=np.array([*special, *gap.ids]))
    filled = distilled(gap, **QUICK)
    assert not filled.done[: len(special)].any()
    only = distilled(dataclasses.replace(gap, ids=np.array(special)), **QUICK)
    assert not only.done.any()


def test_a_table_of_vectors_cannot_teach():
    gap = make_gap(word_matrix(["<pad>", "<unk>", "a"]), word_tokenizer(["<pad>", "<unk>", "b"]), ["b"])
    with pytest.raises(ValueError, match="'made in a test' is a table of vectors: use source=hf"):
        distilled(gap)


@pytest.mark.parametrize(("family", "options"), [("bert", {}), ("llama", {"write": False})])
def test_no_texts_are_an_error(gap_of, family, options):
    with pytest.raises(ValueError, match="token distillation learns from texts of the target language"):
        distilled(gap_of(family, texts=[]), **options)


def test_resized_rows_are_an_error(gap_of):
    gap = gap_of("bert")
    narrow = dataclasses.replace(gap, source=dataclasses.replace(gap.source, rows=gap.source.rows[:, :8].clone()))
    with pytest.raises(ValueError, match=r"as wide as the model's \(32\), but transplant.dim asks for 8"):
        distilled(narrow)


def test_a_layer_that_does_not_exist_is_an_error(gap_of):
    with pytest.raises(ValueError, match="snippets=0 of token distillation is not possible: expected 1 or more"):
        distilled(gap_of("bert"), snippets=0)
    with pytest.raises(ValueError, match="device=nonsense of token distillation cannot be used"):
        distilled(gap_of("bert"), device="nonsense")
    with pytest.raises(ValueError, match="layer=3 is not one of the model's 2 layers: give -2..-1 or 1..2"):
        distilled(gap_of("bert"), layer=3)


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama"])
def test_snippets_fit_into_the_model_s_positions(gap_of, family):
    gap = gap_of(family)
    body = frozen_body(gap.source)
    longest = _Lesson(body, gap, -1).longest(10_000)
    head, tail = around(gap.source.tokenizer)
    limit = {"bert": 512, "roberta": 64, "gpt2": 64, "llama": 64}[family]
    assert longest + len(head) + len(tail) == limit
    assert reads_left_to_right(body) == (family in ("gpt2", "llama"))


def test_a_scale_inside_the_embedding_layer_is_kept():
    words = torch.nn.Embedding(3, 2)
    words.embed_scale = 4.0
    rows = _WithNewRows(words)
    rows.new = torch.ones(1, 2)
    assert torch.equal(rows(torch.tensor([[3, 0]]))[0, 0], torch.full((2,), 4.0))
