"""One recognizer for all: batches that change no transcript, and no failure that spreads."""

import asyncio
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request

from asr.audio import SAMPLE_RATE, load_audio, write_wav
from asr.decoding import DecodingOptions
from asr.errors import AudioError, DecodingError
from asr.features import FeatureOptions
from asr.recognizer import Recognizer
from asr.text import TextOptions
from asr.transcript import Transcript
from asr.vocabulary import Vocabulary
from pipelines.service.app import _unless_gone
from pipelines.service.asked import FORMS, GRANULARITIES, read_asked
from pipelines.service.batcher import Batcher
from pipelines.service.recordings import TooLongError
from pipelines.service.refusal import Refusal

Samples = npt.NDArray[np.float32]
WAIT_S = 60.0


class Listener:
    """Hears tenths of a second, and cannot bear 9 of them; waits where it is told to."""

    text = TextOptions()

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def transcribe_batch(self, recordings: Sequence[Samples]) -> list[Transcript]:
        tenths = [round(10 * len(samples) / SAMPLE_RATE) for samples in recordings]
        self.batches.append(tenths)
        self.entered.release()
        assert self.may_go_on.wait(WAIT_S)
        if 9 in tenths:
            raise DecodingError("too much")
        return [
            Transcript(text=str(n), words=(), duration_s=n / 10, language="en", log_probability=0.0)
            for n in tenths
        ]

    def transcribe_blocks(self, blocks: Iterable[Samples]) -> Transcript:
        return self.transcribe_batch([np.concatenate(list(blocks))])[0]


class Started:
    """A batcher, what it observed, and recordings by their tenths."""

    def __init__(self, recognizer: Any, folder: Path, **options: Any) -> None:
        self.observed: list[tuple[list[str], float]] = []
        chosen = {"max_batch": 4, "wait_s": 0.0, "max_audio_s": 100.0} | options
        self.batcher = Batcher(recognizer, observe=self.observe, **chosen)
        self.folder = folder

    def observe(self, heard: Sequence[Transcript], compute_s: float) -> None:
        self.observed.append(([one.text for one in heard], compute_s))

    def submit(self, tenths: int) -> Future[Transcript]:
        path = self.folder / f"{tenths}.wav"
        if not path.exists():
            noise = np.random.default_rng(tenths).uniform(-0.5, 0.5, SAMPLE_RATE * tenths // 10)
            write_wav(path, noise)
        return self.batcher.submit(path, duration_s=tenths / 10)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Listener, Started]]:
    """A batcher both of whose threads are busy with a recording of a tenth, so that others wait."""
    listener = Listener()
    started = Started(listener, tmp_path)
    listener.may_go_on.clear()
    for _ in range(2):
        started.submit(1)
        assert listener.entered.acquire(timeout=WAIT_S)
    yield listener, started
    listener.may_go_on.set()
    started.batcher.close()


def text_of(waiting: Future[Transcript]) -> str:
    return waiting.result(WAIT_S).text


def test_what_waits_together_is_recognised_together(held: tuple[Listener, Started]) -> None:
    listener, started = held
    waiting = [started.submit(tenths) for tenths in (2, 3, 4, 5, 6, 7)]
    assert len(started.batcher) == 6
    listener.may_go_on.set()
    assert [text_of(one) for one in waiting] == ["2", "3", "4", "5", "6", "7"]
    started.batcher.close()
    assert sorted(listener.batches) == [[1], [1], [2, 3, 4, 5], [6, 7]]
    told = sorted(texts for texts, _ in started.observed)
    assert told == [["1"], ["1"], ["2", "3", "4", "5"], ["6", "7"]]
    assert all(seconds > 0 for _, seconds in started.observed)


def test_a_recording_that_is_refused_costs_itself_alone(held: tuple[Listener, Started]) -> None:
    listener, started = held
    broken = started.folder / "broken.wav"
    broken.write_bytes(b"no sound")
    waiting = [started.submit(2), started.submit(9), started.submit(3)]
    unread = started.batcher.submit(broken, duration_s=1.0)
    listener.may_go_on.set()
    assert text_of(waiting[0]) == "2"
    assert text_of(waiting[2]) == "3"
    with pytest.raises(DecodingError, match="too much"):
        waiting[1].result(WAIT_S)
    with pytest.raises(AudioError, match="read as sound"):
        unread.result(WAIT_S)
    assert text_of(started.submit(4)) == "4"


def test_what_nobody_waits_for_is_not_begun(held: tuple[Listener, Started]) -> None:
    listener, started = held
    given_up, wanted = started.submit(2), started.submit(3)
    assert given_up.cancel()
    listener.may_go_on.set()
    assert text_of(wanted) == "3"
    assert [2] not in listener.batches
    assert sorted(listener.batches) == [[1], [1], [3]]


def test_the_end_waits_for_what_was_taken_in(tmp_path: Path) -> None:
    listener = Listener()
    started = Started(listener, tmp_path)
    waiting = [started.submit(tenths) for tenths in (2, 3, 4, 5, 6)]
    waiting.append(started.batcher.submit(tmp_path / "5.wav", duration_s=None))
    started.batcher.close()
    assert [one.result(0).text for one in waiting] == ["2", "3", "4", "5", "6", "5"]


def test_more_than_is_allowed_is_not_heard(tmp_path: Path) -> None:
    listener = Listener()
    started = Started(listener, tmp_path, max_audio_s=0.45)
    long, short = started.submit(5), started.submit(4)
    with pytest.raises(TooLongError):
        long.result(WAIT_S)
    assert text_of(short) == "4"
    # One that does not say how long it is.
    with pytest.raises(TooLongError):
        started.batcher.submit(tmp_path / "5.wav", duration_s=None).result(WAIT_S)
    started.batcher.close()


def test_a_transcript_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    features = FeatureOptions(n_mfcc=5, stack=2)
    vocabulary = Vocabulary.from_characters(" ab")
    weights = np.random.default_rng(0).normal(size=(features.num_features, len(vocabulary)))

    def network(rows: Samples, lengths: npt.NDArray[np.int32]) -> tuple[Any, Any]:
        return (rows @ weights).astype(np.float32), lengths

    recognizer = Recognizer(
        features=features,
        text=TextOptions(),
        vocabulary=vocabulary,
        decoding=DecodingOptions(),
        network=network,
    )
    started = Started(recognizer, tmp_path, wait_s=1.0, max_batch=6)
    lengths = (3, 12, 7, 3, 25, 1)
    together = [started.submit(tenths) for tenths in lengths]
    found = [one.result(WAIT_S) for one in together]
    assert [len(texts) for texts, _ in started.observed] == [6]
    assert found == [recognizer.transcribe(load_audio(tmp_path / f"{n}.wav")) for n in lengths]
    assert any(one.text for one in found)
    started.batcher.close()


def test_who_hangs_up_is_not_waited_for() -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def ask(waiting: Future[Transcript]) -> Transcript:
        return await _unless_gone(Request({"type": "http"}, gone), waiting)

    waiting: Future[Transcript] = Future()
    with pytest.raises(ClientDisconnect):
        asyncio.run(ask(waiting))
    assert waiting.cancelled()


FIELD = st.sampled_from(
    [
        *("file", "model", "language", "response_format", "stream", "prompt", "temperature"),
        *("timestamp_granularities[]", "timestamp_granularities", "n", ""),
    ]
)
VALUE = st.one_of(
    st.sampled_from(["tiny", "en", "false", *FORMS, *GRANULARITIES]), st.text(), st.none()
)


@given(st.dictionaries(FIELD, st.lists(VALUE, min_size=1, max_size=3)))
def test_any_fields_are_understood_or_refused(fields: dict[str, list[Any]]) -> None:
    refusal, asked = None, None
    try:
        asked = read_asked(fields, models=["tiny"], language="en")
    except Refusal as error:
        refusal = error
    if refusal is not None:
        assert 400 <= refusal.status < 500
        assert refusal.to_json()["error"]["message"] == refusal.message
        assert len(refusal.message) < 500
    if asked is not None:
        assert fields["model"] == ["tiny"]
        assert asked.form in FORMS
        assert asked.with_words or asked.with_segments
