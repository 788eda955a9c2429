import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.transplant import diagnosis as module
from lexigraft.transplant.diagnosis import diagnose
from lexigraft.transplant.filling import Combination
from lexigraft.transplant.provenance import ProvenanceBuilder, summarise
from lexigraft.vocab.vocabulary import Token, Vocabulary

COUNT, WIDTH = 400, 16


def rows(seed=0, count=COUNT):
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))


def matrix(values, unreachable=(), **parts):
    tokens = (Token(b"<pad>", None, "pad"), *(Token(f"词{i}".encode(), True) for i in range(1, len(values))))
    return EmbeddingMatrix(Vocabulary(tokens, unreachable=frozenset(unreachable)), values, {}, **parts)


class Made:
    """A transplant whose first half copies the source, while each row of the second is a sum of two of its rows."""

    def __init__(self, source_rows=None, tier="subtokens", **parts):
        self.source = matrix(rows() if source_rows is None else source_rows, **parts)
        half = COUNT // 2
        builder = ProvenanceBuilder(COUNT)
        copied = Combination.mean_of([[i] for i in range(half)])
        sums = Combination.mean_of([[i, i + half] for i in range(half)])
        builder.combine("exact", np.arange(half), copied)
        builder.combine(tier, np.arange(half, COUNT), sums)
        self.provenance = builder.build()
        self.new = matrix(torch.cat([copied.apply(self.source.rows), sums.apply(self.source.rows)]))

    def diagnose(self, **more):
        summary = summarise(self.provenance, self.source, self.new)
        return diagnose(self.source, self.new, self.provenance, summary, **more)


def test_nothing_is_wrong_with_a_sound_transplant():
    found = Made().diagnose()
    assert found.warnings == []
    assert found.outliers["source"] | {"sums": 0} == found.outliers["source"]
    assert (found.untrained["tokens"], found.untrained["new_rows"]) == (0, 0)
    assert {name: norms["rows"] for name, norms in found.norms.items()} == {
        "source": 400,
        "exact": 200,
        "subtokens": 200,
    }
    low, median, high = np.quantile(Made().source.rows.norm(dim=1), (0.05, 0.5, 0.95))
    assert found.norms["source"] == {
        "rows": 400,
        "low": pytest.approx(low),
        "median": pytest.approx(median),
        "high": pytest.approx(high),
    }


def test_it_is_plain_json_again():
    found = asdict(Made().diagnose(counts=np.arange(COUNT), spaces={"donor": matrix(rows(1))}))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found["outliers"]) == ["donor", "source"]


def test_neighbours_are_the_copied_rows_of_largest_cosine(monkeypatch):
    made = Made()
    found = made.diagnose(counts=np.arange(COUNT)).neighbours
    assert [each["token"] for each in found] == [f"词{i}" for i in range(399, 387, -1)]
    assert [each["occurrences"] for each in found] == list(range(399, 387, -1))
    copied = made.new.rows[1:200].double()  # the padding is nobody's neighbour
    for each in found:
        row = made.new.rows[int(each["token"][1:])].double()
        cosines = copied @ row / copied.norm(dim=1) / row.norm()
        best = cosines.topk(5)
        assert [near["token"] for near in each["nearest"]] == [f"词{i + 1}" for i in best.indices.tolist()]
        assert [near["cosine"] for near in each["nearest"]] == pytest.approx(best.values.tolist(), abs=1e-4)
    monkeypatch.setattr(module, "_ROWS_AT_A_TIME", 7)
    assert made.diagnose(counts=np.arange(COUNT)).neighbours == found


def test_without_counts_the_sample_depends_on_the_seed_alone():
    made = Made()
    first, again, other = (made.diagnose(seed=seed).neighbours for seed in (0, 0, 1))
    assert len(first) == 12
    assert first == again != other


def test_a_control_has_the_neighbours_of_chance_and_a_copy_none():
    found = Made(tier="normal").diagnose().neighbours
    assert {each["tier"] for each in found} == {"normal"}
    made = Made()
    builder = ProvenanceBuilder(COUNT)
    builder.combine("exact", np.arange(COUNT), Combination.mean_of([[i] for i in range(COUNT)]))
    provenance = builder.build()
    summary = summarise(provenance, made.source, made.source)
    assert diagnose(made.source, made.source, provenance, summary).neighbours == []


def test_outliers_of_a_donor_by_norm_and_by_cosine():
    donor = rows(1)
    donor[5] *= 20
    donor[7] *= 100
    donor[9, 0] = float("nan")
    made = Made()
    found = made.diagnose(spaces={"donor": matrix(donor)})
    assert [each["token"] for each in found.outliers["donor"]["longest"]] == ["词7", "词5"]
    assert [warning.partition(":")[0] for warning in found.warnings] == [
        "1 row of donor with NaN or infinity",
        "2 rows of donor longer than 8 times the median (词7, 词5)",
    ]
    close = torch.full((WIDTH,), 5.0) + 0.3 * rows(1)
    close[20:] = close[0] + 2.0 * rows(2)[20:]
    found = made.diagnose(spaces={"donor": matrix(close.to(torch.float16))})
    assert found.outliers["donor"]["close"] >= 10
    assert "with a mean cosine above 0.9 to all others" in found.warnings[0]


def test_an_outlier_of_the_source_matters_only_in_sums():
    values = rows()
    values[399] *= 30  # in one sum of 400 rows
    found = Made(values.clone()).diagnose()
    assert found.outliers["source"]["long"] == found.outliers["source"]["sums"] == 1
    assert len([w for w in found.warnings if "longer than" in w]) == 1
    made = Made(values)
    builder = ProvenanceBuilder(COUNT)
    builder.combine("exact", np.arange(COUNT), Combination.mean_of([[i] for i in range(COUNT)]))
    provenance = builder.build()
    summary = summarise(provenance, made.source, made.source)
    assert diagnose(made.source, made.source, provenance, summary).warnings == []


def test_rows_made_of_untrained_ones():
    values = rows()
    values[[10, 210, 20]] *= 0.01
    found = Made(values).diagnose()
    assert found.untrained["tokens"] == 3
    assert found.untrained["new_rows"] == 3  # the copies of 10 and 20, and the mean of 10 and 210, not that of 20
    assert {each["token"] for each in found.untrained["worst"]} == {"词10", "词20", "词210"}
    assert found.untrained["worst"][0]["why"] == "short row"
    (warning,) = found.warnings
    assert warning.startswith("3 new rows made of source rows that look untrained (3 of 400 source tokens, such as 词")


@pytest.mark.parametrize(("factor", "says"), [(10, "times as long as copied ones"), (0.1, "times shorter than copied")])
def test_norms_that_do_not_fit(factor, says):
    made = Made()
    made.new.rows[200:] *= factor
    (warning,) = made.diagnose().warnings
    assert warning.startswith("the 200 rows made by subtokens are")
    assert says in warning
    made = Made(tier="normal")
    made.new.rows[200:] *= factor
    assert made.diagnose().warnings == []


def test_nan_zero_and_equal_rows():
    made = Made()
    made.new.rows[300] = 0
    made.new.rows[301, 0] = float("inf")
    made.new.rows[302] = made.new.rows[303]
    made.new.rows[0] = 0  # the padding
    nan, zero, equal = made.diagnose().warnings
    assert nan.startswith("1 row with NaN or infinity: any text with such a token makes the loss NaN")
    assert zero.startswith("1 row of only zeros: ")
    assert equal.startswith("2 rows equal to another row, though not made of the same source rows (ids 302, 303)")


def test_many_rows_of_the_same_sums():
    made = Made()
    builder = ProvenanceBuilder(COUNT)
    same = Combination.mean_of([[i // 2, 5] for i in range(COUNT)])
    builder.combine("subtokens", np.arange(COUNT), same)
    new = matrix(same.apply(made.source.rows))
    summary = summarise(builder.build(), made.source, new)
    (warning,) = diagnose(made.source, new, builder.build(), summary).warnings
    assert warning.startswith("398 rows equal to another row, because they are made of the same source rows")


def test_zero_rows_that_were_asked_for_and_those_of_the_head():
    made = Made(tier="zero")
    made.new.rows[200:] = 0
    assert made.diagnose().warnings == []
    source, new = (matrix(m.rows, output_rows=rows(5)) for m in (made.source, Made().new))
    new.output_rows[7] = float("nan")
    summary = summarise(Made().provenance, source, new)
    (warning,) = diagnose(source, new, Made().provenance, summary).warnings
    assert warning.startswith("1 output row with NaN or infinity")


def test_other_digits_matter_where_layers_follow(words, characters):
    made = Made()
    made.source = matrix(made.source.rows, tokenizer=characters)
    made.new = matrix(made.new.rows, tokenizer=words)
    assert made.diagnose().warnings == []
    made.source = matrix(made.source.rows, tokenizer=characters, checkpoint=Path("model"))
    found = made.diagnose()
    assert found.digits == {"source": "single digits", "target": "pieces of any length"}  # 2019 is a word of the corpus
    (warning,) = found.warnings
    assert warning.startswith("the source's tokenizer writes numbers as single digits, the target's as pieces of any")


def test_entries_that_are_never_produced():
    made = Made()
    made.new = matrix(made.new.rows, unreachable=range(3, 53))
    found = made.diagnose()
    assert found.unreachable["target"] == {"tokens": 50, "examples": ["词3", "词4", "词5", "词6", "词7"]}
    assert found.unreachable["source"]["tokens"] == 0
    assert found.warnings[0].startswith("50 of 400 target tokens (such as 词3, 词4, 词5) are never produced")
