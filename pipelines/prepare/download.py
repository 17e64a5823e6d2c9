"""Fetching a corpus's archive: resumed where a connection was cut, and checked before it is used.

What has arrived lies in `NAME.part`, with a note `NAME.part.json` of what the server said it was
(RFC 9110: ETag, Last-Modified, length). A later request asks for the rest on the condition that
it is still the same file (If-Range); a server that cannot do so sends it from the start.
A digest is checked where its publisher gives one; elsewhere that of the first download is kept
in `NAME.sha256`, in sha256sum's format, and every later use is held to it.
"""

import contextlib
import dataclasses
import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from asr.errors import AsrError
from asr.files import write_text
from pipelines.prepare.corpus import Archive
from pipelines.progress import Progress

BLOCK = 1 << 20
MEGABYTE = 1e6
TIMEOUT_S = 60.0
# 429 and those of a server that is busy or behind a gateway: worth another try.
PASSING_STATUSES = {408, 425, 429, 500, 502, 503, 504}
RANGE_NOT_SATISFIABLE = 416
CONTENT_RANGE = re.compile(r"bytes (?P<start>\d+)-\d+/(?P<total>\d+|\*)")


class DownloadError(AsrError):
    """An archive cannot be fetched, is not what its publisher made, or cannot be unpacked."""


class _InterruptedError(Exception):
    """The connection ended early, or the server was busy; what has arrived is kept."""


@dataclasses.dataclass(slots=True)
class _Partial:
    """What has arrived of a file, and what the server said the whole is."""

    url: str
    path: Path
    etag: str = ""
    modified: str = ""
    total: int | None = None

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def is_complete(self) -> bool:
        return self.total is not None and self.size == self.total

    def recall(self) -> None:
        """Takes up an earlier run's part, if it is of the same address."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            note = json.loads(self.note.read_text(encoding="utf-8"))
            if note["url"] == self.url:
                self.etag, self.modified = str(note["etag"]), str(note["modified"])
                self.total = None if note["total"] is None else int(note["total"])
                return
        self.discard()

    def describe(self, headers: http.client.HTTPMessage, total: int | None) -> None:
        """Notes what the server says of a file that begins now."""
        self.etag, self.modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
        self.total = total
        told = {"url": self.url, "etag": self.etag, "modified": self.modified, "total": total}
        write_text(self.note, json.dumps(told) + "\n")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self.etag, self.modified, self.total = "", "", None


def fetch(
    archive: Archive, folder: Path, *, attempts: int = 5, wait_s: float = 1.0, quiet: bool = False
) -> Path:
    """Downloads an archive into a folder, or takes it as it lies there, and checks its digest.

    Args:
        archive: What to fetch.
        folder: Where to; made if missing.
        attempts: How many times in a row to try without receiving anything new.
        wait_s: Seconds before the second try; doubled for each one after.
        quiet: Show no progress.

    Returns:
        The checked file.

    Raises:
        DownloadError: It cannot be had, or its digest is not the expected one.
    """
    target = folder / archive.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            _fetch_new(archive, target, attempts=attempts, wait_s=wait_s, quiet=quiet)
        elif not _is_as_expected(target, archive, target):
            raise DownloadError(
                f"{target}: not the file it should be: its digest differs from the "
                f"{_source(archive)} one; delete it to download it again"
            )
    except OSError as error:
        raise DownloadError(f"{target}: cannot be written: {error}") from error
    _record(target, archive)
    return target


def _fetch_new(
    archive: Archive, target: Path, *, attempts: int, wait_s: float, quiet: bool
) -> None:
    partial = _Partial(url=archive.url, path=target.with_name(f"{target.name}.part"))
    partial.recall()
    resumed = _receive_all(partial, attempts=attempts, wait_s=wait_s, quiet=quiet)
    matches = _is_as_expected(partial.path, archive, target)
    if resumed and not matches:
        # Two halves of different files, where the server gave nothing to tell them apart by.
        partial.discard()
        _receive_all(partial, attempts=attempts, wait_s=wait_s, quiet=quiet)
        matches = _is_as_expected(partial.path, archive, target)
    if not matches:
        partial.discard()
        raise DownloadError(
            f"{archive.url}: what arrived is not the file it should be: its digest differs from "
            f"the {_source(archive)} one. It was deleted; if this happens again, the file has "
            "changed at its source"
        )
    partial.path.replace(target)
    partial.discard()


def _receive_all(partial: _Partial, *, attempts: int, wait_s: float, quiet: bool) -> bool:
    """Receives until all is there; returns whether it was put together from several pieces."""
    resumed = partial.size > 0
    furthest, failures = partial.size, 0
    label = f"downloading {partial.path.name.removesuffix('.part')}"
    progress = Progress(None, unit="MB", label=label, quiet=quiet)
    progress.done = partial.size / MEGABYTE  # before the clock starts: it says nothing of the speed
    with progress:
        while not partial.is_complete:
            try:
                _receive(partial, progress)
                break
            except _InterruptedError as error:
                # Only bytes never had before count: a server that always begins anew and always
                # breaks off at the same place must not keep us for ever.
                failures = 0 if partial.size > furthest else failures + 1
                furthest = max(furthest, partial.size)
                if failures >= attempts:
                    raise DownloadError(
                        f"{partial.url}: {error}; gave up after {failures} tries without anything "
                        "new. What has arrived is kept: the same command goes on from there"
                    ) from error
                resumed = partial.size > 0
                time.sleep(wait_s * 2 ** max(0, failures - 1))
    return resumed


def _receive(partial: _Partial, progress: Progress) -> None:
    """Makes one request for what is missing and writes what comes.

    Raises:
        _InterruptedError: Not all came.
        DownloadError: Trying again is of no use.
    """
    with _request(partial) as response:
        mode = _begin(partial, response)
        if partial.total is not None:
            progress.total = partial.total / MEGABYTE
        progress.done = partial.size / MEGABYTE if mode == "ab" else 0
        with partial.path.open(mode) as file:
            for block in _blocks(response):
                file.write(block)
                progress.advance(len(block) / MEGABYTE)
    if partial.total is not None and partial.size != partial.total:
        if partial.size > partial.total:
            partial.discard()
        raise _InterruptedError(f"the connection ended at {partial.size} of {partial.total} bytes")


def _begin(partial: _Partial, response: http.client.HTTPResponse) -> str:
    """Returns how to open the part: to append where the server goes on, else from the start."""
    length = response.headers.get("Content-Length")
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        total = int(length) if length and length.isdigit() else None
        partial.describe(response.headers, total)
        return "wb"
    match = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    total = int(match["total"]) if match and match["total"] != "*" else None
    if not match or int(match["start"]) != partial.size or total != partial.total:
        partial.discard()
        raise _InterruptedError("the server sent another range than was asked for")
    return "ab"


def _request(partial: _Partial) -> http.client.HTTPResponse:
    if not partial.url.startswith(("http://", "https://")):
        raise DownloadError(f"expected an http or https address, received {partial.url}")
    # A range of a compressed transfer would be of the compressed bytes.
    request = urllib.request.Request(partial.url, headers={"Accept-Encoding": "identity"})
    if partial.size:
        request.add_header("Range", f"bytes={partial.size}-")
        # A weak ETag promises the same meaning, not the same bytes (RFC 9110, 13.1.5).
        strong = "" if partial.etag.startswith("W/") else partial.etag
        if strong or partial.modified:
            request.add_header("If-Range", strong or partial.modified)
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
        return response
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == RANGE_NOT_SATISFIABLE and partial.size:
            partial.discard()
            raise _InterruptedError("the file at the server is now shorter") from error
        if error.code in PASSING_STATUSES:
            raise _InterruptedError(f"the server answered {error.code} {error.reason}") from error
        raise DownloadError(
            f"{partial.url}: the server answered {error.code} {error.reason}"
        ) from error
    except (http.client.HTTPException, OSError) as error:  # URLError among them
        raise _InterruptedError(f"cannot be reached: {error}") from error


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while block := response.read(BLOCK):
            yield block
    except (http.client.HTTPException, OSError) as error:
        raise _InterruptedError(f"the connection broke: {error}") from error


def _is_as_expected(path: Path, archive: Archive, target: Path) -> bool:
    algorithm, expected = _expected(archive, target)
    if expected is None:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == expected


def _expected(archive: Archive, target: Path) -> tuple[str, str | None]:
    if archive.sha256:
        return "sha256", archive.sha256
    if archive.md5:
        return "md5", archive.md5
    record = _record_of(target)
    words = record.read_text(encoding="utf-8").split() if record.is_file() else []
    return "sha256", words[0] if words else None


def _record(target: Path, archive: Archive) -> None:
    """Keeps the digest of an archive that has no published one."""
    if _expected(archive, target)[1] is None:
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        write_text(_record_of(target), f"{digest}  {target.name}\n")


def _record_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _source(archive: Archive) -> str:
    return "published" if archive.sha256 or archive.md5 else "recorded"
