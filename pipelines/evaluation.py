"""What an evaluation found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from asr.manifest import Utterance
from asr.scoring import Score, UtteranceScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A score with all that a reader needs to trust it.

    Attributes:
        score: The figures.
        utterances: The references, by id.
        hypotheses: The transcripts as they came, before normalisation, by id.
        failures: Why a recording could not be transcribed, by id; it counts as an empty transcript.
        source: Where the transcripts come from: a model or a file.
        references: Where the references come from.
        audio_s: Seconds of audio transcribed by this evaluation; 0 for finished transcripts.
        compute_s: Seconds that took, reading the audio included.
        created: When it was made.
    """

    score: Score
    utterances: Mapping[str, Utterance]
    hypotheses: Mapping[str, str]
    failures: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    references: str = ""
    audio_s: float = 0.0
    compute_s: float = 0.0
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

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


def speed_text(evaluation: Evaluation) -> str:
    """Returns the real-time factor with its inverse; empty if nothing was transcribed."""
    factor = evaluation.real_time_factor
    return f"real_time_factor {factor:.3g} ({1 / factor:.3g}x real time)" if factor else ""
