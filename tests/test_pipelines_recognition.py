"""Recordings through a recognizer: in order, as they are asked for, in bounded memory."""

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr import transcriptions
from asr.audio import SAMPLE_RATE, AudioInfo
from asr.errors import AudioError, DecodingError
from asr.manifest import Utterance
from asr.text import TextOptions
from asr.transcript import Transcript
from pipelines import speech
from pipelines.recognition import Result, recognise, transcribe

Samples = npt.NDArray[np.float32]


class Listener:
    """Hears how many seconds a recording lasts; refuses a batch with one of `refused` in it."""

    def __init__(self, *refused: int) -> None:
        self.text = TextOptions()
        self.refused = set(refused)
        self.batches: list[list[int]] = []

    def transcribe_batch(self, recordings: Sequence[Samples]) -> list[Transcript]:
        lengths = [len(samples) // SAMPLE_RATE for samples in recordings]
        self.batches.append(lengths)
        if bad := self.refused & set(lengths):
            raise DecodingError(f"cannot hear {min(bad)}")
        return [
            Transcript(
                text=str(n), words=(), duration_s=float(n), language="en", log_probability=0.0
            )
            for n in lengths
        ]

    def transcribe_blocks(self, blocks: Iterable[Samples]) -> Transcript:
        return self.transcribe_batch([np.concatenate(list(blocks))])[0]


def utterances_of(lengths: Sequence[int], *, known: bool = True) -> list[Utterance]:
    return [
        Utterance(id=f"u{n}", audio=Path(str(length)), duration_s=float(length) if known else None)
        for n, length in enumerate(lengths)
    ]


@pytest.fixture(autouse=True)
def reading(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files named by their seconds, `0` being one that cannot be read; lists what was opened."""
    opened: list[Path] = []

    def load(path: Path, **_: object) -> Samples:
        opened.append(path)
        if path.name == "0":
            raise AudioError(f"{path}: no such file")
        return np.zeros(int(path.name) * SAMPLE_RATE, np.float32)

    monkeypatch.setattr(speech, "load_audio", load)
    monkeypatch.setattr(transcriptions, "_GROUP_S", 10.0)
    return opened


def heard(results: Iterator[Result]) -> list[str]:
    return [result.transcript.text if result.transcript else result.failure for result in results]


LENGTHS = st.lists(st.integers(0, 4), max_size=12)


@given(LENGTHS, st.sets(st.integers(1, 4), max_size=2))
def test_every_recording_gives_its_own_result_in_order(lengths: list[int], bad: set[int]) -> None:
    utterances = utterances_of(lengths)
    results = list(transcribe(Listener(*bad), utterances, quiet=True))
    assert [result.utterance for result in results] == utterances
    said = {0: "0: no such file"} | {n: f"cannot hear {n}" for n in bad}
    assert heard(iter(results)) == [said.get(n, str(n)) for n in lengths]
    assert all((result.transcript is None) == bool(result.failure) for result in results)


@given(LENGTHS, st.sets(st.integers(1, 4), max_size=2))
def test_the_sum_is_made_of_the_same_results(lengths: list[int], bad: set[int]) -> None:
    utterances = utterances_of(lengths)
    total = recognise(Listener(*bad), utterances, quiet=True)
    one_by_one = {r.utterance.id: r for r in transcribe(Listener(*bad), utterances, quiet=True)}
    good = {key: r.transcript for key, r in one_by_one.items() if r.transcript}
    assert total.failures == {key: r.failure for key, r in one_by_one.items() if r.failure}
    assert total.hypotheses == {key: good[key].text if key in good else "" for key in one_by_one}
    assert total.audio_s == sum(transcript.duration_s for transcript in good.values())


def test_the_sum_begins_with_the_longest() -> None:
    listener = Listener()
    recognise(listener, utterances_of([1, 9, 4, 3]), quiet=True)
    assert sorted(listener.batches) == [[3, 1], [9, 4]]


def test_one_that_is_refused_is_tried_alone_and_costs_no_other() -> None:
    listener = Listener(2)
    assert heard(transcribe(listener, utterances_of([1, 2, 3]), quiet=True)) == [
        *("1", "cannot hear 2", "3")
    ]
    assert listener.batches == [[1, 2, 3], [1], [2], [3]]


def test_nothing_is_read_before_it_is_asked_for(reading: list[Path]) -> None:
    lengths = [6, 5, 4, 8, 3, 0, 7, 9, 9, 9]
    results = transcribe(Listener(), utterances_of(lengths), quiet=True)
    assert reading == []
    next(results)
    assert len(reading) == 7  # three groups: 6 + 5 s, 4 + 8 s, 3 + 7 s
    assert heard(results) == ["5", "4", "8", "3", "0: no such file", "7", "9", "9", "9"]
    assert len(reading) == len(lengths)


def test_what_cannot_be_read_is_said_at_once(reading: list[Path]) -> None:
    results = transcribe(Listener(), utterances_of([0, 0, 1]), quiet=True)
    assert next(results).failure == "0: no such file"
    assert len(reading) == 1


def test_a_bug_is_not_taken_for_a_bad_recording() -> None:
    class Broken(Listener):
        def transcribe_batch(self, recordings: Sequence[Samples]) -> list[Transcript]:
            raise ZeroDivisionError(len(recordings))

    with pytest.raises(ZeroDivisionError):
        list(transcribe(Broken(), utterances_of([1]), quiet=True))


@pytest.mark.parametrize("refused", [(), (40,)])
def test_no_more_than_a_few_groups_or_one_long_recording_are_held(
    monkeypatch: pytest.MonkeyPatch, refused: tuple[int, ...]
) -> None:
    alive: list[weakref.ref[Samples]] = []
    held: list[int] = []
    load: Callable[..., Samples] = getattr(speech, "load_audio")  # noqa: B009

    def watched(path: Path, **part: object) -> Samples:
        there = [samples for reference in alive if (samples := reference()) is not None]
        held.append(sum(map(len, there)) // SAMPLE_RATE)
        del there
        samples = load(path, **part)
        alive.append(weakref.ref(samples))
        return samples

    monkeypatch.setattr(speech, "load_audio", watched)
    lengths = [4, 4, 40, 40, 0, 40, 6, 40, *[5] * 40]
    for result in transcribe(Listener(*refused), utterances_of(lengths), quiet=True):
        del result
    # What is held while each recording is read: beside a long one, no more than its own group's.
    assert held[:8] == [0, 4, 8, 0, 0, 0, 0, 6]
    assert max(held[8:]) <= 30 + 5


def test_a_long_recording_is_read_while_it_is_recognised(
    reading: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(transcriptions, "_STREAMED_S", 5.0)
    asked: list[tuple[Path, float, float | None]] = []

    def stream(
        path: Path, *, offset_s: float, duration_s: float | None, channels: object
    ) -> Iterator[Samples]:
        assert channels == "mix"
        asked.append((path, offset_s, duration_s))
        yield from (np.zeros(SAMPLE_RATE, np.float32) for _ in range(int(path.name)))
        if path.name == "7":
            raise AudioError("7: ends in the middle")

    monkeypatch.setattr(speech, "stream_audio", stream)
    listener = Listener(8)
    assert heard(transcribe(listener, utterances_of([5, 6, 7, 8, 1]), quiet=True)) == [
        *("5", "6", "7: ends in the middle", "cannot hear 8", "1")
    ]
    assert [path.name for path in reading] == ["5", "1"]
    assert asked[0] == (Path("6"), 0.0, 6.0)
    # Where the manifest does not say, the headers do, for files of a size that makes it possible.
    path = tmp_path / "3"
    for size, seconds, is_asked in ((300, 99.0, False), (400, 6.0, True), (400, 5.0, True)):
        looked: list[Path] = []

        def info(path: Path, seconds: float = seconds, looked: list[Path] = looked) -> AudioInfo:
            looked.append(path)
            return AudioInfo(
                sample_rate=1, num_channels=1, duration_s=seconds, container="", encoding=""
            )

        monkeypatch.setattr(transcriptions, "audio_info", info)
        path.write_bytes(bytes(size))
        asked.clear()
        list(transcribe(listener, [Utterance(id="u", audio=path, duration_s=None)], quiet=True))
        assert bool(looked) is is_asked
        assert bool(asked) is (is_asked and seconds > 5)


def test_groups_are_recognised_side_by_side_and_come_out_in_order() -> None:
    """The first waits for the second to be done, which only works if both are under way."""
    second_is_done = threading.Event()

    class Waiting(Listener):
        def transcribe_batch(self, recordings: Sequence[Samples]) -> list[Transcript]:
            if len(recordings[0]) == 11 * SAMPLE_RATE:
                assert second_is_done.wait(timeout=60)
            else:
                second_is_done.set()
            return super().transcribe_batch(recordings)

    assert heard(transcribe(Waiting(), utterances_of([11, 12, 13]), quiet=True)) == [
        *("11", "12", "13")
    ]


def test_progress_counts_seconds_where_they_are_known_and_recordings_elsewhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    list(transcribe(Listener(), utterances_of([60, 0, 30])))
    assert "1:30 audio" in capsys.readouterr().err
    list(transcribe(Listener(), utterances_of([60, 0, 30], known=False)))
    assert "3 recordings" in capsys.readouterr().err
    list(transcribe(Listener(), utterances_of([60]), quiet=True))
    assert capsys.readouterr() == ("", "")


def test_a_reader_who_has_had_enough_ends_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    results = transcribe(Listener(), utterances_of([60, 60]))
    next(results)
    results.close()
    assert "stopped at 50%" in capsys.readouterr().err
