"""provenance.json: what somebody else needs to know to run the same thing again."""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lexigraft.runs.folder import RunFolder, read_json

_PACKAGE = Path(__file__).resolve().parents[1]
PACKAGES = (
    "lexigraft", "torch", "pytorch-lightning", "transformers", "tokenizers", "datasets", "torchmetrics",
    "hydra-core", "omegaconf", "numpy", "pyarrow", "safetensors", "jieba", "snownlp", "gensim",
)  # fmt: skip


def manifest(*, seed: int, data: dict[str, Any], source: dict[str, Any], target: dict[str, Any]) -> dict[str, Any]:
    """Versions, code, hardware, command line, seed, and the fingerprints of data, matrix and target vocabulary."""
    return {
        "command": command_line(sys.argv),
        "seed": seed,
        "data": data,
        "source": source,
        "target": target,
        "versions": {"python": platform.python_version(), **_versions()},
        "code": _code(),
        "hardware": _hardware(),
    }


def other_code(folder: RunFolder) -> dict[str, Any] | None:
    """`code` of the record in a run folder, if it is there and names another package than the present one."""
    if not folder.provenance.is_file():
        return None
    code: dict[str, Any] = read_json(folder.provenance)["code"]
    return None if code["package_sha256"] == package_sha256() else code


def command_line(argv: Sequence[str]) -> str:
    """The command as the user would type it again."""
    import shlex

    return shlex.join([Path(argv[0]).name, *argv[1:]])


def _versions() -> dict[str, str]:
    installed = {}
    for package in PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


@cache
def package_sha256() -> str:
    """SHA-256 of the package's source files, as they were when this process first asked."""
    digest = hashlib.sha256()
    for file in sorted(_PACKAGE.rglob("*.py")):
        digest.update(str(file.relative_to(_PACKAGE)).encode() + file.read_bytes())
    return digest.hexdigest()


def _code() -> dict[str, Any]:
    """The package's hash; in a checkout also the commit and the uncommitted changes."""
    package = _PACKAGE
    found: dict[str, Any] = {"package_sha256": package_sha256()}
    if _git(package, "ls-files", "--error-unmatch", str(Path(__file__).resolve())) is not None:
        found["git_commit"] = (_git(package, "rev-parse", "HEAD") or "").strip()
        found["git_diff"] = _git(package, "diff", "HEAD", "--", ":/src", ":/conf", ":/pyproject.toml") or ""
    return found


def _git(folder: Path, *arguments: str) -> str | None:
    """What a git command prints; None without git, without a repository, or when it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            errors="replace",
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _hardware() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
