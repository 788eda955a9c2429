"""Training of active rows is that of the whole matrix, for every optimizer that treats each row alone."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint, StochasticWeightAveraging
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader

from lexigraft.models.active import ActiveRows, activate, active_ids, full_rows
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Identity, TextCNN
from lexigraft.models.pooling import Max, Mean
from lexigraft.training.muon import MuonWithAdamW
from lexigraft.training.row_wise import why_not

SIZE, DIM, PAD, STEPS = 512, 16, 0, 30
KEY = "embedding.lookup.weight"
ENCODERS = {"mean": lambda: (Identity(DIM), Mean(DIM)), "cnn": lambda: _cnn()}

ACCEPTED = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd decay": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.02),
    "sgd momentum decay": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.02),
    "sgd nesterov decay": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.02),
    "sgd maximize fused": lambda p: torch.optim.SGD(p, lr=0.01, weight_decay=0.02, maximize=True, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "adam decoupled": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.2, decoupled_weight_decay=True),
    "adam fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "adamw no decay": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.0),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.2),
    "adamw weak decay": lambda p: torch.optim.AdamW(p, lr=1e-4, weight_decay=0.01),
    "adamw foreach amsgrad": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.2, foreach=True, amsgrad=True),
    "adamw fused": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.2, fused=True),
    "adamw maximize": lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.2, maximize=True),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "nadam decoupled": lambda p: torch.optim.NAdam(p, lr=0.01, weight_decay=0.2, decoupled_weight_decay=True),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
    "radam decoupled": lambda p: torch.optim.RAdam(p, lr=0.01, weight_decay=0.2, decoupled_weight_decay=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "rmsprop centered": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01, lr_decay=0.1, initial_accumulator_value=0.2),
    "adagrad from zero": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "adadelta": lambda p: torch.optim.Adadelta(p),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "lion": lambda p: _other("Lion")(p, lr=1e-3),
    "lion decay": lambda p: _other("Lion")(p, lr=1e-3, weight_decay=2.0),
    "lion fixed decay": lambda p: _other("Lion")(p, lr=1e-3, weight_decay=0.002, fixed_decay=True, foreach=False),
    "muon and adamw": lambda p: MuonWithAdamW([{"params": p, "weight_decay": 0.2}], lr=1e-3, adamw_lr=0.01),
}
REFUSED = {
    "adam decay": (
        lambda p: torch.optim.Adam(p, weight_decay=0.1),
        "Adam makes weight_decay=0.1 of the embedding",
    ),
    "nadam decay": (lambda p: torch.optim.NAdam(p, weight_decay=0.1), "NAdam makes weight_decay=0.1 of the embedding"),
    "radam decay": (lambda p: torch.optim.RAdam(p, weight_decay=0.1), "RAdam makes weight_decay=0.1 of the embedding"),
    "rmsprop decay": (lambda p: torch.optim.RMSprop(p, weight_decay=0.1), "RMSprop makes weight_decay=0.1 of the"),
    "adagrad decay": (lambda p: torch.optim.Adagrad(p, weight_decay=0.1), "Adagrad makes weight_decay=0.1 of the"),
    "adadelta decay": (lambda p: torch.optim.Adadelta(p, weight_decay=0.1), "Adadelta makes weight_decay=0.1 of the"),
    "adamax decay": (lambda p: torch.optim.Adamax(p, weight_decay=0.1), "Adamax makes weight_decay=0.1 of the embeddi"),
    "adamw without eps": (
        lambda p: torch.optim.AdamW(p, eps=0.0),
        "AdamW with eps=0.0 makes NaN of rows",
    ),
    "adagrad without eps": (lambda p: torch.optim.Adagrad(p, eps=0.0), "Adagrad with eps=0.0 makes NaN"),
    "rmsprop tiny eps": (lambda p: torch.optim.RMSprop(p, eps=1e-60), "RMSprop with eps=1e-60 makes NaN of rows"),
    "muon": (lambda p: torch.optim.Muon(p), "Muon makes the whole matrix orthogonal, by steps"),
    "adafactor": (lambda p: torch.optim.Adafactor(p), "Adafactor keeps second moments by row and by column"),
    "lbfgs": (lambda p: torch.optim.LBFGS(p), "LBFGS takes one step for all weights together"),
    "sparse adam": (lambda p: torch.optim.SparseAdam(p), "SparseAdam expects sparse gradients"),
    "asgd": (lambda p: torch.optim.ASGD(p), "it is not known of ASGD whether it treats each row"),
    "lamb": (lambda p: _other("Lamb")(p), "Lamb scales its step by the norm of the whole matrix"),
    "lion coupled": (
        lambda p: _other("Lion")(p, weight_decay=0.1, weight_decouple=False),
        "Lion with weight_decouple=false makes weight_decay=0.1 of the embedding part of the gradient",
    ),
    "lion cautious": (lambda p: _other("Lion")(p, cautious=True), "Lion with cautious=true takes the whole matrix"),
    "a subclass": (lambda p: type("Mine", (torch.optim.SGD,), {})(p), "it is not known of Mine whether"),
}


def _other(name: str):
    return getattr(pytest.importorskip("pytorch_optimizer"), name)


def _cnn():
    encoder = TextCNN(DIM, kernel_sizes=[2, 3], channels=8)
    return encoder, Max(encoder.width)


def classifier(encoder: str = "mean", active: bool = False, seed: int = 0, dtype=torch.float32) -> Classifier:
    torch.manual_seed(seed)
    layer = TransplantedEmbedding(0.1 * torch.randn(SIZE, DIM), PAD)
    model = Classifier(layer, *ENCODERS[encoder](), {"main": Head(3)}).to(dtype)
    if active:
        activate(layer, used())
    return model


def used() -> Tensor:
    return torch.cat([ids.reshape(-1) for ids, _ in batches()]).unique()


def batches() -> list[tuple[Tensor, Tensor]]:
    """Texts `[4, 12]` of 60 of the 512 ids, padded on the right, and labels."""
    generator = torch.Generator().manual_seed(7)
    words = torch.randperm(SIZE - 1, generator=generator)[:60] + 1
    found = []
    for _ in range(5):
        ids = words[torch.randint(60, (4, 12), generator=generator)]
        ids[torch.arange(12) >= torch.randint(3, 13, (4, 1), generator=generator)] = PAD
        found.append((ids, torch.randint(3, (4,), generator=generator)))
    return found


def fit(model: Classifier, make, steps: int = STEPS, clip: float | None = None) -> list[Tensor]:
    """Logits of every step."""
    optimizer = make(list(model.parameters()))
    schedule = lr_scheduler.CosineAnnealingLR(optimizer, 2 * STEPS)
    logits = []
    for step in range(steps):
        ids, labels = batches()[step % 5]
        optimizer.zero_grad()
        logits.append(model(ids, ids != PAD))
        cross_entropy(logits[-1], labels).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        schedule.step()
    return [each.detach() for each in logits]


def resting() -> Tensor:
    kept = torch.ones(SIZE, dtype=torch.bool)
    kept[used()] = False
    kept[PAD] = False
    return kept


def off(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("name", ACCEPTED)
def test_active_training_is_training(name, encoder):
    whole, part = classifier(encoder), classifier(encoder, active=True)
    start = whole.state_dict()[KEY].clone()
    assert why_not(ACCEPTED[name](list(whole.parameters())), whole.embedding.lookup.weight) is None
    assert why_not(ACCEPTED[name](list(part.parameters())), part.embedding.lookup.weight) is None
    whole_logits, logits = fit(whole, ACCEPTED[name]), fit(part, ACCEPTED[name])
    assert max(off(*pair) for pair in zip(logits, whole_logits, strict=True)) <= 1e-6

    found, expected = part.state_dict()[KEY], whole.state_dict()[KEY]
    kept = resting()
    assert off(found, expected) <= 1e-6
    assert not found[PAD].any()
    if any(group["weight_decay"] for group in ACCEPTED[name]([nn.Parameter(start)]).param_groups):
        assert off(found[kept], expected[kept]) <= 1e-6
        assert not torch.equal(expected[kept], start[kept])
    else:
        assert torch.equal(found[kept], expected[kept])
        assert torch.equal(found[kept], start[kept])
    assert not torch.equal(found[used()], start[used()])


@pytest.mark.parametrize("name", REFUSED)
def test_an_optimizer_that_moves_rows_otherwise_is_refused_in_a_sentence(name):
    make, message = REFUSED[name]
    weight = nn.Parameter(torch.randn(4, 3))
    reason = why_not(make([weight]), weight)
    assert reason is not None
    assert message in reason
    assert "\n" not in reason
    assert not reason.endswith(".")


@pytest.mark.parametrize("name", ["adam decay", "rmsprop decay", "adagrad decay", "muon", "lamb", "adamw without eps"])
def test_what_is_refused_would_have_been_wrong(name):
    """Refusals are no mere caution: the rows would have come out otherwise."""
    found = []
    for active in (False, True):
        model = classifier(active=active)
        layer = model.embedding.lookup
        optimizer = REFUSED[name][0]([layer.weight, *([layer.witness] if active and name != "muon" else [])])
        for ids, labels in batches():
            optimizer.zero_grad()
            cross_entropy(model(ids, ids != PAD), labels).backward()
            optimizer.step()
        found.append(full_rows(model.embedding))
    assert found[0].isnan().any() or off(*found) > 1e-5


def test_the_group_of_the_embedding_is_what_counts():
    weight, other = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(4, 3))
    spared = [{"params": [other], "weight_decay": 0.1}, {"params": [weight], "weight_decay": 0.0}]
    assert why_not(torch.optim.Adam(spared), weight) is None
    assert "part of the gradient" in (why_not(torch.optim.Adam(spared), other) or "")
    assert why_not(torch.optim.Adam([other]), weight) == "Adam does not hold the embedding's rows"


def test_an_eps_that_is_zero_in_the_weight_s_type():
    weight = nn.Parameter(torch.zeros(4, 3, dtype=torch.float16))
    assert "eps=1e-08 makes NaN" in (why_not(torch.optim.Adam([weight]), weight) or "")
    assert why_not(torch.optim.Adam([weight], eps=1e-6), weight) is None


def test_of_several_optimizers_the_one_that_holds_the_embedding_counts():
    model = classifier("cnn")
    weight = model.embedding.lookup.weight
    hidden = nn.Parameter(torch.randn(4, 3))
    groups = [{"params": [hidden, weight], "names": ["encoder.linear.weight", KEY], "name": "all"}]
    both = MuonWithAdamW(groups)
    assert why_not(both, weight) is None
    assert "orthogonal" in (why_not(both, hidden) or "")


@pytest.mark.parametrize("clip", [0.05, 10.0])
def test_clipping_counts_the_same_gradients(clip):
    whole, part = classifier("cnn"), classifier("cnn", active=True)
    make = ACCEPTED["sgd momentum decay"]
    logits = zip(fit(part, make, clip=clip), fit(whole, make, clip=clip), strict=True)
    assert max(off(*pair) for pair in logits) <= 1e-6
    assert off(part.state_dict()[KEY], whole.state_dict()[KEY]) <= 1e-6


@pytest.mark.parametrize("encoder", ENCODERS)
def test_bfloat16(encoder):
    whole, part = classifier(encoder, dtype=torch.bfloat16), classifier(encoder, True, dtype=torch.bfloat16)
    make = ACCEPTED["adamw"]
    fit(whole, make)
    fit(part, make)
    found, expected = part.state_dict()[KEY], whole.state_dict()[KEY]
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)


def test_compiled():
    whole, part = classifier(active=True), classifier(active=True)
    part.embedding.lookup.compile(backend="eager", fullgraph=True)
    logits = zip(fit(part, ACCEPTED["adamw"], 4), fit(whole, ACCEPTED["adamw"], 4), strict=True)
    assert max(off(*pair) for pair in logits) <= 1e-6
    assert torch.allclose(part.state_dict()[KEY], whole.state_dict()[KEY], rtol=1e-6, atol=1e-7)


class Module(pl.LightningModule):
    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch, index):
        ids, labels = batch
        return cross_entropy(self.model(ids, ids != PAD), labels)

    def validation_step(self, batch, index):
        ids, _ = batch
        self.model(ids, ids != PAD)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.01, weight_decay=0.2)


def loader() -> DataLoader:
    return DataLoader(batches(), batch_size=None)


def trainer(folder, epochs: int, *callbacks, **options) -> pl.Trainer:
    saver = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)
    return pl.Trainer(
        max_epochs=epochs,
        callbacks=[*callbacks, saver],
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        **options,
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("averaging", [EMAWeightAveraging, lambda: StochasticWeightAveraging(0.01, swa_epoch_start=1)])
def test_lightning_averages_saves_and_resumes(averaging, tmp_path):
    saved = {}
    for kind in ("whole", "part"):
        module = Module(classifier(active=kind == "part"))
        trainer(tmp_path / kind, 4, averaging()).fit(module, loader(), loader())
        at_end = full_rows(module.model.embedding)
        for epoch in range(4):
            saved[kind, epoch] = torch.load(tmp_path / kind / f"epoch={epoch}.ckpt", weights_only=False)
        saved[kind, "end"] = {"state_dict": {"model." + KEY: at_end}}
    for epoch in (0, 1, 2, 3, "end"):
        for state in {"state_dict", "current_model_state"} & saved["whole", epoch].keys():
            found, expected = saved["part", epoch][state], saved["whole", epoch][state]
            assert found.keys() == expected.keys()
            assert off(found["model." + KEY], expected["model." + KEY]) <= 1e-6

    resumed = {}
    for kind in ("whole", "part"):
        module = Module(classifier(active=kind == "part"))
        loop = trainer(tmp_path / "again", 4, averaging())
        checkpoint = tmp_path / kind / "epoch=1.ckpt"
        loop.fit(module, loader(), loader(), ckpt_path=checkpoint, weights_only=False)
        resumed[kind] = full_rows(module.model.embedding)
    assert off(resumed["part"], resumed["whole"]) <= 1e-6
    assert off(resumed["part"], saved["part", "end"]["state_dict"]["model." + KEY]) <= 1e-6


def _half(rank: int, port: int, folder: str) -> None:
    """One of two processes: train on half of each batch, remember what DDP reduces."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    model = classifier("cnn", active=True)
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.2)
    reduced = 0

    def count(state, bucket):
        nonlocal reduced
        reduced += bucket.buffer().numel()
        work = torch.distributed.all_reduce(bucket.buffer().div_(2), async_op=True)
        return work.get_future().then(lambda done: done.value()[0])

    parallel.register_comm_hook(None, count)
    for step in range(10):
        ids, labels = batches()[step % 5]
        half = slice(2 * rank, 2 * rank + 2)
        optimizer.zero_grad()
        cross_entropy(parallel(ids[half], ids[half] != PAD), labels[half]).backward()
        optimizer.step()
    torch.save({"state": model.state_dict(), "reduced": reduced / 10}, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_reduce_active_rows_only(tmp_path):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(_half, (port, str(tmp_path)), nprocs=2, start_method="fork")
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))

    alone = classifier("cnn")
    optimizer = torch.optim.AdamW(alone.parameters(), lr=0.01, weight_decay=0.2)
    for step in range(10):
        ids, labels = batches()[step % 5]
        optimizer.zero_grad()
        cross_entropy(alone(ids, ids != PAD), labels).backward()
        optimizer.step()
    assert torch.equal(first["state"][KEY], second["state"][KEY])
    for name, expected in alone.state_dict().items():
        assert off(first["state"][name], expected) <= 1e-6

    part = classifier("cnn", active=True)
    layer = part.embedding.lookup
    assert isinstance(layer, ActiveRows)
    assert layer.weight.shape == (len(active_ids(part.embedding)), DIM)
    assert first["reduced"] == sum(p.numel() for p in part.parameters())
    assert first["reduced"] - layer.witness.numel() < sum(p.numel() for p in alone.parameters()) / 4
