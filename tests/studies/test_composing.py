"""The quick way from words to a config against the slow one, which Hydra and preflight go."""

import random

import pytest
from hydra.core.global_hydra import GlobalHydra

from lexigraft.config import hardware, preflight, schema
from lexigraft.config.compose import loader
from lexigraft.config.errors import ConfigError
from lexigraft.studies.composing import Composer, composed
from lexigraft.studies.parts import TOGETHER, options_are_independent, references

# Options, values, whole nodes, lists, additions and deletions, interpolations, mistakes; several of one key.
POOL = [
    "model=bigru", "model=transformer", "model=textcnn", "model/pooling=mean", "data=trec", "data=none",
    "optimizer=sgd", "optimizer=nosuch", "augment=[deletion]", "+data@auxiliary.topic.data=trec", "+augment.more=null",
    "balance=none", "seed=1", "seed=2", "seed=x", "seed=1.0", "experiment=run", "experiment=2024",
    "experiment=n${seed}",
    "experiment=${output_root}/${trainer.epochs}", "output_root=${experiment}", "output_root=elsewhere",
    "trainer.epochs=3", "trainer.epochs=4", "trainer.epochs=0", "trainer.max_tokens=64", "trainer.gradient_clip=2",
    "trainer.gradient_clip=null", "trainer.monitor=loss", "trainer={epochs: 7}", "trainer.nosuch=1", "trainer=3",
    "optimizer.lr=1", "optimizer.lr=1e-3", "optimizer.lr='0.5'", "optimizer.lr=high", "optimizer.momentum=0.5",
    "optimizer={lr: 2, weight_decay: 0}", "+optimizer.eps=1", "~optimizer.weight_decay",
    "optimizer.lr=${leakage_similarity}", "leakage_similarity=1", "leakage_similarity=null", "leakage_similarity=2",
    "model.encoder.kernel_sizes=[2,3]", "model.encoder.kernel_sizes=[a]", "model.encoder.max_tokens=16",
    "model.head_dropout=0", "model.head_dropout=0.25", "model.encoder._target_=no.such", "model.encoder.hidden=32",
    "hardware=cpu", "hardware.accelerator=cpu", "hardware.precision=16-mixed", "hardware.precision=bf16-mixed",
    "data.root=here", "data.root=${output_root}", "data.classes=[a,b]", "data.dev_share=1", "source=npz",
    "source.path=v.npz", "source.vocabulary=???", "transplant.fill.0.dim=3", "transplant.fill=[]", "++made.up=1",
    "hydra.verbose=true", "experiment=${hydra:runtime.choices.model}", "experiment=${.seed}", "~logger", "seed=1,2",
]  # fmt: skip


# Of them, what no line or hardly any can have.
MISTAKES = {
    "data=none", "optimizer=nosuch", "seed=x", "seed=1.0", "trainer.epochs=0", "trainer={epochs: 7}", "trainer=3",
    "trainer.nosuch=1", "optimizer.lr=high", "optimizer.momentum=0.5", "leakage_similarity=2", "seed=1,2", "~logger",
    "model.encoder.kernel_sizes=[a]", "model.encoder._target_=no.such", "hardware.precision=16-mixed", "++made.up=1",
    "source.vocabulary=???", "source.path=v.npz", "+augment.more=null", "transplant.fill.0.dim=3",
    "optimizer={lr: 2, weight_decay: 0}",
}  # fmt: skip


@pytest.fixture(scope="module")
def composer(tmp_path_factory):
    """One for all tests, so that they meet what others left in its memory; it knows `scheduler=odd`."""
    folder = tmp_path_factory.mktemp("conf")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "odd.yaml").write_text(
        "# Odd.\n_target_: lexigraft.training.schedule.Constant\n_partial_: true\nwarmup: ${${experiment}}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEXIGRAFT_CONF", str(folder))
        with loader():
            yield Composer("train")


def outcome(compose, words):
    """The values with their types, or None for a line that is refused."""
    try:
        return repr(compose(words))
    except ConfigError:
        return None


def slowly(words):
    return composed("train", words)


def problems_of(compose, *words):
    with pytest.raises(ConfigError) as caught:
        compose(words)
    return caught.value.problems


def test_the_quick_way_gives_what_the_slow_one_gives(composer):
    chance = random.Random(0)
    found = []
    for _ in range(6):
        words = [w for w in chance.sample(POOL, chance.randint(1, 9)) if w not in MISTAKES or chance.random() < 0.08]
        found.append(outcome(slowly, words))
        assert outcome(composer, words) == found[-1], words
    assert len(set(found)) > 3


def test_options_are_composed_apart_only_where_they_are_independent(composer, monkeypatch, tmp_path):
    words = ["data=trec", "model=bigru", "model/pooling=max", "augment=[deletion]", "transplant=random", "seed=4"]
    assert outcome(composer, words) == outcome(slowly, words)
    assert composer._base(tuple(words[:-1]))._cfg is None
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bold.yaml").write_text(
        "defaults:\n  - files\n  - override /model: bigru\n  - _self_\ntrain: x\n"
    )
    assert options_are_independent(GlobalHydra.instance().config_loader())
    sources = GlobalHydra.instance().config_loader().repository.sources
    monkeypatch.setattr(sources[1], "path", str(tmp_path))
    assert not options_are_independent(GlobalHydra.instance().config_loader())


@pytest.mark.parametrize(
    "lines",
    [
        [("experiment=n${seed}", "seed=1"), ("experiment=n${seed}", "seed=2"), ("seed=2",)],
        [("model=transformer", "trainer.max_tokens=64"), ("model=transformer", "trainer.max_tokens=32")],
        [("optimizer.lr=1", "optimizer.weight_decay=1"), ("optimizer.lr='2'", "optimizer.weight_decay=0")],
        [("optimizer.lr=1", "optimizer.lr=2"), ("optimizer.lr=3", "optimizer.lr=1")],
        [("trainer.epochs=1", "trainer={epochs: 7}"), ("trainer={epochs: 7}", "trainer.epochs=1")],
        [("hardware=cpu", "hardware.precision=bf16-mixed"), ("hardware=cpu", "hardware.precision=32")],
        [("model.encoder.kernel_sizes=[2]",), ("model.encoder.kernel_sizes=[2,3]",), ("model=bigru",)],
    ],
)
def test_words_that_look_at_each_other(composer, lines):
    found = [outcome(slowly, words) for words in lines]
    assert None not in found
    assert len(set(found)) == len(lines)
    assert [outcome(composer, words) for words in lines] == found
    assert [outcome(composer, words) for words in reversed(lines)] == found[::-1]


def test_what_is_right_alone_may_be_wrong_together(composer):
    for words in (["hardware.accelerator=cpu"], ["hardware.accelerator=gpu", "hardware.precision=16-mixed"]):
        assert outcome(composer, words) == outcome(slowly, words)
    together = ["hardware.accelerator=cpu", "hardware.precision=16-mixed"]
    assert problems_of(composer, *together) == problems_of(slowly, *together)


@pytest.mark.parametrize(
    "words",
    [
        ("seed=abc",),
        ("seeed=1",),
        ("model=bigruu", "seed=1"),
        ("experiment=${nope}",),
        ("~logger",),
        ("seed=1,2",),
        ("model.encoder.chanels=3",),
        ("optimizer.lr=high", "optimizer.weight_decay=low", "seed=7"),
        ("hydra.searchpath=3",),
    ],
)
def test_problems_are_those_of_the_slow_way(composer, words):
    problems = set(problems_of(slowly, *words))
    assert set(problems_of(composer, *words)) == problems
    assert set(problems_of(composer, *words)) == problems  # now from memory


def test_a_mistake_is_not_laid_on_what_stands_beside_it(composer):
    assert problems_of(composer, "trainer.epochs=abc", "trainer.batch_size=7", "seed=5")
    assert composer(["trainer.epochs=3", "trainer.batch_size=7", "seed=5"])["trainer"]["batch_size"] == 7
    assert problems_of(composer, "trainer.epochs=abc", "trainer.batch_size=8", "seed=x") == (
        "seed=x in the command line should be a valid integer",
        "trainer.epochs=abc in the command line should be a valid integer",
    )


def test_an_option_that_leads_where_nobody_can_see_is_composed_alone(composer):
    found = []
    for seed in (1, 2):
        words = ["scheduler=odd", "experiment=seed", f"seed={seed}"]
        found.append(composer(words)["scheduler"]["warmup"])
        assert outcome(composer, words) == outcome(slowly, words)
    assert found == [1, 2]


@pytest.mark.parametrize(
    ("text", "leads"),
    [
        ("plain", []),
        ("a ${b.c} ${d}", [("b", "c"), ("d",)]),
        ("${oc.env:X,null}", []),
        ("${oc.select:a.b,${oc.env:X,${c}}}", [("a", "b"), ("c",)]),
        ("${.x}", [("top", "x")]),
        ("${..x.y}", [("x", "y")]),
        ("${...x}", None),
        ("${a.${b}}", None),
        ("${hydra:job.num}", None),
        ("${oc.select:.a}", None),
        ("${a[0]}", None),
    ],
)
def test_where_interpolations_lead(text, leads):
    assert references(text, ("top", "key")) == leads


def test_what_does_not_go_together_is_told_though_each_part_is_known(composer):
    sharded, muon = ["hardware=ddp_cpu", "hardware.strategy=fsdp"], ["hardware=ddp_cpu", "optimizer=muon"]
    composer(sharded)
    composer(muon)
    with pytest.raises(ConfigError, match=r"is not with hardware.strategy=fsdp"):
        composer([*sharded, "optimizer=muon"])


def test_what_is_looked_at_together_is_known(composer):
    """The quick way would miss a rule of the schema, or a check of hardware, over keys that `TOGETHER` lacks."""
    values, asked = composed("train", ["hardware.accelerator=cpu"]), set()

    class Watched(dict):
        def get(self, key, *default):
            asked.add(key)
            return super().get(key, *default)

        __getitem__ = get

    schema._contradictions(Watched(values), preflight.somewhere)
    hardware.hardware_problems(Watched(values))
    assert asked == set(TOGETHER)
