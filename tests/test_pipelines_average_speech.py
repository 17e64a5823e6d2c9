"""The prior of normalisation, measured over the training speech."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.errors import TrainingError
from asr.features import FeatureOptions, frame_features
from asr.manifest import Utterance
from pipelines import average_speech
from pipelines.average_speech import with_average_speech
from pipelines.speech import load_speech

OPTIONS = FeatureOptions(n_mfcc=5, deltas=1, prior_frames=50.0)


@pytest.fixture
def speech(tmp_path: Path, rng: np.random.Generator) -> list[Utterance]:
    found = []
    for number in range(7):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, rng.normal(0, 0.01 + 0.02 * number, 4_000 + 900 * number), 16_000)
        found.append(Utterance(audio=path, id=str(number), duration_s=None, text="a"))
    return found


def test_it_is_the_mean_and_deviation_of_all_frames(speech: list[Utterance]) -> None:
    found = with_average_speech(OPTIONS, speech, quiet=True)
    plain = replace(OPTIONS, normalise="none", prior_frames=0.0)
    frames = np.concatenate([frame_features(load_speech(item), plain) for item in speech])
    np.testing.assert_allclose(found.prior_mean, frames.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(found.prior_deviation, frames.std(axis=0), atol=1e-3)
    assert replace(found, prior_mean=(), prior_deviation=()) == OPTIONS


def test_of_much_speech_a_part_spread_evenly_is_enough(
    speech: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(average_speech, "MOST_UTTERANCES", 4)
    found = with_average_speech(OPTIONS, speech, quiet=True)
    assert found == with_average_speech(OPTIONS, speech[::2], quiet=True)


def test_what_is_known_or_not_asked_for_is_left(speech: list[Utterance]) -> None:
    measured = with_average_speech(OPTIONS, speech, quiet=True)
    assert with_average_speech(measured, speech[:1], quiet=True) == measured
    without = replace(OPTIONS, prior_frames=0.0)
    assert with_average_speech(without, speech, quiet=True) == without


def test_recordings_that_cannot_be_read_do_not_count(
    speech: list[Utterance], tmp_path: Path
) -> None:
    missing = Utterance(audio=tmp_path / "missing.wav", id="missing", duration_s=None, text="a")
    found = with_average_speech(OPTIONS, [missing, *speech], quiet=True)
    assert found == with_average_speech(OPTIONS, speech, quiet=True)
    with pytest.raises(TrainingError, match="no recording of the training speech can be read"):
        with_average_speech(OPTIONS, [missing], quiet=True)
