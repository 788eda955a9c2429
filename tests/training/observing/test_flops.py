from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lexigraft.models.active import activate
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import TextCNN, Transformer
from lexigraft.models.pooling import Mean
from lexigraft.models.pretrained import Pretrained
from lexigraft.training.observing.flops import peak_flops, training_flops

TEXTS, TOKENS = 3, 32


def transformer() -> nn.Module:
    return Transformer(24, width=16, layers=2, heads=2, feedforward=32, dropout=0.0, max_tokens=64)


def textcnn() -> nn.Module:
    return TextCNN(24, kernel_sizes=[1], channels=16)  # longer kernels compute beyond the text too


def backbone() -> nn.Module:
    config = {
        "model_type": "bert", "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 48, "max_position_embeddings": 64,
    }  # fmt: skip
    return Pretrained(24, config=config)


def model(encoder: nn.Module, **embedding: int) -> Classifier:
    torch.manual_seed(0)
    return Classifier(
        TransplantedEmbedding(torch.randn(50, 24), 0, **embedding), encoder, Mean(encoder.width), {"main": Head(2)}
    )


def counted(classifier: Classifier) -> float:
    """What torch counts of products of matrices in a step, of texts without padding."""
    ids = torch.randint(1, 50, (TEXTS, TOKENS))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        classifier(ids, torch.ones_like(ids, dtype=torch.bool)).sum().backward()
    return float(counter.get_total_flops())


@pytest.mark.parametrize("encoder", [transformer, textcnn, backbone])
@pytest.mark.parametrize("frozen", [(), ("embedding.",), ("embedding.", "encoder.")])
def test_as_many_as_torch_counts(encoder: Callable[[], nn.Module], frozen: tuple[str, ...]) -> None:
    classifier = model(encoder())
    for name, parameter in classifier.named_parameters():
        parameter.requires_grad_(not name.startswith(frozen or "none"))
    told = training_flops(classifier).of(TEXTS, TEXTS * TOKENS, TEXTS * TOKENS**2)
    assert told == pytest.approx(counted(classifier), rel=0.02)


def test_rows_are_looked_up_and_not_multiplied() -> None:
    whole = training_flops(model(textcnn()))
    active = model(textcnn())
    activate(active.embedding, torch.arange(5))
    assert training_flops(active) == whole
    assert whole.per_token == 6 * 24 * 16
    assert whole.per_pair == 0
    assert whole.per_text == 6 * 16 * 2
    assert training_flops(model(textcnn(), project_to=24)).per_token == 6 * 24 * 16 + 6 * 24 * 24


@pytest.mark.parametrize(
    ("name", "precision", "tera"),
    [
        ("NVIDIA H200", "bf16-mixed", 989),
        ("NVIDIA H100 80GB HBM3", "bf16-true", 989),
        ("NVIDIA H100 PCIe", "16-mixed", 756),
        ("NVIDIA A100-SXM4-80GB", "32", 19.5),
        ("NVIDIA A100-SXM4-80GB", "tf32", 156),
        ("Tesla V100-SXM2-16GB", "16-mixed", 125),
        ("Tesla T4", "16-mixed", 65),
        ("NVIDIA L4", "bf16-mixed", 121),
        ("NVIDIA GeForce RTX 4090", "bf16-mixed", 165),
    ],
)
def test_the_peak_of_a_gpu(name: str, precision: str, tera: float) -> None:
    assert peak_flops(name, precision) == tera * 1e12


def test_float32_is_tf32_where_torch_may() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        assert peak_flops("NVIDIA H200", "32-true") == 494e12
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("name", ["NVIDIA L40", "NVIDIA A10G", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "Radeon"])
def test_a_gpu_that_is_not_known_has_no_peak(name: str) -> None:
    assert peak_flops(name, "bf16-mixed") is None
