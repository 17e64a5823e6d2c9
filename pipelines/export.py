"""`asr export`: a trained network for ONNX Runtime, checked against Keras before it is used."""

import argparse
import dataclasses
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.audio import SAMPLE_RATE, resample
from asr.bundle import NETWORK_FILE
from asr.errors import BundleError, MissingExtraError
from asr.features import step_s
from asr.files import replacing, write_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import onnx

    from asr.bundle import Bundle
    from asr.manifest import Utterance
    from asr.onnx_network import Precision
    from asr.recognizer import Network
    from pipelines.agreement import Agreement

DESCRIPTION = """\
Writes a model's network for ONNX Runtime, which computes it several times as
fast as Keras on a processor and starts in a fraction of a second:
  model.onnx        float32, the same to within rounding
  model.int8.onnx   weights as int8, where the network has LSTM layers
  onnx.json         how far both are from Keras, and which of them to use
Both are checked against Keras on the recordings of --manifest. int8 is used
only where its word error rate there is at most 0.2 points above that of Keras;
without texts to measure it by, float32 is. What is there already is replaced.

--compact-to writes a copy of the model, its weights rounded to 16 bits, at half
the size, and exports that; the model itself stays as it is.
"""

EXAMPLES = """\
examples:
  asr export runs/mine --manifest data/dev.jsonl
  asr export runs/mine --manifest data/dev.jsonl --compact-to mine
"""

MAX_WER_LOSS = 0.002
"""Word error rate that int8 may cost and still be what is used, as a share."""

MAX_AUDIO_S = 3600.0
"""Audio that networks are compared on, at most."""

# float32 sums differ by their order; a wrong graph is off by whole units.
_MAX_DIFFERENCE = 1e-3
_ASIDE = ".export-"
_GENERATED_STEPS = (1, 2, 17, 100, 333, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What an export came to.

    Attributes:
        precision: The one that will be used.
        checked_on: What the networks were compared on, in words.
        agreements: What Keras, float32 and int8 gave, by name.
    """

    precision: "Precision"
    checked_on: str
    agreements: "dict[str, Agreement]"

    def lines(self) -> list[str]:
        """Returns it as a table to be read."""
        rows = [f"checked on {self.checked_on}"]
        rows.append("           logits off by  same greedy text      WER      CER")
        for name, found in self.agreements.items():
            rates = (found.wer, found.cer)
            shown = "".join("        –" if x is None else f"{100 * x:8.2f}%" for x in rates)
            off, same = found.max_logit_difference, found.identical_texts
            rows.append(f"  {name:8} {off:12.2g}  {same:16.1%}{shown}")
        return [*rows, f"used from now on: {self.precision}"]


def export(
    bundle: "Bundle",
    utterances: "Sequence[Utterance]" = (),
    *,
    source: str = "",
    max_audio_s: float = MAX_AUDIO_S,
    quiet: bool = False,
) -> ExportResult:
    """Writes a model's ONNX files into its folder, all of them or none.

    Args:
        bundle: The model.
        utterances: Recordings to check them on; features are made up if there are none.
        source: What these are called.
        max_audio_s: Seconds of them to use at most, chosen evenly.
        quiet: Show no progress.

    Raises:
        BundleError: The network has a part that cannot be written, or is another once written.
        AudioError: A recording cannot be read.
        MissingExtraError: Keras, onnx or ONNX Runtime is not installed.
    """
    from asr.onnx_network import ONNX_FILES, OnnxNetwork, digest, import_onnxruntime
    from pipelines.agreement import compare_networks
    from pipelines.network import KerasNetwork, load_network
    from pipelines.progress import AUDIO_SECONDS, Progress

    _require_onnx()
    import_onnxruntime()
    model = load_network(bundle.folder)
    _compute_in_float32(model)
    graph = _build_graph(model, bundle)
    made_from = digest(bundle.folder / NETWORK_FILE)
    speech = _read(bundle, utterances, max_audio_s) if utterances else _generate(bundle)
    width = {
        "num_features": bundle.features.num_features,
        "vocab_size": len(bundle.vocabulary),
    }
    for left in bundle.folder.glob(f"{_ASIDE}*"):  # of an export that was killed
        shutil.rmtree(left, ignore_errors=True)
    # Beside their place, since a rename is whole within one file system only.
    with tempfile.TemporaryDirectory(dir=bundle.folder, prefix=_ASIDE) as name:
        folder = Path(name)
        precisions = _write_networks(graph, folder)
        networks: dict[str, Network] = {"keras": KerasNetwork(model)}
        networks |= {key: OnnxNetwork(folder / ONNX_FILES[key], **width) for key in precisions}
        step = step_s(bundle.features)
        total_s = sum(map(len, speech.features)) * step
        with Progress(total_s, unit=AUDIO_SECONDS, label="checking", quiet=quiet) as progress:
            found = compare_networks(
                bundle,
                networks,
                speech.features,
                references=speech.references,
                advance=lambda steps: progress.advance(steps * step),
            )
        result = ExportResult(
            precision=_choose(found),
            checked_on=speech.described(source),
            agreements=found,
        )
        _check(bundle, found["float32"])
        _install(bundle.folder, folder, result, made_from=made_from)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Speech:
    """What networks are compared on: features [T, F], and texts if all of them have one."""

    features: "list[npt.NDArray[np.float32]]"
    references: list[str] | None = None
    audio_s: float = 0.0

    def described(self, source: str) -> str:
        if not self.audio_s:
            return f"{len(self.features)} made-up utterances"
        count = f"{len(self.features)} utterances ({self.audio_s / 60:.1f} minutes)"
        return f"{count} of {source}" if source else count


def _read(bundle: "Bundle", utterances: "Sequence[Utterance]", max_audio_s: float) -> _Speech:
    """Reads recordings from all over a manifest until there are enough of them."""
    import numpy as np

    from asr.background import as_heard, lead_samples
    from asr.features import extract
    from pipelines.speech import load_speech

    chosen: dict[int, npt.NDArray[np.float32]] = {}
    num_samples = 0
    for position in np.random.default_rng(0).permutation(len(utterances)).tolist():
        samples = load_speech(utterances[position])
        num_samples += len(samples)
        if chosen and num_samples > max_audio_s * SAMPLE_RATE:
            num_samples -= len(samples)
            break
        samples = as_heard(samples, lead_samples(bundle.features.lead_s))
        if bundle.features.sample_rate != SAMPLE_RATE:
            rate = bundle.features.sample_rate
            samples = resample(samples, from_rate=SAMPLE_RATE, to_rate=rate)
        chosen[position] = extract(samples, bundle.features)
    texts = [utterances[position].text for position in chosen]
    known = [text for text in texts if text is not None]
    return _Speech(
        features=list(chosen.values()),
        references=known if len(known) == len(texts) else None,
        audio_s=num_samples / SAMPLE_RATE,
    )


def _generate(bundle: "Bundle") -> _Speech:
    import numpy as np

    rng = np.random.default_rng(0)
    width = bundle.features.num_features
    return _Speech(
        features=[rng.standard_normal((steps, width), np.float32) for steps in _GENERATED_STEPS]
    )


def _compute_in_float32(model: "Any") -> None:
    """Has layers that multiply in less, for the sake of training, multiply in float32.

    Both engines then compute the same thing, and what is measured is their difference alone.
    """
    for layer in model.layers:
        if getattr(layer, "precision", "float32") != "float32":
            layer.precision = "float32"


def _build_graph(model: "Any", bundle: "Bundle") -> "onnx.ModelProto":
    from models.onnx_graph import build_onnx

    try:
        return build_onnx(model)
    except ValueError as error:
        raise BundleError(f"{bundle.folder / NETWORK_FILE}: cannot be exported: {error}") from None


def _write_networks(graph: "onnx.ModelProto", folder: Path) -> "list[Precision]":
    """Writes the ONNX files; returns which there are."""
    import onnx

    from asr.onnx_network import ONNX_FILES
    from models.onnx_graph import can_quantise, quantise, store_in_16_bits

    # Half the size where the weights are those of a compact model; else nothing changes.
    onnx.save(store_in_16_bits(graph), folder / ONNX_FILES["float32"])
    if not can_quantise(graph):
        return ["float32"]
    quantise(graph, folder / ONNX_FILES["int8"])
    return ["float32", "int8"]


def _choose(found: "Mapping[str, Agreement]") -> "Precision":
    before, after = found["keras"].wer, found["int8"].wer if "int8" in found else None
    is_as_good = before is not None and after is not None and after - before <= MAX_WER_LOSS
    return "int8" if is_as_good else "float32"


def _check(bundle: "Bundle", found: "Agreement") -> None:
    """Refuses a graph that is another network."""
    limit = _MAX_DIFFERENCE * max(1.0, found.max_logit)
    if not found.max_logit_difference <= limit:  # NaN compares as false
        raise BundleError(
            f"{bundle.folder}: expected the exported network to agree with Keras to {limit:.2g}, "
            f"but its logits are off by {found.max_logit_difference:.2g}; nothing was written"
        )


def _install(folder: Path, source: Path, result: ExportResult, *, made_from: str) -> None:
    """Puts finished files in their places; without the record, which comes last, none counts."""
    from asr.onnx_network import ONNX_FILES, RECORD_FILE

    (folder / RECORD_FILE).unlink(missing_ok=True)
    for name in ONNX_FILES.values():
        if (source / name).is_file():
            with replacing(folder / name) as aside:
                os.replace(source / name, aside)
        else:
            (folder / name).unlink(missing_ok=True)
    record = {
        "network_sha256": made_from,
        "precision": result.precision,
        "checked_on": result.checked_on,
        "networks": {key: dataclasses.asdict(item) for key, item in result.agreements.items()},
    }
    write_text(folder / RECORD_FILE, json.dumps(record, indent=2) + "\n")


def can_export() -> bool:
    """Whether the packages that writing an ONNX file takes are installed."""
    return all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))


def _require_onnx() -> None:
    if not can_export():
        raise MissingExtraError(
            "this needs onnx and ONNX Runtime, which are not installed: "
            "pip install 'bilstm-asr[train]'"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr export`."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", help="a model's name, its folder, or a run's")
    parser.add_argument(
        "--manifest", type=Path, metavar="FILE", help="recordings to check it on, with their texts"
    )
    parser.add_argument("--root", type=Path, help="folder that its relative paths start from")
    parser.add_argument(
        "--compact-to", type=Path, metavar="FOLDER", help="export a copy at half the size instead"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr export`; returns its exit code.

    Raises:
        AsrError: The model or the manifest cannot be read, or the network not be exported.
    """
    from asr.bundle import open_bundle
    from asr.interchange import read_utterances
    from pipelines.compact import compact

    bundle = open_bundle(arguments.model)
    utterances: Sequence[Utterance] = ()
    if arguments.manifest:
        utterances = read_utterances(arguments.manifest, root=arguments.root)
    if arguments.compact_to:
        _require_onnx()
        bundle = compact(bundle, arguments.compact_to)
    result = export(
        bundle,
        utterances,
        source=arguments.manifest.name if arguments.manifest else "",
        quiet=arguments.quiet,
    )
    print("\n".join(result.lines()))
    return 0
