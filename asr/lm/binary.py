"""Models as files of our own: opened by mapping them into memory, or packed small.

    8 bytes    MAGIC
    uint32     VERSION
    uint32     size of the head
    head       JSON: {"arrays": {name: [type, length, offset]}, "order", "num_bytes", "crc32",
               "packed"}; offsets count from the body, `num_bytes` and `crc32` are of the body
    body       begins at a multiple of 64 bytes, and so does every array in it

All numbers are little-endian. A plain file holds the arrays of `asr.lm.trie.Trie` and of
`asr.lm.words.Words` as they are used: its pages are shared by all processes that map it. A packed
file (`asr.lm.packing`) holds them smaller, its body is compressed, and it is unpacked when it is
opened.

A file that is cut short or no model is always refused, and so is one whose arrays lead out of
themselves, since compiled functions walk them without looking. Other changes are noticed in a
packed file, and in a plain one where `check` is asked for.
"""

import json
import lzma
import mmap
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from asr.errors import LanguageModelError
from asr.files import replacing
from asr.lm.ngram import NgramModel
from asr.lm.packing import pack, unpack
from asr.lm.trie import Trie, check_trie
from asr.lm.words import Words

MAGIC = b"asr-ngr\n"
VERSION = 1
SUFFIX = ".ngram"
"""What such a file is called by."""
_ALIGNMENT = 64
_MAX_HEAD_BYTES = 1 << 20
# Models shrink to a third or so; what unpacks to much more was not made to be one.
_MAX_RATIO, _SMALL_BYTES = 100, 1 << 24
_MAX_UNPACKER_BYTES = 1 << 28
_TYPES = {"uint8", "uint16", "uint32", "int32", "int64", "float32"}
_PLAIN = {
    "child_start": "int32",
    "word": "int32",
    "log_prob": "float32",
    "backoff": "float32",
    "suffix": "int32",
    "words": "uint8",
    "word_ends": "int64",
}

Array = npt.NDArray[Any]


class _Head(NamedTuple):
    arrays: dict[str, tuple[str, int, int]]
    order: int
    num_bytes: int
    crc32: int
    packed: bool


def is_binary(path: Path) -> bool:
    """Whether a file begins as a model of ours does."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def write_binary(path: Path | str, model: NgramModel, *, bits: int | None = None) -> None:
    """Writes a model, atomically.

    Args:
        path: The file, replaced if it is there.
        model: The model.
        bits: None for a plain file. 4 to 16 for a packed one: so many bits say how likely an n-gram
            is, and so many how much leaving it as a context costs.
    """
    arrays = _plain(model) if bits is None else pack(model.trie, model.words, bits=bits)
    places: dict[str, tuple[str, int, int]] = {}
    offset = 0
    for name, array in arrays.items():
        places[name] = (array.dtype.name, len(array), offset)
        offset += array.nbytes + -array.nbytes % _ALIGNMENT
    body: Iterable[bytes] = _pieces(arrays.values())
    if bits is not None:
        body = [lzma.compress(b"".join(body))]
    with replacing(path) as aside, aside.open("wb") as file:
        # The head is written twice, since it says what only the body's writing shows.
        file.write(_head_bytes(_Head(places, model.order, 0, 0, bits is not None)))
        num_bytes = crc32 = 0
        for piece in body:
            file.write(piece)
            num_bytes, crc32 = num_bytes + len(piece), zlib.crc32(piece, crc32)
        file.seek(0)
        file.write(_head_bytes(_Head(places, model.order, num_bytes, crc32, bits is not None)))


def _pieces(arrays: Iterable[Array]) -> Iterator[bytes]:
    for array in arrays:
        yield array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        yield bytes(-array.nbytes % _ALIGNMENT)


def _head_bytes(head: _Head) -> bytes:
    """Returns all that comes before the body, of a length that does not hang on its numbers."""
    start = len(MAGIC) + 8
    text = json.dumps(head._asdict()).encode()
    spare = len(str(1 << 64)) * 2 - len(str(head.num_bytes)) - len(str(head.crc32))
    text += b" " * spare
    text += b" " * (-(start + len(text)) % _ALIGNMENT)
    return MAGIC + np.array([VERSION, len(text)], "<u4").tobytes() + text


def open_binary(path: Path | str, *, check: bool = False) -> NgramModel:
    """Opens a model.

    Args:
        path: The file.
        check: Refuse a plain file too if any byte of it has changed.

    Raises:
        LanguageModelError: The file is no such model, of another version, cut short or changed.
        OSError: It cannot be opened.
    """
    path = Path(path)
    with path.open("rb") as file:
        head, start = _read_head(path, file.read(len(MAGIC) + 8 + _MAX_HEAD_BYTES))
        size = os.fstat(file.fileno()).st_size
        if size != start + head.num_bytes:
            raise LanguageModelError(
                f"{path}: expected {start + head.num_bytes:,} bytes, received {size:,}: "
                "the file is cut short, or something was added"
            )
        # Copy on write: compiled functions take arrays that may be written to, and no others.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    if (check or head.packed) and zlib.crc32(memoryview(mapped)[start:]) != head.crc32:
        raise LanguageModelError(f"{path}: the file was changed after it was written")
    body = np.frombuffer(mapped, np.uint8, offset=start)
    if head.packed:
        # No further than the head says, whatever the file would unpack to.
        body = np.frombuffer(_decompressed(path, mapped[start:], _body_bytes(head)), np.uint8)
    arrays = {name: _array(path, body, *place) for name, place in head.arrays.items()}
    try:
        trie, words = unpack(arrays) if head.packed else _from_plain(arrays)
        check_trie(trie)
        words.check()
        model = NgramModel(trie, words)
    except (KeyError, IndexError, ValueError, LanguageModelError) as error:
        raise LanguageModelError(f"{path}: the model in this file is broken ({error})") from None
    if model.order != head.order:
        raise LanguageModelError(
            f"{path}: expected a model of order {head.order}, received one of {model.order}"
        )
    return model


def _plain(model: NgramModel) -> dict[str, Array]:
    trie, words = model.trie, model.words
    arrays: dict[str, Array] = trie._asdict() | {"words": words.blob, "word_ends": words.ends}
    return {name: arrays[name].astype(kind, copy=False) for name, kind in _PLAIN.items()}


def _from_plain(arrays: Mapping[str, Array]) -> tuple[Trie, Words]:
    for name, kind in _PLAIN.items():
        if arrays[name].dtype != kind:
            raise ValueError(f"expected {name} of {kind}, received {arrays[name].dtype}")
    child_start, word, log_prob, backoff, suffix, blob, ends = (arrays[name] for name in _PLAIN)
    num_contexts = len(backoff)
    return Trie(child_start, word, log_prob, backoff, suffix, num_contexts), Words(blob, ends)


def _read_head(path: Path, begin: bytes) -> tuple[_Head, int]:
    """Returns the head, and where the body begins."""
    start = len(MAGIC) + 8
    if not begin.startswith(MAGIC) or len(begin) < start:
        raise LanguageModelError(
            f"{path}: expected a language model of ours, received another file"
        )
    version, num_bytes = np.frombuffer(begin, "<u4", 2, len(MAGIC)).tolist()
    if version != VERSION:
        raise LanguageModelError(f"{path}: expected version {VERSION}, received {version}")
    if len(begin) < start + num_bytes or num_bytes > _MAX_HEAD_BYTES:
        raise LanguageModelError(f"{path}: the file is cut short within its head")
    try:
        head = _Head(**json.loads(begin[start : start + num_bytes]))
        _check_places(head)
    except (AttributeError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise LanguageModelError(f"{path}: the head of this file is broken ({error})") from None
    return head, start + num_bytes


def _check_places(head: _Head) -> None:
    if not all(type(one) is int for one in (head.order, head.num_bytes, head.crc32)):
        raise ValueError("expected whole numbers")
    for name, (kind, length, offset) in head.arrays.items():
        if kind not in _TYPES or not (isinstance(length, int) and isinstance(offset, int)):
            raise ValueError(f"{name} is of an unknown type")
        if length < 0 or offset < 0 or offset % _ALIGNMENT:
            raise ValueError(f"{name} is out of place")


def _body_bytes(head: _Head) -> int:
    ends = (
        offset + length * np.dtype(kind).itemsize for kind, length, offset in head.arrays.values()
    )
    return max(ends, default=0)


def _decompressed(path: Path, stored: bytes, num_bytes: int) -> bytearray:
    if num_bytes > max(_SMALL_BYTES, _MAX_RATIO * len(stored)):
        raise LanguageModelError(
            f"{path}: expected a model, received {len(stored):,} bytes that would unpack to "
            f"{num_bytes:,}"
        )
    try:
        unpacker = lzma.LZMADecompressor(memlimit=_MAX_UNPACKER_BYTES)
        return bytearray(unpacker.decompress(stored, num_bytes))
    except (lzma.LZMAError, EOFError) as error:
        raise LanguageModelError(f"{path}: the model in this file is broken ({error})") from None


def _array(path: Path, body: npt.NDArray[np.uint8], kind: str, length: int, offset: int) -> Array:
    dtype = np.dtype(kind).newbyteorder("<")
    end = offset + length * dtype.itemsize
    if end > len(body):
        raise LanguageModelError(
            f"{path}: expected {end:,} bytes of arrays at least, received {len(body):,}"
        )
    return body[offset:end].view(dtype).astype(kind, copy=False)
