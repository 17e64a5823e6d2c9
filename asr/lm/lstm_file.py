"""Recurrent language models as files: `lm.lstm`, a zip archive of arrays without any pickle.

A matrix is stored as whole numbers of few bits and a scale a column (a row, of the pieces' vectors:
one a piece). The archive's own packing makes use of that small numbers are the usual ones.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asr.errors import LanguageModelError
from asr.files import write_bytes
from asr.lm.lstm import Floats, LstmModel, LstmWeights
from asr.lm.word_pieces import WordPieces
from asr.options import require

VERSION = 1
MIN_BITS, MAX_BITS = 4, 8
_KIND = "recurrent language model"
_MATRICES = ("embedding", "kernel", "recurrent_kernel", "projection")
_MAX_RATIO, _SMALL_BYTES = 100, 1 << 24

Array = npt.NDArray[Any]


def is_lstm(path: Path) -> bool:
    """Whether a file begins as a zip archive does: no other language model is one."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def write_lstm(path: Path | str, model: LstmModel, *, bits: int = MAX_BITS) -> None:
    """Writes a model, atomically, its matrices rounded.

    Args:
        path: The file, replaced if it is there.
        model: The model.
        bits: Of each number of a matrix, 4 to 8.
    """
    require(MIN_BITS <= bits <= MAX_BITS, f"{MIN_BITS} to {MAX_BITS} bits", bits)
    head = {"kind": _KIND, "version": VERSION, "pieces": model.pieces.pieces}
    arrays: dict[str, Array] = {
        "head": np.frombuffer(json.dumps(head).encode(), np.uint8),
        "scores": np.array(model.pieces.scores, np.float32),
    }
    for field in fields(model.weights):
        values = getattr(model.weights, field.name)
        if field.name in _MATRICES:
            arrays[field.name], arrays[f"{field.name}_scale"] = _rounded(
                values, axis=_summed(field.name), bits=bits
            )
        else:
            arrays[field.name] = values
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    write_bytes(path, packed.getvalue())


def read_lstm(path: Path | str) -> LstmModel:
    """Reads a model.

    Raises:
        LanguageModelError: The file is no such model, of another version, or broken.
        OSError: It cannot be opened.
    """
    path = Path(path)
    try:
        _check_sizes(path)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
        head = json.loads(arrays.pop("head").tobytes())
        if not isinstance(head, dict) or head.get("kind") != _KIND:
            raise ValueError("it holds something else")
        if head["version"] != VERSION:
            raise ValueError(f"expected version {VERSION}, received {head['version']}")
        names = head["pieces"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("expected pieces that are text")
        pieces = WordPieces(names, arrays.pop("scores").astype(float).tolist())
        return LstmModel(pieces, _weights(arrays))
    except (
        *(EOFError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile),
        *(LanguageModelError, NotImplementedError, RecursionError),
        MemoryError,  # an array's head may claim any shape
    ) as error:
        raise LanguageModelError(f"{path}: expected a {_KIND} ({error})") from None


def _weights(arrays: Mapping[str, Array]) -> LstmWeights:
    found: dict[str, Floats] = {}
    for field in fields(LstmWeights):
        values = arrays[field.name]
        if values.dtype != (np.int8 if field.name in _MATRICES else np.float32):
            raise ValueError(f"{field.name} is of another type")
        if values.ndim != (2 if field.name in _MATRICES else 1):
            raise ValueError(f"{field.name} is of another shape")
        if field.name in _MATRICES:
            scale = np.expand_dims(arrays[f"{field.name}_scale"], _summed(field.name))
            values = np.asarray(values * scale, np.float32)
        found[field.name] = values
    return LstmWeights(**found)


def _rounded(values: Floats, *, axis: int, bits: int) -> tuple[npt.NDArray[np.int8], Floats]:
    """Returns whole numbers, and what they are multiples of along the other axis."""
    scale = np.abs(values).max(axis=axis) / (2 ** (bits - 1) - 1)
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
    return np.rint(values / np.expand_dims(scale, axis)).astype(np.int8), scale


def _summed(name: str) -> int:
    """Returns the axis that products with a matrix sum over: what is summed shares a scale."""
    return 1 if name == "embedding" else 0


def _check_sizes(path: Path) -> None:
    """Refuses an archive that would unpack to much more than a model does."""
    with zipfile.ZipFile(path) as archive:
        num_bytes = sum(member.file_size for member in archive.infolist())
    if num_bytes > max(_SMALL_BYTES, _MAX_RATIO * path.stat().st_size):
        raise ValueError(f"it would unpack to {num_bytes:,} bytes")
