"""What the commands that take a folder accept on their lines; light, so that mistakes and --help cost no import."""

import argparse


def evaluate(parser: argparse.ArgumentParser) -> None:
    _run_of(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--split", choices=["dev", "test"], default="test", help="of the run's data (test)")
    what.add_argument("--file", help="a labelled file instead: .tsv, .csv, .jsonl, or .conll for tags")


def predict(parser: argparse.ArgumentParser) -> None:
    _run_of(parser)
    texts = "texts, the two of a pair with a tab between; none: those of --file or stdin"
    parser.add_argument("text", metavar="TEXT", nargs="*", help=texts)
    parser.add_argument("--file", help="a file with one text a line")
    parser.add_argument("--batch-size", type=positive, default=256, metavar="N", help="texts at a time (256)")


def study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="with a study.yaml, e.g. experiments/first-graft")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--plan", action="store_true", help="compose and check every cell, print them, start none")
    what.add_argument("--status", action="store_true", help="what is done, running, failed and left")
    what.add_argument("--table", action="store_true", help="the table of what has finished")
    parser.add_argument("--all", action="store_true", help="with --plan: every cell, however many there are")
    parser.add_argument("--jobs", type=positive, metavar="N", help="at once (launch.jobs of the study)")
    words = "for every cell; values of an axis narrow it (seed=0,1)"
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help=words)


def report(parser: argparse.ArgumentParser) -> None:
    _study_of(parser)
    where = "where to write (<output_root>/studies/<name>/report)"
    parser.add_argument("--output", metavar="DIR", help=where)


def reproduce(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the folder of a finished run, e.g. outputs/runs/<id>")
    parser.add_argument("--keep", metavar="FOLDER", help="leave the second run in FOLDER/runs instead of deleting it")


def bundle(parser: argparse.ArgumentParser) -> None:
    _study_of(parser, "; or, with --check, the archive")
    parser.add_argument("--output", metavar="FILE", help="the archive, .zip or .tar.gz (NAME.zip in this folder)")
    parser.add_argument("--partial", action="store_true", help="pack the finished cells, though others are not")
    parser.add_argument("--checkpoints", action="store_true", help="with the weights of each run")
    parser.add_argument("--check", action="store_true", help="check an archive against its list of hashes")


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' should be a whole number of at least 1")
    return int(text)


def _run_of(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run folder, e.g. outputs/runs/<id>")
    parser.add_argument("--task", default="main", metavar="NAME", help="of a run with several: a name of auxiliary=")


def _study_of(parser: argparse.ArgumentParser, more: str = "") -> None:
    parser.add_argument("folder", metavar="FOLDER", help=f"of a study, e.g. experiments/first-graft{more}")
    words = "as they were given to lexigraft study"
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help=words)
