"""A recording, the words heard in it, and a layer's gates beneath, on one axis of time."""

import functools
import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.errors import MissingExtraError
from pipelines.progress import num_columns
from pipelines.spectrogram import spectrogram
from pipelines.terminal import harmless
from pipelines.trace_view import CAPTIONS, Array, View, leading, row_order, state_text

# Told apart by every kind of sight (Okabe and Ito); a gate's map has the colour of its line.
_COLOURS: Mapping[str, str] = {
    "forget": "#0072b2",
    "update": "#0072b2",
    "input": "#009e73",
    "reset": "#009e73",
    "output": "#d55e00",
    "depth": "#cc79a7",
    "forget up": "#56b4e9",
    "input up": "#7a9e00",
    "output up": "#e69f00",
}
_INK, _FAINT = "#222222", "#999999"
_MAX_LETTERS = 60
_MAX_ROWS = 160
_LEVELS = 3
"""Heights at which words stand, so that they do not run into each other."""

# Inches.
_WIDTH, _LEFT, _PLOT = 10.0, 0.6, 8.5
_TOP, _BOTTOM, _CAPTION, _GAP = 0.3, 0.42, 0.23, 0.08
_LEVEL, _LETTERS, _COLUMN = 0.17, 0.13, 0.08
_SPECTROGRAM, _MAP, _LINES = 0.95, 0.9, 0.8
_DPI = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One of the pictures below each other.

    Attributes:
        caption: A sentence above it.
        paint: What draws it.
        height: Of its axes, in inches.
        above: Room above these, in inches.
    """

    caption: str
    paint: Callable[[Any], None]
    height: float
    above: float = 0.0


def draw(view: View, suffix: str) -> bytes:
    """Returns the figure as a file, .svg or .png.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure  # no pyplot: nothing global, no screen
    except ImportError:
        raise MissingExtraError(
            "a figure needs matplotlib: pip install 'bilstm-asr[train]'"
        ) from None
    rows = list(_rows(view))
    parts = sum(_CAPTION + row.above + row.height + _GAP for row in rows)
    figure = Figure(figsize=(_WIDTH, _TOP + parts + _BOTTOM))
    # Letters stay letters, for any script and any reader; and one view gives one file.
    style = {"svg.fonttype": "none", "svg.hashsalt": "asr"}
    target = io.BytesIO()
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph|Matplotlib currently does not support")
        _fill(figure, rows, view)
        metadata = {"Date": None} if suffix == ".svg" else {}
        figure.savefig(target, format=suffix[1:], dpi=_DPI, metadata=metadata)
    return target.getvalue()


def html_page(view: View, lines: Sequence[str]) -> str:
    """Returns a page with the figure and a few lines about it.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    drawing = draw(view, ".svg").decode()
    drawing = drawing[drawing.index("<svg") :]  # without the declaration of an XML file
    title, text = escape(harmless(view.title)), escape(harmless("\n".join(lines)))
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n"
        "<style>body{margin:1rem auto;max-width:70rem;padding:0 1rem;font:1rem sans-serif}"
        "svg{width:100%;height:auto}pre{overflow-x:auto}</style>\n"
        f"{drawing}\n<pre>{text}</pre>\n</html>\n"
    )


def _rows(view: View) -> Iterator[_Row]:
    """Yields what the figure is made of, from its top."""
    trace = view.trace
    paint = functools.partial
    num_units = trace.output.shape[1]
    draws = paint(_Row, height=max(_MAP, -(-num_units // _together(num_units)) / _DPI))
    levels = _levels(view)
    yield _Row(
        caption="What is heard, the darker the louder, with the words where they were found.",
        paint=paint(_heard, view=view, levels=levels),
        height=_SPECTROGRAM,
        above=_letters_height(view) + _LEVEL * (1 + max(levels, default=-1)),
    )
    order = f" {_rows_text(num_units)} by its mean {leading(trace)[0]}."
    for name in trace.gates:
        caption = f"{name.capitalize()} gate: {CAPTIONS[name]}.{order}"
        yield draws(caption=caption, paint=paint(_gate, view=view, name=name))
        order = ""
    yield draws(caption=f"{state_text(trace)}.{order}", paint=paint(_state, view=view))
    if trace.gates:
        caption = "How far each gate is open: the mean of all units."
        yield _Row(caption=caption, paint=paint(_means, view=view), height=_LINES)
    for rank, unit in enumerate(view.units):
        which = f"whose {leading(trace)[0]} varies most" if rank == 0 else "the next"
        what = "its gates (left) and its memory (black, right)" if trace.gates else "what it gives"
        yield _Row(
            caption=f"Unit {unit + 1}, {which}: {what}.",
            paint=paint(_unit, view=view, unit=unit),
            height=_LINES,
        )


def _fill(figure: Any, rows: Sequence[_Row], view: View) -> None:
    """Places the rows below each other, under one title and over one axis of time."""
    height = figure.get_figheight()
    start_s, end_s = view.at_s(0), view.at_s(len(view.samples) / SAMPLE_RATE)

    def write(text: str, y: float, **style: Any) -> None:
        text = harmless(text)
        figure.text(_LEFT / _WIDTH, 1 - y / height, text, parse_math=False, color=_INK, **style)

    write(view.title, 0.22, fontsize=11, fontweight="bold")
    y = _TOP
    for row in rows:
        write(row.caption, y + _CAPTION - 0.06, fontsize=9)
        y += _CAPTION + row.above + row.height
        axes = figure.add_axes(
            (_LEFT / _WIDTH, 1 - y / height, _PLOT / _WIDTH, row.height / height)
        )
        y += _GAP
        row.paint(axes)
        axes.set_xlim(start_s, end_s)
        axes.tick_params(labelsize=8, labelbottom=row is rows[-1])
        for word in view.words:
            axes.axvline(view.at_s(word.start_s), color=_FAINT, linewidth=0.6, zorder=3)
    axes.set_xlabel("seconds", fontsize=9)


def _heard(axes: Any, *, view: View, levels: Sequence[int]) -> None:
    from asr.mel import filters

    picture = spectrogram(view.samples)
    end_s = view.at_s(len(view.samples) / SAMPLE_RATE)
    num_bands = len(picture)
    axes.imshow(
        picture,
        cmap="gray",
        vmin=0,
        vmax=255,
        aspect="auto",
        extent=(view.at_s(0), end_s, 0, num_bands),
    )
    bank = filters(sample_rate=SAMPLE_RATE, n_fft=1024, n_mels=num_bands, fmin=0.0, fmax=8_000.0)
    peaks_hz = bank.argmax(axis=0) * SAMPLE_RATE / 1024
    places = [
        float(np.interp(hz, peaks_hz, np.arange(num_bands) + 0.5)) for hz in (500, 1000, 4000)
    ]
    axes.set_yticks(places, ["0.5", "1", "4"])
    axes.set_ylabel("kHz", fontsize=8)
    above = _letters_height(view)
    half_gap_s = 0.03 / _inches_per_s(view)
    place = {"transform": axes.get_xaxis_transform(), "clip_on": False}
    write = functools.partial(axes.text, ha="center", color=_INK, parse_math=False, **place)
    for word, level in zip(view.words, levels, strict=True):
        start_s, end_s = view.at_s(word.start_s), view.at_s(word.end_s)
        y = 1 + (above + _LEVEL * level + 0.03) / _SPECTROGRAM
        gap_s = min(half_gap_s, (end_s - start_s) / 4)
        axes.plot([start_s + gap_s, end_s - gap_s], [y, y], color=_INK, linewidth=1.8, **place)
        write((start_s + end_s) / 2, y + 0.03, harmless(word.text), fontsize=9)
        for one in word.characters if above else ():
            middle_s = view.at_s((one.start_s + one.end_s) / 2)
            write(middle_s, 1.03, harmless(one.text), fontsize=7)


def _gate(axes: Any, *, view: View, name: str) -> None:
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    deep = [0.4 * one for one in to_rgb(_COLOURS[name])]
    colours = LinearSegmentedColormap.from_list(name, ["#ffffff", _COLOURS[name], deep], 32)
    _map(axes, view, view.trace.gates[name], cmap=colours, vmin=0, vmax=1)


def _state(axes: Any, *, view: View) -> None:
    limit = float(np.quantile(np.abs(view.trace.state), 0.98)) or 1.0
    _map(axes, view, view.trace.state, cmap="RdBu_r", vmin=-limit, vmax=limit)


def _map(axes: Any, view: View, values: Array, **scale: Any) -> None:
    """Draws units over time, with its scale of colours to the right."""
    num_units = values.shape[1]
    first_s, last_s = view.at_s(float(view.edges_s[0])), view.at_s(float(view.edges_s[-1]))
    image = axes.imshow(
        _bundled(values.T[row_order(view.trace)]),
        aspect="auto",
        interpolation="none",  # in an .svg a pixel a step
        extent=(first_s, last_s, num_units, 0),
        **scale,
    )
    axes.set_yticks([])
    axes.set_ylabel(f"{num_units} units", fontsize=8)
    key = axes.inset_axes((1.012, 0, 0.012, 1))
    axes.figure.colorbar(image, cax=key)
    low, high = image.get_clim()
    middle = 0.5 if low == 0 else 0.0
    key.set_yticks([low, middle, high], [f"{one:.2g}" for one in (low, middle, high)])
    key.tick_params(labelsize=8)


def _together(num_units: int) -> int:
    """Returns how many units share a row of a map, so that a row is at least a pixel."""
    return -(-num_units // _MAX_ROWS)


def _rows_text(num_units: int) -> str:
    count = _together(num_units)
    return f"Each row is {'a unit' if count == 1 else f'{count} units'}, sorted"


def _bundled(rows: Array) -> Array:
    """Returns the means of as many neighbouring rows as share one, [rows, T]."""
    starts = np.arange(0, len(rows), _together(len(rows)))
    sizes = np.diff([*starts, len(rows)])[:, None]
    return np.asarray(np.add.reduceat(rows, starts, axis=0) / sizes)


def _means(axes: Any, *, view: View) -> None:
    _openings(axes, view, {name: gate.mean(axis=1) for name, gate in view.trace.gates.items()})
    axes.legend(
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        fontsize=8,
        handlelength=1.2,
        borderpad=0,
    )


def _unit(axes: Any, *, view: View, unit: int) -> None:
    state = view.trace.state[:, unit]
    if not view.trace.gates:
        axes.plot(_middles_s(view), state, color=_INK, linewidth=1)
        return
    _openings(axes, view, {name: gate[:, unit] for name, gate in view.trace.gates.items()})
    right = axes.twinx()
    right.axhline(0, color=_FAINT, linewidth=0.6, linestyle=":")
    right.plot(_middles_s(view), state, color=_INK, linewidth=1)
    limit = 1.1 * float(np.abs(state).max()) or 1.0
    right.set_ylim(-limit, limit)
    right.tick_params(labelsize=8)


def _openings(axes: Any, view: View, curves: Mapping[str, Array]) -> None:
    for name, curve in curves.items():
        axes.plot(_middles_s(view), curve, color=_COLOURS[name], linewidth=1.4, label=name)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])


def _middles_s(view: View) -> Array:
    return view.start_s + (view.edges_s[:-1] + view.edges_s[1:]) / 2


def _letters_height(view: View) -> float:
    letters = sum(len(word.characters) for word in view.words)
    return _LETTERS if 0 < letters <= _MAX_LETTERS else 0.0


def _inches_per_s(view: View) -> float:
    return _PLOT * SAMPLE_RATE / len(view.samples)


def _levels(view: View) -> list[int]:
    """Returns the height of each word: the lowest at which it stands clear of those before."""
    inches = _inches_per_s(view)
    ends = [-np.inf] * _LEVELS
    levels = []
    for word in view.words:
        middle = inches * (word.start_s + word.end_s) / 2
        half = _COLUMN * (1 + num_columns(word.text)) / 2
        level = next(
            (n for n, end in enumerate(ends) if end <= middle - half), int(np.argmin(ends))
        )
        ends[level] = middle + half
        levels.append(level)
    return levels
