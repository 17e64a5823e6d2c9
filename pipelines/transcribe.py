"""`asr transcribe`: recordings in, text out, and no failure passed over in silence."""

import argparse
import contextlib
import functools
import itertools
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asr.addresses import is_address, without_scheme
from pipelines.choices import add_choices, choices_of
from pipelines.default_model import DEFAULT_MODEL, open_model
from pipelines.usage import UsageError

if TYPE_CHECKING:
    from asr.bundle import Bundle
    from pipelines.choices import Choices
    from pipelines.engines import Engine
    from pipelines.network import Engine as NetworkEngine
    from pipelines.outputs import Output

DESCRIPTION = """\
Turns recordings into text. What to transcribe may be recordings, folders of
them, quoted patterns ('calls/**/*.wav'), lists (JSON lines, CSV, a Kaldi
folder), or - for one recording on standard input. Inputs and outputs may be
addresses (s3://bucket/calls) of all file systems that fsspec knows.

The text goes to the screen, one line a recording, with the recording in front
if there are several (talk.wav: text), or to
  --output-dir FOLDER   a file for each in every --output-format, named like
                        the recording: calls/monday/1.wav of calls becomes
                        FOLDER/monday/1.txt (a list's are named by their ids)
  -o NAME.jsonl         one file: a manifest with what was heard as pred_text
  -o NAME.txt           one file, for one recording (or .json, .srt, .vtt …)

Formats: txt, json (whisper's shape: segments with words, their times, and how
sure each is), srt, vtt, tsv, ctm, trn, jsonl.

A run that was ended in any way goes on where it stopped when the same command
is given again; what was made of the same audio with the same model and settings
is left as it is. Ctrl-C finishes what is in hand, twice stops at once.

A recording that cannot be transcribed stops nothing: it is listed at the end
with its reason, and in FOLDER/failures.jsonl or in NAME.jsonl as error. Where a
list has the texts, the word error rate is shown at the end. The exit code is 0
if every recording was transcribed, 1 if one was not, 2 if the command made no
sense, 130 if it was interrupted.
"""

EXAMPLES = """\
examples:
  asr transcribe talk.wav                             text to the screen
  asr transcribe calls/ --output-dir out --output-format json,srt
  asr transcribe test.jsonl -o heard.jsonl            a list, and its error rate
  asr transcribe s3://bucket/calls/ --output-dir s3://bucket/texts
  cat talk.wav | asr transcribe -
  find . -name '*.flac' -print0 | asr transcribe --files0-from - -o out
  asr transcribe --model runs/mine talk.wav --hotwords names.txt --lm lm.ngram
"""

# Processes are worth their start from about so many parts on (chunks.py): a quarter of an hour.
_MANY_PARTS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr transcribe`."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_inputs(parser)
    _add_outputs(parser)
    group = parser.add_argument_group("what computes it")
    group.add_argument(
        "--model", help=f"default: {DEFAULT_MODEL}; a model's name, its folder, or a run's"
    )
    group.add_argument(
        "--engine",
        choices=("auto", "onnx", "keras", "ray"),
        default="auto",
        help="what computes the network (default: auto, which is ONNX Runtime where the model has "
        "been exported by asr export, else Keras); ray is auto on the nodes of a Ray cluster",
    )
    group.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="the cluster's, for --engine ray (default: RAY_ADDRESS, else the one running here, "
        "else this machine alone)",
    )
    group.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="processor cores for ONNX Runtime (default: all; on a cluster 1 for each of many)",
    )
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes side by side, 0 for none beside this one (default: one a core where there "
        "is enough to do, on a cluster as many as it has; a recording that ends its process costs "
        "no other)",
    )
    add_choices(parser)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_mutually_exclusive_group(required=True)
    # A default of its own, so that argparse can tell nothing from something.
    inputs.add_argument("inputs", nargs="*", default=[], metavar="INPUT", help="see above")
    inputs.add_argument(
        "--files0-from",
        metavar="FILE",
        help="names of recordings, each ended by NUL; - for standard input",
    )
    parser.add_argument(
        "--root", type=_place, help="folder that a list's relative paths start from"
    )
    parser.add_argument(
        "--channels",
        default="mix",
        metavar="WHICH",
        help="mix (default), left, right, a number from 1 on, or each for all of them apart",
    )


def _place(text: str) -> Path | str:
    return text if is_address(text) else Path(without_scheme(text))


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is written")
    group.add_argument("-o", "--output", type=_place, help="a file, or a folder; see above")
    group.add_argument("--output-dir", type=_place, metavar="FOLDER", help="a folder")
    group.add_argument(
        "--output-format", metavar="A,B…", help="one or several of the above (default: txt)"
    )
    group.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files that are there and were not made of the same audio, by the same model, "
        "with the same settings",
    )
    group.add_argument(
        "--n-best",
        type=int,
        default=1,
        metavar="N",
        help="in JSON, the N best texts as alternatives, of recordings that are not long (beam "
        "search)",
    )
    group.add_argument(
        "--character-times", action="store_true", help="in whisper's JSON, times of characters too"
    )
    group.add_argument(
        "--strict", action="store_true", help="end at the first recording that fails"
    )
    group.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr transcribe`.

    Returns:
        0 if every recording was transcribed, 1 if one was not, 130 if the run was interrupted.

    Raises:
        UsageError: The arguments contradict each other or what is there.
        AsrError: A list or the model cannot be read.
    """
    from pipelines.batch_run import run_batch
    from pipelines.closing_words import hint_at_going_on, say_alternatives, say_result
    from pipelines.destinations import make_output, shown_formats
    from pipelines.fingerprint import fingerprint
    from pipelines.inputs import gather
    from pipelines.outputs import refuse_input
    from pipelines.spool import remove_abandoned

    _check_numbers(arguments)
    choices = choices_of(arguments)
    forms = shown_formats(arguments.output, arguments.output_dir, arguments.output_format)
    _check_shown(arguments, forms)
    if arguments.output is not None:
        refuse_input(arguments.output, arguments.inputs)
    recordings = gather(
        arguments.inputs,
        files0_from=arguments.files0_from,
        root=arguments.root,
        channels=arguments.channels,
    )
    bundle = open_model(arguments.model)
    output = make_output(
        output=arguments.output,
        output_dir=arguments.output_dir,
        forms=forms,
        recordings=recordings,
        settings=functools.partial(
            fingerprint,
            bundle,
            engine=_network_engine(arguments),
            choices=choices,
            characters=arguments.character_times,
        ),
        overwrite=arguments.overwrite,
    )
    # Text on a terminal is progress enough, and a live line would run into it.
    to_screen = not output.goes_on and output.folder is None
    quiet = arguments.quiet or (to_screen and sys.stdout.isatty())
    command = shlex.join(["asr", *getattr(arguments, "argv", [])])
    with contextlib.ExitStack() as stack:
        if any(one.utterance.address for one in recordings):
            stack.callback(remove_abandoned)  # of processes that were killed
        stack.enter_context(output)
        engine = _engine(arguments, choices, bundle, output) if output.is_unfinished else None
        output.begin()
        with hint_at_going_on(output, command):
            tally = run_batch(output, engine, strict=arguments.strict, quiet=quiet)
            output.finish(complete=tally.ending == "complete")
    say_alternatives(tally, arguments.n_best)
    return say_result(output, tally, bundle.text, command=command, quiet=arguments.quiet)


def _check_numbers(arguments: argparse.Namespace) -> None:
    if arguments.threads is not None and arguments.threads < 1:
        raise UsageError(f"--threads: expected a number from 1 on, received {arguments.threads}")
    if arguments.workers is not None and arguments.workers < 0:
        raise UsageError(f"--workers: expected a number from 0 on, received {arguments.workers}")
    if arguments.engine == "ray" and arguments.workers == 0:
        raise UsageError("--workers: expected a number from 1 on with --engine ray, received 0")
    if arguments.engine != "ray" and arguments.ray_address is not None:
        raise UsageError("--ray-address: expected --engine ray with it")


def _check_shown(arguments: argparse.Namespace, forms: Sequence[str]) -> None:
    """Refuses to work out what the output would not show."""
    if arguments.character_times and "json" not in forms:
        raise UsageError("--character-times: expected --output-format json, or -o NAME.json")
    if arguments.n_best > 1 and not {"json", "jsonl"} & set(forms):
        raise UsageError("--n-best: expected JSON to write them to: --output-format json")


def _engine(
    arguments: argparse.Namespace, choices: "Choices", bundle: "Bundle", output: "Output"
) -> "Engine":
    """Returns what hears, opened where it is this process.

    Raises:
        AsrError: The model cannot be opened.
    """
    from asr.cores import available_cores
    from pipelines.engines import Processes, Threads
    from pipelines.hearing import Job
    from pipelines.network import load_recognizer
    from pipelines.ray_engine import RayCluster

    on_cluster = arguments.engine == "ray"
    cores = arguments.threads or available_cores()
    if on_cluster:
        count, threads = 0, arguments.threads or 1
    else:
        count = _num_workers(arguments, bundle, output, cores)
        threads = max(1, cores // count) if count else arguments.threads
    job = Job(
        open=functools.partial(
            load_recognizer,
            bundle.folder.absolute() if on_cluster else arguments.model or DEFAULT_MODEL,
            engine=_network_engine(arguments),
            threads=threads,
            choices=choices,
        ),
        forms=tuple(output.forms),
        characters=arguments.character_times,
        named=output.folder is None and len(output.recordings) > 1,
        folder=output.folder,
        mirrored=output.mirrored,
        stamped=output.goes_on,
    )
    if on_cluster:
        return RayCluster(
            job, address=arguments.ray_address, count=arguments.workers, threads=threads
        )
    return Processes(job, count) if count else Threads(job)


def _network_engine(arguments: argparse.Namespace) -> "NetworkEngine":
    """Returns what computes the network, wherever that is."""
    return "auto" if arguments.engine == "ray" else arguments.engine


def _num_workers(
    arguments: argparse.Namespace, bundle: "Bundle", output: "Output", cores: int
) -> int:
    """Returns how many processes are worth their start; 0 for this one alone."""
    from asr.bundle import NETWORK_FILE
    from pipelines.chunks import chunks
    from pipelines.fingerprint import network_file

    if arguments.workers is not None:
        return int(arguments.workers)
    # Of all recordings, not of those that are left: what is heard side by side, and by how many
    # threads each, is the same when a run goes on.
    num_parts = sum(1 for _ in itertools.islice(chunks(output.recordings), max(cores, _MANY_PARTS)))
    if not output.goes_on and num_parts < _MANY_PARTS:
        return 0
    if network_file(bundle, arguments.engine).name == NETWORK_FILE:
        return 1 if output.goes_on else 0  # Keras fills all cores, and its memory, once
    return min(cores, num_parts)
