import pytest

from lexigraft.data.tag_scheme import scheme_of


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("O B-PER I-PER", "IOB2"),
        ("O I-PER", "IOB2"),
        ("B I", "IOB2"),
        ("O B-PER I-PER E-PER S-PER", "BIOES"),
        ("B M E S", "BMES"),
        ("B-NN M-NN E-NN S-NN", "BMES"),
        ("O B-A I-A L-A U-A", "BILOU"),
        ("NN VV ADJ", None),
        ("O", None),
        ("B-PER I-PER M-PER L-PER", None),
        ("B- I-", None),
        ("B-PER NN", None),
    ],
)
def test_the_scheme_is_seen_from_the_tags(tags: str, scheme: str | None) -> None:
    assert scheme_of(tags.split()) == scheme
