"""The service on a port, until it is told to end: then what is in hand is finished first."""

import asyncio
import copy
import socket
import time
from types import FrameType

import uvicorn
from uvicorn.config import LOGGING_CONFIG

from asr.errors import AsrError
from pipelines.service.app import Service

_LOOK_S = 0.05


class DrainingServer(uvicorn.Server):
    """A server that at the first signal finishes what is in hand, and at the second ends at once.

    Meanwhile new requests are still heard, and told to come back later: a client that is refused a
    connection cannot know whether that is meant.

    Args:
        service: What it serves.
        listener: Where to listen, of `listen_on`.
        max_drain_s: How long what is in hand may take in the end, in seconds.
        quiet: Say nothing of each request.
    """

    def __init__(
        self, service: Service, listener: socket.socket, *, max_drain_s: float, quiet: bool
    ) -> None:
        super().__init__(
            uvicorn.Config(
                service.app,
                http="h11",
                ws="none",
                lifespan="on",
                log_config=_logging(),
                log_level="warning" if quiet else "info",
                server_header=False,
                # Whose address it is that X-Forwarded-For names is not looked at here.
                proxy_headers=False,
                timeout_graceful_shutdown=5,
            )
        )
        self._service, self._listener = service, listener
        self._max_drain_s = max_drain_s

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves until it is told to end."""
        super().run(sockets or [self._listener])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to end; as the handler of SIGINT and SIGTERM."""
        if self._service.is_draining:
            super().handle_exit(sig, frame)
        self._service.is_draining = True

    async def main_loop(self) -> None:
        """Runs until there is nothing left to do."""
        looking = asyncio.ensure_future(self._drain())
        await super().main_loop()
        looking.cancel()

    async def _drain(self) -> None:
        while not self._service.is_draining:
            await asyncio.sleep(_LOOK_S)
        end = time.monotonic() + self._max_drain_s
        while self._service.in_hand and time.monotonic() < end:
            await asyncio.sleep(_LOOK_S)
        self.should_exit = True


def listen_on(host: str, port: int) -> socket.socket:
    """Takes a port, which is known to be free before a model is opened.

    Args:
        host: Address of this machine, or a name of it.
        port: The port; 0 for any that is free.

    Raises:
        AsrError: It is not to be had.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise AsrError(f"cannot listen on port {port} of {host}: {reason}") from None


def address_of(listener: socket.socket) -> str:
    """Returns the address of what listens there, for browsers."""
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _logging() -> dict[str, object]:
    """Returns uvicorn's settings with all of it on the error stream."""
    settings = copy.deepcopy(LOGGING_CONFIG)
    settings["handlers"]["access"]["stream"] = "ext://sys.stderr"
    return settings
