"""Error rates of parts of a corpus: where a recognizer is worse than its average.

Each part comes with its interval, the worst part of a dimension first. A part with fewer than
`MIN_WORDS` reference words or `MIN_UTTERANCES` utterances says so and stands after the others: one
error more would move its rate by over a point, and a bootstrap over so few utterances promises too
much. The share of utterances without a label (no speaker named, no duration) is simply left out.
"""

import collections
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from asr.intervals import Interval, bootstrap
from asr.scoring import ErrorCounts, UtteranceScore, add_counts

MIN_WORDS = 100
"""Below, one error more is a point or more of WER."""
MIN_UTTERANCES = 10
"""Below, resampling utterances gives intervals that are too narrow."""
MAX_LABELS = 50
"""A manifest key with more values than this describes utterances, not groups of them."""
RARE = 10
"""A word seen less often than this in training is rare."""

_RESAMPLES = (
    2_000  # of a slice; there may be hundreds, and their ends are read to a tenth of a point
)

DURATIONS_S = (2.0, 5.0, 10.0, 20.0)
"""Seconds at which slices by duration begin."""
SNRS_DB = (5.0, 10.0, 20.0, 30.0)
"""Decibels at which slices by signal-to-noise ratio begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A part of a corpus.

    Attributes:
        dimension: By what the corpus was cut: `speaker`, `duration`, `vocabulary`, `gender` …
        label: Which part this is.
        num_utterances: Utterances in it.
        num_speakers: Named speakers in it.
        words: Its word errors. For `vocabulary`, only the reference words of the part, and no
            insertions, since an inserted word belongs to no reference word.
        interval: Of its rate; None where it is too small.
        note: Why it is too small, else what the interval's note says.
    """

    dimension: str
    label: str
    num_utterances: int
    num_speakers: int
    words: ErrorCounts
    interval: Interval | None
    note: str = ""

    @property
    def rate(self) -> float:
        """Errors ÷ reference words."""
        return self.words.rate

    @property
    def too_small(self) -> bool:
        """Whether its rate means little."""
        return self.words.num_reference < MIN_WORDS or self.num_utterances < MIN_UTTERANCES


@dataclass(frozen=True, slots=True)
class _Part:
    """What an utterance adds to a slice."""

    words: ErrorCounts
    speaker: str | None


def slice_by(
    dimension: str,
    rows: Sequence[UtteranceScore],
    labels: Sequence[str | None],
    *,
    speakers: Sequence[str | None] | None = None,
) -> tuple[Slice, ...]:
    """Cuts a corpus by one label an utterance.

    Args:
        dimension: What the labels say.
        rows: The utterances.
        labels: One for each; None leaves the utterance out.
        speakers: Who speaks, for the intervals; None where it is not known.

    Returns:
        The parts, worst first, those too small last.
    """
    parts: dict[str, list[_Part]] = collections.defaultdict(list)
    names = speakers or [None] * len(rows)
    for row, label, speaker in zip(rows, labels, names, strict=True):
        if label is not None:
            parts[label].append(_Part(row.words, speaker))
    return _slices(dimension, parts)


def slice_words(
    rows: Sequence[UtteranceScore],
    frequencies: Mapping[str, int],
    *,
    speakers: Sequence[str | None] | None = None,
) -> tuple[Slice, ...]:
    """Cuts the reference words of a corpus by how often training has shown them.

    Args:
        rows: The utterances.
        frequencies: How often each word stands in the training text, normalised like the
            references; from a mere word list, `RARE` each.
        speakers: Who speaks, for the intervals.

    Returns:
        `out of vocabulary` (never seen), `rare` (below `RARE`) and `frequent`, worst first.
    """
    parts: dict[str, list[_Part]] = collections.defaultdict(list)
    names = speakers or [None] * len(rows)
    for row, speaker in zip(rows, names, strict=True):
        found: dict[str, list[int]] = {}
        for word, kind in _fates(row):
            seen = frequencies.get(word, 0)
            label = "frequent" if seen >= RARE else "rare" if seen else "out of vocabulary"
            counts = found.setdefault(label, [0, 0, 0])
            counts[("equal", "substitute", "delete").index(kind)] += 1
        for label, (hits, substitutions, deletions) in found.items():
            words = ErrorCounts(
                hits=hits, substitutions=substitutions, deletions=deletions, insertions=0
            )
            parts[label].append(_Part(words, speaker))
    return _slices("vocabulary", parts)


def duration_label(duration_s: float | None) -> str | None:
    """Returns the slice of a duration in seconds, such as `2 to 5 s`."""
    return None if duration_s is None else _between(duration_s, DURATIONS_S, "s")


def snr_label(snr_db: float | None) -> str | None:
    """Returns the slice of a signal-to-noise ratio in decibels, such as `10 to 20 dB`."""
    return None if snr_db is None else _between(snr_db, SNRS_DB, "dB")


def quarters(values: Sequence[float | None], *, unit: str) -> list[str | None]:
    """Returns for each value its quarter of them all, such as `3rd quarter (12.1 to 14.8 cps)`.

    Equal values share a quarter.
    """
    known = sorted(value for value in values if value is not None)
    if not known:
        return [None] * len(values)
    ends = [known[min(len(known) - 1, math.ceil(len(known) * n / 4) - 1)] for n in range(1, 5)]
    starts = [known[0], *ends]
    names = ("lowest", "2nd", "3rd", "highest")
    labels = [
        f"{names[n]} quarter ({starts[n]:.3g} to {ends[n]:.3g} {unit})".replace(" )", ")")
        for n in range(4)
    ]
    return [
        None if value is None else labels[next(n for n in range(4) if value <= ends[n])]
        for value in values
    ]


def key_labels(values: Sequence[object]) -> list[str | None] | None:
    """Returns the labels of a manifest key's values, or None if they make no groups.

    Few distinct texts, whole numbers or truth values are labels as they are; many numbers are cut
    in quarters; texts that are nearly all different, lists and the like make no groups.
    """
    present = [value for value in values if value is not None and value != ""]
    if not all(isinstance(value, str | int | float | bool) for value in present):
        return None
    distinct = len({str(value) for value in present})
    if 2 <= distinct <= min(MAX_LABELS, max(2, len(present) // 2)):
        return [None if value is None or value == "" else str(value) for value in values]
    numbers = [value for value in present if isinstance(value, int | float)]
    if distinct > MAX_LABELS and len(numbers) == len(present):
        return quarters(
            [float(value) if isinstance(value, int | float) else None for value in values], unit=""
        )
    return None


def _between(value: float, starts: Sequence[float], unit: str) -> str:
    above = [start for start in starts if value >= start]
    below = [start for start in starts if value < start]
    if not above:
        return f"under {starts[0]:g} {unit}"
    return f"{above[-1]:g} to {below[0]:g} {unit}" if below else f"{above[-1]:g} {unit} and more"


def _fates(row: UtteranceScore) -> Iterator[tuple[str, str]]:
    """Yields each reference word with what became of it."""
    for chunk in row.alignment:
        for word in chunk.reference:
            yield word, chunk.kind


def _slices(dimension: str, parts: Mapping[str, Sequence[_Part]]) -> tuple[Slice, ...]:
    slices = [_slice(dimension, label, members) for label, members in parts.items()]
    return tuple(sorted(slices, key=lambda part: (part.too_small, -part.rate, part.label)))


def _slice(dimension: str, label: str, parts: Sequence[_Part]) -> Slice:
    words = add_counts(part.words for part in parts)
    num_speakers = len({part.speaker for part in parts if part.speaker is not None})
    found = Slice(
        dimension=dimension,
        label=label,
        num_utterances=len(parts),
        num_speakers=num_speakers,
        words=words,
        interval=None,
        note=f"too small: fewer than {MIN_WORDS} words or {MIN_UTTERANCES} utterances",
    )
    if found.too_small:
        return found
    interval = bootstrap(
        [(part.words.errors, part.words.num_reference) for part in parts],
        # Of a slice that is one speaker, the note would only repeat the label.
        speakers=[part.speaker for part in parts] if num_speakers > 1 else None,
        num_resamples=_RESAMPLES,
    )
    return Slice(
        dimension=dimension,
        label=label,
        num_utterances=found.num_utterances,
        num_speakers=num_speakers,
        words=words,
        interval=interval,
        note=interval.note if interval else "",
    )
