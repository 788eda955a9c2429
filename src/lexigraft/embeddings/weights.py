"""The tensors of a checkpoint by name, in one file or in shards, each read alone."""

import json
import pickle
import zipfile
from collections.abc import Collection, Iterator, KeysView
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from lexigraft.hub import resolve

# In the order in which transformers prefers them.
_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass
class Weights:
    """Tensor names of a checkpoint and the file of each; files of a hub model are fetched when they are needed."""

    name: str
    revision: str | None
    folder: Path
    files: dict[str, str]
    _pickles: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)

    @property
    def names(self) -> KeysView[str]:
        """Every tensor's name."""
        return self.files.keys()

    def read(self, tensor: str) -> torch.Tensor:
        """The tensor, mapped from its file: its bytes are read when they are used, those of others never."""
        path = self._file(tensor)
        if path.suffix == ".bin":
            return self._unpickled(path, tensor)
        with _safetensors(path, tensor) as file:
            found: torch.Tensor = file.get_tensor(tensor)
            return found

    def shape(self, tensor: str) -> tuple[int, ...]:
        """The tensor's shape, from the file's header."""
        path = self._file(tensor)
        if path.suffix == ".bin":
            return tuple(self._unpickled(path, tensor).shape)
        with _safetensors(path, tensor) as file:
            return tuple(file.get_slice(tensor).get_shape())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all tensors whose files are on this machine."""
        return {t: self.shape(t) for t, file in self.files.items() if (self.folder / file).is_file()}

    def fetch(self, files: Collection[str]) -> Path:
        """The folder that holds these files, once those that are missing have been downloaded."""
        if not all((self.folder / file).is_file() for file in files):
            self.folder = resolve(self.name, revision=self.revision, files=list(files))
        for file in files:
            if not (self.folder / file).is_file():
                raise FileNotFoundError(f"{self.name} lacks {file}, which its index names: fetch the checkpoint again")
        return self.folder

    def _file(self, tensor: str) -> Path:
        file = self.files[tensor]
        return self.fetch([file]) / file

    def _unpickled(self, path: Path, tensor: str) -> torch.Tensor:
        if path.name not in self._pickles:
            self._pickles[path.name] = _pickled(path)
        if tensor not in self._pickles[path.name]:
            raise ValueError(_missing(path, tensor))
        return self._pickles[path.name][tensor]


def open_weights(name: str, revision: str | None, folder: Path) -> Weights:
    """The tensors of the model `name`, whose small files lie in `folder`; a hub model without index is fetched.

    `FileNotFoundError` where there are no weights, `ValueError` where the index or the file is damaged.
    """
    for file in _FILES:
        index = folder / f"{file}.index.json"
        if index.is_file():
            return Weights(name, revision, folder, _weight_map(index))
        if (folder / file).is_file():
            return _one_file(name, revision, folder, file)
    if Path(name).expanduser().exists():
        inside = ", ".join(sorted(p.name for p in folder.iterdir())[:8])
        raise FileNotFoundError(f"{name} holds none of {', '.join(_FILES)} nor an index of shards (it holds {inside})")
    for file in _FILES:
        try:
            return _one_file(name, revision, resolve(name, revision=revision, files=[file]), file)
        except FileNotFoundError as error:
            reason = error
    raise reason


def _weight_map(index: Path) -> dict[str, str]:
    files = json_object(index).get("weight_map")
    if not isinstance(files, dict):
        raise ValueError(f"{index} is no index of shards: it has no weight_map")
    return files


def _one_file(name: str, revision: str | None, folder: Path, file: str) -> Weights:
    if file.endswith(".bin"):
        pickled = _pickled(folder / file)
        return Weights(name, revision, folder, dict.fromkeys(pickled, file), {file: pickled})
    with _safetensors(folder / file) as opened:
        return Weights(name, revision, folder, dict.fromkeys(opened.keys(), file))


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


def _missing(path: Path, tensor: str) -> str:
    return f"{path} has no tensor {tensor!r}, though the checkpoint's index says so: fetch the checkpoint again"
