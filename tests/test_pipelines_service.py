"""The service, asked by the real OpenAI client and by clients that are none."""

import http.client
import io
import json
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openai
import pytest
import soundfile

from asr.audio import SAMPLE_RATE, write_wav
from asr.text import TextOptions
from asr.transcript import Transcript, Word
from pipelines.service import batcher
from pipelines.service.app import TRANSCRIPTIONS, Service
from pipelines.service.options import ServiceOptions
from pipelines.service.server import DrainingServer, listen_on

Samples = npt.NDArray[np.float32]
WAIT_S = 60.0
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Listener:
    """Hears how long a recording is: `1.3 s` is “one three”; waits where it is told to."""

    text = TextOptions()

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.entered = threading.Semaphore(0)
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def transcribe_batch(self, recordings: Sequence[Samples]) -> list[Transcript]:
        self.batches.append(len(recordings))
        self.entered.release()
        assert self.may_go_on.wait(WAIT_S)
        return [self.heard(len(samples) / SAMPLE_RATE) for samples in recordings]

    def transcribe_blocks(self, blocks: Iterable[Samples]) -> Transcript:
        return self.transcribe_batch([np.concatenate(list(blocks))])[0]

    def heard(self, duration_s: float) -> Transcript:
        said = [DIGITS[int(digit)] for digit in f"{duration_s:.1f}" if digit != "."]
        step_s = duration_s / len(said)
        words = tuple(
            Word(text=word, start_s=n * step_s, end_s=(n + 0.9) * step_s, probability=0.5)
            for n, word in enumerate(said)
        )
        return Transcript(
            text=" ".join(said),
            words=words,
            duration_s=duration_s,
            language="en",
            log_probability=-1,
        )


class Running(DrainingServer):
    """A server on a thread and a free port."""

    def __init__(self, service: Service, **options: Any) -> None:
        super().__init__(service, listen_on("127.0.0.1", 0), quiet=True, **options)
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @property
    def port(self) -> int:
        return int(self.servers[0].sockets[0].getsockname()[1])


class Place:
    """A running service with what is needed to ask it."""

    def __init__(self, listener: Listener, service: Service, server: Running) -> None:
        self.listener, self.service, self.server = listener, service, server
        self.clients = ExitStack()

    def client(self, token: str = "any", **options: Any) -> openai.OpenAI:
        client = openai.OpenAI(
            base_url=f"http://127.0.0.1:{self.server.port}/v1",
            api_key=token,
            max_retries=0,
            timeout=WAIT_S,
            **options,
        )
        self.clients.callback(client.close)
        return client

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Asks without any library's help."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=WAIT_S)
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    def close(self) -> None:
        self.clients.close()

    def figures(self) -> dict[str, float]:
        _, _, content = self.ask("GET", "/metrics")
        lines = [line for line in content.decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Place]]:
    """Starts services, and ends them; their temporary folders lie in tmp_path / "uploads"."""
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(uploads))
    with ExitStack() as stack:

        def start(listener: Any = None, **options: Any) -> Place:
            listener = listener or Listener()
            chosen = ServiceOptions(**options)
            service = Service(listener, name="tiny", options=chosen)
            server = Running(service, max_drain_s=WAIT_S)
            server.thread.start()
            assert server.ready.wait(WAIT_S)
            stack.callback(end, server)
            return stack.enter_context(closing(Place(listener, service, server)))

        def end(server: Running) -> None:
            server.should_exit = True
            server.thread.join(WAIT_S)
            assert not server.thread.is_alive()

        yield start
    assert list(uploads.iterdir()) == []


def sound(tenths: int) -> Samples:
    noise = np.random.default_rng(tenths).uniform(-0.1, 0.1, SAMPLE_RATE * tenths // 10)
    return noise.astype(np.float32)


def wav(tenths: int) -> tuple[str, bytes]:
    """A recording of so many tenths of a second, as the client takes it."""
    content = io.BytesIO()
    soundfile.write(content, sound(tenths), SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return f"{tenths}.wav", content.getvalue()


def form(fields: Mapping[str, str], file: bytes) -> tuple[dict[str, str], bytes]:
    """A form's head and body."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = b"".join([*parts, head, file, b"\r\n--edge--\r\n"])
    return {"Content-Type": "multipart/form-data; boundary=edge"}, body


def error_of(content: bytes) -> dict[str, Any]:
    record = json.loads(content)
    assert set(record) == {"error"}
    assert set(record["error"]) == {"message", "type", "param", "code"}
    error: dict[str, Any] = record["error"]
    return error


# What OpenAI's client sees


def test_the_client_hears_the_text(serve: Callable[..., Place]) -> None:
    client = serve().client()
    heard = client.audio.transcriptions.create(model="whisper-1", file=wav(13))
    assert heard.text == "one three"
    assert client.audio.transcriptions.create(model="tiny", file=wav(2)).text == "zero two"


def test_words_and_segments_come_with_times_where_they_are_asked_for(
    serve: Callable[..., Place],
) -> None:
    client = serve().client()

    def ask(*granularities: Any) -> Any:
        asked: dict[str, Any] = {"timestamp_granularities": granularities} if granularities else {}
        return client.audio.transcriptions.create(
            model="tiny", file=wav(13), response_format="verbose_json", language="en", **asked
        )

    plain, words, both = ask(), ask("word"), ask("word", "segment")
    assert plain.text == words.text == both.text == "one three"
    assert plain.language == "en"
    assert float(plain.duration) == 1.3
    assert plain.words is None
    assert words.segments is None
    assert [(one.word, one.start, one.end) for one in both.words] == [
        ("one", 0.0, 0.585),
        ("three", 0.65, 1.235),
    ]
    (segment,) = both.segments
    assert (segment.id, segment.text) == (0, "one three")
    assert 0 <= segment.start < segment.end <= 1.3
    assert segment.avg_logprob == pytest.approx(np.log(0.5), abs=1e-4)


def test_other_forms_are_plain_text(serve: Callable[..., Place]) -> None:
    client = serve().client()

    def ask(form: Any) -> str:
        heard: Any = client.audio.transcriptions.create(
            model="tiny", file=wav(13), response_format=form
        )
        return str(heard)

    assert ask("text") == "one three\n"
    assert ask("srt").startswith("1\n00:00:00,000 --> 00:00:01,")
    assert ask("vtt").startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.")
    assert "one three" in ask("srt")
    assert "one three" in ask("vtt")


def test_models_are_listed_by_all_their_names(serve: Callable[..., Place]) -> None:
    client = serve().client()
    assert [model.id for model in client.models.list()] == ["tiny", "whisper-1"]
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("large")


def test_requests_at_the_same_time_each_hear_their_own(serve: Callable[..., Place]) -> None:
    place = serve(batch_wait_s=0.05)
    client = place.client()

    def ask(tenths: int) -> str:
        heard: Any = client.audio.transcriptions.create(model="tiny", file=wav(tenths))
        return str(heard.text)

    with ThreadPoolExecutor(12) as pool:
        heard = list(pool.map(ask, range(1, 25)))
    assert heard == [place.listener.heard(tenths / 10).text for tenths in range(1, 25)]
    assert sum(place.listener.batches) == 24


@pytest.mark.parametrize(
    ("changed", "status", "param"),
    [
        ({"model": "large"}, 404, "model"),
        ({"language": "de"}, 400, "language"),
        ({"response_format": "pdf"}, 400, "response_format"),
        ({"response_format": "diarized_json"}, 400, "response_format"),
        ({"timestamp_granularities": ["word"]}, 400, "timestamp_granularities"),
        ({"extra_body": {"beams": "3"}}, 400, None),
        ({"file": ("a.wav", b"RIFF, or so it says")}, 400, "file"),
        ({"file": ("a.wav", b"")}, 400, "file"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(
    serve: Callable[..., Place], changed: Mapping[str, Any], status: int, param: str | None
) -> None:
    place = serve()
    asked: dict[str, Any] = {"model": "tiny", "file": wav(2)} | dict(changed)
    with pytest.raises(openai.APIStatusError) as caught:
        place.client().audio.transcriptions.create(**asked)
    assert caught.value.status_code == status
    body: Any = caught.value.body
    assert body["type"] == "invalid_request_error"
    assert body["param"] == param
    assert "expected" in body["message"] or "read as sound" in body["message"] or param is None
    assert "/" not in body["message"].replace("multipart/form-data", "")
    assert place.listener.batches == []


def test_what_means_nothing_to_this_model_is_ignored(serve: Callable[..., Place]) -> None:
    heard = (
        serve()
        .client()
        .audio.transcriptions.create(
            model="tiny", file=wav(5), prompt="Zero, five.", temperature=0.2, language="en-GB"
        )
    )
    assert heard.text == "zero five"


# Limits


def test_a_request_too_large_is_refused_before_it_is_read(serve: Callable[..., Place]) -> None:
    place = serve(max_request_bytes=10_000)
    with pytest.raises(openai.APIStatusError) as caught:
        place.client().audio.transcriptions.create(model="tiny", file=wav(20))
    assert caught.value.status_code == 413
    assert place.client().audio.transcriptions.create(model="tiny", file=wav(2)).text == "zero two"


def test_a_stream_too_large_is_refused_while_it_comes(serve: Callable[..., Place]) -> None:
    place = serve(max_request_bytes=10_000)
    headers, body = form({"model": "tiny"}, bytes(8_000))
    with socket.create_connection(("127.0.0.1", place.server.port), WAIT_S) as connection:
        head = (
            f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        )
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(f"{head}\r\n".encode())
        for piece in (body[:8_000], bytes(4_000)):  # and no end
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 413
        assert error_of(answer.read())["code"] == "request_too_large"
    assert place.listener.batches == []


def test_a_recording_that_says_it_is_too_long_is_not_decoded(
    serve: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = serve(max_audio_s=1.0)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(batcher, "read_blocks", refuse)
    with pytest.raises(openai.BadRequestError, match=r"at most 1 s of audio"):
        place.client().audio.transcriptions.create(model="tiny", file=wav(11))


def test_a_recording_that_does_not_say_how_long_it_is_is_read_no_further_than_allowed(
    serve: Callable[..., Place],
) -> None:
    place = serve(max_audio_s=1.0)

    def unsaid(tenths: int) -> tuple[str, bytes]:
        content = io.BytesIO()
        soundfile.write(content, sound(tenths), SAMPLE_RATE, format="FLAC")
        flac = bytearray(content.getvalue())
        flac[21] &= 0xF0  # of STREAMINFO, the 36 bits of the number of samples
        flac[22:26] = bytes(4)
        return "a.flac", bytes(flac)

    client = place.client()
    assert client.audio.transcriptions.create(model="tiny", file=unsaid(9)).text == "zero nine"
    with pytest.raises(openai.BadRequestError, match=r"at most 1 s of audio"):
        client.audio.transcriptions.create(model="tiny", file=unsaid(30))
    assert place.listener.batches == [1]


def test_a_request_too_slow_is_given_up(serve: Callable[..., Place]) -> None:
    place = serve(max_receive_s=0.05)
    headers, body = form({"model": "tiny"}, wav(2)[1])
    with socket.create_connection(("127.0.0.1", place.server.port), WAIT_S) as connection:
        head = f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Content-Length: {len(body)}\r\nContent-Type: {headers['Content-Type']}\r\n\r\n"
        connection.sendall(head.encode() + body[:100])
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 408


def test_beyond_its_places_the_service_says_when_to_ask_again(serve: Callable[..., Place]) -> None:
    place = serve(max_requests=1)
    listener = place.listener
    listener.may_go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(
            lambda: place.client().audio.transcriptions.create(model="tiny", file=wav(3))
        )
        assert listener.entered.acquire(timeout=WAIT_S)
        with pytest.raises(openai.InternalServerError) as caught:
            place.client().audio.transcriptions.create(model="tiny", file=wav(4))
        assert caught.value.status_code == 503
        assert int(caught.value.response.headers["retry-after"]) > 0
        assert place.figures()["asr_requests_in_hand"] == 1
        listener.may_go_on.set()
        assert first.result().text == "zero three"
    assert place.client().audio.transcriptions.create(model="tiny", file=wav(4)).text == "zero four"


# Who may ask


def test_without_the_token_there_is_nothing_but_the_page(serve: Callable[..., Place]) -> None:
    place = serve(token="correct horse")
    client = place.client("correct horse")
    assert client.audio.transcriptions.create(model="tiny", file=wav(3)).text == "zero three"
    for wrong in ("wrong", "correct hors", "correct horse2"):
        with pytest.raises(openai.AuthenticationError) as caught:
            place.client(wrong).audio.transcriptions.create(model="tiny", file=wav(3))
        assert caught.value.code == "invalid_api_key"
    assert place.ask("GET", "/metrics")[0] == 401
    assert (
        place.ask("GET", "/v1/models", headers={"Authorization": "Basic correct horse"})[0] == 401
    )
    assert place.ask("GET", "/v1/models", headers={"Authorization": "Bearer caf\xe9"})[0] == 401
    status, headers, content = place.ask("GET", "/v1/nothing")
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "correct horse" not in content.decode()
    assert place.ask("GET", "/healthz")[0] == place.ask("GET", "/")[0] == 200
    assert place.listener.batches == [1]


def test_pages_of_other_sites_cannot_ask(serve: Callable[..., Place]) -> None:
    place = serve(hosts=("localhost", "127.0.0.1", "[::1]"))
    here = f"127.0.0.1:{place.server.port}"

    def status(**headers: str) -> int:
        return place.ask("GET", "/v1/models", headers=headers)[0]

    assert status(Host=here, Origin=f"http://{here}") == 200
    assert status(Host="[::1]:80") == status(Host="LOCALHOST") == 200
    assert status(Host=here, Origin="https://example.org") == 403
    assert status(Host=here, Origin="null") == 403
    # A name that leads here may be anyone's.
    assert status(Host="example.org") == status(Host="localhost.example.org:8000") == 421


# What is left behind


def test_uploads_are_private_while_they_are_needed_and_gone_after(
    serve: Callable[..., Place], tmp_path: Path
) -> None:
    place = serve()
    listener = place.listener
    listener.may_go_on.clear()
    (folder,) = (tmp_path / "uploads").iterdir()
    with ThreadPoolExecutor(1) as pool:
        asked = {"model": "tiny", "file": ("../../étrange; rm -rf $HOME.WAV", wav(3)[1])}
        first = pool.submit(lambda: place.client().audio.transcriptions.create(**asked))
        assert listener.entered.acquire(timeout=WAIT_S)
        (file,) = folder.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.suffix == ".wav"
        assert "rm" not in file.name
        listener.may_go_on.set()
        assert first.result().text == "zero three"
    assert list(folder.iterdir()) == []
    with pytest.raises(openai.BadRequestError):
        place.client().audio.transcriptions.create(model="tiny", file=("a.wav", b"no sound"))
    assert list(folder.iterdir()) == []


def test_a_failure_of_ours_tells_strangers_nothing(serve: Callable[..., Place]) -> None:
    class Broken(Listener):
        def transcribe_batch(self, recordings: Sequence[Samples]) -> list[Transcript]:
            raise MemoryError(f"secret of {len(recordings)}")

    place = serve(Broken())
    with pytest.raises(openai.InternalServerError) as caught:
        place.client().audio.transcriptions.create(model="tiny", file=wav(3))
    assert caught.value.status_code == 500
    assert "secret" not in str(caught.value)
    assert place.ask("GET", "/healthz")[0] == 200
    assert place.figures()['asr_requests_total{status="500"}'] == 1


# The end


def test_what_is_in_hand_is_finished_and_new_requests_are_sent_away(
    serve: Callable[..., Place],
) -> None:
    place = serve()
    listener = place.listener
    listener.may_go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(
            lambda: place.client().audio.transcriptions.create(model="tiny", file=wav(3))
        )
        assert listener.entered.acquire(timeout=WAIT_S)
        place.server.handle_exit(signal.SIGTERM, None)
        with pytest.raises(openai.InternalServerError) as caught:
            place.client().audio.transcriptions.create(model="tiny", file=wav(4))
        assert caught.value.status_code == 503
        assert place.ask("GET", "/healthz")[0] == 503
        listener.may_go_on.set()
        assert first.result().text == "zero three"
    place.server.thread.join(WAIT_S)
    assert not place.server.thread.is_alive()


# For those who watch


def test_the_figures_say_what_was_done(serve: Callable[..., Place]) -> None:
    place = serve()
    client = place.client()
    for tenths in (12, 30):
        client.audio.transcriptions.create(model="tiny", file=wav(tenths))
    with pytest.raises(openai.BadRequestError):
        client.audio.transcriptions.create(model="tiny", file=("a.wav", b"no sound"))
    assert place.ask("GET", TRANSCRIPTIONS)[0] == 405
    figures = place.figures()
    assert figures['asr_requests_total{status="200"}'] == 2
    assert figures['asr_requests_total{status="400"}'] == 1
    assert figures['asr_requests_total{status="405"}'] == 1
    assert figures["asr_request_seconds_count"] == 4
    assert figures["asr_audio_seconds_total"] == pytest.approx(4.2)
    assert figures["asr_processing_seconds_total"] > 0
    assert figures["asr_real_time_factor_count"] == len(place.listener.batches)
    assert figures["asr_word_confidence_sum"] == pytest.approx(1.0)
    assert figures["asr_word_confidence_count"] == 2
    assert figures["asr_queue_recordings"] == figures["asr_requests_in_hand"] == 0


def test_every_answer_that_is_no_transcript_has_openais_shape(serve: Callable[..., Place]) -> None:
    place = serve()
    status, headers, content = place.ask("GET", TRANSCRIPTIONS)
    assert (status, headers["Allow"]) == (405, "POST")
    assert error_of(content)["type"] == "invalid_request_error"
    status, _, content = place.ask("GET", "/v1/nothing")
    assert status == 404
    assert "/v1/nothing" in error_of(content)["message"]
    status, _, content = place.ask(
        "POST", TRANSCRIPTIONS, body=b"{}", headers={"Content-Type": "application/json"}
    )
    assert status == 415
    assert "multipart/form-data" in error_of(content)["message"]
    kind, body = form({"model": "tiny"}, wav(2)[1])
    begun = b'--edge\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    for broken in (b"", b"--edge", begun):
        status, _, content = place.ask("POST", TRANSCRIPTIONS, body=broken, headers=kind)
        assert status == 400
        assert error_of(content)["message"]
    # What comes after a form's end is no part of it.
    assert place.ask("POST", TRANSCRIPTIONS, body=body + body, headers=kind)[0] == 200


# Starlette leaves the file of a part that never ends to be closed by Python.
@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
def test_any_form_is_answered_and_none_is_a_failure_of_ours(
    serve: Callable[..., Place], rng: np.random.Generator
) -> None:
    place = serve(max_request_bytes=20_000)
    fields = {"model": "tiny", "response_format": "verbose_json", "language": "en"}
    kind, good = form(fields, wav(2)[1])
    statuses = []
    for _ in range(100):
        body = bytearray(good[: rng.integers(1, len(good) + 1) if rng.random() < 0.3 else None])
        for _ in range(rng.integers(0, 6)):
            # Most of the form is sound, in which changes are heard and no more.
            body[rng.integers(min(len(body), 420))] = rng.integers(256)
        statuses.append(place.ask("POST", TRANSCRIPTIONS, body=bytes(body), headers=kind)[0])
    assert set(statuses) <= {200, 400, 404}
    assert {200, 400} <= set(statuses)
    assert place.ask("GET", "/healthz")[0] == 200


def test_long_recordings_do_not_hold_up_short_ones(
    serve: Callable[..., Place], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(batcher, "LONG_S", 2.0)
    reached, may_go_on = threading.Event(), threading.Event()

    class Slow(Listener):
        def transcribe_blocks(self, blocks: Iterable[Samples]) -> Transcript:
            reached.set()
            assert may_go_on.wait(WAIT_S)
            return super().transcribe_blocks(blocks)

    place = serve(Slow())
    write_wav(tmp_path / "long.wav", sound(31))
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(
            lambda: place.client().audio.transcriptions.create(
                model="tiny", file=tmp_path / "long.wav"
            )
        )
        assert reached.wait(WAIT_S)
        short = place.client().audio.transcriptions.create(model="tiny", file=wav(5))
        assert short.text == "zero five"
        assert not long.done()
        may_go_on.set()
        assert long.result().text == "three one"
