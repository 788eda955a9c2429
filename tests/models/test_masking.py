import torch

from lexigraft.models.masking import attendable, masked


def test_masked_removes_what_multiplying_would_keep():
    x = torch.tensor([[[1.0], [float("nan")], [float("inf")]]])
    mask = torch.tensor([[1, 0, 0]])
    assert masked(x, mask).flatten().tolist() == [1, 0, 0]
    assert masked(x, mask, -7.0).flatten().tolist() == [1, -7, -7]


def test_only_texts_without_tokens_are_given_a_position():
    mask = torch.tensor([[1, 1, 0], [0, 0, 0], [0, 1, 0]])
    assert attendable(mask).tolist() == [[True, True, False], [True, False, False], [False, True, False]]
