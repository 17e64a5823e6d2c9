"""A bundle's network on ONNX Runtime: one processor, no Keras.

model.onnx         float32
model.int8.onnx    the same with weights as int8, where the network has LSTM layers
onnx.json          which model.keras both were made from, how far from it they are, and which of the
                   two to use
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from asr.bundle import NETWORK_FILE, Bundle, open_bundle
from asr.cores import available_cores
from asr.cuts import RECORDING, CutOptions
from asr.errors import AudioError, BundleError, MissingExtraError
from asr.onnx_file import read_onnx
from asr.recognizer import Recognizer

Floats = npt.NDArray[np.float32]
Lengths = npt.NDArray[np.int32]
Precision = Literal["float32", "int8"]

ONNX_FILES: dict[Precision, str] = {"float32": "model.onnx", "int8": "model.int8.onnx"}
RECORD_FILE = "onnx.json"
EXTRA = "transcribe"

MAX_ROW_BYTES = 1_000_000_000
"""Memory that the network may take for one recording."""
_BYTES_PER_UNIT = 80  # and step of one recording: the gates of both directions and the layers' ends


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxRecord:
    """What is known of a bundle's ONNX files.

    Attributes:
        network_sha256: Digest of the model.keras they were made from.
        precision: The one to use.
    """

    network_sha256: str
    precision: Precision


class OnnxNetwork:
    """An ONNX file as a plain function on arrays. It may be called from several threads at once.

    In int8 the scale of a layer's input is taken over all that it is given, so rows are run one by
    one there, on the threads side by side: a row's logits do not depend on the rows beside it.

    Args:
        path: A file of `models.onnx_graph`.
        num_features: F that it is to have.
        vocab_size: V that it is to have.
        threads: Processor cores to use; all that are to be had if left out.

    Raises:
        BundleError: The file is missing, broken, of another shape, or holds anything but a network.
        MissingExtraError: ONNX Runtime is not installed.
    """

    def __init__(
        self, path: Path, *, num_features: int, vocab_size: int, threads: int | None = None
    ) -> None:
        onnxruntime = import_onnxruntime()
        content, units = read_onnx(path)
        self._path, self._vocab_size = path, vocab_size
        self._threads = threads or available_cores()
        self._by_row = b"DynamicQuantizeLSTM" in content
        self.max_steps = MAX_ROW_BYTES // (_BYTES_PER_UNIT * units)
        options = onnxruntime.SessionOptions()
        # The int8 layer does not divide its work; rows side by side occupy the cores instead.
        options.intra_op_num_threads = 1 if self._by_row else self._threads
        options.log_severity_level = 4  # failures are raised, and need not be printed as well
        with self._described("an ONNX network"):
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        self._check_shape(num_features)
        self._pool = ThreadPoolExecutor(self._threads) if self._by_row else None

    def __call__(self, features: Floats, feature_lengths: Lengths) -> tuple[Floats, Lengths]:
        """Runs the network.

        Args:
            features: float32 [B, T, F], right-padded.
            feature_lengths: int32 [B], valid steps of each row.

        Returns:
            Logits float32 [B, T, V], meaningless beyond a row's length, and those lengths.

        Raises:
            AudioError: A row is too long for memory.
            BundleError: The network cannot be computed.
        """
        longest = int(feature_lengths.max(initial=0))
        if longest > self.max_steps:
            raise AudioError(
                f"expected a recording of at most {self.max_steps} steps of features at once, "
                f"received {longest}: cut it into parts"
            )
        if self._pool is None or len(features) == 1:
            return self._run(features, feature_lengths), feature_lengths
        logits = np.zeros((*features.shape[:2], self._vocab_size), np.float32)

        def run_row(row: int) -> None:
            length = feature_lengths[row]
            one = slice(row, row + 1)
            logits[row, :length] = self._run(features[one, :length], feature_lengths[one])[0]

        # The longest first: a thread that is left with it would keep all others waiting.
        list(self._pool.map(run_row, np.argsort(-feature_lengths, kind="stable")))
        return logits, feature_lengths

    def _run(self, features: Floats, lengths: Lengths) -> Floats:
        inputs = {
            "features": np.ascontiguousarray(features, np.float32),
            "feature_lengths": np.ascontiguousarray(lengths, np.int32),
        }
        with self._described("a network that can be computed"):
            (logits,) = self._session.run(["logits"], inputs)
        expected = (*features.shape[:2], self._vocab_size)
        if logits.shape != expected or logits.dtype != np.float32:
            raise BundleError(
                f"{self._path}: expected float32 logits of shape {expected}, received "
                f"{logits.dtype} of {logits.shape}"
            )
        return np.asarray(logits)

    def _check_shape(self, num_features: int) -> None:
        """Refuses a network that does not take the bundle's features or give its tokens."""
        shapes = {
            item.name: (item.type, len(item.shape), item.shape[-1] if len(item.shape) == 3 else 0)
            for item in (*self._session.get_inputs(), *self._session.get_outputs())
        }
        lengths = ("tensor(int32)", 1, 0)
        expected = {
            "features": ("tensor(float)", 3, num_features),
            "feature_lengths": lengths,
            "logits": ("tensor(float)", 3, self._vocab_size),
            "logit_lengths": lengths,
        }
        if shapes == expected:
            return
        if shapes.keys() != expected.keys():
            raise BundleError(
                f"{self._path}: expected a network with {', '.join(expected)}, received one with "
                f"{', '.join(shapes)}"
            )
        raise BundleError(
            f"{self._path}: expected a network from {num_features} features to "
            f"{self._vocab_size} tokens, as the model's settings and vocabulary say, received one "
            f"from {shapes['features'][-1]} to {shapes['logits'][-1]}"
        )

    @contextlib.contextmanager
    def _described(self, what: str) -> Iterator[None]:
        """Turns the errors of ONNX Runtime, which have no common class, into ours."""
        try:
            yield
        except Exception as error:
            reason = str(error).strip().splitlines()
            raise BundleError(
                f"{self._path}: expected {what} ({reason[0] if reason else type(error).__name__})"
            ) from None


def load(
    name_or_folder: str | Path,
    *,
    precision: Precision | None = None,
    threads: int | None = None,
    hotwords: Mapping[str, float] | None = None,
    num_texts: int = 1,
    cuts: CutOptions = RECORDING,
) -> Recognizer:
    """Opens a model, ready to transcribe, with its ONNX network and its language model.

    Args:
        name_or_folder: A model's folder, a run's, or the name of an installed model.
        precision: "float32" or "int8"; the one that the model's export chose if left out.
        threads: Processor cores to use; all that are to be had if left out.
        hotwords: Words and phrases to be expected, as `Recognizer` takes them.
        num_texts: How many texts a transcript shows.
        cuts: Where long recordings are cut.

    Raises:
        DecodingError: The model is decoded greedily, and hotwords or several texts were asked for.
        BundleError: There is no such model, it has no ONNX network (`asr export` makes one), or a
            file of it is broken or was made from another network than the one beside it.
        MissingExtraError: ONNX Runtime is not installed.
    """
    return onnx_recognizer(
        open_bundle(name_or_folder),
        precision=precision,
        threads=threads,
        hotwords=hotwords,
        num_texts=num_texts,
        cuts=cuts,
    )


def onnx_recognizer(
    bundle: Bundle,
    *,
    precision: Precision | None = None,
    threads: int | None = None,
    hotwords: Mapping[str, float] | None = None,
    num_texts: int = 1,
    cuts: CutOptions = RECORDING,
) -> Recognizer:
    """Joins an opened bundle with its ONNX network; as `load`."""
    chosen = precision or read_record(bundle.folder).precision
    network = OnnxNetwork(
        bundle.folder / ONNX_FILES[chosen],
        num_features=bundle.features.num_features,
        vocab_size=len(bundle.vocabulary),
        threads=threads,
    )
    return Recognizer.of(
        bundle, network, hotwords=hotwords, num_texts=num_texts, cuts=cuts, threads=threads
    )


def has_onnx(folder: Path) -> bool:
    """Whether a model's folder has been exported."""
    return (folder / RECORD_FILE).is_file()


def read_record(folder: Path) -> OnnxRecord:
    """Reads what is known of a bundle's ONNX files, and makes sure that they are its own.

    Raises:
        BundleError: There are none, the record is broken, or model.keras has changed since.
    """
    path = folder / RECORD_FILE
    if not path.is_file():
        raise BundleError(f"{folder}: has no ONNX network yet; asr export {folder} makes one")
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        record = OnnxRecord(
            network_sha256=str(table["network_sha256"]), precision=table["precision"]
        )
        if record.precision not in get_args(Precision):
            raise ValueError(f"precision {record.precision!r}")
    # TypeError and KeyError: JSON of another shape.
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise BundleError(f"{path}: expected the record of an export ({error})") from None
    network = folder / NETWORK_FILE
    if network.is_file() and digest(network) != record.network_sha256:
        raise BundleError(
            f"{folder}: its ONNX network was made from another {NETWORK_FILE} than the one beside "
            f"it; asr export {folder} makes it again"
        )
    return record


def digest(path: Path) -> str:
    """Returns a file's SHA-256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def import_onnxruntime() -> Any:
    """Imports ONNX Runtime.

    Raises:
        MissingExtraError: It is not installed, or what is installed cannot be imported.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            f"this needs ONNX Runtime, which could not be imported ({error}): "
            f"pip install 'bilstm-asr[{EXTRA}]'"
        ) from None
    return onnxruntime
