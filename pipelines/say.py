"""`asr say`: recordings of given texts by synthetic voices."""

import argparse
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from asr.options import require
from pipelines.usage import UsageError, refuse_existing

if TYPE_CHECKING:
    from asr.manifest import Utterance
    from pipelines.progress import Progress
    from pipelines.synthesis import Voice

DESCRIPTION = """\
Makes recordings of texts by synthetic voices that speak English (espeak-ng, the
extra `demo`): for words that nobody has said into a microphone yet. They teach
how words sound, not how people do: train on them beside real speech, and test
on real speech alone.

A line is a text. With a language and a spelling behind it, each behind a tab,
it is said by voices of that language, as people do who have learnt English
late: three<TAB>fr<TAB>sri|tri, where | divides what is drawn from.
"""

EXAMPLES = """\
examples:
  asr say words.txt -o data/said
  asr say words.txt -o data/said --voices 400 --each 5 --trimmed 0.5
  asr say accents.tsv -o data/accents --voices 24 --trimmed 0.5
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
        "--voices",
        type=int,
        metavar="N",
        default=100,
        help="how many, of each language; default: %(default)d",
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

    by_tongue = _lines(arguments.texts)
    folder: Path = arguments.output
    manifest = folder / "train.jsonl"
    refuse_existing(manifest, overwrite=arguments.overwrite)
    require(0 <= arguments.trimmed <= 1, "a share of 0 to 1 trimmed", arguments.trimmed)
    require_espeak()
    voices = {
        tongue: some_voices(arguments.voices, seed=arguments.seed, tongue=tongue)
        for tongue in by_tongue
    }
    said = _say_all(by_tongue, voices, folder, arguments)
    write_manifest(manifest, said)
    hours = sum(one.duration_s or 0.0 for one in said) / 3600
    count = sum(map(len, voices.values()))
    print(f"{manifest}: {len(said):,} recordings, {hours:.2f} h, by {count} voices")
    return 0


def some_voices(count: int, *, seed: int, tongue: str = "") -> "tuple[Voice, ...]":
    """Returns voices that differ in accent, timbre or both, and in size.

    Args:
        count: How many.
        seed: Decides which; more of them begin with the same.
        tongue: The language they speak, one of `pipelines.synthesis.TONGUES`; empty for English.

    Raises:
        OptionsError: There are not so many.
    """
    import numpy as np

    from pipelines.synthesis import ACCENTS, TIMBRES, Voice

    pairs = list(itertools.product(TIMBRES, [tongue] if tongue else ACCENTS))
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


class _Line(NamedTuple):
    """A text, and how voices that say it have it spelt."""

    number: int
    text: str
    spellings: tuple[str, ...]


def _lines(path: Path) -> dict[str, list[_Line]]:
    """Returns the texts by the language of the voices that say them; empty for English."""
    from pipelines.synthesis import TONGUES

    found: dict[str, list[_Line]] = {}
    for place, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        parts = [part.strip() for part in line.split("\t")]
        if parts == [""]:
            continue
        text, tongue, spelt = parts if len(parts) == 3 else (parts[0], "", parts[0])
        if len(parts) not in (1, 3) or (tongue and tongue not in TONGUES) or not text or not spelt:
            raise UsageError(
                f"{path}:{place}: expected a text, or a text, a language ({', '.join(TONGUES)}) "
                f"and a spelling with tabs between, received {line!r}"
            )
        number = sum(map(len, found.values())) + 1
        spellings = tuple(spelt.split("|")) if tongue else (text,)
        found.setdefault(tongue, []).append(_Line(number, text, spellings))
    if not found:
        raise UsageError(f"{path}: expected at least one line of text, received an empty file")
    return found


def _say_all(
    by_tongue: "Mapping[str, Sequence[_Line]]",
    voices: "Mapping[str, Sequence[Voice]]",
    folder: Path,
    arguments: argparse.Namespace,
) -> "list[Utterance]":
    from pipelines.progress import Progress

    fewest = min(map(len, by_tongue.values()))
    if arguments.each is not None:
        require(
            1 <= arguments.each <= fewest, f"1 to {fewest} texts for each voice", arguments.each
        )
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    count = sum(
        len(voices[tongue]) * (arguments.each or len(lines)) for tongue, lines in by_tongue.items()
    )
    with Progress(count, unit="recordings", label="speaking", quiet=arguments.quiet) as progress:
        return [
            said
            for tongue, lines in by_tongue.items()
            for number, voice in enumerate(voices[tongue])
            for said in _say(lines, voice, number, folder, arguments, progress)
        ]


def _say(
    lines: "Sequence[_Line]",
    voice: "Voice",
    number: int,
    folder: Path,
    arguments: argparse.Namespace,
    progress: "Progress",
) -> "Iterator[Utterance]":
    """Yields what one voice says, in an order of its own."""
    import numpy as np

    from asr.audio import SAMPLE_RATE, write_wav
    from asr.manifest import Utterance
    from pipelines.synthetic_recordings import record, trimmed

    rng = np.random.default_rng([arguments.seed, number])
    where = re.sub(r"\s", "_", folder.absolute().name)  # several such folders in one training
    for index in rng.permutation(len(lines))[: arguments.each].tolist():
        line = lines[index]
        spelt = line.spellings[0]
        if len(line.spellings) > 1:
            spelt = line.spellings[int(rng.integers(len(line.spellings)))]
        samples = record(spelt, voice, rng=rng)
        if rng.random() < arguments.trimmed:
            samples = trimmed(samples)
        path = folder / "audio" / f"{voice.name}-{line.number:04}.wav"
        write_wav(path, samples)
        yield Utterance(
            id=f"{where}-{path.stem}",
            audio=path,
            duration_s=len(samples) / SAMPLE_RATE,
            text=line.text,
            speaker=voice.name,
            language="en",
        )
        progress.advance()
