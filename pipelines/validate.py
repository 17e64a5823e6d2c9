"""`asr validate`: every problem of a manifest at once, before hours are spent on it."""

import argparse
from pathlib import Path

from pipelines.terminal import harmless

DESCRIPTION = """\
Checks a manifest (JSON lines), a Kaldi data directory or a Coqui CSV, lists
every problem with its line number, and says what share of the hours is usable."""

EXAMPLES = """\
examples:
  recordings and texts alone
    asr validate data/mine/train.jsonl
  also that a model's alphabet can write every text, and CTC align it
    asr validate data/mine/test.jsonl --model runs/mine
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `asr validate`, its description and its examples."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("manifest", metavar="MANIFEST", type=Path, help="what to check")
    alphabet = parser.add_mutually_exclusive_group()
    alphabet.add_argument(
        "--model",
        metavar="MODEL",
        help="a model's name or folder: check against its text rules, alphabet and step length",
    )
    alphabet.add_argument(
        "--vocabulary",
        metavar="FILE",
        type=Path,
        help="a vocabulary.json: check that it can write every text as it stands, "
        "and that it fits into the steps of the default front end",
    )
    parser.add_argument(
        "--root", metavar="FOLDER", type=Path, help="where relative audio paths begin"
    )
    parser.add_argument(
        "--no-audio", action="store_true", help="do not open the recordings, believe the durations"
    )


def run(arguments: argparse.Namespace) -> int:
    """Checks a manifest and prints the report.

    Returns:
        0 if there is no problem, else 1.

    Raises:
        AsrError: The manifest as a whole, the model or the vocabulary cannot be read.
    """
    from asr.bundle import open_bundle
    from asr.features import FeatureOptions
    from asr.validation import validate
    from asr.vocabulary import Vocabulary

    vocabulary, features, text = None, None, None
    if arguments.model:
        bundle = open_bundle(arguments.model)
        vocabulary, features, text = bundle.vocabulary, bundle.features, bundle.text
    elif arguments.vocabulary:
        vocabulary, features = Vocabulary.load(arguments.vocabulary), FeatureOptions()
    report = validate(
        arguments.manifest,
        vocabulary=vocabulary,
        features=features,
        text=text,
        root=arguments.root,
        check_audio=not arguments.no_audio,
    )
    print(harmless(report.summary()))
    return 0 if report.ok else 1
