"""Samples in, transcripts out, with a network that is a plain function."""

import dataclasses
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import SAMPLE_RATE, resample, write_wav
from asr.background import as_heard
from asr.confidence import Calibration
from asr.decoding import DecodingOptions, log_softmax
from asr.errors import AudioError, DecodingError, VocabularyError
from asr.features import FeatureOptions, extract, step_s
from asr.recognizer import Floats, Recognizer
from asr.text import TextOptions
from asr.transcriptions import Recording
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


def test_many_recordings_give_what_each_gives_alone(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", noise(8_000))
    machine = recognizer()
    given: list[Recording] = [noise(5_000, 1), tmp_path / "a.wav", str(tmp_path / "a.wav")]
    with machine.transcribe([*given, tmp_path / "no.wav"]) as results:
        *found, missing = results
    assert [one.transcript for one in found] == [machine.transcribe(one) for one in given]
    assert isinstance(missing.error, AudioError)
    generated = machine.transcribe(recording for recording in given)
    assert [one.transcript for one in generated] == [one.transcript for one in found]


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_threads_change_no_transcript(method: Any) -> None:
    decoding = DecodingOptions(method=method, beam_width=3)
    alone, several = (recognizer(decoding=decoding, threads=count) for count in (1, 3))
    recordings = [noise(length, length) for length in (900_000, 40_000, 70_000)]
    expected = alone.transcribe_batch(recordings)
    assert all(one.words for one in expected)
    assert several.transcribe_batch(recordings) == expected
    assert several.transcribe_blocks(recordings) == alone.transcribe_blocks(recordings)


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_threads_may_share_a_recognizer(method: Any) -> None:
    machine = recognizer(decoding=DecodingOptions(method=method, beam_width=4))
    recordings = [noise(3_000 + 50 * seed, seed) for seed in range(24)]
    expected = [machine.transcribe(recording) for recording in recordings]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(machine.transcribe, recordings)) == expected


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


def test_a_recording_is_heard_with_background_around_it_and_timed_without(tmp_path: Path) -> None:
    features = dataclasses.replace(FEATURES, lead_s=0.3)
    machine, plain = recognizer(features=features), recognizer()
    samples = (np.rint(noise(8_000) * 32_768) / 32_768).astype(np.float32)
    found = machine.transcribe(samples)
    around = plain.transcribe(as_heard(samples, 4_800))
    assert found.text == around.text
    assert found.duration_s == pytest.approx(0.5)
    for word, same in zip(found.words, around.words, strict=True):
        assert word.start_s == pytest.approx(min(max(same.start_s - 0.3, 0), 0.5))
        assert word.end_s == pytest.approx(min(max(same.end_s - 0.3, 0), 0.5))
    write_wav(tmp_path / "a.wav", samples)
    assert machine.transcribe(tmp_path / "a.wav") == found
    with pytest.raises(AudioError, match="received none"):
        machine.transcribe(samples[:0])


def test_log_softmax_is_in_one_place() -> None:
    """Where models are used, that is: the loss on TensorFlow needs its own in the graph."""
    root = Path(__file__).parent.parent
    sources = [path for room in ("asr", "pipelines") for path in (root / room).rglob("*.py")]
    places = [
        path.relative_to(root).as_posix()
        for path in sources
        if re.search(r"def log_softmax|\.(log_)?softmax\(|logsumexp", path.read_text("utf-8"))
    ]
    assert places == ["asr/decoding/posteriors.py"]


def test_several_texts_are_shown_best_first() -> None:
    options = DecodingOptions(method="beam", beam_width=8)
    alone = recognizer(decoding=options).transcribe(noise(8_000))
    assert alone.alternatives == ()
    found = recognizer(decoding=options, num_texts=5).transcribe(noise(8_000))
    texts = [one.text for one in found.alternatives]
    assert texts[0] == found.text == alone.text
    assert 1 < len(set(texts)) == len(texts) <= 5
    scores = [one.score for one in found.alternatives]
    assert scores == sorted(scores, reverse=True)
    assert found.alternatives[0].log_probability == found.log_probability


def test_what_a_pause_parts_is_decoded_apart_unless_several_texts_are_of_all_of_it() -> None:
    (a,), (b,) = LETTERS.encode("a"), LETTERS.encode("b")

    def hears_two_letters(features: Floats, lengths: Ints) -> tuple[Floats, Ints]:
        logits = np.zeros((*features.shape[:2], len(LETTERS)), np.float32)
        logits[:, :, LETTERS.blank_id] = 10.0
        logits[:, 60, a] = logits[:, 100, b] = 20.0
        return logits, lengths

    options = DecodingOptions(method="beam")
    found = recognizer(hears_two_letters, decoding=options).transcribe(noise(5 * SAMPLE_RATE))
    assert found.text == "a b"
    assert [word.start_s for word in found.words] == pytest.approx([1.8, 3.0], abs=0.1)
    assert found.duration_s == 5.0
    machine = recognizer(hears_two_letters, decoding=options, num_texts=2)
    several = machine.transcribe(noise(5 * SAMPLE_RATE))
    assert several.text == several.alternatives[0].text == "ab"
    assert len(machine.transcribe(noise(40 * SAMPLE_RATE)).alternatives) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"num_texts": 0},
        {"num_texts": 2},
        {"num_texts": 4, "decoding": DecodingOptions(method="beam", beam_width=3)},
        {"hotwords": {"ab": 1.0}},
    ],
)
def test_what_the_decoder_cannot_do_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DecodingError):
        recognizer(**options)


def test_hotwords_are_heard() -> None:
    """Heard as they nearly were, so much heavier than the network they may weigh."""
    options = DecodingOptions(method="beam", beam_width=32, min_token_log_prob=-np.inf)
    samples = noise(4_000)
    assert "dada" not in recognizer(decoding=options).transcribe(samples).text.split()
    machine = recognizer(decoding=options, hotwords={"dada": 500.0})
    assert "dada" in machine.transcribe(samples).text.split()


def test_certainty_is_corrected_and_nothing_else() -> None:
    plain = recognizer().transcribe(noise(16_000))
    unsure = recognizer(confidence=Calibration(slope=0.5, bias=-1.0)).transcribe(noise(16_000))
    assert plain.words
    for word, other in zip(plain.words, unsure.words, strict=True):
        assert word.probability is not None
        expected = Calibration(slope=0.5, bias=-1.0)(word.probability)
        assert other == dataclasses.replace(word, probability=expected)


@given(st.integers(1, 20_000), st.sampled_from([8_000, 16_000]))
def test_times_run_forward_within_the_recording(num_samples: int, rate: int) -> None:
    options = FEATURES
    if rate == 8_000:
        options = FeatureOptions(
            sample_rate=rate, n_fft=256, win_length=200, hop_length=80, fmax=3800
        )
    transcript = recognizer(features=options).transcribe(noise(num_samples, num_samples))
    times = [time for word in transcript.words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert all(0 <= time <= transcript.duration_s for time in times)
    for word in transcript.words:
        inner = [time for one in word.characters for time in (one.start_s, one.end_s)]
        assert inner == sorted(inner)
        assert (inner[0], inner[-1]) == (word.start_s, word.end_s)
        assert "".join(one.text for one in word.characters) == word.text


def test_a_long_recording_is_heard_the_same_however_it_comes() -> None:
    """As one array, among others, or block by block; a short one as a batch gives it."""
    machine = recognizer()
    for seconds in (0.01, 3.0, 36.0, 37.0, 100.3):
        samples = noise(round(seconds * SAMPLE_RATE))
        whole = machine.transcribe(samples)
        blocks = [samples[at : at + 70_001] for at in range(0, len(samples), 70_001)]
        assert machine.transcribe_blocks(blocks) == whole
        other = noise(8_000, seed=1)
        assert machine.transcribe_batch([other, samples, other]) == [
            *(machine.transcribe(other), whole, machine.transcribe(other))
        ]
        times = [time for word in whole.words for time in (word.start_s, word.end_s)]
        assert times == sorted(times)
        assert whole.duration_s == len(samples) / SAMPLE_RATE
        assert not times or times[-1] <= whole.duration_s


def test_no_word_is_lost_or_said_twice_at_a_seam() -> None:
    """Beeps of one letter each, at known times, through the windows of two minutes."""
    pitches = dict(zip("abcd", (500, 1_000, 2_000, 4_000), strict=True))
    letters = [*"abcdbadcacbd" * 10]
    at_s = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.6, len(letters)))
    samples = np.random.default_rng(1).normal(0, 1e-3, round((at_s[-1] + 1) * SAMPLE_RATE))
    for letter, start_s in zip(letters, at_s, strict=True):
        begin = round(start_s * SAMPLE_RATE)
        times = np.arange(SAMPLE_RATE // 4) / SAMPLE_RATE
        samples[begin : begin + len(times)] += 0.3 * np.sin(2 * np.pi * pitches[letter] * times)
    options = FeatureOptions(n_mfcc=40, normalise="none", stack=3)

    def hears_beeps(features: Floats, lengths: Ints) -> tuple[Floats, Ints]:
        frames = features.reshape(*features.shape[:2], 3, 40)[:, :, 1] @ _cosines()
        logits = np.zeros((*features.shape[:2], len(LETTERS)), np.float32)
        logits[:, :, LETTERS.blank_id] = 10.0
        loud = frames.max(axis=2) > -5
        bands = frames.argmax(axis=2)
        for letter, band in _bands(options, pitches).items():
            (token,) = LETTERS.encode(letter)
            logits[:, :, token] = np.where(loud & (abs(bands - band) <= 2), 20.0, 0.0)
        return logits, lengths

    heard = recognizer(hears_beeps, features=options).transcribe(samples.astype(np.float32))
    assert heard.text.replace(" ", "") == "".join(letters)


def _cosines() -> Floats:
    """Turns 40 cepstral coefficients back into decibels of 40 bands (an orthonormal DCT)."""
    bands, coefficients = np.arange(40), np.arange(40)[:, None]
    basis = np.sqrt(2 / 40) * np.cos(np.pi * coefficients * (bands + 0.5) / 40)
    basis[0] /= np.sqrt(2)
    cosines: Floats = basis.astype(np.float32)
    return cosines


def _bands(options: FeatureOptions, pitches: dict[str, int]) -> dict[str, int]:
    """Returns the mel band in which each letter's tone is loudest."""
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    found = {}
    for letter, pitch in pitches.items():
        tone = (0.3 * np.sin(2 * np.pi * pitch * times)).astype(np.float32)
        frames = extract(tone, options).reshape(-1, 40) @ _cosines()
        found[letter] = int(frames[len(frames) // 2].argmax())
    return found
