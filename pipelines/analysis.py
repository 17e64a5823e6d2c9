"""What a score does not say by itself: how sure it is, where it is worse, and why."""

import collections
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr.confidences import Confidences
from asr.errors import ManifestError
from asr.hypotheses import CONFIDENCE_KEY
from asr.interchange import read_utterances
from asr.intervals import Floats, Interval, Statistic, bootstrap, ratio
from asr.lines import decode_line, numbered_lines
from asr.manifest import Utterance
from asr.mistakes import (
    Duplicates,
    Mistakes,
    duplicate_audio,
    duplicate_texts,
    mistakes,
    unknown_characters,
)
from asr.scoring import Score, UtteranceScore
from asr.slices import Slice, duration_label, key_labels, quarters, slice_by, slice_words, snr_label
from asr.text import TextOptions, normalise_text
from asr.vocabulary import Vocabulary
from pipelines.calibration import Accepted, Calibration, acceptance, calibrate
from pipelines.pairing import speakers_of

MAX_SLICES = 200
"""Parts kept of each dimension, the worst first; a corpus may have thousands of speakers."""

_OF_RESULTS = {
    *("pred_text", "reference", "hypothesis", "wer", "cer", "alignment", "failed"),
    *("num_reference", "hits", "substitutions", "deletions", "insertions"),
    *("confidence", CONFIDENCE_KEY),
}
"""Keys of a manifest that say how it was recognised, and so are no property of the speech."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What is known about a score beyond its figures.

    Attributes:
        intervals: Of `wer`, `cer`, `mer`, `wil` and `sentence_error_rate`; None where there is too
            little speech for one.
        slices: By dimension, the parts of each worst first; the dimensions by their worst part.
        mistakes: Errors by word.
        duplicate_texts: References that stand more than once.
        duplicate_audio: Recordings that stand more than once.
        unknown_characters: Characters that the model cannot write, with the ids of the references
            that hold them; empty if the model is not known.
        calibration: Whether the recognizer knows when it is right; None without confidences.
        accepted: What each threshold of confidence would accept, the strictest first.
    """

    intervals: Mapping[str, Interval | None]
    slices: Mapping[str, tuple[Slice, ...]]
    mistakes: Mistakes
    duplicate_texts: tuple[Duplicates, ...]
    duplicate_audio: tuple[Duplicates, ...]
    unknown_characters: Mapping[str, tuple[str, ...]]
    calibration: Calibration | None = None
    accepted: tuple[Accepted, ...] = ()


def analyse(
    score: Score,
    utterances: Mapping[str, Utterance],
    *,
    frequencies: Mapping[str, int] | None = None,
    vocabulary: Vocabulary | None = None,
    snr_db: Mapping[str, float | None] | None = None,
    digests: Mapping[str, bytes] | None = None,
    confidences: Confidences | None = None,
) -> Analysis:
    """Finds intervals, slices and mistakes of a score.

    Args:
        score: The figures.
        utterances: The references, by id.
        frequencies: How often each word stands in the training text, for the slices by vocabulary.
        vocabulary: The model's, for the characters it cannot write.
        snr_db: Signal-to-noise ratios by id, for the slices by it.
        digests: Of recordings by id, for those that stand more than once.
        confidences: Of the words of the compared transcripts, by id.
    """
    speakers = speakers_of(utterances, (row.id for row in score.rows))
    slices = _slices(score.rows, utterances, speakers, snr_db or {})
    if frequencies is not None:
        slices["vocabulary"] = slice_words(score.rows, frequencies, speakers=speakers)
    ranked = sorted(slices.items(), key=lambda item: _worst(item[1]), reverse=True)
    return Analysis(
        intervals=intervals(score, speakers=speakers),
        slices={name: parts[:MAX_SLICES] for name, parts in ranked},
        mistakes=mistakes(score.rows),
        duplicate_texts=tuple(duplicate_texts(score.rows)),
        duplicate_audio=tuple(duplicate_audio(utterances.values(), digests)),
        unknown_characters=unknown_characters(score.rows, vocabulary) if vocabulary else {},
        calibration=calibrate(score.rows, confidences or {}),
        accepted=tuple(acceptance(score.rows, confidences or {})),
    )


def intervals(
    score: Score, *, speakers: Sequence[str | None] | None = None
) -> dict[str, Interval | None]:
    """Returns the 95 % intervals of a score's figures."""
    words = _table(score.rows, "words")
    characters = _table(score.rows, "characters")
    wrong = (words[:, 1:].sum(axis=1) > 0).astype(np.int64)
    errors = words[:, 1:].sum(axis=1)
    num_said = words[:, :3].sum(axis=1)
    tables: dict[str, tuple[list[npt.NDArray[np.int64]], Statistic]] = {
        "wer": ([errors, num_said], ratio),
        "cer": ([characters[:, 1:].sum(axis=1), characters[:, :3].sum(axis=1)], ratio),
        "mer": ([errors, words.sum(axis=1)], ratio),
        "wil": ([words[:, 0], num_said, words.sum(axis=1) - words[:, 2]], _lost),
        "sentence_error_rate": ([wrong, np.ones_like(wrong)], ratio),
    }
    return {
        name: bootstrap(np.stack(columns, axis=1), speakers=speakers, statistic=statistic)
        for name, (columns, statistic) in tables.items()
    }


def wer_interval(score: Score, *, speakers: Sequence[str | None] | None = None) -> Interval | None:
    """Returns the 95 % interval of a score's WER alone."""
    words = _table(score.rows, "words")
    sums = np.stack([words[:, 1:].sum(axis=1), words[:, :3].sum(axis=1)], axis=1)
    return bootstrap(sums, speakers=speakers)


def word_frequencies(path: Path, *, text: TextOptions) -> collections.Counter[str]:
    """Counts the words of a training text, normalised as the references are.

    Args:
        path: A manifest of any kind with texts, or a `.txt` file.
        text: The normalisation.

    Raises:
        ManifestError: It cannot be read, or holds no text.
    """
    frequencies: collections.Counter[str] = collections.Counter()
    for line in _texts(path):
        frequencies.update(normalise_text(line, text).split())
    if not frequencies:
        raise ManifestError(f"{path}: expected a text to count words of, received none")
    return frequencies


def _texts(path: Path) -> Iterator[str]:
    if path.suffix.lower() == ".txt":
        for number, line in numbered_lines(path):
            try:
                yield decode_line(line)
            except ManifestError as error:
                raise ManifestError(f"{path.name}:{number}: {error}") from None
    else:
        yield from (item.text or "" for item in read_utterances(path))


def _slices(
    rows: Sequence[UtteranceScore],
    utterances: Mapping[str, Utterance],
    speakers: Sequence[str | None],
    snr_db: Mapping[str, float | None],
) -> dict[str, tuple[Slice, ...]]:
    """Returns the dimensions that have at least two parts."""
    items = [utterances[row.id] for row in rows]
    labels: dict[str, Sequence[str | None]] = {
        "speaker": speakers,
        "duration": [duration_label(item.duration_s) for item in items],
        "speaking rate": quarters(
            [_characters_per_s(row, item) for row, item in zip(rows, items, strict=True)],
            unit="characters/s",
        ),
        "signal-to-noise ratio": [snr_label(snr_db.get(item.id)) for item in items],
        "language": [item.language for item in items],
    }
    for key in sorted({key for item in items for key in item.extra} - _OF_RESULTS):
        found = key_labels([item.extra.get(key) for item in items])
        if found is not None and key not in labels:
            labels[key] = found
    return {
        name: slice_by(name, rows, values, speakers=speakers)
        for name, values in labels.items()
        if len(set(values) - {None}) > 1
    }


def _characters_per_s(row: UtteranceScore, utterance: Utterance) -> float | None:
    """Speaking rate, pauses included; words differ too much in length between languages."""
    if not utterance.duration_s or not row.reference:
        return None
    return len(row.reference) / utterance.duration_s


def _worst(parts: Sequence[Slice]) -> float:
    return max((part.rate for part in parts if not part.too_small), default=-1.0)


def _table(rows: Sequence[UtteranceScore], unit: str) -> npt.NDArray[np.int64]:
    """Returns hits, substitutions, deletions and insertions, int64 [num_utterances, 4]."""
    counts = [getattr(row, unit) for row in rows]
    return np.array(
        [(one.hits, one.substitutions, one.deletions, one.insertions) for one in counts],
        dtype=np.int64,
    )


def _lost(sums: Floats) -> Floats:
    """Word information lost, of hits, words said and words recognised, [num_resamples, 3]."""
    hits, said, recognised = sums.T
    preserved = hits / np.maximum(said, 1) * (hits / np.maximum(recognised, 1))
    return 1 - np.where((said == 0) & (recognised == 0), 1.0, preserved)
