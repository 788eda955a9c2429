from dataclasses import replace

import pytest
import torch

from lexigraft.training.regularise.adversarial import FGM, PGD
from lexigraft.training.regularise.mixup import Mixup
from tests.training.regularise.steps import model, step


def norms(move):
    return move.flatten(1).norm(dim=1)


def test_the_move_is_epsilon_times_the_normed_gradient_of_each_text():
    made = step()
    move = FGM(epsilon=0.5).move(made)
    for i in range(4):  # each text alone: its gradient does not depend on the others
        vectors = made.vectors[i : i + 1].detach().requires_grad_()
        outputs = made.model.outputs(made.model.features(vectors, made.mask[i : i + 1]), made.mask[i : i + 1])
        made.task.loss(outputs, made.batch["labels"][i : i + 1]).backward()
        gradient = vectors.grad * made.mask[i : i + 1, :, None]
        assert torch.allclose(move[i], (0.5 * gradient / gradient.norm())[0], atol=1e-6)
    assert torch.allclose(norms(move), torch.tensor(0.5))
    assert move[~made.mask].abs().max() == 0


def test_the_loss_rises_as_the_gradient_says():
    made = step()
    gradient = torch.autograd.grad(made.loss, made.vectors, retain_graph=True)[0]
    rise = made.loss_of(made.run(made.vectors + FGM(epsilon=1e-3).move(made))) - made.loss
    assert rise.item() == pytest.approx(1e-3 * norms(gradient).sum().item(), rel=0.02)
    assert FGM(epsilon=1e-3).term(made).item() > made.loss.item()


def test_relative_epsilon_is_a_share_of_the_text_s_vectors():
    made = step()
    move = FGM(epsilon=0.1, relative=True).move(made)
    assert torch.allclose(norms(move), 0.1 * norms(made.vectors))


def test_the_term_is_weighted_and_trains_model_and_rows_but_not_through_the_move():
    made = step()
    fgm = FGM(epsilon=0.5, weight=2.0)
    move = fgm.move(made)
    expected = torch.autograd.grad(
        2 * made.loss_of(made.run(made.vectors + move.detach())), list(made.model.parameters()), retain_graph=True
    )
    found = torch.autograd.grad(fgm.term(made), list(made.model.parameters()), retain_graph=True)
    assert all(torch.allclose(a, b) for a, b in zip(found, expected))
    assert found[0][1:8].abs().sum() > 0
    (made.loss + fgm.term(made)).backward()  # the step's own graph is still there


def test_no_gradient_is_left_behind_by_the_search():
    made = step()
    PGD(epsilon=0.5, steps=3, step_size=0.4).move(made)
    assert all(p.grad is None for p in made.model.parameters())


@pytest.mark.parametrize("regulariser", [FGM(), PGD()])
def test_frozen_embeddings_are_moved_too_and_get_no_gradient(regulariser):
    frozen = model()
    frozen.embedding.requires_grad_(False)
    made = regulariser.change(step(frozen))
    (made.loss + regulariser.term(made)).backward()
    assert norms(regulariser.move(replace(made))).min() > 0
    assert frozen.embedding.lookup.weight.grad is None
    assert frozen.heads["main"].weight.grad.abs().sum() > 0


def test_a_step_with_gradients_is_left_as_it_is():
    made = step()
    assert FGM().change(made) is made


def test_one_step_of_size_epsilon_is_fgm():
    made = step()
    assert torch.allclose(PGD(epsilon=0.3, steps=1, step_size=0.3).move(made), FGM(epsilon=0.3).move(made))


def test_pgd_stays_in_the_ball_and_finds_a_higher_loss_than_fgm():
    made = step()
    move = PGD(epsilon=3.0, steps=8, step_size=1.0).move(made)
    assert norms(move).max() <= 3.0 + 1e-5
    assert move[~made.mask].abs().max() == 0
    assert made.loss_of(made.run(made.vectors + move)) > made.loss_of(made.run(made.vectors + FGM(3.0).move(made)))


def test_every_step_of_pgd_follows_the_gradient_at_the_moved_vectors():
    made = step()
    first = PGD(epsilon=10.0, steps=1, step_size=10.0).move(made) * 0.01
    vectors = (made.vectors.detach() + first).requires_grad_()
    gradient = torch.autograd.grad(made.loss_of(made.run(vectors)), vectors)[0] * made.mask[..., None]
    second = first + 0.1 * gradient / norms(gradient)[:, None, None]
    found = PGD(epsilon=0.2, steps=2, step_size=0.1).move(made)
    assert torch.allclose(found, second, atol=1e-5)


def test_a_text_without_gradient_is_not_moved():
    made = step()
    with torch.no_grad():
        made.model.heads["main"].weight.zero_()
    assert FGM().move(made).abs().max() == 0
    assert PGD().move(made).abs().max() == 0


def test_mixed_texts_can_be_moved():
    made = FGM(0.5).change(Mixup(1.0).change(step()))
    move = FGM(0.5).move(made)
    assert torch.allclose(norms(move), torch.tensor(0.5))
    assert move[~made.mask].abs().max() == 0


def test_bf16_autocast_gives_a_finite_term():
    with torch.autocast("cpu", torch.bfloat16):
        made = step()
        loss = made.loss + PGD().term(made)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in made.model.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FGM(epsilon=0), r"regularise\.fgm\.epsilon=0 was given; a number above 0 is expected"),
        (lambda: FGM(weight=-1.0), r"regularise\.fgm\.weight=-1\.0"),
        (lambda: PGD(steps=0), r"regularise\.pgd\.steps=0"),
        (lambda: PGD(epsilon=2.0, steps=2, step_size=0.5), r"2 steps of 0\.5 cannot reach epsilon=2\.0: raise steps"),
    ],
)
def test_senseless_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
