from dataclasses import replace

import pytest
import torch

from lexigraft.training.regularise.mixup import Mixup
from tests.training.regularise.steps import TEXTS, model, step


def mixed(seed, alpha=1.0, of=None, texts=TEXTS):
    """The step, its mixture, and the share and the permutation that were drawn."""
    made = step(of, texts)
    torch.manual_seed(seed)
    changed = Mixup(alpha).change(made)
    torch.manual_seed(seed)
    as_tensor = torch.tensor(alpha, dtype=torch.float64)
    share = float(torch.distributions.Beta(as_tensor, as_tensor).sample())
    return made, changed, share, torch.randperm(4)


def test_vectors_masks_and_labels_are_those_of_both_texts():
    made, changed, share, other = mixed(seed=3)
    for i, j in enumerate(other.tolist()):
        assert torch.allclose(changed.vectors[i], share * made.vectors[i] + (1 - share) * made.vectors[j])
        assert changed.mask[i].sum() == max(made.mask[i].sum(), made.mask[j].sum())
    labels = made.batch["labels"]
    loss = share * made.task.loss(changed.outputs, labels) + (1 - share) * made.task.loss(
        changed.outputs, labels[other]
    )
    assert changed.loss.item() == pytest.approx(loss.item())


def test_with_a_share_of_1_or_0_texts_of_one_length_stay_whole():
    whole = set()
    for seed in range(12):
        made, changed, share, _ = mixed(seed, 0.01, texts=[[1, 2, 3], [4, 5, 6], [7, 8, 1], [2, 2, 5]])
        if min(share, 1 - share) < 1e-9:  # at 0 the texts are those of the permutation
            assert changed.loss.item() == pytest.approx(made.loss.item(), abs=1e-6)
            whole.add(round(share))
    assert whole == {0, 1}


def test_the_same_seed_draws_the_same_mixture():
    assert torch.equal(mixed(seed=5)[1].vectors, mixed(seed=5)[1].vectors)
    assert not torch.equal(mixed(seed=5)[1].vectors, mixed(seed=6)[1].vectors)


def test_mixing_twice_keeps_the_weights_a_whole():
    changed = Mixup(1.0).change(Mixup(1.0).change(step()))
    assert len(changed.labels) == 4
    assert sum(weight for weight, _ in changed.labels) == pytest.approx(1.0)


def test_rows_of_both_texts_get_a_gradient():
    of = model()
    _, changed, _, _ = mixed(seed=3, of=of)
    changed.loss.backward()
    assert of.embedding.lookup.weight.grad[1:8].abs().sum(dim=1).min() > 0


def test_pairs_are_refused():
    made = step()
    pairs = replace(made, batch={**made.batch, "types": torch.zeros(4, 5, dtype=torch.int64)})
    with pytest.raises(ValueError, match=r"regularise=\[mixup\] mixes texts position by position, .* leave it out"):
        Mixup().change(pairs)


def test_alpha_near_0_is_refused():
    with pytest.raises(ValueError, match=r"regularise\.mixup\.alpha=0\.001 was given; a number of at least 0\.01"):
        Mixup(0.001)
