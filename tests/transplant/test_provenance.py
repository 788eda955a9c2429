import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant import provenance as module
from lexigraft.transplant.filling import Combination
from lexigraft.transplant.provenance import Provenance, ProvenanceBuilder, label, readable, summarise
from lexigraft.vocab.vocabulary import UNUSED, Token, Vocabulary

SOURCE = Vocabulary.of_words(list("abcdefghi"))
TARGET = Vocabulary(
    (Token(b"[PAD]", None, "pad"), Token("好".encode(), None), Token(b"\xe5\xa5", False), Token(b"the", True),
     Token(b"A", None, byte_fallback=True))
)  # fmt: skip


def provenance():
    builder = ProvenanceBuilder(5)
    builder.name("padding", np.array([0]))
    builder.combine("exact", np.array([4, 1]), Combination.mean_of([[7], [8]]))
    builder.combine("subtokens", np.array([2]), Combination.mean_of([[1, 3]]))
    builder.name("normal", np.array([3]))
    return builder.build()


def matrix(rows, vocabulary=None, **parts):
    vocabulary = vocabulary or Vocabulary.of_words([f"w{i}" for i in range(len(rows))])
    return EmbeddingMatrix(vocabulary, rows, {}, **parts)


def copies(count, of):
    builder = ProvenanceBuilder(count)
    builder.combine("exact", np.arange(count), Combination.mean_of([[i] for i in of]))
    return builder.build()


def equal(one, other):
    return [one.tiers[t] for t in one.tier] == [other.tiers[t] for t in other.tier] and all(
        np.array_equal(getattr(one.made_of, part), getattr(other.made_of, part))
        for part in ("start", "source", "weight")
    )


def test_sums_are_put_in_the_order_of_target_ids():
    made = provenance().made_of
    assert made.start.tolist() == [0, 0, 1, 3, 3, 4]
    assert made.source.tolist() == [8, 1, 3, 7]
    assert made.weight.tolist() == [1.0, 0.5, 0.5, 1.0]


def test_count_by_type_and_by_occurrence():
    assert provenance().count() == {"padding": 1, "exact": 2, "subtokens": 1, "normal": 1}
    assert provenance().count(np.array([0, 10, 5, 85, 0]))["normal"] == 85


def test_rows_of_some_tiers():
    assert provenance().among(("exact", "padding", "omp")).tolist() == [True, True, False, False, True]


def test_the_record_of_each_row_can_be_read_by_anybody(tmp_path):
    rows = torch.arange(5.0)[:, None].expand(5, 4).to(torch.float16)
    provenance().save(tmp_path / "p.parquet", SOURCE, matrix(rows, TARGET))
    records = pq.read_table(tmp_path / "p.parquet").to_pylist()
    assert [r["id"] for r in records] == [0, 1, 2, 3, 4]
    assert [r["token"] for r in records] == ["[PAD]", "好", "<0xE5><0xA5>", "the", "<0x41>"]
    assert [r["surface"] for r in records] == [t.surface for t in TARGET]
    assert [r["starts_word"] for r in records] == [None, None, False, True, None]
    assert [r["role"] for r in records] == ["pad", None, None, None, None]
    assert [r["tier"] for r in records] == ["padding", "exact", "subtokens", "normal", "exact"]
    assert [r["sources"] for r in records] == [
        [],
        [{"id": 8, "token": "i", "weight": 1.0}],
        [{"id": 1, "token": "b", "weight": 0.5}, {"id": 3, "token": "d", "weight": 0.5}],
        [],
        [{"id": 7, "token": "h", "weight": 1.0}],
    ]
    assert [r["norm"] for r in records] == [0, 2, 4, 6, 8]
    assert "output_tier" not in records[0]
    assert [path.name for path in tmp_path.iterdir()] == ["p.parquet"]


def test_output_rows_have_columns_only_where_they_were_made_in_another_way(tmp_path):
    same, other = provenance(), copies(5, [4, 3, 2, 1, 0])
    assert same.with_output(provenance()).output is None
    both = same.with_output(other)
    both.save(tmp_path / "p.parquet", SOURCE, matrix(torch.ones(5, 2), TARGET))
    first = pq.read_table(tmp_path / "p.parquet").to_pylist()[0]
    assert (first["tier"], first["output_tier"]) == ("padding", "exact")
    assert first["output_sources"] == [{"id": 4, "token": "e", "weight": 1.0}]
    again = Provenance.load(tmp_path / "p.parquet")
    assert equal(again, same)
    assert equal(again.output, other)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=4),
            st.lists(st.tuples(st.integers(0, 8), st.floats(-9, 9, width=32)), max_size=4),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 5),
)
def test_saved_in_pieces_of_any_size_it_reads_back(tmp_path_factory, tokens, piece):
    path = tmp_path_factory.mktemp("p") / "p.parquet"
    builder = ProvenanceBuilder(len(tokens))
    for i, (_, sums) in enumerate(tokens):
        source, weight = np.array([s for s, _ in sums], np.int64), np.array([w for _, w in sums], np.float32)
        builder.combine(f"tier{i % 3}", np.array([i]), Combination(np.array([0, len(sums)]), source, weight))
    made = builder.build()
    new = matrix(torch.ones(len(tokens), 2), Vocabulary(tuple(Token(surface, None) for surface, _ in tokens)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_WRITTEN_SOURCES", piece)
        made.save(path, SOURCE, new)
    assert equal(Provenance.load(path), made)
    assert pq.read_table(path)["surface"].to_pylist() == [surface for surface, _ in tokens]


def test_what_cannot_be_loaded(tmp_path):
    path = tmp_path / "p.parquet"
    with pytest.raises(FileNotFoundError, match="there is no .*give a folder that `lexigraft transplant` wrote"):
        Provenance.load(path)
    provenance().save(path, SOURCE, matrix(torch.ones(5, 2), TARGET))
    whole = path.read_bytes()
    for damaged in (b"", b"no parquet", whole[:-20], whole[: len(whole) // 2], whole[:300] + b"?" + whole[301:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged or no Parquet file .*copy the folder again"):
            Provenance.load(path)
    pq.write_table(pa.table({"text": ["a"], "label": [1]}), path)
    with pytest.raises(ValueError, match="holds no provenance of rows, but the columns text, label"):
        Provenance.load(path)


def test_summary_leaves_padding_out_of_coverage():
    rows = torch.eye(5, 4) * 2
    rows[0] = 0
    summary = summarise(provenance(), matrix(torch.ones(9, 4)), matrix(rows), np.array([1000, 10, 5, 85, 0]))
    assert summary["coverage_of_types"] == 0.75
    assert summary["coverage_of_occurrences"] == 0.15
    assert summary["norm_of_source_rows"] == {"mean": 2.0, "std": 0.0}
    assert "output_rows" not in summary


@pytest.mark.parametrize("tier", ["zero", "mean", "normal", "hewitt", "resize", "shuffled", "unused"])
def test_tiers_that_carry_nothing_are_not_covered(tier):
    builder = ProvenanceBuilder(2)
    builder.name(tier, np.array([0]))
    builder.name("a method of tomorrow", np.array([1]))
    covered = summarise(builder.build(), matrix(torch.ones(1, 2)), matrix(torch.eye(2)))["coverage_of_types"]
    assert covered == (1.0 if tier == "unused" else 0.5)


def test_coverage_of_nothing_is_none_not_a_number():
    builder = ProvenanceBuilder(1)
    builder.name("padding", np.array([0]))
    summary = summarise(builder.build(), matrix(torch.ones(1, 2)), matrix(torch.zeros(1, 2)))
    assert summary["coverage_of_types"] is None
    assert summary["norm_of_new_rows"] == {"mean": None, "std": None}


def test_bad_rows_are_counted_and_left_out_of_the_norms():
    rows = torch.tensor([[3.0, 4.0], [0, 0], [float("nan"), 1], [float("inf"), 1], [6, 8]])
    summary = summarise(copies(5, range(5)), matrix(torch.ones(9, 2)), matrix(rows))
    assert (summary["zero_rows"], summary["not_finite_rows"]) == (1, 2)
    assert summary["norm_of_new_rows"] == {"mean": 7.5, "std": 2.5}


def test_equal_rows_are_told_apart_by_what_they_are_made_of():
    source, rows = torch.randn(9, 4), torch.randn(5, 4)
    rows[4] = rows[1]
    rows[3] = rows[2]
    found = summarise(provenance(), matrix(source), matrix(rows))["duplicate_rows"]
    # 1 and 4 are copies of different rows, 2 is a sum and 3 random: all four are accidents.
    assert found["accidental_ids"] == [1, 2, 3, 4]
    source[7] = source[8]
    found = summarise(provenance(), matrix(source), matrix(rows))["duplicate_rows"]
    assert (found["copies_of_one_source_row"], found["accidental_ids"]) == (2, [2, 3])


def test_output_rows_are_summed_up_too():
    new = matrix(torch.eye(5, 6), output_rows=torch.zeros(5, 6))
    source = matrix(torch.ones(9, 6), output_rows=torch.ones(9, 6))
    summary = summarise(provenance(), source, new, notes={"omp": {"error": 0.5}})
    assert summary["output_rows"]["zero_rows"] == 5
    assert "output_tokens_per_tier" not in summary
    assert summary["notes"] == {"omp": {"error": 0.5}}
    summary = summarise(provenance().with_output(copies(5, range(5))), source, new)
    assert summary["output_tokens_per_tier"] == {"exact": 5}
    assert summary["output_coverage_of_types"] == 1.0


@pytest.mark.parametrize(
    ("token", "text", "shown"),
    [
        (Token("é中".encode(), None), "é中", "é中"),
        (Token(b"a\xff\xfeb", True), "a<0xFF><0xFE>b", "a<0xFF><0xFE>b"),
        (Token(b"ing", False), "ing", "##ing"),
        (Token(b"  \n\x07", True), "  \n\x07", "␣␣\\n\\x07"),
        (Token(b"", None, UNUSED), "", "<unused>"),
        (Token(b"<s>", False, "bos"), "<s>", "<s>"),
    ],
)
def test_tokens_are_readable(token, text, shown):
    assert readable(token) == text
    assert label(token) == shown
