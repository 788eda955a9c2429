"""The tensors of a checkpoint by name, in one file or in shards, each read alone.

Of safetensors files on a server only the header and the tensors that are read are downloaded; pickles (.bin) cannot be
taken apart and are downloaded whole, as is everything for `Weights.fetch`.
"""

import json
import pickle
import zipfile
from collections.abc import Collection, Iterator, KeysView
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from lexigraft.embeddings.remote import RemoteTensors
from lexigraft.hub import resolve, web_file
from lexigraft.web import Absent
from lexigraft.web_folder import is_address, place

# In the order in which transformers prefers them.
_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass
class Weights:
    """Tensor names of a checkpoint and the file of each; what is on a server is fetched when it is needed.

    `size` is the bytes of all tensors, where the checkpoint's index tells them.
    """

    name: str
    revision: str | None
    folder: Path
    files: dict[str, str]
    size: int | None = None
    _pickles: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)
    _remote: dict[str, RemoteTensors] = field(default_factory=dict)
    _whole: set[str] = field(default_factory=set)

    @property
    def names(self) -> KeysView[str]:
        """Every tensor's name."""
        return self.files.keys()

    def read(self, tensor: str) -> torch.Tensor:
        """The tensor, mapped from its file: its bytes are read when they are used, those of others never."""
        if remote := self._on_server(tensor):
            return remote.read(tensor)
        path = self._file(tensor)
        if path.suffix == ".bin":
            return self._unpickled(path, tensor)
        with _safetensors(path, tensor) as file:
            found: torch.Tensor = file.get_tensor(tensor)
            return found

    def shape(self, tensor: str) -> tuple[int, ...]:
        """The tensor's shape, from the file's header."""
        if remote := self._on_server(tensor):
            return remote.slots[tensor].shape
        path = self._file(tensor)
        if path.suffix == ".bin":
            return tuple(self._unpickled(path, tensor).shape)
        with _safetensors(path, tensor) as file:
            return tuple(file.get_slice(tensor).get_shape())

    def dtype(self, tensor: str) -> torch.dtype:
        """The tensor's type, from the file's header."""
        if remote := self._on_server(tensor):
            return remote.slots[tensor].dtype
        return self.read(tensor).dtype  # mapped, so that no number is read

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all tensors for which nothing needs to be downloaded."""
        return {t: self.shape(t) for t, f in self.files.items() if f in self._remote or (self.folder / f).is_file()}

    @property
    def fetched(self) -> dict[str, int] | None:
        """The `bytes` that the tensors read so far are of a server's files, `of` how many; None if all was local."""
        if not self._remote:
            return None
        opened = sum(remote.file.version.size for remote in self._remote.values())
        return {"bytes": sum(remote.fetched for remote in self._remote.values()), "of": max(self.size or 0, opened)}

    def fetch(self, files: Collection[str]) -> Path:
        """The folder that holds these files, once those that are missing have been downloaded."""
        if is_address(self.name):
            for file in files:
                web = web_file(self.name, self.revision, file)
                assert web is not None
                place(web.whole(), self.folder / file)
        elif not all((self.folder / file).is_file() for file in files):
            self.folder = resolve(self.name, revision=self.revision, files=list(files))
        for file in files:
            if not (self.folder / file).is_file():
                raise FileNotFoundError(f"{self.name} lacks {file}, which its index names: fetch the checkpoint again")
        self._whole.update(files)
        return self.folder

    def _on_server(self, tensor: str) -> RemoteTensors | None:
        """The file with `tensor` on its server; None if it is here, or has to be."""
        file = self.files[tensor]
        if file not in self._remote:
            here = file in self._whole or (not is_address(self.name) and (self.folder / file).is_file())
            web = None if here or not file.endswith(".safetensors") else web_file(self.name, self.revision, file)
            if web is None:
                return None
            self._remote[file] = RemoteTensors(web)
        if tensor not in self._remote[file].slots:
            raise ValueError(_missing(self._remote[file].file.url, tensor))
        return self._remote[file]

    def _file(self, tensor: str) -> Path:
        file = self.files[tensor]
        return (self.folder if file in self._whole else self.fetch([file])) / file

    def _unpickled(self, path: Path, tensor: str) -> torch.Tensor:
        if path.name not in self._pickles:
            self._pickles[path.name] = _pickled(path)
        if tensor not in self._pickles[path.name]:
            raise ValueError(_missing(path, tensor))
        return self._pickles[path.name][tensor]


def open_weights(name: str, revision: str | None, folder: Path) -> Weights:
    """The tensors of the model `name`, whose small files lie in `folder`; `name` may be on the hub or an address.

    `FileNotFoundError` where there are no weights, `ValueError` where the index or the file is damaged.
    """
    for file in _FILES:
        index = folder / f"{file}.index.json"
        if index.is_file():
            files, size = _weight_map(index)
            return Weights(name, revision, folder, files, size)
        if (folder / file).is_file() and not is_address(name):
            return _one_file(name, revision, folder, file)
    if not is_address(name) and Path(name).expanduser().exists():
        inside = ", ".join(sorted(p.name for p in folder.iterdir())[:8])
        raise FileNotFoundError(f"{name} holds none of {', '.join(_FILES)} nor an index of shards (it holds {inside})")
    web = web_file(name, revision, _FILES[0])
    if web is not None:
        try:
            remote = RemoteTensors(web)
            return Weights(name, revision, folder, dict.fromkeys(remote.slots, _FILES[0]), _remote={_FILES[0]: remote})
        except Absent:
            pass  # then the model has pickles
    return _downloaded(name, revision, folder)


def _downloaded(name: str, revision: str | None, folder: Path) -> Weights:
    """The weights in one file that is downloaded whole."""
    reason = FileNotFoundError()
    for file in _FILES:
        try:
            return _one_file(name, revision, Weights(name, revision, folder, {}).fetch([file]), file)
        except FileNotFoundError as error:
            reason = error
    if is_address(name):
        raise FileNotFoundError(f"{name} has none of {', '.join(_FILES)} nor an index of shards: {reason}") from reason
    raise reason


def _weight_map(index: Path) -> tuple[dict[str, str], int | None]:
    """Tensor name -> file, and the bytes of all tensors if the index tells them."""
    content = json_object(index)
    files, about = content.get("weight_map"), content.get("metadata")
    if not isinstance(files, dict):
        raise ValueError(f"{index} is no index of shards: it has no weight_map")
    for file in files.values():
        path = PurePosixPath(file if isinstance(file, str) else "/")
        if path.is_absolute() or ".." in path.parts or path.suffix not in (".safetensors", ".bin"):
            raise ValueError(f"{index} names {file!r}: a .safetensors or .bin file below its own folder is expected")
    size = about.get("total_size") if isinstance(about, dict) else None
    return files, size if isinstance(size, int) else None


def _one_file(name: str, revision: str | None, folder: Path, file: str) -> Weights:
    if file.endswith(".bin"):
        pickled = _pickled(folder / file)
        return Weights(name, revision, folder, dict.fromkeys(pickled, file), _pickles={file: pickled}, _whole={file})
    with _safetensors(folder / file) as opened:
        return Weights(name, revision, folder, dict.fromkeys(opened.keys(), file), _whole={file})


def json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; `ValueError` where it holds something else."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}: an object is expected")
    return content


@contextmanager
def _safetensors(path: Path, tensor: str | None = None) -> Iterator[Any]:
    """The opened file, which must hold `tensor`."""
    try:
        with safe_open(path, framework="pt") as file:
            if tensor is not None and tensor not in file.keys():  # noqa: SIM118 - it is no mapping
                raise ValueError(_missing(path, tensor))
            yield file
    except SafetensorError as error:
        raise ValueError(f"{path} is cut off or no safetensors file ({error}): fetch it again") from error


def _pickled(path: Path) -> dict[str, torch.Tensor]:
    """The state dict of a .bin file; files from before torch 1.6 are no archives and cannot be mapped."""
    try:
        state = torch.load(path, map_location="cpu", mmap=zipfile.is_zipfile(path), weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path} is cut off or no file of tensors ({reason}): fetch it again") from error
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds a {type(state).__name__}: a dictionary of tensors by name is expected")
    return {name: t for name, t in state.items() if isinstance(t, torch.Tensor)}


def _missing(path: Path | str, tensor: str) -> str:
    return f"{path} has no tensor {tensor!r}, though the checkpoint's index says so: fetch the checkpoint again"
