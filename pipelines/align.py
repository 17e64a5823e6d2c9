"""`asr align`: when each word of a known text is said."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import AsrError, ScoringError
from pipelines.usage import UsageError

if TYPE_CHECKING:
    from asr.manifest import Utterance
    from asr.transcript import Transcript

DESCRIPTION = """\
Says when each word of a known text is said in a recording of it, and how sure
the model is of it there. The input is a recording with its text (or a .txt file
that holds it), or a manifest with texts. JSON is in whisper's shape, a line
each; CTM has a line a word: id, channel, start, duration, word, confidence.

What cannot be aligned stops nothing: it is listed at the end with its reason,
and the exit code is 1.
"""

EXAMPLES = """\
examples:
  asr align talk.wav "thank you all for coming" --model runs/mine
  asr align talk.wav talk.txt --model runs/mine --format ctm -o talk.ctm
  asr align data/test.jsonl --model runs/mine --format ctm -o test.ctm
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr align`."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("input", type=Path, help="a recording, or a manifest with texts")
    parser.add_argument("text", nargs="?", help="what is said in the recording, or a .txt file")
    parser.add_argument("--model", required=True, help="a model's name, its folder, or a run's")
    parser.add_argument("--format", choices=("json", "ctm"), default="json", help="default: json")
    parser.add_argument(
        "--character-times", action="store_true", help="in JSON, times of characters too"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write to this file")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.add_argument("--root", type=Path, help="folder that a manifest's paths start from")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr align`.

    Returns:
        0 if every text was aligned, 1 if one was not.

    Raises:
        UsageError: The arguments contradict each other or what is there.
        AsrError: The manifest or the model cannot be read.
    """
    if arguments.output and arguments.output.exists() and not arguments.overwrite:
        raise UsageError(f"{arguments.output} is there already; --overwrite replaces it")
    if arguments.character_times and arguments.format != "json":
        raise UsageError("--character-times: expected --format json")
    utterances = _utterances(arguments)
    from asr.alignment import align
    from asr.files import write_lines
    from pipelines.choices import Choices
    from pipelines.network import load_recognizer
    from pipelines.progress import Progress
    from pipelines.speech import load_speech

    # A text that is known needs no search for it, and no language model.
    recognizer = load_recognizer(arguments.model, choices=Choices(method="greedy"))
    lines: list[str] = []
    failures: list[str] = []
    with Progress(
        len(utterances), unit="recordings", label="aligning", quiet=arguments.quiet
    ) as progress:
        for item in utterances:
            try:
                found = align(recognizer, load_speech(item), item.text or "")
                lines += _lines(item.id, found, arguments)
            except AsrError as error:
                failures.append(f"{item.id}: {error}")
            progress.advance()
    if arguments.output:
        write_lines(arguments.output, lines)
    else:
        print("\n".join(lines))
    for failure in failures:
        print(f"asr: not aligned: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _utterances(arguments: argparse.Namespace) -> "list[Utterance]":
    from asr.interchange import is_list, read_utterances
    from asr.manifest import Utterance

    path: Path = arguments.input
    if arguments.text is None:
        if not is_list(path):
            raise UsageError(f"expected a text after {path}, or a manifest in its place")
        found = read_utterances(path, root=arguments.root)
        if lacking := [item.id for item in found if item.text is None]:
            raise ScoringError(f"expected a text for every utterance; none for {lacking[0]}")
        return found
    text = Path(arguments.text)
    said = text.read_text(encoding="utf-8") if text.suffix == ".txt" else arguments.text
    return [Utterance(id=path.stem, audio=path, duration_s=None, text=said)]


def _lines(key: str, found: "Transcript", arguments: argparse.Namespace) -> Iterator[str]:
    if arguments.format == "json":
        record = found.to_json(characters=arguments.character_times)
        yield json.dumps({"id": key} | record, ensure_ascii=False)
        return
    if len(key.split()) != 1:
        raise ScoringError("expected an id without spaces for CTM")
    for word in found.words:
        times = f"{word.start_s:.3f} {word.end_s - word.start_s:.3f}"
        sure = "NA" if word.probability is None else f"{word.probability:.4f}"
        yield f"{key} 1 {times} {word.text} {sure}"
