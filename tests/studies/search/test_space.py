import math
import random

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from lexigraft.config.errors import ConfigError
from lexigraft.studies.search.space import Choice, Number, read_space

optuna = pytest.importorskip("optuna")


def test_hydras_sweep_syntax_becomes_ranges() -> None:
    space = read_space(
        [
            "model=textcnn,bigru",
            "optimizer.lr=tag(log,interval(1e-4,1e-2))",
            "trainer.batch_size=int(tag(log,interval(16,256)))",
            "model.head_dropout=range(0.1,0.5,0.1)",
            "trainer.epochs=range(10,1,-3)",
            "seed=3",
            "~finetune",
        ]
    )
    assert space.ranges == {
        "model": Choice(("textcnn", "bigru")),
        "optimizer.lr": Number(1e-4, 1e-2, None, log=True),
        "trainer.batch_size": Number(16, 256, 1, log=True),
        "model.head_dropout": Number(0.1, 0.4, 0.1),
        "trainer.epochs": Number(4, 10, 3),
    }
    assert space.fixed == ("seed=3", "~finetune")
    assert [type(space.ranges[key].low) for key in ("trainer.epochs", "model.head_dropout")] == [int, float]


def test_a_choice_keeps_each_word_as_it_is_typed() -> None:
    space = read_space(["a='x y',null,true,1e-3,[1,2],{b:'c,d'},\"it's\",'1'"])
    words = space.ranges["a"].words
    values = [OverridesParser.create().parse_override(*space.words({"a": word})).value() for word in words]
    assert values == ["x y", None, True, 1e-3, [1, 2], {"b": "c,d"}, "it's", "1"]
    assert isinstance(values[-1], str)


def test_the_words_of_drawn_values_are_read_back_exactly() -> None:
    space = read_space(["a=interval(0,1)", "b=tag(log,interval(1e-9,1e9))", "c=range(0.1,3,0.1)", "d=range(-5,5)"])
    rng = random.Random(0)
    for _ in range(200):
        params = {
            "a": rng.random(),
            "b": 10 ** rng.uniform(-9, 9),
            "c": 0.1 + 0.1 * rng.randrange(29),
            "d": rng.randrange(-5, 5),
        }
        a, b, c, d = (OverridesParser.create().parse_override(word).value() for word in space.words(params))
        assert (a, b, d) == (params["a"], params["b"], params["d"])
        assert c == float(f"{params['c']:.1f}")
        assert isinstance(d, int)


def test_steps_are_exact_where_binary_fractions_are_not() -> None:
    space = read_space(["a=range(0.1,0.8,0.1)"])
    assert [*space.grid()] == [{"a": n / 10} for n in range(1, 8)]
    assert space.words({"a": 0.1 + 0.2}) == ("a=0.3",)


def test_every_range_has_a_distribution_that_draws_within_it() -> None:
    space = read_space(["a=x,y", "b=tag(log,interval(1e-3,1))", "c=int(interval(1,4))", "d=range(0.0,1.0,0.25)"])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [study.ask(space.distributions()).params for _ in range(100)]
    assert {params["a"] for params in drawn} == {"x", "y"}
    assert all(1e-3 <= params["b"] <= 1 for params in drawn)
    assert {params["c"] for params in drawn} == {1, 2, 3, 4}
    assert {params["d"] for params in drawn} == {0.0, 0.25, 0.5, 0.75}
    assert sum(math.log10(params["b"]) < -1.5 for params in drawn) > 30


def test_probes_reach_both_ends_and_every_choice() -> None:
    space = read_space(["a=x,y,z", "b=interval(0,1)"])
    assert list(space.probes()) == [
        {"a": "x", "b": 0.0}, {"a": "y", "b": 0.0}, {"a": "z", "b": 0.0}, {"a": "x", "b": 1.0},
    ]  # fmt: skip


def test_a_grid_is_every_combination() -> None:
    assert len(list(read_space(["a=x,y", "b=int(interval(1,3))", "c=range(2)"]).grid())) == 12


def test_a_grid_over_any_number_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^sampler=grid tries every value, but lr may be any number from 0.1 to 1.0"):
        read_space(["lr=interval(0.1,1)"]).grid()


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("a=tag(log,interval(0,1))", "with log, both ends should be above 0, because 0 has no logarithm"),
        ("a=tag(log,range(0,5))", "with log, both ends should be above 0, because 0 has no logarithm"),
        ("a=tag(log,range(1,9,2))", "with log, a range has whole numbers and the step 1; or use an interval"),
        ("a=tag(log,choice(1,2))", "log is for numbers between two ends; put it around interval() or range()"),
        ("a=tag(exp,interval(0,1))", "the tag 'exp' is not known; there is only log"),
        ("a=interval(1,1)", "the first end of an interval should be below the second"),
        ("a=interval(1,inf)", "the ends and the step should be finite numbers"),
        ("a=range(1,5,0)", "the step of a range cannot be 0"),
        ("a=range(5,1)", "no number lies in this range; the step leads from start towards stop"),
        ("model=glob(*)", "name the options to choose from, model=a,b"),
        ("hydra.job.num=1,2", "Hydra's own settings cannot be searched over"),
        ("a=choice(1,null)", "choice() takes no null; write key=a,null instead"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(word: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_space([word])
    assert error.value.problems == (f"'{word}': {sentence}",)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        read_space(["a=range(5,1)", "b=interval(2,1)", "c=choice(", "d=1,2", "d=3,4"])
    assert len(error.value.problems) == 4
    assert error.value.problems[2].startswith("cannot read 'c=choice(' as something to search over: ")
    assert error.value.problems[3] == "'d' has several values twice: leave one of them out"


def test_a_space_without_several_values_is_refused() -> None:
    with pytest.raises(ConfigError, match="^there is nothing to search over: give at least one key several values"):
        read_space(["seed=1"])


def test_of_a_key_that_is_given_twice_the_later_word_counts() -> None:
    space = read_space(["a=1", "b=1,2", "a=interval(0,1)", "b=3"])
    assert (list(space.ranges), space.fixed) == (["a"], ("a=1", "b=3"))
