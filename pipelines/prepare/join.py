"""Connected utterances made from short ones: clips of one speaker joined by pauses.

A recognizer trained on single words has never heard where one word ends and the next begins.
Joining, say, three recorded digits of a speaker gives connected digits. It happens within a side
after the split, so no clip is on two sides.
"""

import dataclasses
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr.background import background
from asr.errors import AudioError, OptionsError
from asr.manifest import Utterance
from pipelines.prepare.corpus import Entry, Fault, Side

Samples = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JoinOptions:
    """How clips are joined.

    Attributes:
        count: Clips in one utterance.
        pause_s: Shortest and longest pause between two clips, in seconds; uniform between.
        repeats: How many times each clip is used, each time among other neighbours.
        seed: Decides the neighbours and the pauses.
    """

    count: int
    pause_s: tuple[float, float] = (0.1, 0.5)
    repeats: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        shortest, longest = self.pause_s
        if self.count < 2:
            raise OptionsError(f"expected at least 2 recordings to join, received {self.count}")
        if not 0 <= shortest <= longest <= 60:
            raise OptionsError(
                "expected pauses of 0 to 60 s, the shortest first, "
                f"received {shortest} and {longest}"
            )
        if self.repeats < 1:
            raise OptionsError(f"expected at least one use of each clip, received {self.repeats}")


def plan(
    utterances: Sequence[Utterance], options: JoinOptions, *, side: Side
) -> Iterator[tuple[str, tuple[Utterance, ...]] | Fault]:
    """Yields the name and the clips of each connected utterance.

    Each speaker's clips are shuffled and cut into groups; a last group that is short is filled
    from the beginning. A speaker's plan depends on nobody else's.

    Args:
        utterances: The clips of one side.
        options: How.
        side: Part of the name, so that names are unique in the corpus.
    """
    clips_of: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        clips_of.setdefault(utterance.speaker or "", []).append(utterance)
    for speaker, clips in sorted(clips_of.items()):
        if len(clips) < options.count:
            reason = f"{len(clips)} recordings in {side}, too few to join {options.count}"
            yield Fault(where=f"speaker {speaker or '(unnamed)'}", reason=reason, is_error=False)
            continue
        for number, group in enumerate(_groups(clips, options, _rng(options, side, speaker))):
            yield f"{_safe(speaker)}-{side}-{number:05d}", group


def join_side(
    utterances: Sequence[Utterance],
    options: JoinOptions,
    *,
    side: Side,
    folder: Path,
    advance: Callable[[], object],
) -> Iterator[Entry]:
    """Writes the connected utterances of one side as 16-kHz 16-bit wav files and yields them.

    Args:
        utterances: The clips, with texts.
        options: How.
        side: Which side they are of.
        folder: Where the files go.
        advance: Called after each utterance.
    """
    from asr.audio import SAMPLE_RATE, write_wav

    for planned in plan(utterances, options, side=side):
        if isinstance(planned, Fault):
            yield planned
            continue
        name, clips = planned
        try:
            samples = join([_load(clip) for clip in clips], options, _rng(options, side, name))
        except AudioError as error:
            yield Fault(where=name, reason=str(error))
            continue
        path = folder / f"{name}.wav"
        write_wav(path, samples)
        advance()
        yield Utterance(
            id=name,
            audio=path,
            duration_s=len(samples) / SAMPLE_RATE,
            text=" ".join(clip.text or "" for clip in clips),
            speaker=clips[0].speaker,
            language=clips[0].language,
            extra={"joined": [clip.id for clip in clips]},
        )


def join(clips: Sequence[Samples], options: JoinOptions, rng: np.random.Generator) -> Samples:
    """Returns clips one after the other with pauses between.

    A pause is noise as faint as the quietest tenth of the clip before it, and of its colour: a
    recording does not turn to nothing between words, and the log spectrum of pure zeros is far from
    that of any; nor does one of a telephone's band reach further there than elsewhere.

    Args:
        clips: float32 [num_samples] each, at 16 kHz, in -1..1.
        options: How.
        rng: Decides the pauses.

    Returns:
        float32 [num_samples], 16 kHz, scaled down where a clip exceeds full scale.
    """
    from asr.audio import SAMPLE_RATE

    pieces: list[Samples] = []
    for clip in clips[:-1]:
        num_samples = round(rng.uniform(*options.pause_s) * SAMPLE_RATE)
        pieces += [clip, background(clip, num_samples, rng)]
    joined = np.concatenate([*pieces, clips[-1]])
    peak = float(np.max(np.abs(joined), initial=0.0))
    # Resampling can overshoot full scale by a little, which a 16-bit file cannot hold.
    return (joined / max(peak, 1.0)).astype(np.float32)


def _groups(
    clips: Sequence[Utterance], options: JoinOptions, rng: np.random.Generator
) -> Iterator[tuple[Utterance, ...]]:
    for _ in range(options.repeats):
        order = rng.permutation(len(clips))
        for start in range(0, len(order), options.count):
            places = np.arange(start, start + options.count) % len(order)
            yield tuple(clips[place] for place in order[places])


def _load(clip: Utterance) -> Samples:
    from pipelines.speech import load_speech

    # Without an offset the whole file is meant; a stated duration could cut its last sample.
    return load_speech(clip if clip.offset_s else dataclasses.replace(clip, duration_s=None))


def _rng(options: JoinOptions, *names: str) -> np.random.Generator:
    return np.random.default_rng([options.seed, *(zlib.crc32(name.encode()) for name in names)])


def _safe(speaker: str) -> str:
    """Returns a speaker's name as part of a file name."""
    return re.sub(r"[^\w.-]+", "_", speaker).lstrip(".") or "speaker"
