"""Samples in, transcripts out, with a network that is a plain function."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import SAMPLE_RATE, resample, write_wav
from asr.decoding import DecodingOptions
from asr.errors import AudioError, DecodingError, VocabularyError
from asr.features import FeatureOptions, extract, step_s
from asr.recognizer import Floats, Recognizer, log_softmax
from asr.text import TextOptions
from asr.vocabulary import Vocabulary

Ints = npt.NDArray[np.int32]

LETTERS = Vocabulary.from_characters(" abcd")
FEATURES = FeatureOptions(stack=3)
SIZES: list[tuple[int, ...]] = []


def linear(features: Floats, lengths: Ints) -> tuple[Floats, Ints]:
    """A network without memory; NaN where a row is padding, which nobody may look at."""
    SIZES.append(features.shape)
    weights = np.random.default_rng(5).normal(size=(features.shape[-1], len(LETTERS)))
    logits = (features @ weights).astype(np.float32)
    for row, length in zip(logits, lengths, strict=True):
        row[length:] = np.nan
    return logits, lengths


def recognizer(network: Any = linear, **options: Any) -> Recognizer:
    settings: dict[str, Any] = {
        "features": FEATURES,
        "text": TextOptions(language="de"),
        "vocabulary": LETTERS,
        "decoding": DecodingOptions(),
    }
    return Recognizer(network=network, **(settings | options))


def noise(num_samples: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, num_samples).astype(np.float32)


@given(st.lists(st.integers(1, 6_000), min_size=1, max_size=5), st.sampled_from(["greedy", "beam"]))
def test_a_recordings_transcript_does_not_depend_on_the_others(
    lengths: list[int], method: Any
) -> None:
    machine = recognizer(decoding=DecodingOptions(method=method, beam_width=2))
    recordings = [noise(length, seed) for seed, length in enumerate(lengths)]
    together = machine.transcribe_batch(recordings)
    assert together == [machine.transcribe(recording) for recording in recordings]
    for length, transcript in zip(lengths, together, strict=True):
        assert transcript.duration_s == length / SAMPLE_RATE
        assert transcript.text == " ".join(word.text for word in transcript.words)
        assert all(word.end_s <= transcript.duration_s for word in transcript.words)
        assert transcript.language == "de"


def test_a_closed_vocabulary_is_all_that_is_written() -> None:
    words = ("abba", "cab", "dad")
    machine = recognizer(decoding=DecodingOptions(method="beam", words=words))
    transcript = machine.transcribe(noise(16_000))
    assert transcript.words
    assert {word.text for word in transcript.words} <= set(words)
    with pytest.raises(VocabularyError, match="'zebra'"):
        recognizer(decoding=DecodingOptions(method="beam", words=("abba", "zebra")))


def test_transcripts_come_in_the_order_of_the_recordings() -> None:
    """Batches go by length; what comes out does not."""
    lengths = [9_000, 100, 5_000, 160]
    seconds = [t.duration_s for t in recognizer().transcribe_batch(list(map(noise, lengths)))]
    assert seconds == [length / SAMPLE_RATE for length in lengths]
    assert recognizer().transcribe_batch([]) == []


def test_the_network_is_given_so_much_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr.recognizer.MAX_BATCH_S", 1.0)
    SIZES.clear()
    recognizer().transcribe_batch([noise(7_000, seed) for seed in range(5)] + [noise(40_000)])
    steps = [rows * width for rows, width, _ in SIZES]
    assert sorted(rows for rows, _, _ in SIZES) == [1, 1, 2, 2]
    # The one recording that is longer than that goes alone.
    assert sorted(steps)[-2] <= 1.0 / step_s(FEATURES) < sorted(steps)[-1]


def test_a_file_gives_what_its_samples_give(tmp_path: Path) -> None:
    samples = (np.rint(noise(8_000) * 32_768) / 32_768).astype(np.float32)
    write_wav(tmp_path / "a.wav", samples)
    expected = recognizer().transcribe(samples)
    assert expected.text  # or the comparison would be of nothing with nothing
    assert recognizer().transcribe(tmp_path / "a.wav") == expected
    assert recognizer().transcribe(str(tmp_path / "a.wav")) == expected


def test_features_of_another_rate_are_made_of_samples_of_that_rate() -> None:
    """Hop and window count samples, so 8-kHz settings on 16-kHz samples would hear half speed."""
    options = FeatureOptions(sample_rate=8_000, n_fft=256, win_length=200, hop_length=80, fmax=3800)
    samples = noise(16_000)
    found = recognizer(features=options).extract(samples)
    np.testing.assert_array_equal(
        found, extract(resample(samples, from_rate=16_000, to_rate=8_000), options)
    )
    assert len(found) == 101
    assert recognizer(features=options).transcribe(samples).duration_s == 1.0


@pytest.mark.parametrize("num_samples", [1, 2, 159, 160, 399])
def test_less_than_a_window_is_recognised(num_samples: int) -> None:
    transcript = recognizer().transcribe(noise(num_samples))
    assert transcript.duration_s == num_samples / SAMPLE_RATE
    assert np.isfinite(transcript.log_probability)


@pytest.mark.parametrize("sample_rate", [8_000, 16_000])
@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0, np.float32), "received none"),
        (np.array([0.1, np.nan], np.float32), "finite"),
        (np.zeros((2, 100), np.float32), r"\(2, 100\)"),
    ],
)
def test_what_is_no_recording_is_refused(samples: Floats, message: str, sample_rate: int) -> None:
    options = FeatureOptions(sample_rate=sample_rate, fmax=None)
    with pytest.raises(AudioError, match=message):
        recognizer(features=options).transcribe(samples)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_gone_wrong_is_no_silence(value: float) -> None:
    def broken(features: Floats, lengths: Ints) -> tuple[Floats, Ints]:
        logits, _ = linear(features, lengths)
        logits[0, 3, 1] = value
        return logits, lengths

    with pytest.raises(DecodingError, match="step 3"):
        recognizer(broken).transcribe(noise(8_000))


def test_a_network_may_make_fewer_steps_of_its_own() -> None:
    """The lengths that count behind the network are the ones it returns."""

    def halving(features: Floats, lengths: Ints) -> tuple[Floats, Ints]:
        return linear(features[:, ::2], -(-lengths // 2))

    rows = recognizer(halving).log_probs([np.ones((5, 39), "f"), np.ones((8, 39), "f")])
    assert [row.shape for row in rows] == [(3, len(LETTERS)), (4, len(LETTERS))]


@given(st.integers(0, 5), st.floats(-1e4, 1e4))
def test_log_softmax_gives_probabilities_whatever_the_scale(steps: int, shift: float) -> None:
    logits = np.random.default_rng(steps).normal(0, 50, (steps, 4)).astype(np.float32) + shift
    found = log_softmax(logits.astype(np.float32))
    assert found.shape == (steps, 4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.exp(found.astype(np.float64)).sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(axis=1), logits.astype(np.float32).argmax(axis=1))


def test_log_softmax_is_in_one_place() -> None:
    """Where models are used, that is: the loss on TensorFlow needs its own in the graph."""
    root = Path(__file__).parent.parent
    sources = [path for room in ("asr", "pipelines") for path in (root / room).rglob("*.py")]
    places = [
        path.relative_to(root).as_posix()
        for path in sources
        if re.search(r"def log_softmax|\.(log_)?softmax\(|logsumexp", path.read_text("utf-8"))
    ]
    assert places == ["asr/recognizer.py"]
