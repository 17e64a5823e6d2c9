"""The page at `/`: drop a recording on it, or record one, and read what was said."""

import base64
import functools
import hashlib
import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_PAGE = Path(__file__).parent / "page.html"


async def page_response(_: Request) -> Response:
    """Answers `GET /`."""
    return HTMLResponse(_text(), headers=_headers())


@functools.cache
def _text() -> str:
    return _PAGE.read_text(encoding="utf-8")


@functools.cache
def _headers() -> dict[str, str]:
    """Returns what holds the page to itself: its own script and style, its own service."""
    policy = {
        "default-src": "'none'",
        "script-src": _hash("script"),
        "style-src": _hash("style"),
        "connect-src": "'self'",
        "media-src": "blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }


def _hash(element: str) -> str:
    """Returns the digest of the page's one script or style, by which browsers know it again."""
    found = re.findall(f"<{element}>(.*?)</{element}>", _text(), re.DOTALL)
    (content,) = found
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
