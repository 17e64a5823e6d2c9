"""What a request brings along, received within limits and kept where nobody else can read it."""

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.types import Message, Receive

from pipelines.service.options import ServiceOptions
from pipelines.service.refusal import Refusal

_MAX_FIELDS = 32
_MAX_FIELD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A request's recording and its other fields.

    Attributes:
        path: The recording, in a private file of a name of our own.
        fields: Name → values.
    """

    path: Path
    fields: dict[str, Sequence[Any]]


@contextlib.asynccontextmanager
async def received(
    request: Request, folder: Path, options: ServiceOptions
) -> AsyncIterator[Upload]:
    """Receives a form with a recording, which is removed in the end.

    Nothing is read beyond the limit, and nothing is looked into before all of it is there.

    Raises:
        Refusal: It is too large or too slow, is no form, or has no recording.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise Refusal(415, f"expected a form (multipart/form-data), received {kind[:80] or 'none'}")
    bounded = Request(request.scope, _at_most(request, options.max_request_bytes))
    try:
        async with asyncio.timeout(options.max_receive_s):
            form = await bounded.form(
                max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES
            )
    except TimeoutError:
        raise Refusal(408, f"the request took over {options.max_receive_s:g} s to arrive") from None
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Refusal(400, "file: expected a recording, received none", param="file")
        if not file.size:
            raise Refusal(400, "file: expected a recording, received 0 bytes", param="file")
        path = await asyncio.to_thread(_keep, file, folder)
    finally:
        await form.close()
    try:
        yield Upload(path=path, fields={name: form.getlist(name) for name in form})
    finally:
        path.unlink(missing_ok=True)


def _at_most(request: Request, max_bytes: int) -> Receive:
    """Returns the request's stream, which ends with a refusal where there is too much of it."""
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > max_bytes:
        raise _too_large(max_bytes)
    num_bytes = 0

    async def receive() -> Message:
        nonlocal num_bytes
        message = await request.receive()
        num_bytes += len(message.get("body", b""))
        if num_bytes > max_bytes:
            raise _too_large(max_bytes)
        return message

    return receive


def _too_large(max_bytes: int) -> Refusal:
    message = f"expected a request of at most {max_bytes:,} bytes, received more"
    return Refusal(413, message, param="file", code="request_too_large")


def _keep(file: UploadFile, folder: Path) -> Path:
    """Copies an upload into a file of its own, since decoders open files by name."""
    # Of the name that was given, no more than a plain suffix, by which ffmpeg is chosen.
    suffix = re.search(r"\.[A-Za-z0-9]{1,5}$", file.filename or "")
    handle, name = tempfile.mkstemp(dir=folder, suffix=suffix[0].lower() if suffix else "")
    with os.fdopen(handle, "wb") as target:
        shutil.copyfileobj(file.file, target)
    return Path(name)
