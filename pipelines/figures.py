"""The figures of the page in words, bars and curves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from asr.intervals import Interval
from asr.scoring import ErrorCounts
from asr.slices import Slice
from pipelines.calibration import Accepted, Calibration, thinned
from pipelines.evaluation import Evaluation, percent
from pipelines.svg import Axis, Line, axis_up_to, line_chart

MAX_DIMENSIONS = 20
"""Ways of cutting the corpus; the worst come first, and the rest are in `metrics.json`."""
MAX_PARTS = 60
"""Parts of one dimension, likewise."""


class Share(NamedTuple):
    """A part of the bar of words."""

    kind: str
    label: str
    words: int
    percent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where a rate and its interval lie on a bar, in per cent of its width.

    Attributes:
        at: The rate.
        low: The interval's lower end; `at` without one.
        high: Its upper end.
    """

    at: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Of the interval."""
        return self.high - self.low


class Rate(NamedTuple):
    """A rate beside the WER."""

    name: str
    meaning: str
    value: float
    interval: Interval | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceTable:
    """The slices of one dimension.

    Attributes:
        dimension: By what the corpus was cut.
        slices: Worst first; at most `MAX_PARTS`.
        num_parts: How many there are.
        spans: Of each, all on one scale; None where it says nothing.
    """

    dimension: str
    slices: tuple[Slice, ...]
    num_parts: int
    spans: tuple[Span | None, ...]


def headline(rate: float) -> str:
    """Returns an error rate in words that need no explanation."""
    if rate <= 0:
        return "No errors at all"
    if rate >= 0.95:
        return "As many errors as words" if rate < 1.05 else "More errors than words"
    if rate > 0.4:
        return f"About {round(10 * rate)} errors in every 10 words"
    every = 1 / rate
    grain = 1 if every < 20 else 5 if every < 100 else 10
    every = round(every / grain) * grain
    return f"About 1 error in every {every:,} words"


def rates(evaluation: Evaluation) -> Iterator[Rate]:
    """Yields the rates beside the WER."""
    score, found = evaluation.score, evaluation.analysis.intervals
    characters = f"of {score.characters.num_reference:,} characters"
    wrong = f"{evaluation.num_wrong:,} of {len(score.rows):,}"
    aligned = f"of {score.words.num_reference + score.words.insertions:,} aligned words"
    yield Rate("CER", "characters wrong", score.cer, found["cer"], characters)
    yield Rate(
        "SER",
        "utterances with an error",
        score.sentence_error_rate,
        found["sentence_error_rate"],
        wrong,
    )
    yield Rate("MER", "match error rate", score.mer, found["mer"], aligned)
    yield Rate("WIL", "word information lost", score.wil, found["wil"], f"WIP {percent(score.wip)}")


def shares(counts: ErrorCounts) -> list[Share]:
    """Returns the parts of the bar, of reference words and insertions together."""
    parts = [
        ("equal", "correct", counts.hits),
        ("substitute", "substituted", counts.substitutions),
        ("delete", "deleted", counts.deletions),
        ("insert", "inserted", counts.insertions),
    ]
    total = max(1, sum(count for _, _, count in parts))
    return [Share(kind, label, n, f"{100 * n / total:.3f}%") for kind, label, n in parts]


def span(rate: float, interval: Interval | None, *, top: float) -> Span:
    """Returns where a rate lies on a bar from 0 to `top`."""
    at = min(100.0, 100 * rate / top)
    if interval is None:
        return Span(at=at, low=at, high=at)
    return Span(
        at=at, low=min(100.0, 100 * interval.low / top), high=min(100.0, 100 * interval.high / top)
    )


def bar_top(values: Sequence[float]) -> float:
    """Returns a round number above all values, where a bar ends."""
    return axis_up_to("", values).high


def slice_tables(
    slices: Mapping[str, Sequence[Slice]], *, wer: float
) -> tuple[list[SliceTable], float]:
    """Returns the dimensions with their bars, all on one scale, and where that scale ends.

    It ends at three times the WER of the whole at most, lest one odd part flatten the others.
    """
    said = [part for parts in slices.values() for part in parts if not part.too_small]
    ends = [part.interval.high if part.interval else part.rate for part in said]
    top = bar_top(
        [*(min(end, max(3 * wer, part.rate)) for end, part in zip(ends, said, strict=True)), wer]
    )
    tables = [
        SliceTable(
            dimension=name,
            slices=tuple(parts[:MAX_PARTS]),
            num_parts=len(parts),
            spans=tuple(
                None if part.too_small else span(part.rate, part.interval, top=top)
                for part in parts[:MAX_PARTS]
            ),
        )
        for name, parts in list(slices.items())[:MAX_DIMENSIONS]
    ]
    return tables, top


def calibration_chart(found: Calibration) -> str:
    """Draws how often words of each confidence are right."""
    share = Axis(label="confidence of a word", low=0, high=1, percent=True)
    right = Axis(label="words right", low=0, high=1, percent=True)
    return line_chart(
        [
            Line(name="honest", points=[(0, 0), (1, 1)], style="ideal"),
            Line(
                name="found",
                points=[(one.confidence, one.correct) for one in found.bins],
                marks=True,
            ),
        ],
        x=share,
        y=right,
        title="Share of right words against their confidence; the figures are in the table below",
    )


def acceptance_chart(found: Sequence[Accepted]) -> str:
    """Draws the error rate among the surest utterances against their share."""
    points = [(one.share, one.wer) for one in thinned(found)]
    return line_chart(
        [Line(name="accepted", points=points)],
        x=Axis(label="share of utterances accepted, surest first", low=0, high=1, percent=True),
        y=axis_up_to("WER among those accepted", [wer for _, wer in points], percent=True),
        title="Word error rate among accepted utterances against their share",
    )


def training_charts(
    history: Sequence[Mapping[str, float]],
) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Returns title, chart and legend of the curves of a training run."""
    charts = []
    for title, keys, is_rate in (
        ("CTC loss, nats a label", (("loss", "training"), ("dev_loss", "dev")), False),
        ("Error rates on dev", (("dev_wer", "WER"), ("dev_cer", "CER")), True),
    ):
        lines = [
            Line(
                name=name,
                points=[(row["epoch"], row[key]) for row in history if key in row],
                style=style,
                marks=len(history) <= 30,
            )
            for (key, name), style in zip(keys, ("one", "two"), strict=True)
        ]
        drawn = [line for line in lines if line.points]
        if drawn:
            values = [value for line in drawn for _, value in line.points]
            chart = line_chart(
                drawn,
                x=_epochs(history),
                y=axis_up_to("", values, percent=is_rate),
                title=f"{title}, by epoch",
            )
            charts.append((title, chart, [(line.style, line.name) for line in drawn]))
    return charts


def _epochs(history: Sequence[Mapping[str, float]]) -> Axis:
    epochs = [row["epoch"] for row in history]
    first, last = min(epochs), max(epochs)
    return Axis(label="epoch", low=first - 0.5 * (first == last), high=last + 0.5 * (first == last))
