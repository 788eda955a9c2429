import json

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from lexigraft.config.catalog import conf_folder
from lexigraft.embeddings.fasttext import read_fasttext
from lexigraft.embeddings.trained import StaticVectors, TrainedVectors, save_vectors
from lexigraft.embeddings.write import read_matrix
from lexigraft.vocab.targets import characters, tokenizer_from, train_wordpiece
from lexigraft.vocab.tokenizer import Tokenizer

SMALL = {"dim": 8, "epochs": 4, "min_count": 2, "negative": 3, "sample": 0.0, "buckets": 100}
ALGORITHMS = {
    "skip-gram": StaticVectors(**SMALL),
    "CBOW": StaticVectors(skip_gram=False, rate=0.1, **SMALL),
    "fastText": StaticVectors(min_ngram=1, max_ngram=3, rate=0.1, **SMALL),
}


def sentences(seed: int, count: int = 150) -> list[str]:
    """Characters of one half of an alphabet stand together, or those of the other."""
    draw = np.random.default_rng(seed)
    return ["".join(draw.choice(list("甲乙丙丁" if i % 2 else "春夏秋冬"), 12)) for i in range(count)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return characters(None, [*sentences(0), "稀"], "zh", min_count=1, lowercase=False)


@pytest.fixture(scope="module", params=sorted(ALGORITHMS))
def trained(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> TrainedVectors:
    return ALGORITHMS[request.param](tokenizer, [*sentences(0), "稀"], sentences(1, 30), seed=5)


def test_tokens_that_stand_together_come_to_lie_together(trained: TrainedVectors) -> None:
    place = {token.text: i for i, token in enumerate(trained.matrix.vocabulary)}
    assert sorted(place) == sorted("甲乙丙丁春夏秋冬")  # neither the rare one nor special tokens
    rows = torch.nn.functional.normalize(trained.matrix.rows, dim=1)
    alike = rows @ rows.T
    one, other = ([place[c] for c in half] for half in ("甲乙丙丁", "春夏秋冬"))
    within = torch.cat(
        [alike[one][:, one][~torch.eye(4, dtype=bool)], alike[other][:, other][~torch.eye(4, dtype=bool)]]
    )
    assert within.min() > alike[one][:, other].max()


def test_the_report_tells_what_was_read_and_learned(trained: TrainedVectors) -> None:
    report = trained.report
    assert ALGORITHMS[report["algorithm"]].name == report["algorithm"]
    told = {key: report[key] for key in ("texts", "tokens", "rows", "too_rare", "dev_texts", "seed", "repeatable")}
    assert told == {"texts": 151, "tokens": 150 * 12 + 1, "rows": 8, "too_rare": 1, "dev_texts": 30, "seed": 5,
                    "repeatable": True}  # fmt: skip
    assert report["untrained_loss"] == pytest.approx(4 * np.log(2), abs=1e-6)
    assert [entry["epoch"] for entry in report["curve"]] == [1, 2, 3, 4]
    losses = [entry["dev_loss"] for entry in report["curve"]]
    assert losses[-1] < losses[0] < report["untrained_loss"]
    of_gensim = [entry["train_loss"] for entry in report["curve"]]
    assert of_gensim == [None] * 4 if report["algorithm"] == "fastText" else of_gensim[-1] < of_gensim[0]
    json.dumps(trained.matrix.origin)


def test_a_seed_gives_the_same_bits(trained: TrainedVectors, tokenizer: Tokenizer) -> None:
    algorithm = ALGORITHMS[trained.report["algorithm"]]
    told: list[dict] = []
    shares: list[float] = []
    again = algorithm(
        tokenizer, [*sentences(0), "稀"], sentences(1, 30), seed=5, told=told.append, progress=shares.append
    )
    assert shares == [1.0]
    assert torch.equal(again.matrix.rows, trained.matrix.rows)
    assert told == trained.report["curve"]
    other = algorithm(tokenizer, [*sentences(0), "稀"], seed=6)
    assert not torch.equal(other.matrix.rows, trained.matrix.rows)
    assert {entry["dev_loss"] for entry in other.report["curve"]} == {None}


def test_the_folder_is_a_source_and_a_tokenizer(trained: TrainedVectors, tmp_path) -> None:
    save_vectors(trained, tmp_path)
    source = read_matrix(tmp_path)
    assert torch.equal(source.rows, trained.matrix.rows)
    assert source.vocabulary.tokens == trained.matrix.vocabulary.tokens
    assert source.origin["of"]["training"] == trained.report == json.loads((tmp_path / "vectors.json").read_text())
    assert tokenizer_from(None, [], "zh", name=str(tmp_path)).encode(["甲夏"]) == trained.tokenizer.encode(["甲夏"])
    assert (tmp_path / "vectors.bin").exists() == (trained.report["algorithm"] == "fastText")


def test_fasttext_of_whole_words_composes_rows_of_unseen_ones(tokenizer: Tokenizer, tmp_path) -> None:
    trained = ALGORITHMS["fastText"](tokenizer, sentences(0))
    save_vectors(trained, tmp_path)
    source = read_fasttext(tmp_path / "vectors.bin")
    rows = {token.text: row for token, row in zip(source.vocabulary, source.rows)}
    for token, row in zip(trained.matrix.vocabulary, trained.matrix.rows):
        torch.testing.assert_close(rows[token.text], row)
    assert source.compose is not None
    composed = source.compose("甲乙")
    assert composed is not None
    assert composed @ rows["甲"] > composed @ rows["春"]


def test_pieces_are_told_from_words_and_have_no_fasttext_file(tmp_path) -> None:
    texts = ["ab abab", "abab ab", "ab ab abab"] * 20
    pieces = train_wordpiece(None, texts, "en", size=8)
    trained = ALGORITHMS["fastText"](pieces, texts)
    assert {t.starts_word for t in trained.matrix.vocabulary} == {True, False}
    names = dict(zip(trained.model.wv.index_to_key, trained.model.wv.vectors))
    for token, row in zip(trained.matrix.vocabulary, trained.matrix.rows):
        assert torch.equal(torch.tensor(names["▁" * bool(token.starts_word) + token.text]), row)
    save_vectors(trained, tmp_path)
    assert not (tmp_path / "vectors.bin").exists()
    assert read_matrix(tmp_path).vocabulary.tokens == trained.matrix.vocabulary.tokens


def test_a_text_beyond_what_gensim_reads_is_read_whole(tokenizer: Tokenizer) -> None:
    algorithm = StaticVectors(**{**SMALL, "epochs": 1})
    long = algorithm(tokenizer, ["甲乙" * 5000 + "春夏" * 20])
    assert long.report["tokens"] == 10_040
    assert {"春", "夏"} < {token.text for token in long.matrix.vocabulary}
    halves = algorithm(tokenizer, ["甲乙" * 5000, "春夏" * 20])
    assert torch.equal(long.matrix.rows, halves.matrix.rows)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 0}, r"objective\.dim is 0; a whole number from 1 is expected"),
        ({"rate": 0}, r"objective\.rate is 0 .* a rate above 0"),
        ({"min_ngram": 4, "max_ngram": 3}, r"objective\.min_ngram is 4 and objective\.max_ngram 3; n-grams"),
    ],
)
def test_settings_that_make_no_sense(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StaticVectors(**settings)


def test_nothing_to_learn(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="0 tokens occur 5 times or more in 1 texts.*give more texts, or a lower"):
        StaticVectors()(tokenizer, ["甲乙"])


@pytest.mark.parametrize(("option", "name"), [("skipgram", "skip-gram"), ("cbow", "CBOW"), ("fasttext", "fastText")])
def test_each_option_of_conf_is_the_algorithm_of_its_name(option: str, name: str) -> None:
    with initialize_config_dir(str(conf_folder()), version_base=None):
        cfg = compose(f"objective/{option}").objective
    assert instantiate(cfg).name == name
