"""The plots of docs/cells.md, as SVG."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from asr.files import replacing
from benchmarks.cells.gradients import CLIPPING_PART, LAG
from benchmarks.cells.lags import BY_LAG, ENTRIES, LAGS
from benchmarks.cells.networks import CELLS, RECOGNIZERS
from benchmarks.cells.store import Record, Results
from benchmarks.cells.tables import MIB, by_name, interval, long_groups, rate
from benchmarks.cells.tasks import CHUNK

_COLOURS = dict(
    zip(
        (*CELLS, BY_LAG, *(name for name in RECOGNIZERS if name not in CELLS)),
        ("#7f7f7f", "#8c564b", "#d62728", "#1f77b4", "#ff7f0e", "#2ca02c", "#17becf", "#bcbd22",
         "#9467bd", "#000000", "#e377c2", "#ff9896", "#9e1b1b", "#5c0f0f",
         "#b5b5b5", "#f4a3a3", "#555555"),
        strict=True,
    )
)  # fmt: skip
_FLOOR, _ROOF = 1e-12, 1e3
"""What is smaller than the one, or a greater loss than the other, is drawn there."""


def gradients(results: Results) -> Any:
    """Norms by k, before and after training, of the output and of the memory."""
    entries = by_name(results.part("gradients"), (entry.name for entry in ENTRIES))
    figure, axes = _figure(2, 2, size=(10, 7.5))
    for row, state in zip(axes, ("output", "memory"), strict=True):
        for axis, when in zip(row, ("before", "after"), strict=True):
            for name, records in entries.items():
                if state in records[0][when]:
                    curves = [record[when][state] for record in records]
                    _curve(axis, *curves, color=_COLOURS[name], label=name)
            symbol = "h" if state == "output" else "c"
            said = "at the beginning" if when == "before" else "after 200 steps"
            axis.set(title=f"∂loss/∂{symbol}, {said}", xlabel="k, frames before the last")
            axis.set(xlim=(0, LAG - 1), ylim=(_FLOOR / 2, None))
        row[0].set_ylabel("mean norm")
    axes[0][1].legend(fontsize=7, loc="lower left", ncols=2)
    return figure


def clipping(results: Results) -> Any:
    """Gradients that explode, and what steps along them do with and without clipping.

    What is out of all bounds is drawn at the upper edge, with its value.
    """
    records = results.part(CLIPPING_PART)
    figure, ((left, right),) = _figure(1, 2, size=(10, 3.8))
    for place, (stretch, record) in enumerate(records.items()):
        colour = ("#1f77b4", "#ff7f0e", "#d62728")[place % 3]
        _curve(left, record["before"]["output"], color=colour, label=f"U times {stretch}")
        for how, style in (("free", "--"), ("clipped", "-")):
            losses = [value for value in record[how] if value is not None]
            steps = [CHUNK * (count + 1) for count in range(len(losses))]
            label = f"U times {stretch}, {how}"
            seen = [min(value, _ROOF) for value in losses]
            right.semilogy(steps, seen, style, marker=".", color=colour, label=label)
            for step, value in zip(steps, losses, strict=True):
                if value > _ROOF:
                    right.plot(step, _ROOF, "^", color=colour)
                    right.annotate(
                        f"{value:.0e}", (step, _ROOF), (0, -10 - 10 * place), color=colour,
                        textcoords="offset points", ha="center", fontsize=7,
                    )  # fmt: skip
    left.set(title="∂loss/∂h of a simple network", xlabel="k, frames before the last")
    left.set_ylabel("mean norm")
    right.set(title="loss of plain gradient steps", xlabel="steps", ylim=(0.1, 2 * _ROOF))
    left.legend(fontsize=7)
    right.legend(fontsize=7)
    return figure


def lags(results: Results) -> Any:
    """The longest lag learnt by at least one training of each, in both tasks."""
    records = results.part("lags")
    tasks = [task for task in ("recall", "adding") if any(key.startswith(task) for key in records)]
    figure, (row,) = _figure(1, len(tasks), size=(10, 3.8))
    names = [entry.name for entry in ENTRIES]
    for axis, task in zip(row, tasks, strict=True):
        for place, name in enumerate(reversed(names)):
            for number, lag in enumerate(LAGS):
                start = f"{task}/{name}/{lag}/"
                found = [one["solved"] for key, one in records.items() if key.startswith(start)]
                if found:
                    marker, face = _mark(found, _COLOURS[name])
                    axis.plot(number, place, marker, color=_COLOURS[name], mfc=face, ms=10)
        axis.set_xticks(range(len(LAGS)), [str(lag) for lag in LAGS])
        axis.set_yticks(range(len(names)), list(reversed(names)) if task == tasks[0] else [])
        axis.set(title=task, xlabel="lag, frames", xlim=(-0.5, len(LAGS) - 0.5))
    return figure


def cost(results: Results) -> Any:
    """Time and memory against length, both logarithmic."""
    records = results.part("cost")
    figure, (row,) = _figure(1, 3, size=(11, 3.8))
    for axis, (key, unit, title) in zip(
        row,
        (
            ("use_s", 1e3, "using it, ms"),
            ("train_s", 1e3, "a training step, ms"),
            ("bytes", 1 / MIB, "memory added by training, MiB"),
        ),
        strict=True,
    ):
        for cell in dict.fromkeys(name.partition("/")[0] for name in records):
            found = sorted(
                (int(name.partition("/")[2]), record[key] * unit)
                for name, record in records.items()
                if name.partition("/")[0] == cell
            )
            axis.loglog(*zip(*found, strict=True), ".-", color=_COLOURS[cell], label=cell)
        axis.set(title=title, xlabel="frames")
    row[0].legend(fontsize=8)
    return figure


def longer(results: Results) -> Any:
    """Error rates of words and of letters against the number of digits in a row, of every cell."""
    cells = by_name(results.part("recognition"), CELLS)
    counts = list(long_groups(next(iter(cells.values()))[0]).values())
    figure, (row,) = _figure(1, 2, size=(10, 4.2))
    for axis, unit, name in zip(row, ("words", "characters"), ("WER", "CER"), strict=True):
        for cell, records in cells.items():
            groups = long_groups(records[0])
            rates = [100 * rate(records, group, unit) for group in groups]
            axis.plot(list(groups.values()), rates, ".-", color=_COLOURS[cell], label=cell)
        axis.set_xscale("log")
        axis.set_xticks(counts, [str(count) for count in counts])
        axis.minorticks_off()
        axis.axvspan(counts[0], 3, color="#eeeeee", zorder=0)
        axis.set(title="digits of a speaker never heard", ylabel=f"{name}, %", ylim=(0, None))
        axis.set_xlabel("digits in a row (grey: trained on)")
    row[0].legend(fontsize=7, ncols=2)
    return figure


def recognition(results: Results) -> Any:
    """Error rates with their intervals, and the seeds'."""
    cells = by_name(results.part("recognition"), RECOGNIZERS)
    groups = [
        name
        for name in ("digits, speakers heard", "digits, new speaker", "read")
        if name in next(iter(cells.values()))[0]["test"]
    ]
    figure, (row,) = _figure(1, len(groups), size=(11, 1.2 + 0.26 * len(cells)))
    for axis, group in zip(row, groups, strict=True):
        unit = "characters" if group == "read" else "words"
        for place, (cell, records) in enumerate(reversed(cells.items())):
            _point(axis, place, records, group, unit, _COLOURS[cell])
        is_first = group == groups[0]
        axis.set_yticks(range(len(cells)), list(reversed(cells)) if is_first else [])
        axis.set(title=group, xlabel=f"{'CER' if unit == 'characters' else 'WER'}, %")
    return figure


def _curve(axis: Any, *seeds: list[float | None], color: str, label: str) -> None:
    """Draws the median of norms by k, and from the lowest to the highest of them a band.

    It begins at the first that is not nothing: a last memory is read by nobody.
    """
    first = next((k for k, norm in enumerate(seeds[0]) if norm), 0)
    norms = [
        sorted(max(norm or _FLOOR, _FLOOR) for norm in each) for each in zip(*seeds, strict=True)
    ][first:]
    frames = range(first, first + len(norms))
    axis.semilogy(
        frames, [each[len(each) // 2] for each in norms], lw=1.3, color=color, label=label
    )
    if len(seeds) > 1:
        lowest, highest = zip(*((each[0], each[-1]) for each in norms), strict=True)
        axis.fill_between(frames, lowest, highest, color=color, alpha=0.15, linewidth=0)


def _mark(solved: list[bool], colour: str) -> tuple[str, str]:
    """Returns a full circle where all have learnt it, an open one where some, else a cross."""
    return ("o", colour if all(solved) else "none") if any(solved) else ("x", colour)


def _point(
    axis: Any, place: int, records: list[Record], group: str, unit: str, colour: str
) -> None:
    found = interval(records, group, unit)
    if found is not None:
        axis.plot([100 * found.low, 100 * found.high], [place, place], color=colour, linewidth=4,
                  alpha=0.35, solid_capstyle="butt")  # fmt: skip
    axis.plot(100 * rate(records, group, unit), place, "o", color=colour)
    for one in records:
        axis.plot(100 * rate([one], group, unit), place, "|", color=colour, markersize=9)


FIGURES: dict[str, tuple[str, Callable[[Results], Any]]] = {
    "recognition": ("recognition", recognition),
    "longer": ("recognition", longer),
    "lags": ("lags", lags),
    "gradients": ("gradients", gradients),
    "clipping": (CLIPPING_PART, clipping),
    "cost": ("cost", cost),
}
"""By file name: the part that a plot is of, and what draws it."""


def draw(results: Results, folder: Path) -> list[Path]:
    """Writes the plots of all parts that have records, and returns their paths."""
    import matplotlib
    from matplotlib import pyplot

    # The same records give the same file.
    settings = {"svg.hashsalt": "cells", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}
    written = []
    with matplotlib.rc_context({**settings, "axes.titlesize": 10, "figure.dpi": 100}):
        for name, (part, make) in FIGURES.items():
            if results.part(part):
                figure = make(results)
                with replacing(folder / f"{name}.svg") as aside:
                    figure.savefig(aside, metadata={"Date": None})
                pyplot.close(figure)
                written.append(folder / f"{name}.svg")
    return written


def _figure(num_rows: int, num_columns: int, *, size: tuple[float, float]) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        num_rows, num_columns, figsize=size, squeeze=False, layout="constrained"
    )
    return figure, axes
