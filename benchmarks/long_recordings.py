r"""Long recordings against the utterances they are made of: words, their times, and streaming.

    python -m benchmarks.long_recordings --model runs/mine --manifest data/dev.jsonl
    python -m benchmarks.long_recordings --model runs/mine --manifest data/dev.jsonl \
        --words data/digits.jsonl --decoding beam

Utterances are joined, with the pauses of a reader between them, to recordings of half an hour.
Errors are counted over whole recordings on both sides, since an alignment of half an hour may pair
words that two utterances' own would not. Of streaming, the certain words are scored, and how much
sound follows a word before it is certain.

For the times of words, the silence at both ends of each recording is cut off, and several are
joined with silences of known length: the first word begins and the last one ends where it is known
to. With `--words`, recordings of single words, every word does. The text is given (`asr.align`),
and then not: then the words that were heard rightly are judged.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asr.alignment import align
from asr.audio import SAMPLE_RATE
from asr.cuts import LIVE, RECORDING, CutOptions
from asr.interchange import read_utterances
from asr.manifest import Utterance
from asr.recognizer import Recognizer
from asr.scoring import score
from asr.text import normalise_text
from asr.transcript import Word
from pipelines.choices import add_choices, choices_of
from pipelines.network import load_recognizer
from pipelines.speech import load_speech

Samples = npt.NDArray[np.float32]
Span = tuple[float, float]

READERS_PAUSES_S = (0.2, 1.0)
KNOWN_SILENCES_S = (0.2, 0.8)
BLOCK_S = 0.1
_FRAME_S = 0.01
_AUDIBLE_DB = -35.0
"""Of the loudest 10 ms: what is below this at a recording's ends is silence."""
_AT_ONCE = 32


class Long(NamedTuple):
    """Utterances joined."""

    items: Sequence[Utterance]
    samples: Samples


class Joined(NamedTuple):
    """Recordings joined with known silences."""

    texts: Sequence[str]
    spans: Sequence[Span]
    """Seconds from which to which each of them is heard."""
    samples: Samples


def join(items: Sequence[Utterance], *, seed: int) -> Long:
    """Joins utterances with pauses that sound like their own."""
    rng = np.random.default_rng(seed)
    parts: list[Samples] = []
    for item in items:
        samples = load_speech(item)
        parts += [samples, quiet_like(samples, rng.uniform(*READERS_PAUSES_S), rng)]
    return Long(items, np.concatenate(parts))


def quiet_like(samples: Samples, duration_s: float, rng: np.random.Generator) -> Samples:
    """Returns noise as loud as the quietest tenth of a recording."""
    level = float(np.sqrt(np.quantile(powers(samples), 0.1)))
    noise = rng.normal(0, level, round(duration_s * SAMPLE_RATE))
    return noise.astype(np.float32)


def powers(samples: Samples) -> npt.NDArray[np.float64]:
    """Returns the mean power of every 10 ms, at least one."""
    size = round(_FRAME_S * SAMPLE_RATE)
    padded = np.pad(samples.astype(np.float64), (0, -len(samples) % size))
    return np.asarray(np.square(padded).reshape(-1, size).mean(axis=1))


def trimmed(samples: Samples) -> Samples:
    """Returns a recording from its first audible 10 ms to its last."""
    found = powers(samples)
    audible = np.flatnonzero(found > found.max() * 10 ** (_AUDIBLE_DB / 10))
    size = round(_FRAME_S * SAMPLE_RATE)
    return samples[audible[0] * size : (audible[-1] + 1) * size]


def with_known_silences(
    items: Sequence[Utterance], texts: Mapping[str, str], *, at_once: int, seed: int
) -> Iterator[Joined]:
    """Joins so many recordings at a time with silences whose lengths are known."""
    rng = np.random.default_rng(seed)
    for first in range(0, len(items), at_once):
        group = items[first : first + at_once]
        parts: list[Samples] = []
        spans: list[Span] = []
        num_samples = 0
        for item in group:
            samples = load_speech(item)
            quiet = quiet_like(samples, rng.uniform(*KNOWN_SILENCES_S), rng)
            sound = trimmed(samples)
            start = num_samples + len(quiet)
            num_samples = start + len(sound)
            spans.append((start / SAMPLE_RATE, num_samples / SAMPLE_RATE))
            parts += [quiet, sound]
        parts.append(quiet_like(samples, KNOWN_SILENCES_S[1], rng))
        yield Joined([texts[item.id] for item in group], spans, np.concatenate(parts))


def half_hours(items: Sequence[Utterance], minutes: float) -> Iterator[list[Utterance]]:
    """Yields utterances, in their order, for one recording after another."""
    group: list[Utterance] = []
    pause_s = sum(READERS_PAUSES_S) / 2
    for item in items:
        group.append(item)
        if sum((one.duration_s or 0.0) + pause_s for one in group) >= minutes * 60:
            yield group
            group = []
    if group:
        yield group


def alone(recognizer: Recognizer, items: Sequence[Utterance]) -> dict[str, str]:
    """Returns what is heard in each utterance by itself."""
    found: dict[str, str] = {}
    for first in range(0, len(items), _AT_ONCE):
        group = items[first : first + _AT_ONCE]
        heard = recognizer.transcribe_batch([load_speech(item) for item in group])
        found |= {item.id: one.text for item, one in zip(group, heard, strict=True)}
    return found


def in_long_ones(
    recognizer: Recognizer, recordings: Sequence[Long], cuts: CutOptions
) -> tuple[dict[str, str], float]:
    """Returns what is heard in long recordings, and how many times faster than they last."""
    start_s = time.perf_counter()
    heard = {
        str(number): recognizer.transcribe_blocks([recording.samples], cuts=cuts).text
        for number, recording in enumerate(recordings)
    }
    taken_s = time.perf_counter() - start_s
    audio_s = sum(len(recording.samples) for recording in recordings) / SAMPLE_RATE
    return heard, audio_s / taken_s


def waits_s(recognizer: Recognizer, samples: Samples) -> list[float]:
    """Returns the seconds of sound after each word before a stream is certain of it."""
    size = round(BLOCK_S * SAMPLE_RATE)
    blocks = (samples[at : at + size] for at in range(0, len(samples), size))
    return [
        event.heard_s - word.end_s
        for event in recognizer.stream(blocks, interval_s=float("inf"))
        for word in event.final
    ]


def compare_words(recognizer: Recognizer, recordings: Sequence[Long]) -> None:
    """Prints the word error rates of utterances alone, of long recordings, and of streams."""
    texts = {item.id: item.text or "" for one in recordings for item in one.items}
    heard = alone(recognizer, [item for one in recordings for item in one.items])
    whole = {
        str(number): " ".join(texts[item.id] for item in one.items)
        for number, one in enumerate(recordings)
    }
    joined = {
        str(number): " ".join(heard[item.id] for item in one.items)
        for number, one in enumerate(recordings)
    }
    minutes = sum(len(one.samples) for one in recordings) / SAMPLE_RATE / 60
    print(f"  {len(texts)} utterances in {len(recordings)} recordings, {minutes:.0f} minutes")
    own = score(texts, heard, text=recognizer.text)
    print(f"  WER of each utterance alone           {own.wer:7.2%}")
    wanted = score(whole, joined, text=recognizer.text).wer
    print(f"  the same, counted as one text         {wanted:7.2%}")
    for name, cuts in (("in long recordings", RECORDING), ("streamed", LIVE)):
        found, speed = in_long_ones(recognizer, recordings, cuts)
        wer = score(whole, found, text=recognizer.text).wer
        difference = 100 * (wer - wanted)
        print(f"  {name:37} {wer:7.2%}  {difference:+.2f} points, {speed:.0f}x real time")
    waits = waits_s(recognizer, recordings[-1].samples)
    if waits:
        middle, most = np.quantile(waits, [0.5, 0.95])
        print(
            f"  a streamed word is certain after      {middle:.1f} s of sound (median), "
            f"{most:.1f} s (95 %), {max(waits):.1f} s at most; stated {LIVE.latency_s:.0f} s"
        )


def edges(words: Sequence[Word], joined: Joined) -> Iterator[tuple[float, float]]:
    """Yields how far the known start and end of each recording are missed, in seconds."""
    place = 0
    for text, (start_s, end_s) in zip(joined.texts, joined.spans, strict=True):
        count = len(text.split())
        own = words[place : place + count]
        place += count
        yield own[0].start_s - start_s, own[-1].end_s - end_s


def heard_edges(words: Sequence[Word], joined: Joined) -> Iterator[tuple[float, float]]:
    """Yields the same of the recordings whose first or last word was heard where it is.

    NaN where it was not.
    """
    for text, (start_s, end_s) in zip(joined.texts, joined.spans, strict=True):
        first, *_, last = [text.split()[0], *text.split()]
        inside = [w for w in words if w.end_s > start_s - 0.1 and w.start_s < end_s + 0.1]
        yield (
            inside[0].start_s - start_s if inside and inside[0].text == first else np.nan,
            inside[-1].end_s - end_s if inside and inside[-1].text == last else np.nan,
        )


def compare_times(recognizer: Recognizer, items: Sequence[Utterance], *, at_once: int) -> None:
    """Prints how far word times are off, with the text given and without it."""
    texts = {item.id: normalise_text(item.text or "", recognizer.text) for item in items}
    items = [item for item in items if texts[item.id]]
    given: list[tuple[float, float]] = []
    heard: list[tuple[float, float]] = []
    for joined in with_known_silences(items, texts, at_once=at_once, seed=1):
        found = align(recognizer, joined.samples, " ".join(joined.texts))
        given += edges(found.words, joined)
        heard += heard_edges(recognizer.transcribe(joined.samples).words, joined)
    for name, pairs in (("the text given", given), ("as heard", heard)):
        both = np.array(pairs)
        described = [
            describe(name, side) for name, side in zip(("starts", "ends"), both.T, strict=True)
        ]
        print(f"  {name:15} {describe('edges', both.ravel())}; {'; '.join(described)}")


def describe(name: str, errors: npt.NDArray[np.float64]) -> str:
    """Returns how far they are off, in milliseconds."""
    known = 1000 * np.abs(errors[~np.isnan(errors)])
    if not len(known):
        return f"no {name}"
    middle, most = np.quantile(known, [0.5, 0.9])
    return f"{len(known)} {name} off by {middle:.0f} ms (median), {most:.0f} ms (90 %)"


def main(argv: Sequence[str] = ()) -> None:
    """Measures a model on recordings of one's own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_recordings")
    parser.add_argument("--model", help="a model's name, its folder, or a run's")
    parser.add_argument("--manifest", type=Path, help="utterances with texts and durations")
    parser.add_argument("--words", type=Path, help="recordings of single words with texts")
    parser.add_argument("--minutes", type=float, default=30.0, help="of a recording (default: 30)")
    add_choices(parser)
    arguments = parser.parse_args(argv)
    if not arguments.model or not arguments.manifest:
        print("  needs a model and recordings: python -m benchmarks.long_recordings --help")
        return
    recognizer = load_recognizer(arguments.model, choices=choices_of(arguments))
    items = read_utterances(arguments.manifest)
    groups = half_hours(items, arguments.minutes)
    recordings = [join(group, seed=number) for number, group in enumerate(groups)]
    compare_words(recognizer, recordings)
    print("  times of first and last words, utterances joined by threes with known silences")
    compare_times(recognizer, items, at_once=3)
    if arguments.words:
        print("  times of all words, single ones joined by tens with known silences")
        compare_times(recognizer, read_utterances(arguments.words), at_once=10)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
