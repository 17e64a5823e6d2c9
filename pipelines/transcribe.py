"""`asr transcribe`: recordings in, text out, and no failure passed over in silence."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE, load_audio
from asr.errors import AsrError, AudioError
from asr.files import write_text
from asr.interchange import read_utterances
from asr.manifest import Utterance, to_json_line
from asr.transcript import Transcript
from pipelines.progress import AUDIO_SECONDS, Progress

EXAMPLES = """examples:
  asr transcribe --model runs/mine talk.wav                 text to the screen
  asr transcribe --model runs/mine *.flac -o texts          texts/NAME.txt each
  asr transcribe --model runs/mine *.flac -o texts --output-format json
  asr transcribe --model runs/mine test.jsonl -o heard.jsonl
                                     the same lines with pred_text
"""

BATCH_S = 120.0
"""Seconds of audio recognised at once: enough to keep the network busy, little to hold."""


class BatchRecognizer(Protocol):
    """The part of `asr.recognizer.Recognizer` this program uses."""

    def transcribe_batch(self, recordings: Sequence[npt.NDArray[np.float32]]) -> list[Transcript]:
        """Transcribes float32 samples [num_samples] at 16 kHz."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one recording: a transcript, or the reason there is none."""

    utterance: Utterance
    transcript: Transcript | None
    failure: str | None = None


def transcribe(
    utterances: Iterable[Utterance], recognizer: BatchRecognizer, *, progress: Progress
) -> Iterator[Result]:
    """Transcribes recordings, holding a few minutes of audio at a time.

    Args:
        utterances: What to transcribe.
        recognizer: With what.
        progress: Advanced by the seconds of audio done.

    Yields:
        One result per utterance, in their order. An unreadable recording gives its reason and
        stops nothing.
    """
    waiting: list[tuple[Utterance, npt.NDArray[np.float32] | AudioError]] = []
    held_s = 0.0
    for utterance in utterances:
        try:
            samples = load_audio(
                utterance.audio, offset_s=utterance.offset_s, duration_s=utterance.duration_s
            )
            waiting.append((utterance, samples))
            held_s += len(samples) / SAMPLE_RATE
        except AudioError as error:
            waiting.append((utterance, error))
        if held_s >= BATCH_S:
            yield from _recognise(waiting, recognizer, progress)
            waiting, held_s = [], 0.0
    yield from _recognise(waiting, recognizer, progress)


def _recognise(
    waiting: Sequence[tuple[Utterance, npt.NDArray[np.float32] | AudioError]],
    recognizer: BatchRecognizer,
    progress: Progress,
) -> Iterator[Result]:
    recordings = [audio for _, audio in waiting if not isinstance(audio, AudioError)]
    transcripts = iter(recognizer.transcribe_batch(recordings) if recordings else [])
    for utterance, audio in waiting:
        if isinstance(audio, AudioError):
            progress.write(f"{utterance.id}: {audio}")
            yield Result(utterance=utterance, transcript=None, failure=str(audio))
        else:
            progress.advance(len(audio) / SAMPLE_RATE)
            yield Result(utterance=utterance, transcript=next(transcripts))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr transcribe`."""
    parser.epilog = EXAMPLES
    parser.add_argument("inputs", nargs="+", type=Path, help="recordings, or one manifest")
    parser.add_argument("--model", required=True, help="a model's name, its folder, or a run's")
    parser.add_argument(
        "-o", "--output", type=Path, help="a folder for texts, or a .jsonl file for a manifest's"
    )
    parser.add_argument(
        "--output-format", choices=("txt", "json"), default="txt", help="default: txt"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr transcribe`; returns 0 if every recording was transcribed, 1 if one was not."""
    utterances = _read_inputs(arguments.inputs)
    targets = _targets(arguments, utterances)
    from pipelines.network import load_recognizer

    recognizer = load_recognizer(arguments.model)
    known = [utterance.duration_s for utterance in utterances]
    total = sum(seconds for seconds in known if seconds) if all(known) else None
    # Text on a terminal is progress enough, and a live line would run into it.
    quiet = arguments.quiet or (arguments.output is None and sys.stdout.isatty())
    with Progress(total, unit=AUDIO_SECONDS, label="transcribing", quiet=quiet) as progress:
        results = []
        for result in transcribe(utterances, recognizer, progress=progress):
            results.append(result)
            if result.transcript is not None:
                _emit(result, targets.get(result.utterance.id), arguments)
    if arguments.output is not None and _is_manifest(arguments.inputs):
        _write_manifest(arguments.output, results)
    failures = [result for result in results if result.failure is not None]
    for result in failures:
        print(f"asr: not transcribed: {result.failure}", file=sys.stderr)
    return 1 if failures else 0


def _is_manifest(inputs: Sequence[Path]) -> bool:
    return len(inputs) == 1 and (inputs[0].suffix in (".jsonl", ".json") or inputs[0].is_dir())


def _read_inputs(inputs: Sequence[Path]) -> list[Utterance]:
    if _is_manifest(inputs):
        return read_utterances(inputs[0])
    return [Utterance(id=str(path), audio=path, duration_s=None) for path in inputs]


def _targets(arguments: argparse.Namespace, utterances: Sequence[Utterance]) -> dict[str, Path]:
    """Names every output file before anything is computed, and refuses clashes.

    Raises:
        AsrError: Two recordings would write one file, or a file is there already.
    """
    if arguments.output is None:
        return {}
    if _is_manifest(arguments.inputs):
        paths = [arguments.output]
        targets: dict[str, Path] = {}
    else:
        suffix = f".{arguments.output_format}"
        targets = {item.id: arguments.output / f"{item.audio.stem}{suffix}" for item in utterances}
        paths = list(targets.values())
        if len(set(paths)) < len(paths):
            twice = next(path for path in paths if paths.count(path) > 1)
            raise AsrError(f"two of the recordings would write {twice}; transcribe them apart")
    existing = [path for path in paths if path.exists()]
    if existing and not arguments.overwrite:
        raise AsrError(f"{existing[0]} is there already; --overwrite replaces it")
    return targets


def _emit(result: Result, target: Path | None, arguments: argparse.Namespace) -> None:
    """Writes one transcript to its file, or to the screen where no output was named."""
    transcript = result.transcript
    if transcript is None:
        return
    as_json = json.dumps(transcript.to_json(), ensure_ascii=False)
    text = as_json if arguments.output_format == "json" else transcript.text
    if target is not None:
        write_text(target, text + "\n")
    elif arguments.output is None:
        print(text, flush=True)


def _write_manifest(path: Path, results: Sequence[Result]) -> None:
    """Writes the manifest's lines with `pred_text`; a failure has `error` and no `pred_text`."""
    lines = []
    for result in results:
        line = json.loads(to_json_line(result.utterance, relative_to=path.parent))
        if result.transcript is not None:
            line["pred_text"] = result.transcript.text
        else:
            line["error"] = result.failure
        lines.append(json.dumps(line, ensure_ascii=False))
    write_text(path, "".join(f"{line}\n" for line in lines))
