"""Completion of `lexigraft <command> <override>`: the command word and flags are ours, overrides are Hydra's."""

import os
from collections.abc import Sequence

from lexigraft.config import hydra_app
from lexigraft.config.compose import extend_conf
from lexigraft.config.errors import ConfigError
from lexigraft.config.flags import FLAGS, Line, split


def query(shell: str, comp_line: str, commands: Sequence[str]) -> None:
    """Print the words that can end `comp_line`, the line as typed up to the cursor."""
    words = comp_line.split()[1:]
    last = words.pop() if words and not comp_line.endswith(" ") else ""
    if not words:
        print("\n".join(command for command in commands if command.startswith(last)))
    elif last.startswith("-"):
        print("\n".join(flag for flag in FLAGS if flag.startswith(last)))
    elif words[0] in ("train", "find-lr", "pretrain", "transplant", "show"):
        _query_hydra(shell, words[0] if words[0] in ("pretrain", "transplant") else "train", words[1:], last)
    # The other commands take files and folders, which the shell completes.


def _query_hydra(shell: str, command: str, words: list[str], last: str) -> None:
    try:
        line = split(words)
        extend_conf(line.config_dirs)
    except ConfigError:
        return  # the line is wrong before the cursor: nothing can be said about what follows
    os.environ["COMP_LINE"] = " ".join(["lexigraft", *line.hydra_arguments(), last])
    hydra_app.run(command, Line(overrides=[f"query={shell}"], flags={"--shell-completion": None}))
