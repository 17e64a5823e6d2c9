"""Networks as the recognizer wants them: features and lengths in, logits and lengths out.

A trained model is computed by ONNX Runtime where it has been exported, else by Keras.
"""

import contextlib
import faulthandler
import functools
import importlib.util
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from asr.bundle import NETWORK_FILE, Bundle, open_bundle
from asr.errors import BundleError, MissingExtraError, OptionsError
from asr.onnx_network import has_onnx, onnx_recognizer
from asr.recognizer import Recognizer
from pipelines.choices import AS_IT_IS, Choices
from pipelines.keras_file import check_keras_file
from pipelines.terminal import harmless

if TYPE_CHECKING:
    import keras

Engine = Literal["auto", "onnx", "keras"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

EXTRAS = {"tensorflow": "train", "jax": "jax"}
"""The extra that installs each backend; the first one that is there is taken."""

# What TensorFlow 2.21 writes at import when all is well, whatever TF_CPP_MIN_LOG_LEVEL says.
_NOTICE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|I\d{4} \d\d:\d\d:\S+ +\d+ \S+:\d+\] "
    rb"|To enable the following instructions: "
)


class KerasNetwork:
    """A Keras model as a plain function on arrays. It may be called from several threads at once.

    Args:
        model: From `{"features", "feature_lengths"}` to logits, as `models.bilstm` builds it.
    """

    def __init__(self, model: "keras.Model") -> None:
        self.model = model
        self._lock = threading.Lock()  # Keras's own function is made at the first call

    def __call__(
        self, features: npt.NDArray[np.float32], feature_lengths: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        """Returns logits float32 [B, T, V] and their lengths for features float32 [B, T, F]."""
        inputs = {"features": features, "feature_lengths": feature_lengths}
        with self._lock:
            return np.asarray(self.model.predict_on_batch(inputs)), feature_lengths


def require_backend() -> None:
    """Makes sure that Keras and its backend can be imported, without importing them.

    The backend is the one that KERAS_BACKEND names, else whichever is installed; what
    `~/.keras/keras.json` says is meant for other programs.

    Raises:
        OptionsError: KERAS_BACKEND names a backend that the networks are not made for.
        MissingExtraError: They are not installed; the extra that brings them is named.
    """
    # Read at import by TensorFlow: its notices are not for the users of this program.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    backend = os.environ.get("KERAS_BACKEND") or next(filter(_is_installed, EXTRAS), "tensorflow")
    if backend not in EXTRAS:
        raise OptionsError(f"KERAS_BACKEND: expected {' or '.join(EXTRAS)}, received {backend}")
    os.environ["KERAS_BACKEND"] = backend
    for package in ("keras", backend):
        if not _is_installed(package):
            raise MissingExtraError(
                f"this needs {package}, which is not installed: "
                f"pip install 'bilstm-asr[{EXTRAS[backend]}]'"
            )


def import_backend() -> None:
    """Imports Keras and its backend, without the notices that TensorFlow opens with.

    Call it before the first `import keras`.

    Raises:
        OptionsError: As `require_backend`.
        MissingExtraError: They are not installed, or what is installed cannot be imported.
    """
    require_backend()
    with _without_notices():
        try:
            import keras  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(
                f"{os.environ['KERAS_BACKEND']} is installed, but importing it failed: {error}"
            ) from error


def load_network(folder: Path) -> "keras.Model":
    """Opens a bundle's network, in safe mode: nothing in the file is run as code.

    Raises:
        BundleError: The file is missing or is no Keras network.
        MissingExtraError: No backend is installed.
    """
    path = folder / NETWORK_FILE
    if not path.is_file():
        raise BundleError(f"{folder}: expected {NETWORK_FILE}, received a folder without it")
    require_backend()
    check_keras_file(path)
    import_backend()
    import keras

    import models.cells.attention
    import models.cells.layer
    import models.recurrent  # noqa: F401  all three register layers that the file may name

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever its parsers meet: zip, JSON, HDF5 and its own errors.
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise BundleError(
            f"{path}: expected a Keras network ({reason[0] if reason else type(error).__name__})"
        ) from None


def load_recognizer(
    name_or_folder: str | Path,
    *,
    engine: Engine = "auto",
    threads: int | None = None,
    choices: Choices = AS_IT_IS,
) -> Recognizer:
    """Opens a model by name or folder, with its network.

    Args:
        name_or_folder: A model's folder, a run's, or the name of an installed model.
        engine: What computes the network: "onnx", "keras", or "auto" for ONNX Runtime if the model
            has been exported, else Keras. Where "auto" has to do without an export that is there,
            a line on the error stream says why.
        threads: Processor cores for ONNX Runtime and decoding; all that are to be had if left out.
        choices: How to decode, where that is not as the model says.

    Raises:
        UsageError: The choices contradict each other or what the model is.
        BundleError: There is no such model, or a file of it is broken.
        LanguageModelError: Its language model is broken, or the one chosen is.
        VocabularyError: A hotword cannot be spelt.
        MissingExtraError: What computes it, or is to find its pauses, is not installed.
    """
    bundle, choices = choices.applied(open_bundle(name_or_folder))
    of_onnx = functools.partial(
        onnx_recognizer,
        bundle,
        threads=threads,
        hotwords=choices.hotwords,
        num_texts=choices.num_texts,
        cuts=choices.cuts(),
    )
    if engine == "onnx":
        return of_onnx()
    if engine == "auto" and has_onnx(bundle.folder):
        try:
            return of_onnx()
        except (BundleError, MissingExtraError) as error:
            if not _can_use_keras(bundle.folder):
                raise
            print(f"asr: {harmless(str(error))}; using Keras, which is slower", file=sys.stderr)
    return recognizer_of(bundle, load_network(bundle.folder), choices=choices, threads=threads)


def _can_use_keras(folder: Path) -> bool:
    if not (folder / NETWORK_FILE).is_file():
        return False
    try:
        require_backend()
    except (MissingExtraError, OptionsError):
        return False
    return True


def recognizer_of(
    bundle: Bundle, model: Any, *, choices: Choices = AS_IT_IS, threads: int | None = None
) -> Recognizer:
    """Joins an opened bundle with its network.

    Args:
        bundle: The model; of the choices only what a bundle cannot say is taken.
        model: Its network, a Keras model.
        choices: How to decode.
        threads: Passages decoded side by side; as many as there are cores if left out.

    Raises:
        BundleError: The network's shape is not the one the bundle's settings call for.
    """
    expected = (bundle.features.num_features, len(bundle.vocabulary))
    received = _widths(model)
    if received is None:
        raise BundleError(
            f"{bundle.folder / NETWORK_FILE}: expected a network from features and "
            f"feature_lengths to logits, received {model!r}"
        )
    if expected != received:
        raise BundleError(
            f"{bundle.folder / NETWORK_FILE}: expected a network from {expected[0]} features to "
            f"{expected[1]} tokens, as {bundle.folder.name}'s settings and vocabulary say, "
            f"received one from {received[0]} to {received[1]}"
        )
    return Recognizer.of(
        bundle,
        KerasNetwork(model),
        hotwords=choices.hotwords,
        num_texts=choices.num_texts,
        cuts=choices.cuts(),
        threads=threads,
    )


def _widths(model: Any) -> tuple[int, int] | None:
    """Returns the width of a network's features and logits; None if it is no network of ours."""
    inputs = {tensor.name: tensor.shape for tensor in getattr(model, "inputs", None) or ()}
    outputs = [tensor.shape for tensor in getattr(model, "outputs", None) or ()]
    if set(inputs) != {"features", "feature_lengths"} or len(outputs) != 1:
        return None
    features, logits = inputs["features"], outputs[0]
    if len(features) != 3 or len(logits) != 3:
        return None
    return features[-1], logits[-1]


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@contextlib.contextmanager
def _without_notices() -> Iterator[None]:
    """Holds back what libraries write on the error stream, and passes on all but the notices.

    They write to the descriptor, past `sys.stderr`. A crash meanwhile would take what was held
    back along; then Python at least says what it was importing.
    """
    with contextlib.ExitStack() as stack:
        try:
            shown = os.dup(2)
        except OSError:  # there is no error stream
            yield
            return
        stack.callback(os.close, shown)
        held = stack.enter_context(tempfile.TemporaryFile())
        if not faulthandler.is_enabled():
            faulthandler.enable(shown)
            stack.callback(faulthandler.disable)
        _flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            _flush()
            os.dup2(shown, 2)
            held.seek(0)
            with open(2, "wb", closefd=False) as stream:
                stream.writelines(line for line in held if not _NOTICE.match(line))


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()
