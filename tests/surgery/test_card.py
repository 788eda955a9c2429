import pytest
import yaml

from lexigraft.surgery.card import model_card

SUMMARY = {
    "source_tokens": 10,
    "target_tokens": 8,
    "dim": 4,
    "tokens_per_tier": {"subtokens": 2, "exact": 6},
    "norm_of_source_rows": {"mean": 1.0, "std": 0.5},
    "norm_of_new_rows": {"mean": None, "std": None},
}


def card(base="google/bert-tiny", warnings=()):
    return model_card(
        "new", SUMMARY, warnings, base=base, target="gpt2", method="omp", command="lexigraft transplant x"
    )


def test_a_card_tells_what_was_made_of_what():
    text = card(warnings=["eos is lost"])
    _, header, body = text.split("---\n", 2)
    assert yaml.safe_load(header) == {
        "base_model": "google/bert-tiny",
        "library_name": "transformers",
        "tags": ["lexigraft", "embedding-transplant"],
    }
    assert body.index("| exact | 6 | 75.0 % |") < body.index("| subtokens | 2 | 25.0 % |")
    for part in (
        "# new\n",
        "`google/bert-tiny` on the vocabulary of `gpt2`",
        "method `omp`",
        "- eos is lost",
        "1 ± 0.5",
    ):
        assert part in body
    assert "lexigraft transplant x" in body


@pytest.mark.parametrize("base", ["bert-base-uncased", "{here}"])
def test_only_names_of_the_hub_are_linked_and_no_path_is_told(base, tmp_path):
    text = card(base.format(here=tmp_path))
    assert "base_model" not in text
    assert str(tmp_path) not in text
    assert "None." in text
