"""`asr cut`: short utterances out of long recordings with known texts."""

import argparse
import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path

from asr.manifest import Utterance, write_manifest
from asr.pieces import Piece, PieceOptions, cut
from pipelines.known_texts import Alignments, add_inputs, utterances_with_texts
from pipelines.usage import UsageError, refuse_existing

DESCRIPTION = """\
Cuts recordings whose texts are known into short utterances to train on. A model
finds where each word is said; the cuts go through the widest pauses, and what
the model does not find in the recording is left out. The output is a manifest
with offsets into the recordings, which stay as they are.

With --words, stretches of so many words are drawn at random instead: short
utterances for a model that is to hear single words, out of read sentences.
"""

EXAMPLES = """\
examples:
  asr cut lecture.wav lecture.txt --model en-read -o data/lecture.jsonl
  asr cut chapters.jsonl --model en-read --longest 10 -o data/train.jsonl
  asr cut data/train.jsonl --model en-read --words 1,3 --count 2 \\
      --every zero,one,two -o data/pieces.jsonl
"""

_DEFAULTS = PieceOptions()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr cut`."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_inputs(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", required=True, help="the manifest to write"
    )
    parser.add_argument(
        "--longest",
        type=float,
        metavar="S",
        default=_DEFAULTS.longest_s,
        help="seconds of an utterance at most; default: %(default)g",
    )
    parser.add_argument(
        "--words",
        type=_two_numbers,
        metavar="N,M",
        help="draw stretches of N to M words instead of cutting at pauses",
    )
    parser.add_argument(
        "--count",
        type=int,
        metavar="N",
        help=f"stretches drawn of each recording; default: {_DEFAULTS.count}",
    )
    parser.add_argument(
        "--every",
        metavar="A,B",
        help="with --words: take these words singly too, wherever they are said",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help=f"decides what is drawn; default: {_DEFAULTS.seed}"
    )
    parser.add_argument(
        "--margin",
        type=float,
        metavar="S",
        default=_DEFAULTS.margin_s,
        help="seconds of the pauses around an utterance that stay with it at most; "
        "default: %(default)g",
    )
    parser.add_argument(
        "--min-probability",
        type=float,
        metavar="P",
        default=_DEFAULTS.min_probability,
        help="leave out what the model is less sure to hear; default: %(default)g",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr cut`.

    Returns:
        0 if every recording could be aligned with its text, 1 if one could not.

    Raises:
        UsageError: The arguments contradict each other or what is there.
        AsrError: The manifest or the model cannot be read.
    """
    options = _options(arguments)
    output: Path = arguments.output
    refuse_existing(output, overwrite=arguments.overwrite)
    utterances = utterances_with_texts(arguments.input, arguments.text, arguments.root)
    alignments = Alignments(utterances, arguments.model, label="cutting", quiet=arguments.quiet)
    pieces, num_left_out = _cut_all(alignments, options)
    alignments.tell_failures()
    if not pieces:
        print("asr: nothing could be cut, and nothing is written", file=sys.stderr)
        return 1
    output.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(output, pieces)
    hours = sum(piece.duration_s or 0.0 for piece in pieces) / 3600
    print(
        f"{output}: {len(pieces):,} utterances, {hours:.2f} h, of {len(utterances):,} recordings; "
        f"{num_left_out:,} left out as too short or too unsure"
    )
    return 1 if alignments.failures else 0


def _cut_all(alignments: Alignments, options: PieceOptions) -> tuple[list[Utterance], int]:
    """Returns the pieces of all recordings, and how many were left out."""
    import numpy as np

    pieces: list[Utterance] = []
    num_left_out = 0
    for number, (item, said) in enumerate(alignments):
        if said is None:
            continue
        rng = np.random.default_rng([options.seed, number])
        found, left_out = cut(said.words, said.duration_s, options, rng=rng)
        pieces += _utterances(item, found)
        num_left_out += left_out
    return pieces, num_left_out


def _utterances(item: Utterance, pieces: Iterable[Piece]) -> list[Utterance]:
    return [
        dataclasses.replace(
            item,
            # The numbers of its first word and its last, from 1.
            id=f"{item.id}-{piece.first + 1}-{piece.end}",
            text=piece.text,
            offset_s=round(item.offset_s + piece.start_s, 3),
            duration_s=round(piece.duration_s, 3),
        )
        for piece in pieces
    ]


def _options(arguments: argparse.Namespace) -> PieceOptions:
    chosen = {
        "count": arguments.count,
        "every": arguments.every and tuple(arguments.every.split(",")),
        "seed": arguments.seed,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    if given and arguments.words is None:
        raise UsageError(f"--{next(iter(given))} goes with --words")
    return PieceOptions(
        longest_s=arguments.longest,
        num_words=arguments.words,
        margin_s=arguments.margin,
        min_probability=arguments.min_probability,
        **given,
    )


def _two_numbers(text: str) -> tuple[int, int]:
    try:
        fewest, most = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected N,M as in 1,3, received {text!r}") from None
    return fewest, most
