"""The command line, `asr`: one sub-command per program, none imported before it is called for."""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType

import asr
from asr.compiled import when_compiling
from asr.errors import AsrError
from pipelines.installation import check_installation
from pipelines.progress import say
from pipelines.terminal import harmless
from pipelines.usage import UsageError

PROGRAMS = {
    "demo": ("pipelines.demo", "train, transcribe and score on speech it makes itself"),
    "prepare": ("pipelines.prepare", "turn a corpus into manifests"),
    "validate": ("pipelines.validate", "list every problem of a manifest"),
    "train": ("pipelines.train", "train a model from a recipe"),
    "export": ("pipelines.export", "make a trained model fast to transcribe with"),
    "transcribe": ("pipelines.transcribe", "turn recordings into text"),
    "serve": ("pipelines.serve", "answer requests for transcripts over HTTP"),
    "say": ("pipelines.say", "make recordings of texts by synthetic voices"),
    "pronounce": ("pipelines.pronounce", "make a dictionary of how words sound"),
    "align": ("pipelines.align", "say when each word of a known text is said"),
    "cut": ("pipelines.cut", "cut recordings with texts into short utterances"),
    "inspect": ("pipelines.inspection", "draw what a network's gates do during a recording"),
    "evaluate": ("pipelines.evaluate", "score a model or transcripts against references"),
    "compare": ("pipelines.compare", "say which recognizer is better, and whether that is luck"),
    "trend": ("pipelines.trend", "show how the WER moved over a series of reports"),
    "lm": ("pipelines.lm", "make a language model of text"),
    "tune": ("pipelines.tune", "choose how a model decodes, on speech with texts"),
    "models": ("pipelines.installed", "list the models that are installed"),
}

EXAMPLES = """examples:
  asr demo                                    see all of it work, in minutes
  asr prepare folder my-recordings -o data    audio beside .txt → manifests
  asr train my-recipe.toml -o runs/mine       train
  asr transcribe --model runs/mine talk.wav   transcribe
  asr evaluate --model runs/mine data/test.jsonl -o report

`asr COMMAND --help` says more.
"""

COMPILING = "asr: compiling for this machine, ten seconds or so; it is kept for the next time"
"""What is said before the first beam search: it would seem to hang."""

FAILURE = 1
USAGE_ERROR = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The command's arguments; those of the process if left out.

    Returns:
        The exit code: 0 all went well, 1 something failed, 2 the command was not understood.
    """
    # Feature extraction works on all cores already. BLAS threads within it only wait for each
    # other: with another process on the machine, twenty times longer. Read once, by numpy's import.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    argv = list(sys.argv[1:] if argv is None else argv)
    _let_any_name_be_printed()
    when_compiling(lambda: say(COMPILING))
    try:
        check_installation()
        code = _run(argv)
        sys.stdout.flush()  # here, where a reader who has gone can still be met
        return code
    except UsageError as error:
        print(f"asr: {harmless(str(error))}", file=sys.stderr)
        return USAGE_ERROR
    except AsrError as error:
        print(f"asr: {harmless(str(error))}", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        print("asr: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, `head` perhaps, has seen enough; Python would complain once more on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except OSError as error:
        # A disk that is full, a folder that may not be written to: nothing a traceback explains.
        if error.strerror is None:
            raise
        place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        print(f"asr: {harmless(place)}{error.strerror}", file=sys.stderr)
        return FAILURE


def _run(argv: list[str]) -> int:
    parser = parser_for(argv)
    if not argv:
        parser.print_help(sys.stderr)
        return USAGE_ERROR
    arguments = parser.parse_args(argv, argparse.Namespace(argv=argv))
    return int(_import(arguments.command).run(arguments))


def parser_for(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Returns the parser of all commands, with the arguments of the one that is called for."""
    parser = argparse.ArgumentParser(
        prog="asr",
        description="A speech recognizer that people train on their own recordings.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"asr {asr.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((argument for argument in argv if not argument.startswith("-")), None)
    for name, (_, summary) in PROGRAMS.items():
        # Only the program that was asked for is imported, to declare its arguments.
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if name == chosen:
            _import(name).add_arguments(command)
    return parser


def _import(name: str) -> ModuleType:
    return importlib.import_module(PROGRAMS[name][0])


def _let_any_name_be_printed() -> None:
    """Shows what the terminal's encoding lacks as an escape, instead of failing at it."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
