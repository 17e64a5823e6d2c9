"""Many recordings through one recognizer: in order, as asked for, none able to stop the rest."""

import gc
import itertools
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from asr.audio import SAMPLE_RATE, write_wav
from asr.errors import AudioError, DecodingError
from asr.transcript import Transcript
from asr.transcriptions import (
    Recording,
    Transcription,
    Transcriptions,
    transcribe_all,
    transcribe_in_turn,
)

Samples = npt.NDArray[np.float32]
TOO_MUCH = 9
"""A length in tenths of a second that the recognizer refuses."""


class Counter:
    """Hears the length of a recording in tenths of a second, and notes what it was given."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.threads: set[int] = set()

    def transcribe_batch(self, recordings: Sequence[Samples]) -> list[Transcript]:
        self.batches.append(len(recordings))
        self.threads.add(threading.get_ident())
        tenths = [round(10 * len(samples) / SAMPLE_RATE) for samples in recordings]
        if TOO_MUCH in tenths:
            raise DecodingError("too much")
        return [heard(n) for n in tenths]

    def transcribe_blocks(self, blocks: Iterable[Samples]) -> Transcript:
        self.threads.add(threading.get_ident())
        return heard(round(10 * sum(map(len, blocks)) / SAMPLE_RATE))


def heard(tenths: int) -> Transcript:
    return Transcript(
        text=str(tenths), words=(), duration_s=tenths / 10, language="en", log_probability=-1.0
    )


def silence(tenths: int) -> Samples:
    return np.full(SAMPLE_RATE * tenths // 10, 0.1, np.float32)


def said(results: Iterable[Transcription]) -> list[str]:
    return [one.transcript.text if one.transcript else str(one.error) for one in results]


def test_results_come_in_order_whatever_they_are_of(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", silence(3))
    (tmp_path / "broken.wav").write_bytes(b"nothing")
    given: list[Recording] = [
        *(silence(1), tmp_path / "a.wav", tmp_path / "no.wav", str(tmp_path / "a.wav")),
        *(tmp_path / "broken.wav", silence(TOO_MUCH), np.zeros((2, 2), np.float32), silence(5)),
    ]
    results = list(Transcriptions(Counter(), given))
    assert all(one.recording is item for one, item in zip(results, given, strict=True))
    texts = said(results)
    assert [texts[place] for place in (0, 1, 3, 7)] == ["1", "3", "3", "5"]
    assert texts[2] == f"{tmp_path / 'no.wav'}: no such file"
    assert "cannot be read as sound" in texts[4]
    assert texts[5] == "too much"
    assert "expected samples [num_samples], received an array of shape (2, 2)" in texts[6]
    assert all((one.transcript is None) == (one.error is not None) for one in results)


def test_an_error_is_of_the_class_it_was_raised_with_and_holds_on_to_nothing() -> None:
    read, refused = Transcriptions(Counter(), [Path("no.wav"), silence(TOO_MUCH)])
    assert isinstance(read.error, AudioError)
    assert isinstance(refused.error, DecodingError)
    assert all(one.error and one.error.__traceback__ is None for one in (read, refused))


def test_nothing_is_read_before_it_is_asked_for_nor_far_ahead() -> None:
    taken = itertools.count()
    given = (silence(600) for _ in zip(taken, range(100), strict=False))
    with Transcriptions(Counter(), given) as results:
        assert next(taken) == 0
        first = next(results)
        assert said([first]) == ["600"]
        # Two a group; three groups wait, and a fourth is what the first result came of.
        assert next(taken) <= 2 * 4 + 2


def test_what_is_done_in_turn_is_the_same_and_in_this_thread() -> None:
    class Lengths:
        """Reads numbers as recordings of so many tenths of a second; from 50 on as long ones."""

        def is_long(self, tenths: int, /) -> bool:
            return tenths >= 50

        def load(self, tenths: int, /) -> Samples:
            if tenths == 0:
                raise AudioError("nothing")
            return silence(tenths)

        def stream(self, tenths: int, /) -> Iterator[Samples]:
            yield from (silence(10) for _ in range(tenths // 10))

    given = [3, 0, 60, TOO_MUCH, 7, 60]
    recognizer = Counter()
    found = list(transcribe_in_turn(recognizer, given, Lengths()))
    assert recognizer.threads == {threading.get_ident()}
    assert [item for item, _ in found] == given
    shown = [
        outcome.text if isinstance(outcome, Transcript) else str(outcome) for _, outcome in found
    ]
    assert shown == ["3", "nothing", "60", "too much", "7", "60"]
    side_by_side = transcribe_all(Counter(), given, Lengths())
    assert [str(one) for one in side_by_side] == [str(one) for one in found]


def test_it_goes_on_without_end() -> None:
    endless = (silence(1 + n % 5) for n in itertools.count())
    with Transcriptions(Counter(), endless) as results:
        texts = said(itertools.islice(results, 2_500))
    assert texts == [str(1 + n % 5) for n in range(2_500)]


def test_small_recordings_are_recognised_together_off_the_callers_thread() -> None:
    recognizer = Counter()
    assert said(Transcriptions(recognizer, [silence(10)] * 300)) == ["10"] * 300
    assert max(recognizer.batches) == 120
    assert threading.get_ident() not in recognizer.threads


def test_a_long_file_is_read_while_it_is_recognised(tmp_path: Path) -> None:
    import soundfile

    path = tmp_path / "long.wav"
    soundfile.write(path, np.full(4_000 * 301, 0.1, np.float32), 4_000, "PCM_U8")
    recognizer = Counter()
    assert said(Transcriptions(recognizer, [path, silence(2)])) == ["3010", "2"]
    assert recognizer.batches == [1]


def test_several_threads_take_from_one_and_each_result_goes_to_one_of_them() -> None:
    results = Transcriptions(Counter(), [silence(1 + n % 8) for n in range(1_000)])

    def take(_: int) -> list[Transcription]:
        return list(results)

    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(take, range(4)))
    assert sorted(said(itertools.chain(*parts))) == sorted(str(1 + n % 8) for n in range(1_000))


def test_closing_ends_it_and_its_threads() -> None:
    before = set(threading.enumerate())
    results = Transcriptions(Counter(), (silence(600) for _ in range(100)))
    assert said([next(results)]) == ["600"]
    assert set(threading.enumerate()) > before
    results.close()
    assert set(threading.enumerate()) == before
    assert list(results) == []
    results.close()
    with Transcriptions(Counter(), [silence(1)]) as unused:
        pass
    assert list(unused) == []


def test_an_error_of_the_callers_own_passes_through_and_ends_it() -> None:
    def failing() -> Iterator[Samples]:
        yield silence(1)
        raise LookupError("mine")

    before = set(threading.enumerate())
    results = Transcriptions(Counter(), failing())
    with pytest.raises(LookupError, match="mine"):
        list(results)
    assert set(threading.enumerate()) == before


def test_samples_are_let_go_of() -> None:
    """A recording is held no longer than the result that names it."""
    held: list[weakref.ref[Samples]] = []

    def recordings() -> Iterator[Samples]:
        for _ in range(40):
            samples = silence(600)
            held.append(weakref.ref(samples))
            yield samples

    most = 0
    with Transcriptions(Counter(), recordings()) as results:
        for one in results:
            del one
            gc.collect()
            most = max(most, sum(ref() is not None for ref in held))
    gc.collect()
    assert most <= 2 * 5
    assert not any(ref() is not None for ref in held)
