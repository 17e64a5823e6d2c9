"""`asr inspect`: what the gates of a trained network do while it hears a recording."""

import argparse
import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.progress import fit
from pipelines.terminal import harmless
from pipelines.usage import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from asr.recognizer import Recognizer
    from asr.transcript import Transcript
    from models.traces import NetworkTrace, Trace
    from pipelines.trace_summary import TraceSummary
    from pipelines.trace_view import View

DESCRIPTION = """\
Shows what the gates of a trained network do while it hears a recording: draws,
beneath the spectrogram and the words that are heard, how far each gate of one
layer is open over time and what its memory holds, and prints for all layers how
far their gates are open and how long their memories last.

The figure goes to -o, or to NAME.gates.svg in the current folder, NAME being
the recording's. Of a cell without gates it shows what the layer gives.

Of a recording longer than 10 s the first 10 s are taken, unless --start-s or
--duration-s say otherwise; the part is heard as if it were all there is, and by
the network in float32, where asr transcribe may use one in int8.
"""

EXAMPLES = """\
examples:
  asr inspect en-read talk.wav                 the top layer, in talk.gates.svg
  asr inspect en-read talk.wav --json          figures only, nothing drawn
  asr inspect runs/mine talk.wav --layer 1 --direction backward -o first.png
  asr inspect runs/mine talk.wav --start-s 60 --duration-s 5 -o minute.html
"""

SUFFIXES = (".svg", ".png", ".html")
COLUMNS = 80
USUAL_S = 10.0
"""What is taken of a recording if nothing is said."""
MAX_UNITS = 12
"""Units drawn one by one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr inspect`."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", help="a model's name, its folder, or a run's")
    parser.add_argument("audio", type=Path, help="a recording")
    group = parser.add_argument_group("what is drawn")
    group.add_argument(
        "--layer", type=int, metavar="N", help="1 for the lowest (default: the highest)"
    )
    group.add_argument(
        "--direction",
        choices=("forward", "backward"),
        help="which half of a bidirectional layer (default: forward)",
    )
    group.add_argument(
        "--units",
        type=int,
        default=3,
        metavar="K",
        help=f"units drawn one by one, those that vary most; up to {MAX_UNITS} (default: 3)",
    )
    group.add_argument(
        "--start-s", "--start", type=float, default=0.0, metavar="S", help="default: 0"
    )
    group.add_argument("--duration-s", type=float, metavar="S", help="up to 36 (default: 10)")
    group.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the figure: .svg, .png or .html"
    )
    group.add_argument("--overwrite", action="store_true", help="replace a figure that is there")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the figures as JSON; nothing is drawn without -o",
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr inspect`.

    Returns:
        0.

    Raises:
        UsageError: The arguments make no sense, or not for this model.
        AsrError: The model or the recording cannot be read.
    """
    output = _output(arguments)
    _check_numbers(arguments)
    from asr.bundle import open_bundle
    from pipelines.network import load_network, recognizer_of

    bundle = open_bundle(arguments.model)
    samples, total_s = _load(arguments)
    model = load_network(bundle.folder)
    hearing = _hear(recognizer_of(bundle, model), model, samples)
    trace = _choose(hearing.trace, arguments)
    num_layers = hearing.trace.layers[-1].layer
    title = (
        f"{arguments.audio.name}, heard by {bundle.name}: layer {trace.layer} of {num_layers}, "
        f"{_way(trace)}"
    )
    view = _view(hearing, trace, arguments, title=title)
    lines = list(_lines(hearing, arguments, total_s=total_s))
    if output is not None:
        _write(output, view, lines)
    if arguments.json:
        print(json.dumps(_json(hearing, arguments, model=bundle.name, output=output)))
        return 0
    print("\n".join(fit(line, columns=COLUMNS) for line in lines))
    if output is not None:
        print(f"\nfigure of layer {trace.layer}, {_way(trace)}: {harmless(str(output))}")
    return 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Hearing:
    """What came of a recording.

    Attributes:
        samples: The recording, float32 [num_samples] at 16 kHz.
        transcript: What was heard.
        trace: What the network did.
        summaries: The same in figures.
        step_s: Seconds from one of its steps to the next.
        edges_s: Where each step begins, and the last one ends, [T + 1].
    """

    samples: "npt.NDArray[np.float32]"
    transcript: "Transcript"
    trace: "NetworkTrace"
    summaries: "Sequence[TraceSummary]"
    step_s: float
    edges_s: "npt.NDArray[np.float64]"

    @property
    def duration_s(self) -> float:
        """Of the recording."""
        return self.transcript.duration_s


def _output(arguments: argparse.Namespace) -> Path | None:
    """Returns where the figure goes; None if there is to be none.

    Raises:
        UsageError: It is there already, or of no kind that can be drawn.
    """
    path: Path | None = arguments.output
    if path is None and arguments.json:
        return None
    path = path or Path(f"{arguments.audio.stem}.gates.svg")
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: expected a figure called {', '.join(SUFFIXES)}")
    if path.exists() and not arguments.overwrite:
        raise UsageError(f"{path} is there already; --overwrite replaces it, -o names another")
    return path


def _check_numbers(arguments: argparse.Namespace) -> None:
    from asr.cuts import RECORDING

    longest_s = RECORDING.longest_s  # what networks hear at once
    if not 0 <= arguments.units <= MAX_UNITS:
        raise UsageError(f"--units: expected 0 to {MAX_UNITS}, received {arguments.units}")
    if not 0 <= arguments.start_s < math.inf:
        raise UsageError(f"--start-s: expected seconds from 0 on, received {arguments.start_s:g}")
    duration_s = arguments.duration_s
    if duration_s is not None and not 0 < duration_s <= longest_s:
        raise UsageError(
            f"--duration-s: expected seconds above 0, up to {longest_s:g}, received {duration_s:g}"
        )


def _load(arguments: argparse.Namespace) -> "tuple[npt.NDArray[np.float32], float]":
    """Returns the samples of the part asked for, and the seconds that the whole recording has."""
    from asr.audio import audio_info, load_audio

    total_s = audio_info(arguments.audio).duration_s
    samples = load_audio(
        arguments.audio,
        offset_s=arguments.start_s,
        duration_s=arguments.duration_s or USUAL_S,
    )
    return samples, total_s


def _hear(recognizer: "Recognizer", model: Any, samples: "npt.NDArray[np.float32]") -> _Hearing:
    """Traces the network over a recording, and decodes what it gave.

    Raises:
        BundleError: The network has nothing to be traced.
    """
    import numpy as np

    from asr.errors import BundleError
    from asr.features import span_s, step_s
    from models.traces import trace_network
    from pipelines.trace_summary import summarise, word_starts

    features = recognizer.extract(samples)
    (trace,) = trace_network(model, features[None], np.array([len(features)], np.int32))
    if not trace.layers:
        raise BundleError("expected a network with recurrent layers or attention, received none")
    heard = dataclasses.replace(
        recognizer, network=lambda _, lengths: (trace.logits[None], lengths)
    )
    transcript = heard.transcribe_batch([samples])[0]
    one_step_s = step_s(recognizer.features)
    edges_s = np.array([span_s(n, recognizer.features)[0] for n in range(len(features) + 1)])
    starts = word_starts(transcript.words, edges_s)
    return _Hearing(
        samples=samples,
        transcript=transcript,
        trace=trace,
        summaries=[summarise(one, step_s=one_step_s, word_starts=starts) for one in trace.layers],
        step_s=one_step_s,
        edges_s=edges_s,
    )


def _choose(found: "NetworkTrace", arguments: argparse.Namespace) -> "Trace":
    """Returns the trace that is to be drawn.

    Raises:
        UsageError: There is no such layer, or it has no such direction.
    """
    number = found.layers[-1].layer if arguments.layer is None else arguments.layer
    layer = [one for one in found.layers if one.layer == number]
    if not layer:
        raise UsageError(
            f"--layer: expected 1 to {found.layers[-1].layer}, as many as the network has, "
            f"received {number}"
        )
    ways = {one.direction: one for one in layer}
    if arguments.direction is None:
        return layer[0]
    if arguments.direction not in ways:
        raise UsageError(
            f"--direction: expected {' or '.join(ways)}, which is all that layer {number} of the "
            f"cell {layer[0].cell} has, received {arguments.direction}"
        )
    return ways[arguments.direction]


def _view(
    hearing: _Hearing, trace: "Trace", arguments: argparse.Namespace, *, title: str
) -> "View":
    from pipelines.trace_view import View, most_varying

    return View(
        title=title,
        samples=hearing.samples,
        start_s=arguments.start_s,
        words=hearing.transcript.words,
        edges_s=hearing.edges_s,
        trace=trace,
        units=most_varying(trace, arguments.units),
    )


def _lines(hearing: _Hearing, arguments: argparse.Namespace, *, total_s: float) -> Iterator[str]:
    from pipelines.trace_summary import lines

    start_s, end_s = arguments.start_s, arguments.start_s + hearing.duration_s
    part = ""
    if start_s > 0 or end_s < total_s - 0.01:
        part = f" of {total_s:.2f} s: from {start_s:.2f} to {end_s:.2f} s, as if it were all"
    yield f"{arguments.audio.name}{part}"
    yield f"heard: {hearing.transcript.text or '(nothing)'}"
    yield f"{len(hearing.edges_s) - 1} steps of {1e3 * hearing.step_s:.0f} ms"
    yield ""
    yield from lines(hearing.summaries, duration_s=hearing.duration_s)


def _write(output: Path, view: "View", lines: Sequence[str]) -> None:
    from asr.files import write_bytes
    from pipelines.trace_figure import draw, html_page

    if output.suffix == ".html":
        write_bytes(output, html_page(view, lines).encode("utf-8", "replace"))
    else:
        write_bytes(output, draw(view, output.suffix))


def _json(
    hearing: _Hearing, arguments: argparse.Namespace, *, model: str, output: Path | None
) -> dict[str, Any]:
    """Returns the figures; times of words count from the part's start, as if it were all."""
    heard = hearing.transcript
    return {
        "audio": str(arguments.audio),
        "model": model,
        "start_s": arguments.start_s,
        "duration_s": round(heard.duration_s, 3),
        "steps": len(hearing.edges_s) - 1,
        "step_ms": 1e3 * hearing.step_s,
        "text": heard.text,
        "words": [word.to_json() for word in heard.words],
        "layers": [one.to_json() for one in hearing.summaries],
        "figure": None if output is None else str(output),
    }


def _way(trace: "Trace") -> str:
    ways = {
        "forward": f"forward (cell {trace.cell})",
        "backward": f"backward, which reads from right to left (cell {trace.cell})",
        "both": f"cell {trace.cell}",
    }
    return ways[trace.direction]
