"""Who may ask: those who know the token, by a name that is ours."""

import hmac
import os
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.service.refusal import Refusal
from pipelines.usage import UsageError

TOKEN_VARIABLE = "ASR_SERVE_TOKEN"
OPEN_PATHS = ("/", "/healthz")
"""What is shown without a token: the page, which asks for one, and whether the service lives."""


def read_token(path: Path | None) -> str | None:
    """Returns the token that clients have to show, of a file or else of the environment.

    Raises:
        UsageError: The file cannot be read, or what is there is no token.
    """
    if path is None:
        token, where = os.environ.get(TOKEN_VARIABLE, "").strip(), TOKEN_VARIABLE
        if not token:
            return None
    else:
        where = f"--token-file {path}"
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{where}: cannot be read: {error}") from None
    if not token.isascii() or not token.isprintable() or not token:
        raise UsageError(f"{where}: expected a line of ASCII")
    return token


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Gatekeeper:
    """Lets through who may ask, and answers the others; ASGI middleware.

    Args:
        app: What is behind it.
        token: What clients have to show; None if anyone may ask.
        hosts: Names by which the service may be called; empty if by any. Without this, a page of
            any site could have its own name lead to this machine and read the answers.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: Iterable[str]) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] == "http" and (refusal := self._refusal(scope)):
            await refusal.to_response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts and _name(host) not in self._hosts:
            return Refusal(
                421,
                f"expected one of the names {', '.join(sorted(self._hosts))} in the address, "
                f"received {host!r:.80}; asr serve --allow-host NAME allows another",
            )
        # A form on another site's page needs no permission to be sent; ours says where it is from.
        origin = headers.get("origin")
        if origin is not None and not self._is_ours(origin.partition("://")[2], host):
            return Refusal(403, "expected a request from the service's own page, or from no page")
        if self._token is not None and scope["path"] not in OPEN_PATHS and not self._knows(headers):
            message = "expected a header “Authorization: Bearer TOKEN” with the service's token"
            return Refusal(401, message, code="invalid_api_key")
        return None

    def _is_ours(self, origin: str, host: str) -> bool:
        return origin == host or _name(origin) in self._hosts

    def _knows(self, headers: Headers) -> bool:
        kind, _, shown = headers.get("authorization", "").partition(" ")
        # In a time that does not tell how much of it is right.
        same = hmac.compare_digest(shown.strip().encode("latin-1", "replace"), self._token or b"")
        return same and kind.lower() == "bearer"


def _name(host: str) -> str:
    """Returns a Host header without its port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
