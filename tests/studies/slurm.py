"""A stand-in for SLURM on one machine: sbatch with arrays, srun, sacct, scancel and scontrol requeue."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = ("sbatch", "srun", "sacct", "scancel", "scontrol")


def install(folder):
    """Write the commands into a folder and return it."""
    folder.mkdir()
    for name in COMMANDS:
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {folder} {name} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def scripts(folder):
    """What was given to sbatch, in order."""
    return [path.read_text() for path in sorted(folder.glob("script-*"))]


def most_at_once(folder):
    """How many tasks ran at a time, at most."""
    return max(map(int, (folder / "running.txt").read_text().split()))


def end(folder, pid, state):
    """The cluster kills the task of which `pid` is the process, and says why by `state`."""
    [task] = [path for path in folder.glob("task-*") if json.loads(path.read_text())["group"] == os.getpgid(pid)]
    _note(task, state=state)
    os.killpg(os.getpgid(pid), signal.SIGKILL)


def _note(task, **what):
    known = json.loads(task.read_text()) if task.exists() else {}
    new = task.with_name(f"new-{task.name}")
    new.write_text(json.dumps(known | what))
    new.rename(task)


def _sbatch(folder, script):
    job = str(time.time_ns())  # submitit remembers the states of jobs by their numbers
    text = Path(script).read_text()
    (folder / f"script-{job}").write_text(text)
    array = re.search(r"--array=0-(\d+)%(\d+)", text)
    names = [job] if array is None else [f"{job}_{i}" for i in range(int(array[1]) + 1)]
    for name in names:
        _note(folder / f"task-{name}", state="PENDING", group=0)
    daemon = [sys.executable, __file__, folder, "_run", job, *(array[2] if array else "1",), *names]
    # Sbatch has ended when nobody holds its output.
    nowhere = subprocess.DEVNULL
    subprocess.Popen(list(map(str, daemon)), start_new_session=True, stdout=nowhere, stderr=nowhere)
    print(f"Submitted batch job {job}")


def _run(folder, job, at_once, *names):
    """The daemon of one submission."""
    waiting, running = list(names), {}
    while waiting or running:
        while waiting and len(running) < int(at_once):
            name = waiting.pop(0)
            index = {"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": name.partition("_")[2]} if "_" in name else {}
            variables = {"SLURM_JOB_ID": job, "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_PROCID": "0"}
            env = {**os.environ, **variables, **index}
            script = ["/bin/bash", str(folder / f"script-{job}")]
            running[name] = subprocess.Popen(script, env=env, start_new_session=True)
            _note(folder / f"task-{name}", state="RUNNING", group=running[name].pid)
            with open(folder / "running.txt", "a") as file:
                file.write(f"{len(running)}\n")
        time.sleep(0.02)
        for name, process in list(running.items()):
            if process.poll() is not None:
                del running[name]
                state = json.loads((folder / f"task-{name}").read_text())["state"]
                if state == "REQUEUED":
                    waiting.append(name)
                elif state == "RUNNING":
                    _note(folder / f"task-{name}", state="COMPLETED" if process.returncode == 0 else "FAILED")


def _srun(folder, *words):
    job, words = os.environ["SLURM_JOB_ID"], list(words)
    files = {}
    while words[0].startswith("-"):
        option = words.pop(0)
        if option in ("--output", "--error"):
            files[option] = words.pop(0).replace("%j", job).replace("%A", job).replace("%t", "0")
            files[option] = files[option].replace("%a", os.environ.get("SLURM_ARRAY_TASK_ID", ""))
    with open(files["--output"], "a") as out, open(files["--error"], "a") as error:
        sys.exit(subprocess.run(words, stdout=out, stderr=error).returncode)


def _sacct(folder, *words):
    print("JobID|State|NodeList")
    for task in folder.glob("task-*"):
        print(f"{task.name.removeprefix('task-')}|{json.loads(task.read_text())['state']}|here")


def _scancel(folder, name):
    task = folder / f"task-{name}"
    known = json.loads(task.read_text())
    _note(task, state="CANCELLED by 0")
    if known["group"]:
        os.killpg(known["group"], signal.SIGTERM)


def _scontrol(folder, requeue, name):
    assert requeue == "requeue", shlex.join([requeue, name])
    _note(folder / f"task-{name}", state="REQUEUED")


if __name__ == "__main__":
    _, place, command, *rest = sys.argv
    globals()[command if command.startswith("_") else f"_{command}"](Path(place), *rest)
