import pytest
import torch

from lexigraft.training.regularise.mixup import Mixup
from lexigraft.training.regularise.rdrop import RDrop
from tests.training.regularise.steps import model, step


def test_without_dropout_both_passes_agree_and_nothing_is_added():
    assert RDrop(alpha=5.0).term(step()).item() == pytest.approx(0.0, abs=1e-6)


def test_the_loss_is_the_mean_of_both_passes_and_their_symmetric_divergence():
    of = model(dropout=0.4)
    torch.manual_seed(7)
    made = step(of)
    total = made.loss + RDrop(alpha=3.0).term(made)

    torch.manual_seed(7)
    batch = made.batch
    first, second = (of(batch["input_ids"], batch["mask"]) for _ in range(2))
    losses = [torch.nn.functional.cross_entropy(outputs, batch["labels"]) for outputs in (first, second)]
    p, q = (torch.distributions.Categorical(logits=outputs) for outputs in (first, second))
    kl = torch.distributions.kl_divergence
    expected = sum(losses) / 2 + 3.0 * (kl(p, q) + kl(q, p)).mean() / 2
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert kl(p, q).min() > 0


def test_the_second_pass_drops_other_word_vectors_too():
    of = model()
    of.embedding.dropout.element = 0.5
    assert RDrop().term(step(of)).item() != pytest.approx(0.0, abs=1e-4)


def test_mixed_texts_pass_twice_in_the_same_mixture():
    changed = Mixup(1.0).change(step())
    assert RDrop().term(changed).item() == pytest.approx(0.0, abs=1e-6)


def test_alpha_0_is_refused():
    with pytest.raises(ValueError, match=r"regularise\.rdrop\.alpha=0 was given; a weight above 0 is expected"):
        RDrop(0)
