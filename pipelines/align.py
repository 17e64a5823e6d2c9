"""`asr align`: when each word of a known text is said."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.known_texts import Alignments, add_inputs, utterances_with_texts
from pipelines.usage import UsageError, refuse_existing

if TYPE_CHECKING:
    from asr.manifest import Utterance
    from asr.transcript import Transcript

DESCRIPTION = """\
Says when each word of a known text is said in a recording of it, and how sure
the model is of it there. The input is a recording with its text (or a .txt file
that holds it), or a manifest with texts. JSON is in whisper's shape, a line
each; CTM has a line a word: id, channel, start, duration, word, confidence. A
TextGrid is for Praat; of a manifest -o is a folder of them, named by their ids.

What cannot be aligned stops nothing: it is listed at the end with its reason,
and the exit code is 1.
"""

EXAMPLES = """\
examples:
  asr align talk.wav "thank you all for coming" --model runs/mine
  asr align talk.wav talk.txt --model runs/mine --format ctm -o talk.ctm
  asr align data/test.jsonl --model runs/mine --format ctm -o test.ctm
  asr align data/test.jsonl --model runs/mine --format textgrid -o grids
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr align`."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_inputs(parser)
    parser.add_argument(
        "--format", choices=("json", "ctm", "textgrid"), default="json", help="default: json"
    )
    parser.add_argument(
        "--character-times",
        action="store_true",
        help="times of characters too, in JSON and TextGrids",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="PATH", help="write to this file, or folder"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr align`.

    Returns:
        0 if every text was aligned, 1 if one was not.

    Raises:
        UsageError: The arguments contradict each other or what is there.
        AsrError: The manifest or the model cannot be read.
    """
    if arguments.character_times and arguments.format == "ctm":
        raise UsageError("--character-times: expected --format json or textgrid, received ctm")
    utterances = utterances_with_texts(arguments.input, arguments.text, arguments.root)
    output = _output(arguments, utterances)
    alignments = Alignments(utterances, arguments.model, label="aligning", quiet=arguments.quiet)
    for item, found in alignments:
        output.add(item, found)
    num_found = len(utterances) - len(alignments.failures)
    if num_found:
        output.finish()
    alignments.tell_failures()
    if not num_found:
        print("asr: nothing was aligned, and nothing written", file=sys.stderr)
    return 1 if alignments.failures else 0


class _Lines:
    """Alignments as lines of one text, on the screen or in a file.

    Args:
        form: What an alignment is written as.
        path: The file; None for the screen.
        characters: Characters have their times.
    """

    def __init__(self, form: str, path: Path | None, *, characters: bool) -> None:
        self._form, self._path, self._characters = form, path, characters
        self._lines: list[str] = []

    def add(self, item: "Utterance", found: "Transcript | None") -> None:
        """Takes the next alignment; None where there is none."""
        if found is not None:
            self._lines += _lines(item, found, self._form, characters=self._characters)

    def finish(self) -> None:
        """Writes what was taken."""
        from asr.files import write_lines

        if self._path:
            write_lines(self._path, self._lines)
        else:
            print("\n".join(self._lines))


class _Grids:
    """A TextGrid for each alignment, each there as soon as it is found.

    Args:
        targets: Their files, in the order of the utterances.
        characters: They have a tier of characters.
    """

    def __init__(self, targets: Iterable[Path], *, characters: bool) -> None:
        self._targets, self._characters = iter(targets), characters

    def add(self, _: "Utterance", found: "Transcript | None") -> None:
        """Writes the next alignment's file; None where there is none."""
        from asr.files import write_text
        from asr.textgrid import to_textgrid

        target = next(self._targets)
        if found is None:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, to_textgrid(found, characters=self._characters))

    def finish(self) -> None:
        """All is written."""


def _output(arguments: argparse.Namespace, utterances: "Sequence[Utterance]") -> _Lines | _Grids:
    """Returns where alignments go, and refuses now what would be refused in the end.

    Raises:
        UsageError: A file is there already, or many TextGrids are to be one.
    """
    path: Path | None = arguments.output
    characters: bool = arguments.character_times
    is_folder = arguments.format == "textgrid" and arguments.text is None
    if is_folder and (path is None or path.is_file()):
        raise UsageError("expected -o FOLDER for the TextGrids of a manifest")
    if is_folder and path is not None:
        from pipelines.names import safe_name, unique_names

        names = unique_names((safe_name(one.id), safe_name(one.id)) for one in utterances)
        targets = [path / f"{name}.TextGrid" for name in names]
    else:
        targets = [path] if path else []
    refuse_existing(*targets, overwrite=arguments.overwrite)
    if arguments.format == "textgrid" and path:
        return _Grids(targets, characters=characters)
    return _Lines(arguments.format, path, characters=characters)


def _lines(item: "Utterance", found: "Transcript", form: str, *, characters: bool) -> Iterator[str]:
    if form == "ctm":
        from pipelines.formats import ctm_lines

        yield from ctm_lines(item, found)
    elif form == "textgrid":
        from asr.textgrid import to_textgrid

        yield from to_textgrid(found, characters=characters).splitlines()
    else:
        yield json.dumps({"id": item.id} | found.to_json(characters=characters), ensure_ascii=False)
