"""What is at which address of the service, and how a request for a transcript is answered."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asr.errors import AudioError
from asr.transcript import Transcript
from pipelines.recognition import BatchRecognizer
from pipelines.service.access import Gatekeeper
from pipelines.service.answers import answer
from pipelines.service.asked import read_asked
from pipelines.service.batcher import Batcher
from pipelines.service.metrics import CONTENT_TYPE, Counting, Metrics
from pipelines.service.options import ServiceOptions
from pipelines.service.page import page_response
from pipelines.service.recordings import stated_duration_s
from pipelines.service.refusal import Refusal, answer_fault, answer_http_error, answer_refusal
from pipelines.service.uploads import Upload, received

CLIENT_GONE = 499
"""As nginx counts those who did not wait for the answer."""

_CLOSE_S = 2.0

TRANSCRIPTIONS = "/v1/audio/transcriptions"


class Service:
    """A recognizer that answers over HTTP; `app` is what a server runs.

    Args:
        recognizer: What turns samples into texts.
        name: The model's.
        options: What is allowed, and to whom.
    """

    def __init__(self, recognizer: BatchRecognizer, *, name: str, options: ServiceOptions) -> None:
        self._language = recognizer.text.language
        self._options = options
        self._models = tuple(dict.fromkeys((name, *options.models)))
        self._created = int(time.time())
        self.metrics = Metrics()
        self._batcher = Batcher(
            recognizer,
            max_batch=options.max_batch,
            wait_s=options.batch_wait_s,
            max_audio_s=options.max_audio_s,
            observe=lambda heard, seconds: self.metrics.recognised(heard, compute_s=seconds),
        )
        self.metrics.watch(
            "asr_queue_recordings", "Recordings that wait", lambda: len(self._batcher)
        )
        self.metrics.watch("asr_requests_in_hand", "Requests taken in", lambda: self.in_hand)
        self._folder = Path()
        self.in_hand = 0
        self.is_draining = False
        self.app = self._make_app()

    def _make_app(self) -> Starlette:
        return Starlette(
            routes=[
                Route(TRANSCRIPTIONS, self.transcriptions, methods=["POST"]),
                Route("/v1/models", self.models),
                Route("/v1/models/{name}", self.model),
                Route("/healthz", self.healthz),
                Route("/metrics", self.show_metrics),
                Route("/", page_response),
            ],
            middleware=[
                Middleware(Counting, metrics=self.metrics, path=TRANSCRIPTIONS),
                Middleware(Gatekeeper, token=self._options.token, hosts=self._options.hosts),
            ],
            exception_handlers={
                Refusal: answer_refusal,
                HTTPException: answer_http_error,
                Exception: answer_fault,
            },
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="asr-serve-") as folder:  # for its owner alone
            self._folder = Path(folder)
            yield
            # What is in hand was waited for already, if there was to be any waiting.
            await asyncio.to_thread(self._batcher.close, wait_s=_CLOSE_S)

    async def transcriptions(self, request: Request) -> Response:
        """Answers `POST /v1/audio/transcriptions`."""
        try:
            with self._place():
                return await self._transcribed(request)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)  # which nobody reads

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """Takes a request in hand, or refuses it before anything of it is read."""
        if self.is_draining:
            raise Refusal(503, "the service is about to end", code="shutting_down")
        if self.in_hand >= self._options.max_requests:
            raise Refusal(
                503, f"{self.in_hand} requests are in hand already; ask again", code="busy"
            )
        self.in_hand += 1
        try:
            yield
        finally:
            self.in_hand -= 1

    async def _transcribed(self, request: Request) -> Response:
        async with received(request, self._folder, self._options) as upload:
            asked = read_asked(upload.fields, models=self._models, language=self._language)
            transcript = await self._heard(request, upload)
        return await asyncio.to_thread(answer, transcript, asked)

    async def _heard(self, request: Request, upload: Upload) -> Transcript:
        limit_s = self._options.max_audio_s
        try:
            duration_s = await asyncio.to_thread(
                stated_duration_s, upload.path, max_audio_s=limit_s
            )
            waiting = self._batcher.submit(upload.path, duration_s=duration_s)
            return await _unless_gone(request, waiting)
        except AudioError as error:
            # Where the file lies here is nobody's business.
            reason = str(error).replace(f"{upload.path}: ", "").replace(str(upload.path), "it")
            raise Refusal(400, f"file: {reason}", param="file", code="invalid_audio") from None

    async def models(self, _: Request) -> Response:
        """Answers `GET /v1/models`."""
        return JSONResponse({"object": "list", "data": list(map(self._model, self._models))})

    async def model(self, request: Request) -> Response:
        """Answers `GET /v1/models/NAME`."""
        name = request.path_params["name"]
        if name not in self._models:
            message = f"expected {' or '.join(self._models)}, received {name!r:.80}"
            raise Refusal(404, message, param="model", code="model_not_found")
        return JSONResponse(self._model(name))

    def _model(self, name: str) -> dict[str, object]:
        return {"id": name, "object": "model", "created": self._created, "owned_by": "asr"}

    async def healthz(self, _: Request) -> Response:
        """Answers `GET /healthz`: 503 once the service is about to end."""
        if self.is_draining:
            raise Refusal(503, "the service is about to end", code="shutting_down")
        return JSONResponse({"status": "ok"})

    async def show_metrics(self, _: Request) -> Response:
        """Answers `GET /metrics`."""
        return Response(self.metrics.text(), media_type=CONTENT_TYPE)


async def _unless_gone(request: Request, waiting: Future[Transcript]) -> Transcript:
    """Awaits a transcript; one that nobody waits for any more need not be begun.

    Raises:
        ClientDisconnect: The client has gone.
    """
    heard = asyncio.wrap_future(waiting)
    gone = asyncio.ensure_future(_until_gone(request))
    try:
        await asyncio.wait((heard, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        waiting.cancel()  # of no effect once it was begun: then the file has to stay until the end
        await asyncio.wait((heard,))
    if heard.cancelled():
        raise ClientDisconnect
    return heard.result()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
