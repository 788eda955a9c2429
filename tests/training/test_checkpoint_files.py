import resource

import pytest
import torch

from lexigraft.training.checkpoint_files import CheckpointFiles, is_whole, on_cpu
from lexigraft.training.pieces import Piece, taken_apart, write_pieces


def checkpoint(number, better=False):
    return {"lexigraft": {"better": better}, "weight": torch.full((1000,), float(number))}


def write(files, *numbers, better=False):
    for number in numbers:
        files.save_checkpoint(checkpoint(number, better), files.folder / "last.ckpt")
    files.wait()


def held(folder):
    """The number in each file."""
    paths = sorted(folder.iterdir())
    return {path.stem: int(torch.load(path, weights_only=True)["weight"][0]) for path in paths}


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("background", [False, True])
def test_the_newest_the_one_before_and_the_best(tmp_path, background):
    files = CheckpointFiles(tmp_path / "made", background)
    with files.written():
        write(files, 1)
        assert held(files.folder) == {"last": 1}
        write(files, 2, better=True)
        write(files, 3, 4)
    assert held(files.folder) == {"best": 2, "last": 4, "previous": 3}
    files.tidy()
    assert held(files.folder) == {"best": 2, "last": 4}


def test_a_thread_writes_what_there_was(tmp_path):
    files, content = CheckpointFiles(tmp_path, background=True), checkpoint(1)
    with files.written():
        files.save_checkpoint(content, tmp_path / "last.ckpt")
        content["weight"].fill_(2)
    assert held(tmp_path) == {"last": 1}


@pytest.mark.parametrize("background", [False, True])
def test_a_write_that_breaks_off_leaves_the_one_before(tmp_path, background):
    files = CheckpointFiles(tmp_path, background)
    write(files, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises((OSError, RuntimeError)):
            write(files, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "last.ckpt.tmp").stat().st_size <= 2000
    again = CheckpointFiles(tmp_path)
    assert again.resumable(pytest.fail) == tmp_path / "last.ckpt"
    write(again, 3)
    assert held(tmp_path) == {"last": 3, "previous": 1}


def test_a_damaged_one_does_not_take_the_place_of_a_whole_one(tmp_path):
    write(CheckpointFiles(tmp_path), 1, 2)
    damage(tmp_path / "last.ckpt")
    said = []
    files = CheckpointFiles(tmp_path)
    assert files.resumable(said.append) == tmp_path / "previous.ckpt"
    assert said == [f"{tmp_path}/last.ckpt is damaged: training goes on from previous.ckpt, the checkpoint before it"]
    write(files, 3)
    assert held(tmp_path) == {"last": 3, "previous": 1}
    write(files, 4)
    assert held(tmp_path) == {"last": 4, "previous": 3}


def test_the_one_before_serves_where_the_newest_is_missing(tmp_path):
    write(CheckpointFiles(tmp_path), 1, 2)
    (tmp_path / "last.ckpt").unlink()
    said = []
    assert CheckpointFiles(tmp_path).resumable(said.append) == tmp_path / "previous.ckpt"
    assert said == [f"{tmp_path}/last.ckpt is missing: training goes on from previous.ckpt, the checkpoint before it"]


def test_what_cannot_be_gone_on_from_is_taken_away_by_the_first_write(tmp_path):
    write(CheckpointFiles(tmp_path), 1, 2, better=True)
    damage(tmp_path / "best.ckpt")  # and with it the newest, which is the same file
    files, said = CheckpointFiles(tmp_path), []
    assert files.resumable(said.append) is None
    assert said == [f"{tmp_path}/best.ckpt is damaged, and the weights in it are nowhere else: training begins anew"]
    write(files, 3)
    assert held(tmp_path) == {"last": 3}


def test_an_empty_folder_is_nothing_to_speak_of(tmp_path):
    assert CheckpointFiles(tmp_path / "missing").resumable(pytest.fail) is None


def test_whole_means_every_bit_of_what_was_saved(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save(checkpoint(1), path)
    assert is_whole(path)
    whole = path.read_bytes()
    damage(path)
    assert torch.load(path, weights_only=True).keys() == checkpoint(1).keys()  # which does not notice
    assert not is_whole(path)
    for content in (whole[:-1], whole[: len(whole) // 2], b"", b"text"):
        path.write_bytes(content)
        assert not is_whole(path)


def test_a_copy_keeps_what_is_shared_and_what_a_state_dict_carries():
    layer = torch.nn.Linear(3, 3)
    state = layer.state_dict()
    content = {"a": state, "again": state["weight"], "list": [1, (torch.zeros(0), "x")]}
    copied = on_cpu(content)
    assert copied["a"]._metadata == state._metadata
    assert type(copied["a"]) is type(state)
    assert copied["again"] is copied["a"]["weight"]
    assert torch.equal(copied["again"], layer.weight)
    with torch.no_grad():
        layer.weight.zero_()
    assert copied["again"].any()
    assert (copied["list"][0], copied["list"][1][1]) == (1, "x")
    assert copied["list"] is not content["list"]


def test_files_elsewhere_are_lightning_s_matter(tmp_path):
    files = CheckpointFiles(tmp_path / "made")
    files.save_checkpoint({"a": 1}, tmp_path / "other.ckpt")
    assert torch.load(tmp_path / "other.ckpt", weights_only=True) == {"a": 1}
    assert not files.folder.exists()


def write_sharded(files, number, better=False):
    """What two ranks do, of which each has a row."""
    folder = files.new_pieces()
    for rank in (0, 1):
        piece = Piece(torch.full((1, 1000), float(number)), rank, (2, 1000))
        rest, pieces = taken_apart({**checkpoint(number, better), "weight": piece})
        write_pieces(pieces, files.piece(folder, rank))
    files.save_checkpoint(rest | {"pieces": {"folder": folder, "ranks": 2}}, files.folder / "last.ckpt")
    return files.folder / "pieces" / folder


def folders(files):
    return sorted(path.name for path in (files.folder / "pieces").iterdir())


def test_pieces_stay_as_long_as_a_checkpoint_names_them(tmp_path):
    files = CheckpointFiles(tmp_path)
    for number in (1, 2, 3, 4):
        write_sharded(files, number, better=number == 2)
    assert folders(files) == ["2", "3", "4"], "best, previous and last"
    assert files.load_checkpoint(tmp_path / "best.ckpt")["weight"].tolist() == [[2.0] * 1000] * 2
    files.tidy()
    assert folders(files) == ["2", "4"]
    files.drop_last()
    assert folders(files) == ["2"]
    write(CheckpointFiles(tmp_path), 5, better=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_pieces_that_no_checkpoint_came_to_name_go_with_the_next_one(tmp_path):
    files = CheckpointFiles(tmp_path)
    write_sharded(files, 1)
    files.new_pieces()
    write_sharded(files, 2)
    assert folders(files) == ["1", "3"]


@pytest.mark.parametrize("harm", [damage, lambda path: path.unlink()])
def test_a_checkpoint_with_a_damaged_piece_is_damaged(tmp_path, harm):
    files = CheckpointFiles(tmp_path)
    write_sharded(files, 1)
    pieces = write_sharded(files, 2)
    assert is_whole(tmp_path / "last.ckpt")
    harm(pieces / "rank_1.ckpt")
    assert not is_whole(tmp_path / "last.ckpt")
    said = []
    again = CheckpointFiles(tmp_path)
    assert again.resumable(said.append) == tmp_path / "previous.ckpt"
    assert said == [f"{tmp_path}/last.ckpt is damaged: training goes on from previous.ckpt, the checkpoint before it"]
    write_sharded(again, 3)
    assert folders(again) == ["1", "3"]
