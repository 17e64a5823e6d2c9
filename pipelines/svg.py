"""Charts as inline SVG: small, sharp on paper, and coloured by the page's own style sheet.

Text is escaped here; nothing in a chart is ever code. Colours are classes (`line one`, `grid` …).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 24, 30, 44
"""Margins for the axes' numbers and names."""
_COLUMNS = 320
"""Of a waveform: one for two or three pixels of a wide screen."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis of a chart.

    Attributes:
        label: What it measures.
        low: Where it begins.
        high: Where it ends; above `low`.
        percent: Whether its numbers are shares to be written in per cent.
    """

    label: str
    low: float
    high: float
    percent: bool = False

    def ticks(self) -> list[float]:
        """Returns about five round numbers along the axis."""
        step = _round_step((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [n * step for n in range(first, last + 1)]

    def text(self, value: float) -> str:
        """Returns a tick as it is written."""
        return f"{100 * value:.4g} %" if self.percent else f"{value:.4g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart.

    Attributes:
        name: For the legend.
        points: (x, y), from left to right.
        style: Its class: `one`, `two`, `ideal`.
        marks: Whether each point has a dot.
    """

    name: str
    points: Sequence[Point]
    style: str = "one"
    marks: bool = False


def axis_up_to(label: str, values: Sequence[float], *, percent: bool = False) -> Axis:
    """Returns an axis from 0 to a round number that is not below any of the values."""
    highest = max((value for value in values if math.isfinite(value)), default=0.0)
    highest = highest if highest >= 1e-9 else 1.0  # below, the step would round to 0
    step = _round_step(highest / 10)
    return Axis(label=label, low=0.0, high=math.ceil(highest / step - 1e-9) * step, percent=percent)


def line_chart(
    lines: Sequence[Line], *, x: Axis, y: Axis, title: str, width: int = 460, height: int = 300
) -> str:
    """Draws lines over two axes.

    Args:
        lines: What to draw, the last on top.
        x: The axis to the right.
        y: The axis upwards; its label stands above it.
        title: What a screen reader says in its place.
        width: In pixels; the page scales it.
        height: In pixels.

    Returns:
        An `svg` element.
    """
    right, bottom = width - _RIGHT, height - _BOTTOM

    def across(value: float) -> float:
        return _LEFT + (value - x.low) / (x.high - x.low) * (right - _LEFT)

    def up(value: float) -> float:
        return bottom - (value - y.low) / (y.high - y.low) * (bottom - _TOP)

    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}">'
    ]
    for tick in y.ticks():
        at = up(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{right}"/>')
        parts.append(_text(_LEFT - 8, at + 4, y.text(tick), "end"))
    for tick in x.ticks():
        at = across(tick)
        parts.append(f'<path class="grid" d="M{at:.1f} {bottom}v4"/>')
        parts.append(_text(at, bottom + 18, x.text(tick), "middle"))
    parts.append(_text((_LEFT + right) / 2, height - 6, x.label, "middle", "name"))
    if y.label:
        parts.append(_text(_LEFT - 8, _TOP - 16, y.label, "start", "name"))
    for line in lines:
        placed = [(across(a), up(b)) for a, b in line.points if math.isfinite(a + b)]
        parts.append(_polyline(placed, line))
    return "".join([*parts, "</svg>"])


def waveform(samples: npt.NDArray[np.float32]) -> str:
    """Draws the outline of a recording, stretched over its box.

    Args:
        samples: float32 [num_samples], at least one.

    Returns:
        An `svg` element without a name of its own: the recording beside it has one.
    """
    columns = min(_COLUMNS, len(samples))
    starts = np.linspace(0, len(samples), columns, endpoint=False).astype(np.int64)
    peak = max(float(np.abs(samples).max()), 1e-6)
    tops = np.maximum.reduceat(samples, starts) / peak
    bottoms = np.minimum.reduceat(samples, starts) / peak
    there = [f"{n} {50 - 49 * top:.0f}" for n, top in enumerate(tops.tolist())]
    back = [f"{n} {50 - 49 * low:.0f}" for n, low in enumerate(bottoms.tolist())]
    outline = "M" + "L".join([*there, *reversed(back)]) + "Z"
    return (
        f'<svg class="waveform" viewBox="0 0 {max(columns - 1, 1)} 100" '
        f'preserveAspectRatio="none" aria-hidden="true"><path d="{outline}"/></svg>'
    )


def _polyline(placed: Sequence[Point], line: Line) -> str:
    if not placed:
        return ""
    style = escape(line.style)
    way = "L".join(f"{a:.1f} {b:.1f}" for a, b in placed)
    dots = _dots(placed, style) if line.marks or len(placed) == 1 else ()
    return f'<path class="line {style}" d="M{way}"/>' + "".join(dots)


def _dots(placed: Sequence[Point], style: str) -> Iterator[str]:
    for a, b in placed:
        yield f'<circle class="dot {style}" cx="{a:.1f}" cy="{b:.1f}" r="3.5"/>'


def _text(x: float, y: float, text: str, anchor: str, style: str = "tick") -> str:
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


def _round_step(step: float) -> float:
    """Returns 1, 2 or 5 times a power of ten, not below a step."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
