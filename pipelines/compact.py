"""A copy of a model at half its size, fit to be sent: weights rounded to 16 bits.

bfloat16 (Kalamkar et al., 2019) keeps the range of float32 and 8 bits of the mantissa. Rounded to
it, half of a weight's bytes are zeros, which bzip2 leaves out of `model.keras`; in `model.onnx` the
weights are stored as bfloat16 and converted when the file is opened. Both compute in float32, with
the same numbers. Only matrices are rounded: biases and scales are few, and added to everything.
"""

import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from asr.bundle import NETWORK_FILE, open_bundle, write_settings
from asr.errors import BundleError
from asr.files import replacing

if TYPE_CHECKING:
    from asr.bundle import Bundle
    from asr.vocabulary import Vocabulary

Floats = npt.NDArray[np.float32]

NOTE = "Weights are rounded to bfloat16."


def round_to_bfloat16(values: npt.ArrayLike) -> Floats:
    """Rounds numbers to the nearest ones with 8 bits of mantissa, ties to even.

    Args:
        values: Finite numbers below 3e38, float32 of any shape.

    Returns:
        float32, of the same shape.
    """
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return ((bits + half) & np.uint32(0xFFFF0000)).view(np.float32)


def compact(bundle: "Bundle", folder: Path) -> "Bundle":
    """Copies a model without its ONNX files, its network's matrices rounded to bfloat16.

    Of a dictionary of pronunciations the copy has the words of a closed list alone.

    Args:
        bundle: The model.
        folder: Where the copy goes; it must not be there yet, or be empty.

    Returns:
        The copy, opened.

    Raises:
        BundleError: There is something in the folder, or the network cannot be read.
        OSError: The folder cannot be written.
    """
    from pipelines.network import load_network

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BundleError(f"{folder}: expected no such folder yet, or an empty one")
    model = load_network(bundle.folder)
    model.set_weights([_rounded(np.asarray(weight)) for weight in model.get_weights()])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, replacing(folder / NETWORK_FILE) as aside:
        stored = Path(name) / NETWORK_FILE
        model.save(stored)
        _compress(stored, aside)
    for file in (bundle.language_model_file, bundle.rescorer_file):
        if file is not None:
            with replacing(folder / file.name) as aside:
                shutil.copyfile(file, aside)
    vocabulary = _needed(bundle.vocabulary, bundle.decoding.words)
    card = bundle.card if NOTE in bundle.card else f"{bundle.card.rstrip()}\n\n{NOTE}\n"
    write_settings(folder, recipe=bundle.recipe, vocabulary=vocabulary, card=card)
    return open_bundle(folder)


def _needed(vocabulary: "Vocabulary", words: Sequence[str]) -> "Vocabulary":
    """Returns the vocabulary with the pronunciations of only those words that are ever written."""
    if vocabulary.pronunciations is None or not words:
        return vocabulary
    return replace(vocabulary, pronunciations=vocabulary.pronunciations.within(words))


def _rounded(weight: Floats) -> Floats:
    return round_to_bfloat16(weight) if weight.ndim > 1 else weight


def _compress(source: Path, target: Path) -> None:
    """Writes a zip file again with its members compressed, which Keras leaves them without.

    By bzip2, which Keras reads as well: rounded weights take a fifth less than deflated ones.
    """
    with (
        zipfile.ZipFile(source) as stored,
        zipfile.ZipFile(target, "w", zipfile.ZIP_BZIP2, compresslevel=9) as compressed,
    ):
        for member in stored.infolist():
            compressed.writestr(member.filename, stored.read(member))
