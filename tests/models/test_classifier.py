from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.dpcnn import DPCNN
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import RCNN, Identity, Recurrent, TextCNN, Transformer
from lexigraft.models.ngrams import HashedNgrams
from lexigraft.models.pooling import Attention, First, Last, Max, Mean
from lexigraft.models.pretrained import Pretrained
from tests.models.backbones import CAUSAL, FAMILIES

DIM, VOCABULARY, CLASSES = 16, 40, 3
HEADS = {"main": Head(CLASSES)}


def pretrained(family: str):
    config = FAMILIES[family]()
    for key in [key for key in config.to_dict() if "dropout" in key or key.endswith("pdrop")]:
        setattr(config, key, 0.0)
    return partial(Pretrained, config=config.to_dict())


ENCODERS = {
    "identity": Identity,
    "textcnn": partial(TextCNN, kernel_sizes=[2, 3, 5], channels=4),
    "lstm": partial(Recurrent, cell="lstm", hidden=5, layers=1, dropout=0.0),
    "gru": partial(Recurrent, cell="gru", hidden=5, layers=2, dropout=0.0),
    "rcnn": partial(RCNN, cell="lstm", hidden=5, width=7),
    "dpcnn": partial(DPCNN, channels=6, blocks=2),
    "ngrams": partial(HashedNgrams, orders=[2, 3], buckets=50),
    "transformer": partial(Transformer, layers=2, heads=4, feedforward=20, dropout=0.0, max_tokens=20),
    "narrow transformer": partial(Transformer, width=8, layers=1, heads=2, feedforward=20, dropout=0.0, max_tokens=20),
    "bert": pretrained("bert"),
    "t5": pretrained("t5"),
    "gpt2": pretrained("gpt2"),
    "llama": pretrained("llama"),
}
POOLINGS = {"mean": Mean, "max": Max, "attention": Attention, "first": First, "last": Last}
PAIRS = [(e, p) for e in ENCODERS for p in POOLINGS if not (e in CAUSAL and p == "first")]


def classifier(encoder: str, pooling: str, seed: int = 0, **options) -> Classifier:
    torch.manual_seed(seed)
    rows = torch.randn(VOCABULARY, DIM)
    embedding = TransplantedEmbedding(rows, pad_id=0, **options)
    body = ENCODERS[encoder](dim=embedding.dim)
    return Classifier(embedding, body, POOLINGS[pooling](dim=body.width), HEADS, head_dropout=0.0)


def texts(lengths: list[int], padding: int = 0) -> tuple[Tensor, Tensor]:
    """Texts that begin alike whatever the padding; outside the mask stand ids of real words."""
    ids = torch.full((len(lengths), max(lengths) + padding), 9)
    for row, length in enumerate(lengths):
        generator = torch.Generator().manual_seed(row)
        ids[row, :length] = torch.randint(1, VOCABULARY, (length,), generator=generator)
    return ids, torch.arange(ids.shape[1]) < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize(("encoder", "pooling"), PAIRS)
@pytest.mark.parametrize(
    ("mode", "dtype", "tolerance"),
    [
        ("train", torch.float64, 1e-12),
        ("inference", torch.float64, 1e-12),
        ("inference", torch.float32, 1e-5),  # what rounding leaves
    ],
    ids=["train", "inference", "float32"],
)
def test_neither_padding_nor_the_batch_changes_a_prediction(encoder, pooling, mode, dtype, tolerance):
    model = classifier(encoder, pooling).to(dtype).train(mode == "train")
    lengths = [7, 1, 4, 2]
    with torch.inference_mode(mode == "inference"):
        logits = model(*texts(lengths))
        longer = model(*texts(lengths, padding=6))
        order = torch.tensor([2, 0, 3, 1])
        ids, mask = texts(lengths)
        shuffled = model(ids[order], mask[order])
        alone = torch.cat([model(ids[i : i + 1, :n], mask[i : i + 1, :n]) for i, n in enumerate(lengths)])
    assert logits.shape == (4, CLASSES)
    assert (logits[0] - logits[2]).abs().max() > 1e-3, "texts differ"
    for other in (longer, shuffled[order.argsort()], alone):
        assert (other - logits).abs().max() <= tolerance * max(1, logits.abs().max().item())


@pytest.mark.parametrize(("encoder", "pooling"), PAIRS)
def test_gradients_are_finite_for_short_texts(encoder, pooling):
    model = classifier(encoder, pooling)
    for lengths in ([1], [2], [1, 1], [6, 0]):
        model.zero_grad()
        logits = model(*texts(lengths))
        cross_entropy(logits, torch.zeros(len(lengths), dtype=torch.long)).backward()
        assert logits.isfinite().all()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        assert model.heads["main"].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("encoder", ENCODERS)
def test_initialisation_follows_the_seed(encoder):
    first, again, other = (classifier(encoder, "attention", seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first if "embedding.lookup" not in key)


def test_what_is_pretrained():
    def new(model: Classifier) -> set[str]:
        old = dict(model.pretrained_parameters())
        assert all(parameter is dict(model.named_parameters())[name] for name, parameter in old.items())
        return {name for name, _ in model.named_parameters() if name not in old}

    assert new(classifier("identity", "mean")) == {"heads.main.weight", "heads.main.bias"}
    assert new(classifier("identity", "mean", project_to=4)) == {
        "embedding.projection.weight",
        "heads.main.weight",
        "heads.main.bias",
    }
    assert new(classifier("bert", "mean")) == {"heads.main.weight", "heads.main.bias"}
    assert "encoder.convolutions.0.weight" in new(classifier("textcnn", "mean"))
    assert "encoder.positions.weight" in new(classifier("transformer", "mean"))
    assert [name for name, _ in classifier("gru", "mean").pretrained_parameters()] == ["embedding.lookup.weight"]


def test_head_dropout_only_in_training():
    embedding = TransplantedEmbedding(torch.randn(VOCABULARY, DIM), pad_id=0)
    model = Classifier(embedding, Identity(DIM), Mean(DIM), HEADS, head_dropout=0.5)
    batch = texts([3])
    assert not torch.equal(model(*batch), model(*batch))
    model.eval()
    assert torch.equal(model(*batch), model(*batch))


@pytest.mark.parametrize("encoder", CAUSAL[:2])
def test_the_first_token_of_a_causal_backbone_is_refused(encoder):
    with pytest.raises(ValueError, match="pooling takes the first token.*use model/pooling=last or mean"):
        classifier(encoder, "first")


def test_heads_share_the_features_and_differ_in_what_they_say():
    embedding = TransplantedEmbedding(torch.randn(VOCABULARY, DIM), pad_id=0)
    heads = {"main": Head(3), "topic": Head(5), "tags": Head(2, per_token=True)}
    model = Classifier(embedding, Identity(DIM), Mean(DIM), heads)
    ids, mask = texts([3, 2])
    assert [model(ids, mask, task=name).shape for name in heads] == [(2, 3), (2, 5), (2, 3, 2)]
    assert isinstance(model.pooling, Mean)


def test_a_tagger_pools_nothing():
    embedding = TransplantedEmbedding(torch.randn(VOCABULARY, DIM), pad_id=0)
    model = Classifier(embedding, Identity(DIM), Attention(DIM), {"main": Head(2, per_token=True)})
    assert not list(model.pooling.parameters())
