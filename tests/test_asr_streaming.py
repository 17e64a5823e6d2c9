"""Speech as it comes: certain words stay, guesses become them, and nothing depends on blocks."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import SAMPLE_RATE
from asr.cuts import LIVE, RECORDING, CutOptions
from asr.decoding import DecodingOptions
from asr.errors import AudioError, OptionsError
from asr.features import FeatureOptions, extract
from asr.recognizer import Recognizer
from asr.streaming import Heard
from asr.text import TextOptions
from asr.transcript import Word
from asr.vocabulary import Vocabulary

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

LETTERS = Vocabulary.from_characters(" ab")
FEATURES = FeatureOptions(n_mfcc=4, stack=3, normalise="none")
BEEP_S = 0.12
PITCHES = {"a": 700, "b": 2_500}


def speech(words: list[str], gaps_s: list[float]) -> Floats:
    """Beeps for letters, 0.12 s each and as much between them, with gaps between the words."""
    times = np.arange(round(BEEP_S * SAMPLE_RATE)) / SAMPLE_RATE
    rest = np.zeros(len(times))
    parts = []
    for word, gap_s in zip(words, gaps_s, strict=True):
        parts.append(np.zeros(round(gap_s * SAMPLE_RATE)))
        for letter in word:
            parts += [0.3 * np.sin(2 * np.pi * PITCHES[letter] * times), rest]
    samples = np.concatenate(parts)
    quiet = np.random.default_rng(0).normal(0, 1e-3, len(samples))
    return (samples + quiet).astype(np.float32)


@functools.cache
def frame_of(letter: str) -> Floats:
    """What a frame of a beep looks like, or of none."""
    samples = speech([letter * 3], [0.5]) if letter else speech([""], [1.0])
    at_s = 0.5 + 2.5 * BEEP_S if letter else 0.5
    frames: Floats = extract(samples, FEATURES).reshape(-1, 4)
    middle: Floats = frames[round(at_s * SAMPLE_RATE / FEATURES.hop_length)]
    return middle


def hears_beeps(features: Floats, lengths: Ints) -> tuple[Floats, Ints]:
    """Looks at the middle frame of a step alone, so that windows change nothing.

    A step without a beep says blank, the seventh of them a space: 0.2 s of silence end a word.
    """
    middles = features.reshape(*features.shape[:2], 3, 4)[:, :, 1]
    known = np.stack([frame_of(letter) for letter in ("", "a", "b")])
    heard = np.linalg.norm(middles[:, :, None] - known, axis=3).argmin(axis=2)
    logits = np.zeros((*heard.shape, len(LETTERS)), np.float32)
    logits[:, :, LETTERS.blank_id] = 6.0
    for number, letter in enumerate("ab", start=1):
        logits[:, :, LETTERS.encode(letter)[0]] = np.where(heard == number, 12.0, 0.0)
    steps = np.arange(heard.shape[1])
    since = steps - np.maximum.accumulate(np.where(heard > 0, steps, -1), axis=1)
    logits[:, :, LETTERS.encode(" ")[0]] = np.where(since == 7, 12.0, 0.0)
    return logits, lengths


def recognizer(network: Any = hears_beeps, **options: Any) -> Recognizer:
    parts: dict[str, Any] = {
        "features": FEATURES,
        "text": TextOptions(),
        "vocabulary": LETTERS,
        "decoding": DecodingOptions(),
    }
    return Recognizer(network=network, **(parts | options))


def blocks_of(samples: Floats, size: int) -> list[Floats]:
    return [samples[at : at + size] for at in range(0, len(samples), size)]


def text(words: tuple[Word, ...]) -> str:
    return " ".join(word.text for word in words)


def certain(events: list[Heard]) -> tuple[Word, ...]:
    return tuple(word for event in events for word in event.final)


WORDS = st.lists(
    st.tuples(st.text("ab", min_size=1, max_size=8), st.floats(0.3, 3)), min_size=1, max_size=12
)


@settings(deadline=None, max_examples=15)
@given(
    WORDS, st.sampled_from([1_600, 8_000, 37_777, 10_000_000]), st.sampled_from(["greedy", "beam"])
)
def test_certain_words_are_those_of_the_recording(
    said: list[tuple[str, float]], size: int, method: Any
) -> None:
    words, gaps_s = map(list, zip(*said, strict=True))
    samples = speech(words, gaps_s)
    machine = recognizer(decoding=DecodingOptions(method=method, beam_width=4))
    events = list(machine.stream(blocks_of(samples, size), interval_s=2.0))
    assert certain(events) == machine.transcribe_blocks([samples], cuts=LIVE).words
    # This network sees a step at a time, so that other windows hear no better.
    assert text(certain(events)) == machine.transcribe(samples).text
    assert len(certain(events)) == len(words)


def test_guesses_become_certain() -> None:
    rng = np.random.default_rng(2)
    words = ["".join(rng.choice(["a", "b"], rng.integers(1, 9))) for _ in range(60)]
    samples = speech(words, rng.uniform(0.3, 1.5, 60).tolist())
    events = list(recognizer().stream(blocks_of(samples, 1_600), interval_s=0.3))
    assert len(events) > 100
    whole = certain(events)
    said: tuple[Word, ...] = ()
    for event in events:
        said += event.final
        so_far = [word.text for word in (*said, *event.partial)]
        # All but the word that is being said are those that will be certain.
        assert so_far[:-1] == [word.text for word in whole[: max(len(so_far) - 1, 0)]]
        assert all(word.end_s <= event.heard_s + 1e-9 for word in (*said, *event.partial))
    assert events[-1].partial == ()
    assert [event.heard_s for event in events] == sorted(event.heard_s for event in events)
    times = [time for word in whole for time in (word.start_s, word.end_s)]
    assert times == sorted(times)


def lags_s(events: list[Heard]) -> list[float]:
    """Seconds of sound from each word's end to the event in which it is certain."""
    return [event.heard_s - word.end_s for event in events for word in event.final]


def test_a_word_is_certain_soon_after_the_next_pause() -> None:
    samples = speech(["ab", "ba"] * 20, [0.3, 1.0] * 20)
    events = list(recognizer().stream(blocks_of(samples, 1_600)))
    # Two seconds of window, the beeps and pause that follow, a second behind it.
    assert max(lags_s(events)) < 2.0 + 2.0 + 1.0 + 0.4


def test_a_word_is_certain_in_the_end_without_a_pause() -> None:
    def talks(features: Floats, lengths: Ints) -> tuple[Floats, Ints]:
        logits = np.zeros((*features.shape[:2], len(LETTERS)), np.float32)
        logits[:, :, 1:] = np.random.default_rng(3).normal(5, 1, logits[:, :, 1:].shape)
        return logits, lengths

    noise = np.random.default_rng(0).normal(0, 0.1, 45 * SAMPLE_RATE).astype(np.float32)
    cuts = CutOptions(shortest_s=1.0, longest_s=4.0, passage_s=0.0, longest_passage_s=6, early=True)
    events = list(recognizer(talks).stream(blocks_of(noise, 1_600), cuts=cuts))
    assert len(certain(events)) > 100
    assert cuts.latency_s == 6 + 4 + 1
    assert max(lags_s(events)) <= cuts.latency_s + 0.1 + 2 * FEATURES.hop_length * 3 / SAMPLE_RATE
    assert LIVE.latency_s < RECORDING.latency_s


def test_an_endless_stream_is_heard_as_it_comes() -> None:
    read = 0

    def endless() -> Iterator[Floats]:
        nonlocal read
        for _ in itertools.count():
            block = speech(["ab"], [0.8])
            read += len(block)
            yield block

    for event in itertools.islice(recognizer().stream(endless()), 100):
        assert event.heard_s == read / SAMPLE_RATE


def test_silence_says_nothing_and_takes_no_guess_back() -> None:
    quiet = np.random.default_rng(0).normal(0, 1e-3, 40 * SAMPLE_RATE).astype(np.float32)
    assert list(recognizer().stream(blocks_of(quiet, 8_000))) == []


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], "received none"),
        ([np.zeros(0, np.float32)], "received none"),
        ([np.full(16_000, np.nan, np.float32)], "finite"),
        ([np.zeros((2, 100), np.float32)], r"\(2, 100\)"),
        ([np.zeros(100, np.int16)], "int16"),
    ],
)
def test_what_is_no_sound_is_refused(blocks: list[Floats], message: str) -> None:
    with pytest.raises(AudioError, match=message):
        list(recognizer().stream(blocks))


def test_an_interval_of_nothing_is_refused_at_once() -> None:
    with pytest.raises(OptionsError, match="interval_s above 0"):
        recognizer().stream([], interval_s=0.0)


def test_a_guess_changes_nothing_that_is_certain() -> None:
    samples = speech(["ab", "b", "aab"] * 4, [0.3, 0.5, 1.1] * 4)
    often = list(recognizer().stream(blocks_of(samples, 3_200), interval_s=0.1))
    seldom = list(recognizer().stream(blocks_of(samples, 800), interval_s=1e9))
    assert certain(often) == certain(seldom)
    assert len(often) > len(seldom)
    assert dataclasses.asdict(often[-1])["heard_s"] == len(samples) / SAMPLE_RATE
