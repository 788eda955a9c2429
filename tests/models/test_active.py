import copy
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn

from lexigraft.models.active import ActiveRows, activate, active_ids, deactivate, full_rows
from lexigraft.models.embedding import TransplantedEmbedding

SIZE, DIM, PAD = 64, 5, 2
USED = [7, 3, 41, 8, 3]
KEY = "lookup.weight"


def embedding(seed: int = 0, project_to: int | None = None) -> TransplantedEmbedding:
    rows = torch.randn(SIZE, DIM, generator=torch.Generator().manual_seed(seed))
    return TransplantedEmbedding(rows, PAD, project_to=project_to)


def active(seed: int = 0) -> TransplantedEmbedding:
    layer = embedding(seed)
    activate(layer, torch.tensor(USED))
    return layer


def steps(layer: TransplantedEmbedding, count: int = 5, decay: float = 0.0, lr: float = 0.1) -> torch.optim.Optimizer:
    optimizer = torch.optim.AdamW(layer.parameters(), lr=lr, weight_decay=decay)
    advance(layer, optimizer, count)
    return optimizer


def advance(layer: TransplantedEmbedding, optimizer: torch.optim.Optimizer, count: int) -> None:
    ids = torch.tensor([[3, 41, 3, PAD], [8, 7, 7, 3]])
    for step in range(count):
        optimizer.zero_grad()
        (layer(ids, ids != PAD).cos() * (1 + step)).sum().backward()
        optimizer.step()


def test_only_used_rows_and_the_padding_row_are_parameters():
    layer = active()
    assert isinstance(layer.lookup, ActiveRows)
    assert layer.lookup.weight.shape == (5, DIM)
    assert active_ids(layer).tolist() == [PAD, 3, 7, 8, 41]
    assert torch.equal(layer.lookup.weight, embedding().lookup.weight[[PAD, 3, 7, 8, 41]])
    assert not list(layer.buffers())
    assert active_ids(embedding()) is None


@settings(max_examples=30, deadline=None)
@given(used=st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=SIZE), data=st.data())
def test_vectors_and_gradients_are_those_of_the_whole_matrix(used, data):
    ids = torch.tensor([data.draw(st.lists(st.sampled_from([*used, PAD]), min_size=1, max_size=20))])
    whole, part = embedding(project_to=3), embedding(project_to=3)
    activate(part, torch.tensor(used))
    mask = ids != PAD
    expected, found = whole(ids, mask), part(ids, mask)
    assert torch.equal(expected, found)
    expected.square().sum().backward()
    found.square().sum().backward()
    kept = active_ids(part)
    kept = torch.arange(SIZE) if kept is None else kept
    assert torch.equal(whole.lookup.weight.grad[kept], part.lookup.weight.grad)
    assert torch.equal(whole.projection.weight.grad, part.projection.weight.grad)


def test_nothing_changes_if_all_rows_are_used():
    layer = embedding()
    weight = layer.lookup.weight
    activate(layer, torch.tensor([i for i in range(SIZE) if i != PAD]))
    assert isinstance(layer.lookup, nn.Embedding)
    assert layer.lookup.weight is weight
    deactivate(layer)
    assert layer.lookup.weight is weight
    assert torch.equal(full_rows(layer), weight)


def test_the_matrix_is_not_copied():
    layer = embedding()
    where = layer.lookup.weight.data_ptr()
    activate(layer, torch.tensor(USED))
    assert layer.lookup._kept.rows.data_ptr() == where
    twin = copy.deepcopy(layer)
    assert twin.lookup._kept.rows.data_ptr() == where
    twin.load_state_dict(layer.state_dict())
    assert twin.lookup._kept.rows.data_ptr() == where, "only active rows could differ"
    assert twin.lookup.weight.data_ptr() != layer.lookup.weight.data_ptr()


def test_an_id_that_is_not_active_is_named():
    with pytest.raises(ValueError, match=r"token id 9 is not one of the 5 whose rows are trained: "):
        active()(torch.tensor([[3, 9]]), torch.ones(1, 2))
    with pytest.raises(IndexError):
        active()(torch.tensor([[3, SIZE]]), torch.ones(1, 2))
    assert active()(torch.zeros(2, 0, dtype=torch.long), torch.ones(2, 0)).shape == (2, 0, DIM)


def test_an_id_outside_the_mask_need_not_be_active():
    mask = torch.tensor([[True, False]])
    assert not active()(torch.tensor([[3, 9]]), mask)[~mask].any()


@pytest.mark.parametrize("wrong", [-1, SIZE])
def test_an_id_without_a_row_is_refused(wrong):
    with pytest.raises(ValueError, match=f"token id {wrong} was given as used, .* 0 to {SIZE - 1}: use the tokenizer"):
        activate(embedding(), torch.tensor([3, wrong]))


def test_a_checkpoint_is_that_of_the_whole_matrix_and_loads_in_both_modes():
    part, whole = active(), embedding()
    steps(part, decay=0.3)
    steps(whole, decay=0.3)
    saved, expected = part.state_dict(), whole.state_dict()
    assert list(saved) == list(expected) == [KEY]
    assert torch.allclose(saved[KEY], expected[KEY], rtol=1e-6, atol=0)
    assert not saved[KEY][PAD].any()
    assert not torch.equal(saved[KEY][50], embedding().lookup.weight[50])

    for other in (embedding(1), active(1)):
        assert other.load_state_dict(saved).missing_keys == []
        assert torch.equal(full_rows(other), saved[KEY])
        assert torch.equal(other.state_dict()[KEY], saved[KEY])


def test_what_decay_did_is_read_from_a_checkpoint_without_a_second_matrix():
    layer = active()
    optimizer = steps(layer, decay=0.3)
    saved = layer.state_dict()
    again = active()
    where = again.lookup._kept.rows.data_ptr()
    again.load_state_dict(saved)
    assert again.lookup._kept.rows.data_ptr() == where
    assert torch.allclose(again.lookup.witness, layer.lookup.witness, rtol=1e-6)
    assert torch.allclose(full_rows(again), saved[KEY], rtol=1e-6, atol=0)
    advance(layer, optimizer, 1)
    assert again.lookup.witness[0] != layer.lookup.witness[0]


def test_averages_are_right_after_both_were_loaded():
    """As Lightning resumes: the average and the weights are loaded from two matrices, and averaged on."""
    rows = []
    for make in (active, embedding):
        first, second = make(), make()
        steps(first, 4, 0.3)
        steps(second, 8, 0.3)
        layer = make()
        averaged = AveragedModel(layer, avg_fn=get_ema_avg_fn(0.5))
        averaged.module.load_state_dict(first.state_dict())
        averaged.n_averaged += 1
        layer.load_state_dict(second.state_dict())
        averaged.update_parameters(layer)
        rows.append(full_rows(averaged.module))
    assert torch.allclose(*rows, rtol=2e-6, atol=1e-7)


def test_loading_copies():
    source, layer = embedding(1), active()
    layer.load_state_dict(source.state_dict())
    before = full_rows(layer)
    steps(source)
    source.lookup.weight.data.zero_()
    assert torch.equal(full_rows(layer), before)


def test_what_does_not_fit_is_not_loaded():
    with pytest.raises(RuntimeError, match=r"lookup.weight has the shape \(5, 5\); all rows, \(64, 5\), are expected"):
        active().load_state_dict({KEY: torch.zeros(5, DIM)})
    with pytest.raises(RuntimeError, match=r'Missing key.*"lookup.weight"'):
        active().load_state_dict({})
    with pytest.raises(RuntimeError, match=r'Unexpected key.*"lookup.witness"'):
        active().load_state_dict(active().state_dict() | {"lookup.witness": torch.ones(1)})


def test_deactivating_puts_all_rows_back():
    layer = active()
    steps(layer, decay=0.3)
    expected = full_rows(layer)
    layer.lookup.weight.requires_grad_(False)
    layer.eval()
    deactivate(layer)
    assert isinstance(layer.lookup, nn.Embedding)
    assert torch.equal(layer.lookup.weight, expected)
    assert layer.lookup.padding_idx == PAD
    assert not layer.lookup.weight.requires_grad
    assert not layer.lookup.training
    assert layer(torch.tensor([[50]]), torch.ones(1, 1)).abs().min() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_another_type_is_that_of_all_rows(dtype):
    part, whole = active().to(dtype), embedding().to(dtype)
    assert part.lookup.witness.dtype == dtype
    assert torch.equal(full_rows(part), full_rows(whole))
    assert torch.equal(part.float().state_dict()[KEY], whole.float().state_dict()[KEY])


def test_another_type_keeps_what_decay_has_done():
    part, whole = active(), embedding()
    steps(part, decay=0.3)
    steps(whole, decay=0.3)
    assert torch.allclose(full_rows(part.double()), full_rows(whole.double()), rtol=1e-6, atol=0)
    assert torch.allclose(full_rows(part.float()), full_rows(whole.float()), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_decay_in_half_precision_rounds_as_that_of_the_rows(dtype):
    # Both types have fewer mantissas than there are witnesses: each number has its own.
    part, whole = active().to(dtype), embedding().to(dtype)
    for layer in (part, whole):
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, weight_decay=0.1)
        advance(layer, optimizer, 40)
    resting = [i for i in range(SIZE) if i not in {*USED, PAD}]
    assert torch.equal(full_rows(part)[resting], full_rows(whole)[resting])
    assert not torch.equal(full_rows(whole)[resting], full_rows(embedding().to(dtype))[resting])


@pytest.mark.parametrize("factor", [1 - 1e-3, 1 - 1e-5, 1 - 1e-6, 1 - 1e-7, 1 - 1e-8])
def test_long_decay_follows_what_float32_rounds_to(factor):
    """The product of factors alone would be off by up to 1e-4 here."""
    layer = active()
    rows = full_rows(layer)
    with torch.no_grad():
        for step in range(1500):
            rows.mul_(1 - (1 - factor) * (1 - step / 3000))
            layer.lookup.witness.mul_(1 - (1 - factor) * (1 - step / 3000))
    resting = [i for i in range(SIZE) if i not in {*USED, PAD}]
    found, expected = full_rows(layer)[resting], rows[resting]
    assert (found - expected).norm() <= 1e-6 * expected.norm()
    assert (found - expected).abs().max() <= 2e-6 * expected.abs().max()


def test_zero_and_values_at_the_edge_of_two_powers_decay():
    rows = torch.tensor([[0.0, -0.0, 1.0, -1.0, 2.0, 1.9999999, 0.99999994, 1e-30, -1e30]]).repeat(3, 1)
    layer = TransplantedEmbedding(rows, 0)
    activate(layer, torch.tensor([1]))
    layer.lookup.witness.data.mul_(0.9)
    assert torch.allclose(full_rows(layer)[2], rows[2] * 0.9, rtol=1e-6, atol=0)


def test_a_frozen_embedding_does_not_decay():
    part, whole = active(), embedding()
    for layer in (part, whole):
        extra = nn.Parameter(torch.ones(1))  # something has to move in the first phase
        optimizer = torch.optim.AdamW([*layer.parameters(), extra], lr=0.1, weight_decay=0.3)
        for step in range(6):
            layer.lookup.weight.requires_grad_(step in (2, 3, 5))
            optimizer.zero_grad()
            ids = torch.tensor([[3, 41, 8]])
            (layer(ids, ids > 0) * extra).sum().backward()
            assert (layer.lookup.weight.grad is not None) == (step in (2, 3, 5))
            optimizer.step()
            if step == 1:
                assert torch.equal(full_rows(layer), full_rows(embedding()))
    assert part.lookup.witness[0].item() == pytest.approx((1 - 0.1 * 0.3) ** 3, rel=1e-6)
    assert torch.allclose(full_rows(part), full_rows(whole), rtol=1e-6, atol=1e-9)


def test_hooks_on_rows_and_clipping_work_as_on_any_weight():
    part, whole = active(), embedding()
    new = torch.zeros(SIZE, 1)
    new[[3, 8]] = 1
    for layer in (part, whole):
        ids = active_ids(layer)
        mask = new if ids is None else new[ids]
        layer.lookup.weight.register_hook(lambda gradient, mask=mask: gradient * mask)
        optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, weight_decay=0.0)
        for _ in range(3):
            optimizer.zero_grad()
            ids = torch.tensor([[3, 41, 8]])
            layer(ids, ids > 0).square().sum().backward()
            nn.utils.clip_grad_norm_(layer.parameters(), 0.1)
            nn.utils.clip_grad_value_(layer.parameters(), 0.01)
            optimizer.step()
    assert torch.allclose(full_rows(part), full_rows(whole), rtol=1e-6, atol=1e-7)
    moved = (full_rows(part) != full_rows(embedding())).any(1)
    assert moved.nonzero().flatten().tolist() == [3, 8]


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("average", [{}, {"avg_fn": get_ema_avg_fn(0.7)}, {"multi_avg_fn": get_ema_multi_avg_fn(0.7)}])
def test_averages_of_weights_are_those_of_the_whole_matrix(average, use_buffers):
    found = []
    for layer in (active(), embedding()):
        averaged = AveragedModel(layer, use_buffers=use_buffers, **average)
        optimizer = steps(layer, 0, decay=0.3)
        for _ in range(6):
            advance(layer, optimizer, 2)
            averaged.update_parameters(layer)
        ids = torch.tensor([[3, 41, 8]])
        found.append((averaged.state_dict(), averaged(ids, ids > 0), full_rows(averaged.module)))
    (state, vectors, rows), (whole_state, whole_vectors, whole_rows) = found
    assert state.keys() == whole_state.keys()
    for one, other in ((state["module." + KEY], whole_state["module." + KEY]), (vectors, whole_vectors)):
        assert torch.allclose(one, other, rtol=2e-6, atol=0)
    assert torch.equal(rows, state["module." + KEY])
    assert torch.allclose(rows, whole_rows, rtol=2e-6, atol=0)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_a_resumed_training_is_the_undisturbed_one(decay, tmp_path):
    straight, first = active(), active()
    steps(straight, 8, decay)
    optimizer = steps(first, 4, decay)
    torch.save({"model": first.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "last.ckpt")

    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    second = active()
    optimizer = torch.optim.AdamW(second.parameters(), lr=0.1, weight_decay=decay)
    second.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    for step in range(4, 8):
        ids = torch.tensor([[3, 41, 3, PAD], [8, 7, 7, 3]])
        optimizer.zero_grad()
        (second(ids, ids != PAD).cos() * (1 + step)).sum().backward()
        optimizer.step()
    assert torch.equal(second.lookup.weight, straight.lookup.weight)
    if decay:  # rows at rest were rounded once more
        assert torch.allclose(full_rows(second), full_rows(straight), rtol=1e-6, atol=0)
    else:
        assert torch.equal(full_rows(second), full_rows(straight))


def test_bfloat16_autocast():
    whole, part = embedding(project_to=3), embedding(project_to=3)
    activate(part, torch.tensor(USED))
    for layer in (whole, part):
        with torch.autocast("cpu", torch.bfloat16):
            ids = torch.tensor([[3, 41, 8]])
            layer(ids, ids > 0).float().square().sum().backward()
    assert torch.equal(part.lookup.weight.grad, whole.lookup.weight.grad[active_ids(part)])
    assert not part.lookup.witness.grad.any()


def test_gradients_of_gradients():
    layer = active()
    ids = torch.tensor([[3, 41, 8, 3]])
    (first,) = torch.autograd.grad(layer(ids, ids > 0).pow(3).sum(), layer.lookup.weight, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), layer.lookup.weight)
    times = torch.tensor([0.0, 2, 0, 1, 1])[:, None]
    assert torch.allclose(second, 6 * layer.lookup.weight * times)


def test_print_says_how_many_rows_are_active():
    assert re.search(r"ActiveRows\(5 of 64, 5, padding_idx=2\)", repr(active()))


def test_the_parameters_themselves_load_too_as_a_sharded_checkpoint_holds_them():
    trained, fresh = active(), active()
    steps(trained, decay=0.1)
    kept = {f"lookup.{name}": value.detach().clone() for name, value in trained.lookup.named_parameters()}
    assert kept.keys() == {KEY, "lookup.witness"}
    fresh.load_state_dict(kept)
    assert torch.equal(fresh.lookup.witness, trained.lookup.witness)
    assert torch.equal(fresh.state_dict()[KEY], trained.state_dict()[KEY])


def test_parameters_are_those_under_which_all_rows_are_the_given_ones():
    trained, fresh = active(), active()
    steps(trained, decay=0.1)
    weight, witness = fresh.lookup.parameters_of(trained.state_dict()[KEY])
    assert torch.equal(weight, trained.lookup.weight)
    assert torch.allclose(witness, trained.lookup.witness, rtol=1e-5, atol=0)
