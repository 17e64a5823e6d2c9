"""`asr models`: the models that can be used by name."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from asr.errors import AsrError
from pipelines.card_table import stated
from pipelines.terminal import harmless

if TYPE_CHECKING:
    from asr.bundle import Bundle

DESCRIPTION = """\
Lists the models that can be used by name, or shows the card of one: what it was
made from, its licence, and how good it is.
"""

EXAMPLES = """\
examples:
  asr models                 a line for each installed model
  asr models runs/mine       the card of one
"""

HEADER = ("name", "language", "size", "dev WER", "licence")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr models`."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", nargs="?", help="show this model's card: a name or a folder")


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr models`.

    Returns:
        0, or 1 if an installed model cannot be opened.

    Raises:
        BundleError: There is no such model.
    """
    from asr.bundle import list_bundles, model_folders, open_bundle

    if arguments.model is not None:
        bundle = open_bundle(arguments.model)
        print(harmless(bundle.card.rstrip()) or f"{bundle.folder} has no card")
        return 0
    rows: list[tuple[str, ...]] = [HEADER]
    faults: list[str] = []
    for folder in list_bundles():
        try:
            rows.append(_row(open_bundle(folder)))
        except AsrError as error:
            faults.append(str(error))
    if len(rows) > 1:
        print(harmless(_table(rows)))
    elif not faults:
        places = "\n".join(f"  {folder}" for folder in model_folders())
        print(f"no models are installed; a model's folder may lie in any of\n{places}")
        print("and any other can be named in full: asr transcribe --model FOLDER")
    for fault in faults:
        print(f"asr: {harmless(fault)}", file=sys.stderr)
    return 1 if faults else 0


def _row(bundle: "Bundle") -> tuple[str, ...]:
    # Of the WER the figure alone: the card says how it was decoded.
    wer = stated(bundle.card, "dev WER").partition("(")[0].strip()
    return (
        bundle.name,
        bundle.text.language,
        f"{bundle.size_bytes / 1e6:.1f} MB",
        wer or "unknown",
        _licence(bundle.card),
    )


def _licence(card: str) -> str:
    """Returns the model's licence or, if its card names none, that of the speech it learnt from."""
    data = stated(card, "data licence", "data license")
    of_data = f"{data} (data)" if data not in ("", "not stated") else "not stated"
    return stated(card, "licence", "license") or of_data


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Returns rows in columns, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, language, size, wer, licence in rows:
        cells = (
            name.ljust(widths[0]),
            language.ljust(widths[1]),
            size.rjust(widths[2]),
            wer.rjust(widths[3]),
            licence,
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
