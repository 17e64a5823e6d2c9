"""Signal-to-noise ratios of the recordings of a manifest."""

from collections.abc import Sequence

from asr.audio import SAMPLE_RATE
from asr.errors import AudioError
from asr.manifest import Utterance
from asr.snr import estimate_snr_db
from pipelines.progress import Progress
from pipelines.speech import load_speech


def estimate_all_snr_db(
    utterances: Sequence[Utterance], *, quiet: bool = False
) -> dict[str, float | None]:
    """Estimates the ratio of each recording, in decibels by id; None where it cannot be read."""
    found: dict[str, float | None] = {}
    total = len(utterances)
    with Progress(total, unit="files", label="listening for noise", quiet=quiet) as progress:
        for item in utterances:
            found[item.id] = _snr_db(item)
            progress.advance(1)
    return found


def _snr_db(item: Utterance) -> float | None:
    try:
        samples = load_speech(item)
    except AudioError:
        return None  # a recording that cannot be read is reported where it is to be transcribed
    return estimate_snr_db(samples, sample_rate=SAMPLE_RATE)
