"""The options of conf/backbone/ and those of conf/objective/ that train a network."""

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lexigraft.config.catalog import conf_folder
from lexigraft.models.language_backbone import NewBackbone, SourceBackbone
from lexigraft.models.pretrained import Pretrained

BACKBONES = sorted(path.stem for path in (conf_folder() / "backbone").glob("*.yaml"))
OBJECTIVES = {"masked": "bert", "causal": "gpt2", "replaced": "electra"}


def option(group, name):
    return instantiate(OmegaConf.load(conf_folder() / group / f"{name}.yaml"))


@pytest.mark.parametrize("name", BACKBONES)
def test_each_backbone_is_built(name):
    made = option("backbone", name)
    if name == "source":
        assert made == SourceBackbone()
        return
    assert isinstance(made, NewBackbone)
    assert type(made.settings) is dict
    dim = 128 if name == "electra" else 256
    config = made.config(dim, pad_id=0)
    encoder = Pretrained(dim, config={**config, "num_hidden_layers": 1})
    assert (encoder.width, config["num_hidden_layers"]) == (256, 4) if name != "gpt2" else config["n_layer"] == 4
    assert config["tie_word_embeddings"]
    assert encoder.causal == (name in ("gpt2", "llama"))


@pytest.mark.parametrize(("name", "backbone"), OBJECTIVES.items())
def test_each_objective_is_built_and_says_its_kind(name, backbone):
    made = option("objective", name)
    assert made.kind == name
    assert made.words == (name != "causal")
    assert callable(made.prepared)
    assert backbone in BACKBONES
