"""The command line, `asr`: one sub-command per program, none imported before it is called for."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

import asr
from asr.errors import AsrError
from pipelines.installation import check_installation

PROGRAMS = {
    "demo": ("pipelines.demo", "train, transcribe and score on speech it makes itself"),
    "prepare": ("pipelines.prepare", "turn a corpus into manifests"),
    "validate": ("pipelines.validate", "list every problem of a manifest"),
    "train": ("pipelines.train", "train a model from a recipe"),
    "transcribe": ("pipelines.transcribe", "turn recordings into text"),
    "evaluate": ("pipelines.evaluate", "score a model or transcripts against references"),
    "models": ("pipelines.installed", "list the models that are installed"),
}

EXAMPLES = """examples:
  asr demo                                            see all of it work, in minutes
  asr prepare folder my-recordings -o data            audio beside .txt files → manifests
  asr train my-recipe.toml -o runs/mine               train
  asr transcribe --model runs/mine talk.wav           transcribe
  asr evaluate --model runs/mine data/test.jsonl -o report

`asr COMMAND --help` says more.
"""

USAGE_ERROR = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The command's arguments; those of the process if left out.

    Returns:
        The exit code: 0 all went well, 1 something failed, 2 the command was not understood.
    """
    # Feature extraction works on all cores already. BLAS threads within it only wait for each other:
    # with another process on the machine, twenty times longer. Read once, when numpy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        check_installation()
        arguments, program = _parse(argv)
        return int(program.run(arguments))
    except AsrError as error:
        print(f"asr: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("asr: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, `head` perhaps, has seen enough; Python would complain once more on exit.
        sys.stdout = None
        return 1


def _parse(argv: list[str]) -> tuple[argparse.Namespace, ModuleType]:
    """Parses the arguments; exits with 2 on a usage error, as argparse does."""
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
    arguments = parser.parse_args(argv)
    return arguments, _import(arguments.command)


def _import(name: str) -> ModuleType:
    return importlib.import_module(PROGRAMS[name][0])


if __name__ == "__main__":
    sys.exit(main())
