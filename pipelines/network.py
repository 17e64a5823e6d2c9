"""Keras networks as the recognizer wants them: features and lengths in, logits and lengths out."""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from asr.bundle import NETWORK_FILE, Bundle, open_bundle
from asr.errors import BundleError, MissingExtraError
from asr.recognizer import Recognizer

if TYPE_CHECKING:
    import keras


class KerasNetwork:
    """A Keras model as a plain function on arrays.

    Args:
        model: From `{"features", "feature_lengths"}` to logits, as `models.bilstm` builds it.
    """

    def __init__(self, model: "keras.Model") -> None:
        self.model = model

    def __call__(
        self, features: npt.NDArray[np.float32], feature_lengths: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        """Returns logits float32 [B, T, V] and their lengths for features float32 [B, T, F]."""
        inputs = {"features": features, "feature_lengths": feature_lengths}
        return np.asarray(self.model.predict_on_batch(inputs)), feature_lengths


def require_backend() -> None:
    """Makes sure that Keras and its backend can be imported, without importing them.

    Raises:
        MissingExtraError: They are not installed; the extra that brings them is named.
    """
    # Read at import by TensorFlow: its start-up notices are not for the users of this program.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    extra = "jax" if backend == "jax" else "train"
    for package in ("keras", backend):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(
                f"this needs {package}, which is not installed: pip install 'bilstm-asr[{extra}]'"
            )


def load_network(folder: Path) -> "keras.Model":
    """Opens a bundle's network, in safe mode: nothing in the file is run as code.

    Raises:
        BundleError: The file is missing or is no network of ours.
        MissingExtraError: No backend is installed.
    """
    path = folder / NETWORK_FILE
    if not path.is_file():
        raise BundleError(f"{folder}: expected {NETWORK_FILE}, received a folder without it")
    require_backend()
    import keras

    import models.recurrent  # noqa: F401  registers the layer the file names

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever its parsers meet: zip, JSON, HDF5 and its own errors.
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise BundleError(
            f"{path}: expected a Keras network ({reason[0] if reason else type(error).__name__})"
        ) from None


def load_recognizer(name_or_folder: str | Path) -> Recognizer:
    """Opens a model by name or folder, with its Keras network.

    Raises:
        BundleError: There is no such model, or a file of it is broken.
        MissingExtraError: No backend is installed.
    """
    bundle = open_bundle(name_or_folder)
    return recognizer_of(bundle, load_network(bundle.folder))


def recognizer_of(bundle: Bundle, model: Any) -> Recognizer:
    """Joins an opened bundle with its network.

    Raises:
        BundleError: The network's shape is not the one the bundle's settings call for.
    """
    expected = (bundle.features.num_features, len(bundle.vocabulary))
    received = (model.get_layer("features").output.shape[-1], model.output_shape[-1])
    if expected != received:
        raise BundleError(
            f"{bundle.folder}: expected a network from {expected[0]} features to {expected[1]} "
            f"tokens, received one from {received[0]} to {received[1]}"
        )
    return Recognizer(
        features=bundle.features,
        text=bundle.text,
        vocabulary=bundle.vocabulary,
        decoding=bundle.decoding,
        network=KerasNetwork(model),
    )
