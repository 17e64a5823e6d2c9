"""The evaluation as one HTML page that needs no network, and no script to be read."""

import base64
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from asr.bundle import name_of
from asr.errors import MissingExtraError
from pipelines import figures
from pipelines.calibration import met_targets, right_words
from pipelines.evaluation import Evaluation, interval_text, percent
from pipelines.evidence import Evidence
from pipelines.examples import Example
from pipelines.progress import duration_text
from pipelines.rows import Row, make_row, rows_within

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_ROWS = 1_000
"""Utterances on the page."""
MAX_LISTED = 100
"""Failures and other findings on the page."""
MAX_CHANGED = 20
"""Utterances that got better, and as many that got worse."""
MAX_BYTES = 5_000_000
"""Of the page."""
_MAX_ROWS_CHARACTERS = 2_000_000
"""Of all utterances; recordings may take more than as much again."""
_MAX_NAME = 200
"""Characters of a word or a name, outside the alignments."""

_TEMPLATES = Path(__file__).parent / "templates"


def render_page(evaluation: Evaluation, evidence: Evidence | None = None) -> str:
    """Returns the page, smaller than `MAX_BYTES`; everything that came from outside is escaped.

    Args:
        evaluation: What was found.
        evidence: What else there is to see; sections without any are left out.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    evidence = evidence or Evidence()
    template = _environment().get_template("report.html.j2")
    context = _context(evaluation, evidence)
    max_rows, max_characters = MAX_ROWS, _MAX_ROWS_CHARACTERS
    while True:
        rows = rows_within(
            context["ranked"],
            evaluation,
            max_rows=max_rows,
            max_characters=max_characters,
        )
        page = template.render(**context, rows=rows)
        if len(page.encode("utf-8", "replace")) < MAX_BYTES or len(rows) <= 1:
            return page
        # Scripts that take three bytes a character; half of the rows is half of the page.
        max_rows = len(rows) // 2


@functools.cache
def _environment() -> "Environment":
    try:
        import jinja2
    except ImportError:
        raise MissingExtraError("the report page needs Jinja2: pip install jinja2") from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["interval"] = interval_text
    environment.filters["thousands"] = lambda count: f"{count:,}"
    environment.filters["short"] = _short
    environment.filters["clock"] = duration_text
    return environment


def _context(evaluation: Evaluation, evidence: Evidence) -> dict[str, Any]:
    """Returns what the templates show; they decide nothing but how."""
    score, analysis = evaluation.score, evaluation.analysis
    style, script = _file("report.css"), _file("report.js")
    slices, slices_top = figures.slice_tables(analysis.slices, wer=score.wer)
    rates = list(figures.rates(evaluation))
    known = [rate.interval.high for rate in rates if rate.interval]
    top = figures.bar_top(
        [score.wer, *(_high(evaluation)), *(rate.value for rate in rates), *known]
    )
    return {
        "title": _title(evaluation),
        "evaluation": evaluation,
        "score": score,
        "analysis": analysis,
        "evidence": evidence,
        "style": style,
        "script": script,
        "script_hash": _hash(script),
        "headline": figures.headline(score.wer),
        "wer_span": figures.span(score.wer, analysis.intervals["wer"], top=top),
        "rates": [(rate, figures.span(rate.value, rate.interval, top=top)) for rate in rates],
        "rates_top": top,
        "shares": figures.shares(score.words),
        "slices": slices,
        "slices_top": slices_top,
        "slices_told": any(span for table in slices for span in table.spans),
        "slices_wer": figures.span(score.wer, None, top=slices_top),
        "ranked": evaluation.worst_first(),
        "speakers": len({one.speaker for one in evaluation.utterances.values() if one.speaker}),
        "examples": [_example(example, evaluation) for example in evidence.examples],
        "training": figures.training_charts(evidence.provenance.history),
        "changed": _changed(evaluation),
        "max_listed": MAX_LISTED,
        **_trust(evaluation),
    }


def _title(evaluation: Evaluation) -> str:
    """Returns what was evaluated, without the folders it lies in; those stand further down."""
    if evaluation.model:
        folder = Path(evaluation.model).absolute()
        name = name_of(folder)
        # The demo's run is called no more than that: the folder around it says which.
        around = folder.parent.parent if folder.name == "model" else folder.parent
        return f"{around.name}/{name}" if name == "run" else name
    return Path(evaluation.source).name or "Transcripts"


def _high(evaluation: Evaluation) -> list[float]:
    interval = evaluation.analysis.intervals["wer"]
    return [] if interval is None else [interval.high]


def _changed(evaluation: Evaluation) -> list[tuple[str, list[Row]]]:
    """Returns the utterances that an earlier report had more right or more wrong."""
    change = evaluation.change
    if change is None:
        return []
    sides = [
        ("Most worsened", change.worse[:MAX_CHANGED]),
        ("Most improved", change.better[:MAX_CHANGED]),
    ]
    wanted = {key for _, keys in sides for key in keys}
    rows = {row.id: row for row in evaluation.score.rows if row.id in wanted}
    return [(title, [make_row(rows[key], evaluation) for key in keys]) for title, keys in sides]


def _trust(evaluation: Evaluation) -> dict[str, Any]:
    """Returns what the confidences say; nothing where there are none."""
    calibration, accepted = evaluation.analysis.calibration, evaluation.analysis.accepted
    if calibration is None:
        return {"calibration": None}
    return {
        "calibration": calibration,
        "calibration_chart": figures.calibration_chart(calibration),
        "acceptance_chart": figures.acceptance_chart(accepted),
        "targets": met_targets(accepted),
        "too_sure": calibration.confidence > calibration.correct,
    }


class _Heard(NamedTuple):
    """A recognised word: when, how sure and whether rightly, as far as these are known."""

    text: str
    start_s: float | None
    probability: float | None
    right: bool | None


def _example(example: Example, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "group": example.group,
        "clip": example.clip,
        "row": make_row(example.row, evaluation),
        "words": list(_heard(example, evaluation)),
    }


def _heard(example: Example, evaluation: Evaluation) -> Iterator[_Heard]:
    """Yields the words as recognised or, of a finished transcript, as compared, without times."""
    compared, right = example.row.hypothesis.split(), right_words(example.row)
    words = example.words
    if words:
        same = [word.text for word in words] == compared
        for n, word in enumerate(words):
            yield _Heard(word.text, word.start_s, word.probability, right[n] if same else None)
    elif sure := evaluation.confidences.get(example.row.id):
        for text, probability, is_right in zip(compared, sure, right, strict=True):
            yield _Heard(text, None, probability, is_right)


def _file(name: str) -> str:
    return (_TEMPLATES / name).read_text("utf-8")


def _hash(script: str) -> str:
    """Returns a script's hash as a content security policy names it: no other may run."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _short(text: str) -> str:
    return text if len(text) <= _MAX_NAME else text[: _MAX_NAME - 1] + "…"
