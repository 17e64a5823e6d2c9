"""What lies at addresses such as `s3://bucket/calls`, by way of fsspec.

fsspec knows the file systems, their credentials and when to try again. Whatever goes wrong there
becomes an OSError here that names the address, as a file's would its path.
"""

import base64
import binascii
import contextlib
import errno
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from asr.addresses import scheme_of
from asr.errors import AsrError, MissingExtraError
from pipelines.stamps import Stamp
from pipelines.usage import UsageError

Result = TypeVar("Result")

_NUM_REQUESTS = 16
"""At once, of one process: a request waits for its answer most of the time."""
_AT_A_TIME = 1_000
_MAX_SAID = 300

_TAGS = (
    *("md5Hash", "md5", "ETag", "etag", "checksum", "crc32c", "sha", "generation"),
    *("mtime", "LastModified", "last_modified", "updated", "modificationTime", "modify", "created"),
)
"""What file systems call that by which a content is known, what is nearest to its bytes first."""
_PACKAGES = {
    **{"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub"},
    **{"abfs": "adlfs", "abfss": "adlfs", "az": "adlfs", "sftp": "paramiko", "ssh": "paramiko"},
    **{"http": "aiohttp", "https": "aiohttp", "smb": "smbprotocol", "hdfs": "pyarrow"},
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a file system says of an object.

    Attributes:
        size: In bytes; None if it does not say.
        tag: Another one if the content is; the MD5 of the content in hexadecimal digits where the
            file system has it; empty if it says nothing of the kind.
    """

    size: int | None
    tag: str

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> "Seen":
        """Returns it of fsspec's own description."""
        size = info.get("size")
        name = next((name for name in _TAGS if info.get(name) not in (None, "")), None)
        return cls(
            size if isinstance(size, int) else None, "" if name is None else _tag(info[name])
        )

    def is_of(self, stamp: Stamp) -> bool:
        """Whether the object is a certain file, by what its file system knows its content by."""
        return self.size == stamp.size and stamp.tag != "" and self.tag == stamp.tag


def _tag(value: object) -> str:
    text = str(value).strip('"')
    if len(text) == 24:  # Google's MD5
        with contextlib.suppress(binascii.Error, ValueError):
            return base64.b64decode(text, validate=True).hex()
    return text


class Place:
    """A file system, and a path in it.

    Args:
        address: As it was written.

    Raises:
        MissingExtraError: The package that knows such addresses is not installed.
        UsageError: None is known.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        scheme, _, place = address.partition("://")
        # Of the host alone: fsspec would take `::` in an object's name for a chain of addresses.
        self.system = _file_system(f"{scheme}://{place.partition('/')[0]}")
        self.path: str = self.system._strip_protocol(address)

    @property
    def key(self) -> tuple[int, str]:
        """The same for the same object, however its address is written."""
        return id(self.system), self.path

    @property
    def parts(self) -> tuple[str, ...]:
        """The scheme, and the names on the way there."""
        return (scheme_of(self.address), *(part for part in self.path.split("/") if part))

    def address_of(self, path: str) -> str:
        """Returns the address of a path below this one."""
        return self.address.rstrip("/") + path[len(self.path.rstrip("/")) :]


@functools.cache
def _file_system(root: str) -> Any:
    scheme = scheme_of(root)
    try:
        import fsspec
        import fsspec.core
    except ImportError:
        raise MissingExtraError(
            f"{scheme}:// needs the package fsspec: pip install 'bilstm-asr[remote]'"
        ) from None
    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        package = _PACKAGES.get(scheme)
        how = f"the package {package}: pip install {package}" if package else f"more: {error}"
        raise MissingExtraError(f"{scheme}:// needs {how}") from None
    except ValueError:
        raise UsageError(f"{root}: no file system is known by {scheme}://") from None
    with _about(root):
        return fsspec.core.url_to_fs(root)[0]


@contextlib.contextmanager
def _about(address: str) -> Iterator[None]:
    """Lets nothing but an OSError that names the address be raised."""
    try:
        yield
    except AsrError:
        raise
    # Each file system raises what the libraries below it do.
    except Exception as error:
        raise _explained(error, address) from None


def _explained(error: Exception, address: str) -> OSError:
    said = " ".join(str(getattr(error, "strerror", None) or error).split())[:_MAX_SAID]
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, "no such object or folder", address)
    if isinstance(error, PermissionError):
        return PermissionError(errno.EACCES, f"no permission ({said})", address)
    if isinstance(error, OSError) and error.strerror:
        return OSError(error.errno or errno.EIO, said, address)
    return OSError(errno.EIO, f"{type(error).__name__}{': ' if said else ''}{said}", address)


def look(address: str) -> tuple[bool, Seen]:
    """Returns whether a folder is there, and what is said of it.

    Raises:
        OSError: Nothing is there, or it cannot be told.
    """
    place = Place(address)
    with _about(address):
        place.system.invalidate_cache()
        info = place.system.info(place.path)
    return info.get("type") == "directory", Seen.of(info)


def below(address: str) -> dict[str, Seen]:
    """Returns all objects below a folder, and below those in it, by path in the file system.

    Raises:
        OSError: They cannot be listed.
    """
    place = Place(address)
    with _about(address):
        place.system.invalidate_cache()
        return {path: Seen.of(info) for path, info in _find(place.system, place.path).items()}


def _find(system: Any, path: str) -> dict[str, Any]:
    import fsspec

    # Where the general way of listing is used, it passes over folders that cannot be read.
    is_general = type(system).find is fsspec.AbstractFileSystem.find
    more = {"on_error": "raise"} if is_general else {}
    try:
        found: dict[str, Any] = system.find(path, detail=True, **more)
    except FileNotFoundError:  # where folders are objects' names, an empty one is no other
        return {}
    return found


def matches(pattern: str) -> dict[str, Seen | None]:
    """Returns what a pattern finds, by path in the file system: None for a folder.

    Raises:
        OSError: It cannot be told.
    """
    place = Place(pattern)
    with _about(pattern):
        place.system.invalidate_cache()
        found = place.system.glob(place.path, detail=True)
    return {
        path: None if info.get("type") == "directory" else Seen.of(info)
        for path, info in found.items()
    }


def read(address: str) -> bytes:
    """Returns the content of an object.

    Raises:
        OSError: It cannot be read.
    """
    place = Place(address)
    with _about(address):
        return bytes(place.system.cat_file(place.path))


def fetch(address: str, path: Path) -> None:
    """Copies an object to a file.

    Raises:
        OSError: It cannot be read, or the file not written.
    """
    place = Place(address)
    with _about(address):
        place.system.get_file(place.path, os.fspath(path))
        if not path.is_file():
            raise IsADirectoryError(errno.EISDIR, "expected an object, received a folder")


def put(address: str, content: bytes) -> None:
    """Makes an object of some bytes, whole, over what is there.

    Raises:
        OSError: It could not be written.
    """
    place = Place(address)
    with _about(address):
        place.system.pipe_file(place.path, content)


def upload(path: Path, address: str) -> None:
    """Makes an object of a file, whole, over what is there.

    Raises:
        OSError: It could not be written.
    """
    place = Place(address)
    with _about(address):
        place.system.put_file(os.fspath(path), place.path)


def remove(address: str) -> None:
    """Removes an object, if it is there.

    Raises:
        OSError: It could not be removed.
    """
    place = Place(address)
    with _about(address), contextlib.suppress(FileNotFoundError):
        place.system.rm_file(place.path)  # of `rm`, a name may be a pattern


def each(
    function: Callable[[str], Result], addresses: Iterable[str]
) -> Iterator[tuple[str, Result | OSError]]:
    """Calls a function for addresses, several at once where the file system is made for it.

    Yields:
        The addresses in their order, each with what the function returned or failed with.
    """
    waiting = list(addresses)
    with ThreadPoolExecutor(_NUM_REQUESTS if all(map(_is_parallel, waiting)) else 1) as pool:
        # Some at a time, so that results that nobody has taken do not pile up.
        for start in range(0, len(waiting), _AT_A_TIME):
            some = waiting[start : start + _AT_A_TIME]
            yield from zip(some, pool.map(functools.partial(_tried, function), some), strict=True)


def _is_parallel(address: str) -> bool:
    try:
        return bool(Place(address).system.async_impl)
    except OSError:  # which is then said of each address
        return False


def _tried(function: Callable[[str], Result], address: str) -> Result | OSError:
    try:
        return function(address)
    except OSError as error:
        return error
