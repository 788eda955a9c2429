"""An installed wheel brings conf/ and the model tiny_zh along and works outside the repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_a_wheel_works_from_another_folder(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(REPOSITORY)], check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    files = {file.relative_to(REPOSITORY / "conf") for file in (REPOSITORY / "conf").rglob("*.yaml")}
    assert {file.relative_to(site / "lexigraft/conf") for file in site.rglob("*.yaml")} == files
    model = {file.name for file in (REPOSITORY / "src/lexigraft/shipped/tiny_zh").iterdir()}
    assert {file.name for file in (site / "lexigraft/shipped/tiny_zh").iterdir()} == model
    assert "model.safetensors" in model

    def run(*code):
        environment = {**os.environ, "PYTHONPATH": str(site)}
        return subprocess.run(
            [sys.executable, *code], cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
        ).stdout

    where = run("-c", "from lexigraft.config.catalog import conf_folder; print(conf_folder())")
    assert Path(where.strip()) == site / "lexigraft/conf"
    assert "epochs: 5" in run("-m", "lexigraft", "train", "--cfg", "job", "-p", "trainer")
    assert list(elsewhere.iterdir()) == []
