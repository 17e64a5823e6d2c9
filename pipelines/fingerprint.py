"""What a transcript depends on beside the recording, as one digest."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from asr.bundle import NETWORK_FILE, VOCABULARY_FILE, Bundle
from asr.errors import BundleError
from asr.onnx_network import ONNX_FILES, has_onnx, read_record
from asr.options import to_table
from pipelines.choices import Choices
from pipelines.stamps import file_digest

if TYPE_CHECKING:
    from pipelines.network import Engine


def fingerprint(
    bundle: Bundle, *, engine: "Engine", choices: Choices, characters: bool = False
) -> str:
    """Returns a digest of a model's files and of all that was chosen about its use.

    The same for the same files in another place; nothing is opened, all is read once.

    Args:
        bundle: The model.
        engine: What computes its network.
        choices: How to decode, where that is not as the model says.
        characters: Whether times of characters are shown.

    Raises:
        UsageError: The choices do not fit the model.
        BundleError: The model has no ONNX network, and `engine` asks for one.
        OSError: A file cannot be read.
    """
    bundle, choices = choices.applied(bundle)
    files = {"network": network_file(bundle, engine), "vocabulary": bundle.folder / VOCABULARY_FILE}
    if bundle.language_model_file is not None and bundle.decoding.method == "beam":
        files["language_model"] = bundle.language_model_file
    if bundle.rescorer_file is not None and bundle.decoding.num_rescored:
        files["rescorer"] = bundle.rescorer_file
    said = {
        **{name: file_digest(path) if path.is_file() else "" for name, path in files.items()},
        "features": to_table(bundle.features),
        "text": to_table(bundle.text),
        "decoding": to_table(bundle.decoding),
        "confidence": to_table(bundle.confidence),
        "hotwords": sorted(choices.hotwords.items()),
        "num_texts": choices.num_texts,
        "vad": choices.vad,
        "characters": characters,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:32]


def network_file(bundle: Bundle, engine: "Engine") -> Path:
    """Returns the file of the network that an engine computes.

    Raises:
        BundleError: There is no ONNX network that goes with the model, and `engine` asks for one.
    """
    if engine == "onnx" or (engine == "auto" and has_onnx(bundle.folder)):
        try:
            return bundle.folder / ONNX_FILES[read_record(bundle.folder).precision]
        except BundleError:
            if engine == "onnx":
                raise
    return bundle.folder / NETWORK_FILE
