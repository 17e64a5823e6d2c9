"""The evaluation as one HTML page that needs no network and runs no script."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from asr.errors import MissingExtraError
from asr.scoring import Chunk, ErrorCounts, UtteranceScore
from pipelines.evaluation import Evaluation, percent
from pipelines.progress import duration_text

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_ROWS = 1_000
"""Utterances on the page; 1,000 of ordinary length are well under 5 MB."""

_TEMPLATES = Path(__file__).parent / "templates"


class Cell(NamedTuple):
    """A piece of an alignment as the page shows it."""

    kind: str
    reference: str
    hypothesis: str


class Share(NamedTuple):
    """A part of the bar of words."""

    kind: str
    label: str
    words: int
    percent: str


def render_page(evaluation: Evaluation) -> str:
    """Returns the page; everything that came from outside is escaped.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    shown = evaluation.worst_first()[:MAX_ROWS]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            evaluation=evaluation,
            score=evaluation.score,
            tiles=list(_tiles(evaluation)),
            counts=[("Words", evaluation.score.words), ("Characters", evaluation.score.characters)],
            shares=_shares(evaluation.score.words),
            rows=[_row(row, evaluation) for row in shown],
        )
    )


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
    environment.filters["thousands"] = lambda count: f"{count:,}"
    return environment


def _tiles(evaluation: Evaluation) -> Iterator[tuple[str, str, str]]:
    """Yields name, value and a note for each figure beside the WER."""
    score = evaluation.score
    yield "CER", percent(score.cer), f"{score.characters.num_reference:,} characters"
    wrong = f"{evaluation.num_wrong:,} of {len(score.rows):,} utterances"
    yield "Sentence errors", percent(score.sentence_error_rate), wrong
    yield "MER", percent(score.mer), "match error rate"
    yield "WIL", percent(score.wil), f"word information lost; WIP {percent(score.wip)}"
    factor = evaluation.real_time_factor
    if factor:
        audio = duration_text(evaluation.audio_s)
        yield "Speed", f"{1 / factor:.3g}×", f"real time; factor {factor:.3g} over {audio} of audio"


def _shares(counts: ErrorCounts) -> list[Share]:
    """Returns the parts of the bar, of reference words and insertions together."""
    parts = [
        ("equal", "correct", counts.hits),
        ("substitute", "substituted", counts.substitutions),
        ("delete", "deleted", counts.deletions),
        ("insert", "inserted", counts.insertions),
    ]
    total = max(1, sum(count for _, _, count in parts))
    return [Share(kind, label, n, f"{100 * n / total:.3f}%") for kind, label, n in parts]


def _row(row: UtteranceScore, evaluation: Evaluation) -> dict[str, Any]:
    utterance = evaluation.utterances[row.id]
    duration = "" if utterance.duration_s is None else f"{utterance.duration_s:.1f} s"
    return {
        "id": row.id,
        "rate": percent(row.words.rate),
        "words": row.words,
        "details": [detail for detail in (utterance.speaker, duration) if detail],
        "cells": [cell for chunk in row.alignment for cell in _cells(chunk)],
        "failure": evaluation.failures.get(row.id),
        "silent": not row.hypothesis,
    }


def _cells(chunk: Chunk) -> Iterator[Cell]:
    """Yields a chunk in one piece, or word over word where words were taken for others."""
    if chunk.kind == "substitute":
        for pair in zip(chunk.reference, chunk.hypothesis, strict=True):
            yield Cell(chunk.kind, *pair)
    else:
        yield Cell(chunk.kind, " ".join(chunk.reference), " ".join(chunk.hypothesis))
