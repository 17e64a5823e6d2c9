"""An object store over a folder, for tests: `store://bucket/key`, with whole objects and no more.

An object is put whole or not at all; nothing is renamed or added to, a folder is but a part of
names, and `..` is a name like any other. The folder is STORE's; a program that sets `left` is
killed after so many times that something is done to an object.
"""

import hashlib
import io
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, unquote

from fsspec import AbstractFileSystem

left: Iterator[int] | None = None


class FolderStore(AbstractFileSystem):  # type: ignore[misc] # fsspec is untyped
    """Objects as files of one folder, named by their quoted keys."""

    protocol = "store"
    async_impl = True  # so that several are asked for at once
    cachable = False

    def info(self, path: str, **_: object) -> dict[str, Any]:
        key = self._strip_protocol(path)
        _refuse(key)
        return _info(key)

    def ls(self, path: str, detail: bool = True, **_: object) -> list[Any]:
        key = self._strip_protocol(path)
        start = f"{key}/" if key else ""
        below = (one for one in _keys() if one.startswith(start))
        names = dict.fromkeys(start + one[len(start) :].partition("/")[0] for one in below)
        if not names:
            return [_info(key)]
        return [_info(name) for name in names] if detail else list(names)

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **more: object,
    ) -> Any:
        if maxdepth is not None or withdirs:
            return super().find(path, maxdepth, withdirs, detail, **more)
        key = self._strip_protocol(path)
        _refuse(key)
        keys = (one for one in sorted(_keys()) if one == key or one.startswith(f"{key}/"))
        found = {one: _info(one) for one in keys}
        return found if detail else list(found)

    def cat_file(self, path: str, *_: object, **__: object) -> bytes:
        key = self._strip_protocol(path)
        _refuse(key)
        _step()
        try:
            return _file(key).read_bytes()
        except OSError:
            raise FileNotFoundError(key) from None

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: object) -> None:
        assert mode == "overwrite"
        _put(self._strip_protocol(path), bytes(value))

    def _open(self, path: str, mode: str = "rb", **_: object) -> io.BytesIO:
        if mode == "rb":
            return io.BytesIO(self.cat_file(path))
        assert mode == "wb"
        return _Object(self._strip_protocol(path))

    def _rm(self, path: str) -> None:
        key = self._strip_protocol(path)
        _refuse(key)
        _step()
        try:
            _file(key).unlink()
        except OSError:
            raise FileNotFoundError(key) from None
        _step()

    def mv(self, *_: object, **__: object) -> NoReturn:
        raise NotImplementedError

    cp_file = mv


class _Object(io.BytesIO):
    """What is put when it is closed, unless something went wrong."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            _put(self._key, self.getvalue())
        self.close()


def _info(key: str) -> dict[str, Any]:
    file = _file(key)
    if file.is_file():
        content = file.read_bytes()
        tag = hashlib.md5(content).hexdigest() if "NO_MD5" not in os.environ else _look(file)
        return {"name": key, "type": "file", "size": len(content), "ETag": f'"{tag}"'}
    if any(one.startswith(f"{key}/") for one in _keys()):
        return {"name": key, "type": "directory", "size": 0}
    raise FileNotFoundError(key)


def _put(key: str, content: bytes) -> None:
    _refuse(key)
    _step()
    file = _file(key)
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{os.getpid()}-{threading.get_ident()}")
    # Of results and the journal: of lists of all, a store that tears them is not put up with.
    is_torn = "TORN" in os.environ and ("/.asr/" in key or key.endswith((".txt", ".json")))
    if is_torn and left is not None and next(left) == 0:
        file.write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    aside.write_bytes(content)
    aside.replace(file)
    _step()


def _step() -> None:
    if left is not None and next(left) == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def _refuse(key: str) -> None:
    if "forbidden" in key:
        raise PermissionError("AccessDenied")
    if "unreachable" in key:
        raise TimeoutError
    if "odd" in key.split("/"):
        raise RuntimeError("the store\nis closed")


def _file(key: str) -> Path:
    return Path(os.environ["STORE"]) / quote(key, safe="")


def _keys() -> list[str]:
    folder = Path(os.environ["STORE"])
    if not folder.is_dir():
        return []
    return [unquote(name) for name in os.listdir(folder) if not name.startswith(".")]


def _look(file: Path) -> str:
    status = file.stat()
    return f"{status.st_mtime_ns}-{status.st_ino}"


def put_tree(folder: Path, prefix: str) -> None:
    """Makes an object of each file of a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            _put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def objects(prefix: str) -> dict[str, bytes]:
    """Returns what a person finds below a folder, by name; what a program keeps is left out."""
    return {
        key.removeprefix(f"{prefix}/"): _file(key).read_bytes()
        for key in _keys()
        if key.startswith(f"{prefix}/") and "/.asr/" not in key
    }
