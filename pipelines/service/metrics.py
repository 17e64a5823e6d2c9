"""What a service counts of itself, for Prometheus to read.

`rate(asr_processing_seconds_total) / rate(asr_audio_seconds_total)` is the real-time factor over
any stretch of time, and `rate(asr_word_confidence_sum) / rate(asr_word_confidence_count)` the mean
confidence: one that falls says that recordings have come to differ from those the model knows.
"""

import time
from collections.abc import Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr.transcript import Transcript

CONTENT_TYPE = CONTENT_TYPE_LATEST

_LATENCIES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
_CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
_FACTORS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counts of one service. It may be told of things from several threads at once."""

    def __init__(self) -> None:
        # Not the library's own registry: two services in one process count apart.
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "asr_requests",
            "Requests for a transcript, by HTTP status",
            ["status"],
            registry=self._registry,
        )
        self._latency = Histogram(
            "asr_request_seconds",
            "From a request's head to its answer",
            buckets=_LATENCIES_S,
            registry=self._registry,
        )
        self._audio = Counter("asr_audio_seconds", "Audio transcribed", registry=self._registry)
        self._processing = Counter(
            "asr_processing_seconds", "Spent on reading and recognising it", registry=self._registry
        )
        self._factor = Histogram(
            "asr_real_time_factor",
            "Seconds spent for a second of audio, of each batch",
            buckets=_FACTORS,
            registry=self._registry,
        )
        self._batch = Histogram(
            "asr_batch_recordings", "Recordings of a batch", buckets=_SIZES, registry=self._registry
        )
        self._confidence = Histogram(
            "asr_word_confidence",
            "Mean confidence of the words of a recording",
            buckets=_CONFIDENCES,
            registry=self._registry,
        )

    def watch(self, name: str, text: str, count: Callable[[], int]) -> None:
        """Shows a number as it is whenever it is asked for."""
        Gauge(name, text, registry=self._registry).set_function(count)

    def answered(self, status: int, *, seconds: float) -> None:
        """Counts a request for a transcript that was answered."""
        self._requests.labels(str(status)).inc()
        self._latency.observe(seconds)

    def recognised(self, transcripts: Sequence[Transcript], *, compute_s: float) -> None:
        """Counts a batch of recordings and the time that was spent on it."""
        self._processing.inc(compute_s)
        audio_s = sum(one.duration_s for one in transcripts)
        if audio_s == 0:  # all of them failed
            return
        self._batch.observe(len(transcripts))
        self._audio.inc(audio_s)
        self._factor.observe(compute_s / audio_s)
        for transcript in transcripts:
            known = [w.probability for w in transcript.words if w.probability is not None]
            if known:
                self._confidence.observe(sum(known) / len(known))

    def text(self) -> bytes:
        """Returns all of it in Prometheus's text format."""
        return generate_latest(self._registry)


class Counting:
    """Counts the answers to requests at one address, refused ones included; ASGI middleware.

    Args:
        app: What answers.
        metrics: Where to count.
        path: The address.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, path: str) -> None:
        self._app, self._metrics, self._path = app, metrics, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http" or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        start_s, status = time.perf_counter(), 500  # which an error further in becomes further out

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            self._metrics.answered(status, seconds=time.perf_counter() - start_s)
