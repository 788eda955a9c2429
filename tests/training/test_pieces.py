import pytest
import torch

from lexigraft.training.pieces import Piece, Pieces, is_mark, joined, rows, taken_apart, write_pieces

WHOLE = torch.arange(14.0).reshape(7, 2)


def content(start, stop):
    """What a rank would save: rows of a matrix, in a list a state of the same form, and what all ranks have."""
    piece = Piece(WHOLE[start:stop], start, (7, 2))
    return {
        "weights": {"matrix": piece},
        "states": [{0: {"step": 3, "average": Piece(-WHOLE[start:stop], start, (7, 2))}}],
    }


@pytest.fixture
def written(tmp_path):
    """The rest, and the files of three ranks, of which the last one has a single row."""
    files = []
    for rank, (start, stop) in enumerate([(0, 3), (3, 6), (6, 7)]):
        rest, pieces = taken_apart(content(start, stop))
        files.append(tmp_path / f"{rank}.ckpt")
        write_pieces(pieces, files[-1])
    return rest, Pieces(tuple(files))


def test_what_was_taken_apart_is_joined_again(written):
    whole = joined(*written)
    assert torch.equal(whole["weights"]["matrix"], WHOLE)
    assert torch.equal(whole["states"][0][0]["average"], -WHOLE)
    assert whole["states"][0][0]["step"] == 3


@pytest.mark.parametrize(("start", "stop"), [(0, 7), (0, 4), (4, 7), (2, 7), (3, 4), (7, 7)])
def test_any_rows_are_read_from_the_files_that_have_them(written, start, stop):
    rest, pieces = written
    assert torch.equal(rows(rest["weights"]["matrix"], pieces, start, stop), WHOLE[start:stop])


def test_rows_of_a_whole_tensor_are_new_memory():
    found = rows(WHOLE, Pieces(()), 2, 4)
    assert torch.equal(found, WHOLE[2:4])
    assert found.untyped_storage().nbytes() == found.nbytes


def test_a_mark_is_told_from_other_containers(written):
    rest, _ = written
    assert is_mark(rest["weights"]["matrix"])
    assert not any(map(is_mark, (rest, rest["weights"], rest["states"], WHOLE, None)))


def test_a_view_is_written_without_the_memory_around_it(tmp_path):
    large = torch.zeros(100_000, 2)
    write_pieces({"few": Piece(large[:3], 0, (3, 2))}, tmp_path / "few.ckpt")
    assert (tmp_path / "few.ckpt").stat().st_size < 5_000
