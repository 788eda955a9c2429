"""Every option of conf/, found by itself: it composes, passes the preflight, and is counted."""

import pytest

from lexigraft.config.catalog import conf_folder, options
from lexigraft.config.compose import jobs, loader
from lexigraft.config.preflight import SCHEMAS, preflight, without_hydra

OPTIONS = options(conf_folder())
# What an option leaves to the user (`???`), and options that only `lexigraft transplant` takes.
REQUIRED = {
    "data=files": ["data.train=reviews.tsv"],
    "data=hf": ["data.name=folder"],
    "source=fasttext": ["source.path=cc.zh.300.bin"],
    "source=glove_text": ["source.path=glove.txt"],
    "source=hf": ["source.name=bert-base-chinese"],
    "source=matrix": ["source.path=folder"],
    "source=npz": ["source.path=rows.npz", "source.vocabulary=rows.txt"],
    "source=paddle": ["source.path=vectors.pdparams", "source.vocabulary=words.txt"],
    "source=word2vec": ["source.path=vectors.bin"],
    "tokenizer=file": ["tokenizer.name=tokenizer.json"],
}
TRANSPLANT = ["output=new", "tokenizer.name=tokenizer.json"]
ONLY_TRANSPLANT = {"data=none"}


def checked(config_name, *overrides):
    with loader():
        [(cfg, origin)] = jobs(config_name, overrides, multirun=False)
        return preflight(without_hydra(cfg), SCHEMAS[config_name], origin)


def test_the_number_of_options():
    assert len(OPTIONS) == 64


@pytest.mark.parametrize("choice", [f"{option.group}={option.name}" for option in OPTIONS])
def test_every_option_composes_and_passes(choice):
    if choice in ONLY_TRANSPLANT:
        cfg = checked("transplant", choice, *TRANSPLANT)
    else:
        cfg = checked("train", choice, *REQUIRED.get(choice, []))
    group = choice.partition("=")[0].split("/")[0]
    assert cfg[group]
    # Here objects are built from `cfg`, with fixtures in the place of files and networks.


@pytest.mark.parametrize("name", [option.name for option in OPTIONS if option.group == "tokenizer"])
def test_every_tokenizer_composes_and_passes_under_transplant(name):
    choice = f"tokenizer={name}"
    assert checked("transplant", choice, "output=new", *REQUIRED.get(choice, [])).output == "new"
