"""espeak-ng by its wheel: the same words, the same samples, and voices that differ."""

import sys
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from asr.errors import MissingExtraError, OptionsError
from pipelines import synthesis
from pipelines.synthesis import ACCENTS, TIMBRES, TONGUES, Voice, synthesise

TEXT = "take seven boxes"
PLAIN = Voice(name="plain")


def test_speech_is_audible_float32_of_about_the_length_of_its_words() -> None:
    samples = synthesise(TEXT, PLAIN)
    assert samples.dtype == np.float32
    assert 0.8 < samples.size / 16_000 < 2.5
    assert 0.05 < np.abs(samples).max() < 0.9


def test_another_rate_holds_the_same_speech() -> None:
    low, high = (synthesise(TEXT, PLAIN, sample_rate=rate) for rate in (8000, 16_000))
    assert low.size == pytest.approx(high.size / 2, abs=1)


def test_the_same_words_give_the_same_samples_whatever_was_said_before() -> None:
    """Breath is noise and pitch wavers: both begin anew, after any other voice."""
    voices = [Voice(name=timbre, timbre=timbre, rate=300) for timbre in TIMBRES]
    first = [synthesise("aisle two", voice) for voice in voices]
    for voice, samples in reversed(list(zip(voices, first, strict=True))):
        again = synthesise("aisle two", voice)
        np.testing.assert_array_equal(again, samples, err_msg=voice.timbre)


def test_every_language_speaks_in_its_own_way_whatever_was_said_before() -> None:
    voices = [Voice(name=t, accent=tongue, timbre=t) for tongue in TONGUES for t in TIMBRES[::9]]
    english = synthesise("seven", PLAIN)
    spoken = [synthesise("tri siks", voice).tobytes() for voice in voices]
    assert len(set(spoken)) == len(voices)
    again = [synthesise("tri siks", voice).tobytes() for voice in reversed(voices)]
    assert again[::-1] == spoken
    np.testing.assert_array_equal(synthesise("seven", PLAIN), english)


@pytest.mark.parametrize("accent", ACCENTS)
def test_every_accent_speaks_in_its_own_way(accent: str) -> None:
    spoken = synthesise("order four thirty", Voice(name="x", accent=accent))
    others = [
        synthesise("order four thirty", Voice(name="y", accent=other))
        for other in ACCENTS
        if other != accent
    ]
    assert not any(spoken.shape == o.shape and np.array_equal(spoken, o) for o in others)


def test_no_two_timbres_sound_the_same() -> None:
    spoken = {synthesise("bay", Voice(name=t, timbre=t)).tobytes() for t in TIMBRES}
    assert len(spoken) == len(TIMBRES)


def test_no_timbre_clips() -> None:
    loudest = {t: np.abs(synthesise(TEXT, Voice(name=t, timbre=t))).max() for t in TIMBRES}
    assert max(loudest.values()) < 0.95


def test_a_faster_voice_takes_less_time() -> None:
    slow, fast = (synthesise(TEXT, Voice(name="x", rate=rate)) for rate in (120, 240))
    assert fast.size < 0.7 * slow.size


def test_a_higher_pitch_is_heard_as_one() -> None:
    low, high = (_pitch_hz(synthesise("aaa", Voice(name="x", pitch=p))) for p in (20, 80))
    assert high > 1.3 * low


def test_a_longer_tract_lowers_what_is_heard_and_keeps_the_pace() -> None:
    short, long = (synthesise(TEXT, Voice(name="x", tract=tract)) for tract in (0.8, 1.25))
    assert _centroid_hz(long) < 0.85 * _centroid_hz(short)
    assert long.size == pytest.approx(short.size, rel=0.1)


def test_threads_take_turns() -> None:
    voices = [Voice(name=t, timbre=t) for t in ("m1", "f3")]
    alone = [synthesise(TEXT, voice) for voice in voices]
    together: dict[int, list[npt.NDArray[np.float32]]] = {0: [], 1: []}

    def speak(index: int) -> None:
        together[index] = [synthesise(TEXT, voices[index]) for _ in range(10)]

    threads = [threading.Thread(target=speak, args=(index,)) for index in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, spoken in together.items():
        assert len(spoken) == 10
        for samples in spoken:
            np.testing.assert_array_equal(samples, alone[index])


@pytest.mark.parametrize("text", ["", " ", "...", "\n"])
def test_a_text_without_words_is_refused(text: str) -> None:
    with pytest.raises(OptionsError, match="something to speak"):
        synthesise(text, PLAIN)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"accent": "en-mars"}, "accent among en-us.*en-mars"),
        ({"timbre": "Reed"}, "timbre among m1.*Reed"),
        ({"pitch": 100}, "pitch from 0 to 99.*100"),
        ({"pitch_range": -1}, "pitch range from 0 to 99.*-1"),
        ({"rate": 20}, "rate from 80 to 450.*20"),
        ({"tract": 2.0}, "tract from 0.75 to 1.33.*2.0"),
    ],
)
def test_a_voice_espeak_does_not_have_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        Voice(name="x", **setting)


@pytest.fixture
def no_engine() -> Any:
    """Lets the next use look for espeak-ng anew, and leaves nothing of that behind."""
    synthesis._start_engine.cache_clear()
    yield
    synthesis._start_engine.cache_clear()


@pytest.mark.usefixtures("no_engine")
def test_without_the_wheel_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingExtraError, match=r"bilstm-asr\[demo\]"):
        synthesise(TEXT, PLAIN)


@pytest.mark.usefixtures("no_engine")
def test_a_library_that_does_not_load_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    import espeakng_loader

    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: "/nowhere/libespeak-ng.so")
    with pytest.raises(MissingExtraError, match="does not run on this machine"):
        synthesis.require_espeak()


def _pitch_hz(samples: npt.NDArray[np.float32]) -> float:
    """The strongest period between 50 and 400 Hz, by autocorrelation."""
    middle = samples[samples.size // 4 : samples.size // 2]
    products = np.correlate(middle, middle, mode="full")[middle.size - 1 :]
    shortest, longest = 16_000 // 400, 16_000 // 50
    return 16_000 / (shortest + int(np.argmax(products[shortest:longest])))


def _centroid_hz(samples: npt.NDArray[np.float32]) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float(np.sum(power * np.fft.rfftfreq(samples.size, 1 / 16_000)) / np.sum(power))
