"""What an evaluation found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from asr.confidences import Confidences
from asr.intervals import Interval
from asr.manifest import Utterance
from asr.scoring import Score, UtteranceScore
from asr.text import TextOptions
from pipelines.analysis import Analysis
from pipelines.baseline import Change
from pipelines.machine import Machine, peak_memory_bytes, this_machine, versions
from pipelines.pairing import Missing
from pipelines.suspects import Suspect


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A score with all that a reader needs to trust it.

    Attributes:
        score: The figures.
        analysis: How sure the figures are, where they are worse, and why.
        utterances: The references, by id.
        hypotheses: The transcripts as they came, before normalisation, by id.
        failures: Why a recording could not be transcribed, by id; it counts as an empty transcript.
        source: Where the transcripts come from: a model or a file.
        references: Where the references come from.
        audio_s: Seconds of audio transcribed by this evaluation; 0 for finished transcripts.
        compute_s: Seconds that took, reading the audio included.
        created: When it was made.
        text: The normalisation of both sides.
        model: The model that transcribed; empty for finished transcripts.
        missing: Ids that only one side had, and how they were counted.
        change: What changed since a baseline, if one was given.
        snr_db: Signal-to-noise ratio by id, where it was estimated.
        word_confidences: Of the words of the transcripts as they came, by id.
        confidences: Of the words of the transcripts as they were compared, by id.
        suspects: References that their audio contradicts.
        machine: Where it was made.
        peak_memory_bytes: The most memory that this process held; None where that is not known.
        versions: Of Python and of the libraries the figures depend on.
    """

    score: Score
    analysis: Analysis
    utterances: Mapping[str, Utterance]
    hypotheses: Mapping[str, str]
    failures: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    references: str = ""
    audio_s: float = 0.0
    compute_s: float = 0.0
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    text: TextOptions = field(default_factory=TextOptions)
    model: str = ""
    missing: Missing = field(default_factory=Missing)
    change: Change | None = None
    snr_db: Mapping[str, float | None] = field(default_factory=dict)
    word_confidences: Confidences = field(default_factory=dict)
    confidences: Confidences = field(default_factory=dict)
    suspects: tuple[Suspect, ...] = ()
    machine: Machine = field(default_factory=this_machine)
    peak_memory_bytes: int | None = field(default_factory=peak_memory_bytes)
    versions: Mapping[str, str] = field(default_factory=versions)

    @property
    def real_time_factor(self) -> float | None:
        """Compute ÷ audio; None if nothing was transcribed here."""
        measured = self.audio_s > 0 and self.compute_s > 0
        return self.compute_s / self.audio_s if measured else None

    @property
    def num_wrong(self) -> int:
        """Utterances with at least one wrong word."""
        return sum(row.words.errors > 0 for row in self.score.rows)

    def worst_first(self) -> list[UtteranceScore]:
        """Returns the utterances by falling WER, then by falling number of errors, then by id."""
        return sorted(self.score.rows, key=lambda row: (-row.words.rate, -row.words.errors, row.id))


def percent(rate: float) -> str:
    """Returns a rate as people read it: 0.0595 → `5.95 %`."""
    return f"{100 * rate:.2f} %"


def interval_text(interval: Interval | None) -> str:
    """Returns an interval as people read it, `5.10 to 6.90 %`; empty if there is none."""
    return "" if interval is None else f"{100 * interval.low:.2f} to {percent(interval.high)}"


def speed_text(evaluation: Evaluation) -> str:
    """Returns the real-time factor with its inverse; empty if nothing was transcribed."""
    factor = evaluation.real_time_factor
    return f"real_time_factor {factor:.3g} ({1 / factor:.3g}x real time)" if factor else ""


def confidence_text(evaluation: Evaluation) -> str:
    """Returns how honest the words' confidences are; empty if there are none."""
    found = evaluation.analysis.calibration
    if found is None:
        return ""
    return (
        f"{percent(found.confidence)} on average, {percent(found.correct)} of "
        f"{found.num_words:,} words right; expected calibration error "
        f"{percent(found.expected_calibration_error)} ({found.num_bins} bins)"
    )
