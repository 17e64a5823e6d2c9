"""`asr trend`: how the WER moved over a series of reports."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import MissingExtraError, OptionsError
from pipelines.baseline import METRICS_FILE, read_metrics
from pipelines.usage import refuse_existing

EPILOG = """\
examples:
  asr trend reports/*/metrics.json                 a table, oldest first
  asr trend reports/* -o trend.png                 and a plot
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A report.

    Attributes:
        name: Its folder.
        created: When it was made, as written; empty if it does not say.
        wer: Its word error rate.
        low: Lower end of the 95 % interval; None if there is none.
        high: Upper end.
        num_words: Reference words; None if it does not say.
        references: What was recognised; figures of different speech have no trend.
    """

    name: str
    created: str
    wer: float
    low: float | None
    high: float | None
    num_words: int | None
    references: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describes the program's command line."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "reports", nargs="+", type=Path, metavar="REPORT", help="folders or their metrics.json"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="draw a plot (PNG, SVG)")
    parser.add_argument("--overwrite", action="store_true", help="replace a plot that is there")


def run(arguments: argparse.Namespace) -> int:
    """Runs the program.

    Returns:
        0.

    Raises:
        AsrError: A report cannot be read.
    """
    output = arguments.output
    refuse_existing(output, overwrite=arguments.overwrite)
    points = trend([path / METRICS_FILE if path.is_dir() else path for path in arguments.reports])
    print("\n".join(table(points)))
    if output is not None:
        draw(points, output)
        print(f"\nplot: {output}")
    return 0


def trend(paths: Sequence[Path]) -> list[Point]:
    """Reads reports' figures, oldest first; those that do not say when, first of all.

    Raises:
        OptionsError: One cannot be read.
    """
    points = [_point(path, read_metrics(path)) for path in paths]
    return sorted(points, key=lambda point: point.created)


def table(points: Sequence[Point]) -> list[str]:
    """Returns the points in lines."""
    width = max(len("report"), *(len(point.name) for point in points))
    lines = [f"{'report':{width}}  {'made':19}  {'WER':>9}  {'95 %':^16}  {'words':>9}"]
    for point in points:
        ends = ""
        if point.low is not None and point.high is not None:
            ends = f"{100 * point.low:.2f} to {100 * point.high:.2f} %"
        words = "" if point.num_words is None else f"{point.num_words:,}"
        lines.append(
            f"{point.name:{width}}  {point.created[:19]:19}  {100 * point.wer:7.2f} %  "
            f"{ends:^16}  {words:>9}"
        )
    if len({point.references for point in points}) > 1:
        lines += ["", "These are not all of the same references: their WERs have no common scale."]
    return lines


def draw(points: Sequence[Point], path: Path) -> None:
    """Draws the WERs with their intervals, in the order given.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OptionsError: It knows no format of that suffix.
    """
    try:
        from matplotlib.figure import Figure  # no pyplot: nothing global, no screen
    except ImportError:
        raise MissingExtraError(
            "a plot needs matplotlib: pip install 'bilstm-asr[train]'"
        ) from None
    from asr.files import replacing

    figure = Figure(figsize=(max(6.0, 0.6 * len(points) + 2), 3.6), layout="constrained")
    axes = figure.subplots()
    places = range(len(points))
    wers = [100 * point.wer for point in points]
    spans = [
        (n, 100 * point.low, 100 * point.high)
        for n, point in enumerate(points)
        if point.low is not None and point.high is not None
    ]
    axes.plot(places, wers, "o-", color="#1759a8", label="WER")
    if spans:
        axes.vlines(
            *zip(*spans, strict=True), color="#1759a8", alpha=0.45, linewidth=4, label="95 %"
        )
    axes.set(ylabel="WER (%)", ylim=(0, None))
    axes.set_xticks(places, [point.name for point in points], rotation=30, ha="right")
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    try:
        with replacing(path) as aside:
            figure.savefig(aside, dpi=110)
    except ValueError as error:
        raise OptionsError(f"{path}: {error}") from None


def _point(path: Path, metrics: Mapping[str, Any]) -> Point:
    interval = (metrics.get("intervals") or {}).get("wer") or {}
    # `runs/a/report/metrics.json` and `runs/b/report/metrics.json` are told apart by a and b.
    folder = path.resolve().parent
    name = folder.parent.name if folder.name == "report" else folder.name
    return Point(
        name=name,
        created=str(metrics.get("created") or ""),
        wer=float(metrics["wer"]),
        low=interval.get("low"),
        high=interval.get("high"),
        num_words=(metrics.get("words") or {}).get("num_reference"),
        references=str(metrics.get("references") or ""),
    )
