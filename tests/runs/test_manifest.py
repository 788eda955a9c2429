import json
import subprocess

from lexigraft.runs import manifest as module
from lexigraft.runs.manifest import command_line, manifest


def test_the_command_can_be_pasted_again():
    assert command_line(["/x/bin/lexigraft", "train", "data.name=a b"]) == "lexigraft train 'data.name=a b'"


def test_manifest_is_plain_and_complete():
    found = manifest(seed=3, data={"name": "d"}, source={"name": "s"}, target={"tokens": 1})
    json.dumps(found, allow_nan=False)
    assert found["seed"] == 3
    assert {"python", "torch", "transformers", "hydra-core"} <= set(found["versions"])
    assert len(found["code"]["package_sha256"]) == 64
    assert found["hardware"]["torch_threads"] >= 1


def test_commit_and_changes_are_recorded_in_a_checkout():
    code = module._code()
    inside = subprocess.run(["git", "-C", module.__file__.rsplit("/", 1)[0], "rev-parse", "HEAD"], capture_output=True)
    assert ("git_commit" in code) == (inside.returncode == 0)
    if inside.returncode == 0:
        assert code["git_commit"] == inside.stdout.decode().strip()


def test_no_git_is_no_error(monkeypatch):
    def missing(*args, **kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert set(module._code()) == {"package_sha256"}
