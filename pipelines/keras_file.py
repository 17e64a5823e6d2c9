"""What a .keras file may hold to be opened: a network of the layers that ours are made of.

Models come from strangers. Keras's safe mode refuses code in such a file, but not what is merely
too large: a member of the archive that unpacks to any size, or a layer of a million units beside no
weights, takes all memory before anything is found wrong. So the archive's members have to be about
as large as what they unpack to; its layers have to be ours; and there have to be enough weights in
the file for what the layers would take.
"""

import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asr.errors import BundleError

MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
CLASSES = frozenset(
    {
        *("Functional", "InputLayer", "Dense", "Dropout", "LayerNormalization", "Add"),
        *("BidirectionalRecurrent", "ScannedRecurrent", "SelfAttention", "DTypePolicy"),
        *("GlorotUniform", "Orthogonal", "Ones", "Zeros"),
        *("__keras_tensor__", "__tensor__", "__tuple__"),
    }
)
MODULES = frozenset(
    {
        *("keras", "keras.layers", "keras.initializers", "keras.src.models.functional"),
        *("builtins", "models.recurrent", "models.cells.layer", "models.cells.attention"),
    }
)

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
# A layer's weights are counted as if its input were the widest there is, which is more than true.
_SLACK = 16
_SMALL_BYTES = 64_000_000
# Rounded weights (`pipelines.compact`) shrink to about half; settings to a tenth, and are short.
_MAX_RATIO = 8
_SMALL_MEMBER = 1_000_000
# Matrices [inputs + units, units] of a direction, by cell; what is not here has at most a grid's.
_GATES = {"rnn": 1, "clockwork": 1, "gru": 3, "lstm-1997": 3, "coupled": 3, "lstm": 4}
_MOST_GATES = 12
_ATTENTION_MATRICES = 13  # [inputs, width], as large as its feed-forward part altogether


def check_keras_file(path: Path) -> None:
    """Makes sure that a file holds a network of ours, and no larger one than it has weights for.

    Args:
        path: The file.

    Raises:
        BundleError: It cannot be read, is no archive, or holds what a network of ours does not.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive)
            config = json.loads(archive.read("config.json"))
            weights_bytes = archive.getinfo("model.weights.h5").file_size
        _check_size(config, weights_bytes)
    # EOFError and NotImplementedError: of zipfile, at archives that are cut off or encrypted.
    except (
        *(zipfile.BadZipFile, EOFError, KeyError, NotImplementedError),
        *(RecursionError, RuntimeError, ValueError, zlib.error),
    ) as error:
        raise BundleError(f"{path}: expected a Keras network ({error})") from None
    except OSError as error:
        # Of bzip2 at a broken stream, which says nothing of the system.
        reason = error.strerror or error
        raise BundleError(f"{path}: expected a readable file: {reason}") from None


def _check_members(archive: zipfile.ZipFile) -> None:
    names = sorted(member.filename for member in archive.infolist())
    if names != sorted(MEMBERS):
        raise ValueError(f"expected {', '.join(MEMBERS)}, received {', '.join(names)[:200]}")
    for member in archive.infolist():
        # Of the others LZMA lets a file say how much memory it is to be unpacked with.
        if member.compress_type not in _COMPRESSIONS:
            raise ValueError(f"{member.filename} is compressed in a way that is not used")
        if member.file_size > max(_SMALL_MEMBER, _MAX_RATIO * member.compress_size):
            raise ValueError(
                f"expected members that unpack to at most {_MAX_RATIO} times their size, received "
                f"{member.filename} of {member.file_size:,} bytes in {member.compress_size:,}"
            )


def _check_size(config: Any, weights_bytes: int) -> None:
    for table in _tables(config):
        if "class_name" in table:
            _check_class(table)
    recurrent, dense = list(_recurrent(config)), sorted(_widths(config, "Dense", "units"))
    attention = list(_widths(config, "SelfAttention", "width"))
    # The widest dense layer is the output, which nothing else takes in.
    widths = [1, *_numbers(config, "batch_shape"), *attention]
    widths += [directions * units for units, directions, _ in recurrent]
    widest = max(*widths, *dense[:-1], 1)
    # A recurrent layer has its own state as an input too.
    needed = sum(count * gates * (widest + units) * units for units, count, gates in recurrent)
    needed += sum(_ATTENTION_MATRICES * widest * width for width in attention)
    needed = 4 * (needed + sum(widest * units for units in dense))
    if needed > max(_SMALL_BYTES, _SLACK * weights_bytes):
        raise ValueError(
            f"its layers would take up to {needed:,} bytes, of which it has {weights_bytes:,}"
        )


def _recurrent(config: Any) -> Iterator[tuple[int, int, int]]:
    """Yields the units, directions and gates of every recurrent layer."""
    for table in _tables(config):
        options = table.get("config")
        if isinstance(options, dict) and "units" in options and table.get("class_name") != "Dense":
            directions = 1 if options.get("bidirectional") is False else 2
            gates = _GATES.get(str(options.get("cell")), _MOST_GATES)
            for units in _numbers({"units": options["units"]}, "units"):
                yield units, directions, gates


def _widths(config: Any, class_name: str, key: str) -> Iterator[int]:
    """Yields the width of every layer of a class."""
    for table in _tables(config):
        options = table.get("config")
        if table.get("class_name") == class_name and isinstance(options, dict) and key in options:
            yield from _numbers({key: options[key]}, key)


def _numbers(config: Any, name: str) -> Iterator[int]:
    """Yields all whole numbers under a key."""
    for table in _tables(config):
        values = table.get(name)
        for value in values if isinstance(values, list) else [values]:
            if value is None:
                continue
            if type(value) is not int or value < 1:
                raise ValueError(f"{name}: expected whole numbers, received {value!r:.60}")
            yield value


def _check_class(table: dict[str, Any]) -> None:
    name, module = table["class_name"], table.get("module")
    named = isinstance(name, str) and name in CLASSES
    if not named or not (module is None or (isinstance(module, str) and module in MODULES)):
        raise ValueError(f"{str(module)[:60]}.{str(name)[:60]} is not part of one")


def _tables(config: Any) -> Iterator[dict[str, Any]]:
    """Yields every JSON object within a JSON document, without recursion."""
    waiting = [config]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
