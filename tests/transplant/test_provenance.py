import numpy as np
import torch

from lexigraft.transplant.filling import Combination
from lexigraft.transplant.provenance import ProvenanceBuilder, summarise


def provenance():
    builder = ProvenanceBuilder(5)
    builder.name("padding", np.array([0]))
    builder.combine("exact", np.array([4, 1]), Combination.mean_of([[7], [8]]))
    builder.combine("subtokens", np.array([2]), Combination.mean_of([[1, 3]]))
    builder.name("normal", np.array([3]))
    return builder.build()


def test_sums_are_put_in_the_order_of_target_ids():
    made = provenance().made_of
    assert made.start.tolist() == [0, 0, 1, 3, 3, 4]
    assert made.source.tolist() == [8, 1, 3, 7]
    assert made.weight.tolist() == [1.0, 0.5, 0.5, 1.0]


def test_count_by_type_and_by_occurrence():
    assert provenance().count() == {"padding": 1, "exact": 2, "subtokens": 1, "normal": 1}
    assert provenance().count(np.array([0, 10, 5, 85, 0]))["normal"] == 85


def test_saved_arrays_read_back(tmp_path):
    provenance().save(tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz", allow_pickle=False) as saved:
        assert [saved["tiers"][t] for t in saved["tier"]] == [
            "padding",
            "exact",
            "subtokens",
            "normal",
            "exact",
        ]
        assert saved["source"].tolist() == [8, 1, 3, 7]


def test_summary_leaves_padding_out_of_coverage():
    rows = torch.ones(5, 4)
    rows[0] = 0
    summary = summarise(provenance(), torch.ones(9, 4), rows, np.array([1000, 10, 5, 85, 0]))
    assert summary["coverage_of_types"] == 0.75
    assert summary["coverage_of_occurrences"] == 0.15
    assert summary["zero_rows"] == 1
    assert summary["norm_of_source_rows"] == {"mean": 2.0, "std": 0.0}


def test_coverage_of_nothing_is_none_not_a_number():
    builder = ProvenanceBuilder(1)
    builder.name("padding", np.array([0]))
    assert summarise(builder.build(), torch.ones(1, 2), torch.zeros(1, 2))["coverage_of_types"] is None
