"""`asr models`: the models that can be used by name."""

import argparse
import re

from asr.bundle import Bundle, list_bundles, model_folders, open_bundle
from asr.errors import AsrError

EXAMPLES = """examples:
  asr models                 a line for each installed model
  asr models runs/mine       the card of one
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr models`."""
    parser.epilog = EXAMPLES
    parser.add_argument("model", nargs="?", help="show this model's card: a name or a folder")


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr models`; returns its exit code."""
    if arguments.model is not None:
        bundle = open_bundle(arguments.model)
        print(bundle.card or f"{bundle.folder} has no card")
        return 0
    folders = list(list_bundles())
    if not folders:
        print("no models are installed; a folder with one may lie in any of")
        print("\n".join(f"  {folder}" for folder in model_folders()))
        print("and any other folder can be named in full: asr transcribe --model FOLDER")
        return 0
    broken = 0
    print(f"{'name':<20} {'language':<8} {'size':>9} {'dev WER':>8}")
    for folder in folders:
        try:
            print(describe(open_bundle(folder)))
        except AsrError as error:
            broken += 1
            print(f"{folder.name:<20} cannot be opened: {error}")
    return 1 if broken else 0


def describe(bundle: Bundle) -> str:
    """Returns a model's line: name, language, size and dev WER as its card states it."""
    stated = re.search(r"\| dev WER \| ([\d.]+) %", bundle.card)
    wer = f"{stated.group(1)} %" if stated else "unknown"
    size = f"{bundle.size_bytes / 1e6:.1f} MB"
    return f"{bundle.name:<20} {bundle.text.language:<8} {size:>9} {wer:>8}"
