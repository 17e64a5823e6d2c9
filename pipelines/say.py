"""`asr say`: recordings of given texts by synthetic voices."""

import argparse
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asr.options import require
from pipelines.usage import UsageError, refuse_existing

if TYPE_CHECKING:
    from asr.manifest import Utterance
    from pipelines.synthesis import Voice

DESCRIPTION = """\
Makes recordings of texts by synthetic voices that speak English (espeak-ng, the
extra `demo`): for words that nobody has said into a microphone yet. They teach
how words sound, not how people do: train on them beside real speech, and test
on real speech alone.
"""

EXAMPLES = """\
examples:
  asr say words.txt -o data/said
  asr say words.txt -o data/said --voices 400 --each 5 --trimmed 0.5
"""

MAX_TRACT, MIN_TRACT = 1.25, 0.82
"""Longest and shortest vocal tract, as a multiple of the timbre's own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr say`."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("texts", type=Path, help="a file of texts, one a line")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        required=True,
        help="where the recordings go, and train.jsonl, their manifest",
    )
    parser.add_argument(
        "--voices", type=int, metavar="N", default=100, help="how many; default: %(default)d"
    )
    parser.add_argument(
        "--each", type=int, metavar="N", help="texts that each voice says, drawn; default: all"
    )
    parser.add_argument(
        "--trimmed",
        type=float,
        metavar="SHARE",
        default=0.0,
        help="share of recordings without the silence around the words, 0 to 1; "
        "default: %(default)g",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", default=0, help="decides all chance; default: %(default)d"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace recordings of before")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr say`.

    Returns:
        0.

    Raises:
        UsageError: There is no text, or a manifest is there already.
        OptionsError: A number is out of range.
        MissingExtraError: espeak-ng is not installed.
    """
    from asr.manifest import write_manifest
    from pipelines.synthesis import require_espeak

    texts = _texts(arguments.texts)
    folder: Path = arguments.output
    manifest = folder / "train.jsonl"
    refuse_existing(manifest, overwrite=arguments.overwrite)
    require(0 <= arguments.trimmed <= 1, "a share of 0 to 1 trimmed", arguments.trimmed)
    require_espeak()
    voices = some_voices(arguments.voices, seed=arguments.seed)
    said = _say_all(texts, voices, folder, arguments)
    write_manifest(manifest, said)
    hours = sum(one.duration_s or 0.0 for one in said) / 3600
    print(f"{manifest}: {len(said):,} recordings, {hours:.2f} h, by {len(voices)} voices")
    return 0


def some_voices(count: int, *, seed: int) -> "tuple[Voice, ...]":
    """Returns voices that differ in accent, timbre or both, and in size.

    Args:
        count: How many.
        seed: Decides which; more of them begin with the same.

    Raises:
        OptionsError: There are not so many.
    """
    import numpy as np

    from pipelines.synthesis import ACCENTS, TIMBRES, Voice

    pairs = list(itertools.product(TIMBRES, ACCENTS))
    require(1 <= count <= len(pairs), f"1 to {len(pairs)} voices", count)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pairs))
    tracts = rng.uniform(MIN_TRACT, MAX_TRACT, len(pairs))
    return tuple(
        Voice(
            name=f"{timbre}-{accent}".lower(),
            accent=accent,
            timbre=timbre,
            tract=float(tracts[index]),
        )
        for index in order[:count].tolist()
        for timbre, accent in [pairs[index]]
    )


def _texts(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    texts = [line for line in lines if line]
    if not texts:
        raise UsageError(f"{path}: expected at least one line of text, received an empty file")
    return texts


def _say_all(
    texts: Sequence[str],
    voices: "Sequence[Voice]",
    folder: Path,
    arguments: argparse.Namespace,
) -> "list[Utterance]":
    import numpy as np

    from asr.audio import SAMPLE_RATE, write_wav
    from asr.manifest import Utterance
    from pipelines.progress import Progress
    from pipelines.synthetic_recordings import record, trimmed

    each = len(texts) if arguments.each is None else arguments.each
    require(1 <= each <= len(texts), f"1 to {len(texts)} texts for each voice", each)
    where = re.sub(r"\s", "_", folder.absolute().name)  # several such folders in one training
    audio = folder / "audio"
    audio.mkdir(parents=True, exist_ok=True)
    said = []
    with Progress(
        len(voices) * each, unit="recordings", label="speaking", quiet=arguments.quiet
    ) as progress:
        for number, voice in enumerate(voices):
            rng = np.random.default_rng([arguments.seed, number])
            for index in rng.permutation(len(texts))[:each].tolist():
                samples = record(texts[index], voice, rng=rng)
                if rng.random() < arguments.trimmed:
                    samples = trimmed(samples)
                path = audio / f"{voice.name}-{index + 1:04}.wav"
                write_wav(path, samples)
                said.append(
                    Utterance(
                        id=f"{where}-{path.stem}",
                        audio=path,
                        duration_s=len(samples) / SAMPLE_RATE,
                        text=texts[index],
                        speaker=voice.name,
                        language="en",
                    )
                )
                progress.advance()
    return said
