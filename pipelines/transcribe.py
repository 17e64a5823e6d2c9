"""`asr transcribe`: recordings in, text out, and no failure passed over in silence."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import AudioError, ManifestError
from pipelines.choices import add_choices, choices_of
from pipelines.usage import UsageError

if TYPE_CHECKING:
    from asr.manifest import Utterance
    from pipelines.recognition import BatchRecognizer, Result

DESCRIPTION = """\
Turns recordings into text. The text goes to the screen, one line a recording,
with the recording in front if there are several (talk.wav: text), or to -o:
  FOLDER        a .txt or .json file for each, named like the recording
                (like its id, if it comes from a manifest)
  NAME.jsonl    one file: a manifest with what was heard as pred_text
  NAME.txt, NAME.json
                one file, for one recording
JSON is in whisper's shape: text, and segments with words, their times, and how
sure each is (0 to 1).

A recording that cannot be transcribed stops nothing: it is listed at the end,
with its reason. In NAME.jsonl it has an empty pred_text, and the reason as
error. Where a manifest has the texts, the word error rate is shown at the end.
The exit code is 0 if every recording was transcribed, 1 if one was not, 2 if
the command made no sense.
"""

EXAMPLES = """\
examples:
  asr transcribe --model runs/mine talk.wav          text to the screen
  asr transcribe --model runs/mine *.flac -o texts   texts/NAME.txt each
  asr transcribe --model runs/mine *.flac -o texts --output-format json
  asr transcribe --model runs/mine test.jsonl -o heard.jsonl
  asr transcribe --model runs/mine talk.wav --hotwords names.txt --lm lm.ngram
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr transcribe`."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="recordings, or one list of them: JSON lines, CSV, a Kaldi folder",
    )
    parser.add_argument("--model", required=True, help="a model's name, its folder, or a run's")
    parser.add_argument("-o", "--output", type=Path, help="where to write; see above")
    parser.add_argument(
        "--output-format", choices=("txt", "json"), default="txt", help="default: txt"
    )
    parser.add_argument("--root", type=Path, help="folder that a list's relative paths start from")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument(
        "--engine",
        choices=("auto", "onnx", "keras"),
        default="auto",
        help="what computes the network (default: auto, which is ONNX Runtime where the model has "
        "been exported by asr export, else Keras)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="processor cores for ONNX Runtime (default: all)",
    )
    parser.add_argument(
        "--n-best",
        type=int,
        default=1,
        metavar="N",
        help="in JSON, the N best texts as alternatives (beam search)",
    )
    parser.add_argument(
        "--character-times", action="store_true", help="in whisper's JSON, times of characters too"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    add_choices(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr transcribe`.

    Returns:
        0 if every recording was transcribed, 1 if one was not.

    Raises:
        UsageError: The arguments contradict each other or what is there.
        AsrError: The manifest or the model cannot be read.
    """
    from pipelines.outputs import make_output

    if arguments.threads is not None and arguments.threads < 1:
        raise UsageError(f"--threads: expected a number from 1 on, received {arguments.threads}")
    choices = choices_of(arguments)
    _check_shown(arguments)
    is_list = _is_list(arguments.inputs)
    utterances = _listed(arguments) if is_list else _recordings(arguments.inputs)
    output = make_output(
        arguments.output,
        arguments.output_format,
        utterances,
        named_by_id=is_list,
        overwrite=arguments.overwrite,
        characters=arguments.character_times,
    )
    from pipelines.network import load_recognizer
    from pipelines.recognition import transcribe

    recognizer = load_recognizer(
        arguments.model, engine=arguments.engine, threads=arguments.threads, choices=choices
    )
    # Text on a terminal is progress enough, and a live line would run into it.
    quiet = arguments.quiet or (arguments.output is None and sys.stdout.isatty())
    heard: list[str] = []
    failures: list[Result] = []
    try:
        with output, closing(transcribe(recognizer, utterances, quiet=quiet)) as results:
            for result in results:
                output.write(result)
                heard.append(result.transcript.text if result.transcript else "")
                if result.transcript is None:
                    failures.append(result)
    finally:
        _say_failures(failures, len(utterances))
    _say_score(utterances, heard, recognizer)
    return 1 if failures else 0


def _check_shown(arguments: argparse.Namespace) -> None:
    """Refuses to work out what the output would not show."""
    suffix = arguments.output.suffix if arguments.output else ""
    is_whisper = suffix == ".json" or (
        suffix not in (".jsonl", ".txt") and arguments.output_format == "json"
    )
    if arguments.character_times and not is_whisper:
        raise UsageError("--character-times: expected --output-format json, or -o NAME.json")
    if arguments.n_best > 1 and not is_whisper and suffix != ".jsonl":
        raise UsageError("--n-best: expected JSON to write them to: --output-format json")


def _is_list(inputs: Sequence[Path]) -> bool:
    """Whether the input is one list of recordings; several, or one among recordings, is refused."""
    from asr.interchange import is_list

    lists = [path for path in inputs if is_list(path)]
    if lists and len(inputs) > 1:
        raise UsageError(f"expected recordings, or one list of them; received {lists[0]} with more")
    return bool(lists)


def _listed(arguments: argparse.Namespace) -> "list[Utterance]":
    from asr.interchange import read_utterances

    (path,) = arguments.inputs
    utterances = read_utterances(path, root=arguments.root)
    if not utterances:
        raise ManifestError(f"{path}: expected at least one recording, received an empty list")
    return utterances


def _recordings(paths: Sequence[Path]) -> "list[Utterance]":
    from asr.manifest import Utterance

    # One that is missing among others is a failure like any; alone, it is most likely mistyped.
    if not any(path.exists() for path in paths):
        raise AudioError(f"no such file: {', '.join(map(str, paths))}")
    return [Utterance(id=str(path), audio=path, duration_s=None) for path in paths]


def _say_failures(failures: "Sequence[Result]", num_recordings: int) -> None:
    from pipelines.outputs import printable

    if not failures:
        return
    count = f"{len(failures)} of {num_recordings}" if num_recordings > 1 else "the recording"
    verb = "were" if len(failures) > 1 else "was"
    print(f"asr: {count} {verb} not transcribed", file=sys.stderr)
    for result in failures:
        name, reason = result.utterance.id, result.failure
        said = reason if reason.startswith(name) else f"{name}: {reason}"
        print(f"  {printable(said)}", file=sys.stderr)


def _say_score(
    utterances: "Sequence[Utterance]", heard: Sequence[str], recognizer: "BatchRecognizer"
) -> None:
    """Shows the word error rate, if every recording has a text."""
    said = {str(n): item.text for n, item in enumerate(utterances) if item.text is not None}
    if len(said) < len(utterances):
        return
    from asr.scoring import score

    found = score(said, dict(zip(said, heard, strict=True)), text=recognizer.text)
    print(f"{found.kaldi_line()} ({found.normalisation})", file=sys.stderr)
