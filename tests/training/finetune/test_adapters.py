import sys

import pytest
import torch

from lexigraft.models.active import activate, full_rows
from lexigraft.training.finetune.adapters import LoRA
from tests.models.test_classifier import classifier
from tests.training.finetune.steps import LR, moved, named, optimizer_of, rates, step, texts

pytest.importorskip("peft")

ENCODERS = ("transformer", "bert", "gpt2", "t5", "llama")
METHODS = ("lora", "rslora", "dora", "ia3")
HEAD = ("pooling.", "heads.")


def adapters(model):
    """Names of the parameters that `peft` put beside the encoder's own."""
    return {name for name in named(model, "encoder.") if ".lora_" in name or ".ia3_" in name}


def trained(encoder, **settings):
    """A model after some steps, its strategy, and what moved in the last of them."""
    model, strategy = classifier(encoder, "attention", project_to=16), LoRA(**settings)
    strategy.prepare(model)
    optimizer = optimizer_of(model, strategy)
    step(model, strategy, 0, optimizer)
    step(model, strategy, 0, optimizer)
    return model, strategy, moved(model, strategy, 1, optimizer)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("method", METHODS)
def test_adapters_embedding_and_head_move(encoder, method):
    model, _, found = trained(encoder, method=method)
    assert found == adapters(model) | named(model, "embedding.", *HEAD)
    kinds = {"ia3": {"ia3_l"}, "dora": {"lora_A", "lora_B", "lora_magnitude_vector"}}
    assert {part for name in adapters(model) for part in name.split(".") if part.startswith(("lora_", "ia3_"))} == (
        kinds.get(method, {"lora_A", "lora_B"})
    )


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("method", METHODS)
def test_adapters_start_without_effect_and_can_be_added_into_the_weights(encoder, method):
    plain, fresh = (classifier(encoder, "attention", project_to=16).double().eval() for _ in range(2))
    model, strategy, _ = trained(encoder, method=method)
    model.double()
    LoRA(method=method).prepare(fresh)
    with torch.inference_mode():
        assert torch.allclose(fresh(*texts()), plain(*texts()), atol=1e-5)
    with_gradient = model.eval()(*texts()).detach()
    with torch.inference_mode():
        before = model(*texts())
        assert torch.allclose(before, with_gradient, atol=1e-5), "evaluation sees the adapters too"
        strategy.finish(model)
        after = model(*texts())
    assert torch.allclose(before, after, atol=1e-5)
    assert (after - plain(*texts())).abs().max() > 0.1, "training had an effect"
    assert model.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(model.state_dict())
    with torch.inference_mode():
        assert torch.allclose(plain(*texts()), after, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_trained_weights_load_into_a_prepared_model(method):
    model, strategy, _ = trained("bert", method=method)
    other = classifier("bert", "attention", seed=1, project_to=16)
    strategy.prepare(other)
    other.load_state_dict(model.state_dict())
    with torch.inference_mode():
        assert torch.equal(other.eval()(*texts()), model.eval()(*texts()))


def test_rows_may_stay():
    model, _, found = trained("bert", embedding=False)
    assert found == adapters(model) | named(model, "embedding.projection.", *HEAD)


def test_rows_may_learn_at_a_rate_of_their_own():
    model, strategy = classifier("bert", "attention"), LoRA(embedding_scale=3)
    strategy.prepare(model)
    found = rates(optimizer_of(model, strategy))
    assert found.pop("embedding.lookup.weight") == pytest.approx(3 * LR)
    assert set(found.values()) == {LR}


def test_factors_do_not_decay_towards_zero():
    model, strategy = classifier("bert", "attention"), LoRA(method="ia3")
    strategy.prepare(model)
    groups = optimizer_of(model, strategy).param_groups
    assert not adapters(model) & {name for group in groups if group["weight_decay"] for name in group["names"]}


def test_targets_are_ends_of_names():
    model, _, found = trained("bert", targets=["query", "layer.1.output.dense"])
    adapted = {name.rpartition(".lora_")[0] for name in found & adapters(model)}
    start = "encoder.backbone.encoder.layer"
    assert adapted == {f"{start}.{i}.attention.self.query" for i in range(3)} | {f"{start}.1.output.dense"}


def test_attention_of_our_transformer_is_left_alone():
    model, _, found = trained("transformer")
    adapted = {name.rpartition(".lora_")[0].removeprefix("encoder.layers.layers.") for name in found & adapters(model)}
    assert adapted == {f"{i}.linear{j}" for i in (0, 1) for j in (1, 2)}


def test_adapters_follow_the_seed():
    def drawn(seed):
        model = classifier("bert", "attention")
        torch.manual_seed(seed)
        LoRA().prepare(model)
        return {name: p for name, p in model.named_parameters() if name in adapters(model)}

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_active_rows_move_beside_adapters():
    model, strategy = classifier("bert", "attention"), LoRA()
    activate(model.embedding, torch.arange(1, 31))
    strategy.prepare(model)
    optimizer = optimizer_of(model, strategy)
    before = full_rows(model.embedding).clone()
    strategy.apply(model, 0)
    model(torch.arange(1, 31).reshape(2, 15), torch.ones(2, 15, dtype=torch.bool))[:, 0].sum().backward()
    optimizer.step()
    assert (full_rows(model.embedding) != before).any(1).nonzero().flatten().tolist() == list(range(1, 31))


def test_an_encoder_without_linear_layers_is_refused():
    for encoder, name in (("textcnn", "TextCNN"), ("gru", "Recurrent"), ("identity", "Identity")):
        with pytest.raises(ValueError, match=f"finetune=lora adapts linear layers, and {name} has none: use model="):
            LoRA().prepare(classifier(encoder, "mean"))


def test_a_target_that_is_no_linear_layer_gets_near_names():
    with pytest.raises(ValueError, match="finetune.targets holds 'querry', which no linear.*near are query, "):
        LoRA(targets=["querry"]).prepare(classifier("bert", "mean"))


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="finetune.r=0: a rank of at least 1 is expected"):
        LoRA(r=0)
    with pytest.raises(ValueError, match="finetune.alpha=0: a factor"):
        LoRA(alpha=0)
    with pytest.raises(ValueError, match="finetune.dropout=1.0: a share from 0 up to"):
        LoRA(dropout=1.0)


def test_without_peft_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"finetune=lora needs the package peft: pip install 'lexigraft\[peft\]'"):
        LoRA()
