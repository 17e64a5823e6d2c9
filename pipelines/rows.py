"""Utterances as the page shows them: their figures, and their words coloured by error."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from asr.scoring import Chunk, UtteranceScore
from pipelines.calibration import mean
from pipelines.evaluation import Evaluation

MAX_CELLS = 400
"""Pieces of one alignment; an hour in one utterance must not fill the page."""
MAX_CHARACTERS = 10_000
"""Of one alignment, likewise."""
_MARKUP = 60
"""Characters of tags around a wrong word, at most."""


class Cell(NamedTuple):
    """A piece of an alignment as the page shows it."""

    kind: str
    reference: str
    hypothesis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An utterance as the page shows it.

    Attributes:
        score: Its figures.
        speaker: Who speaks; empty if that is not known.
        duration_s: How long it is; None if that is not known.
        confidence: Mean of its words', None if it has none.
        failure: Why it could not be transcribed; empty if it could.
        cells: Its words, in order.
        cut: Whether some of them are left out.
    """

    score: UtteranceScore
    speaker: str
    duration_s: float | None
    confidence: float | None
    failure: str
    cells: tuple[Cell, ...]
    cut: bool

    @property
    def num_characters(self) -> int:
        """About what it adds to the page."""
        texts = sum(
            len(escape(one.reference + one.hypothesis)) + _MARKUP * (one.kind != "equal")
            for one in self.cells
        )
        return texts + 2 * len(self.score.id) + len(self.speaker) + 600


def make_row(row: UtteranceScore, evaluation: Evaluation) -> Row:
    """Returns an utterance as the page shows it."""
    utterance = evaluation.utterances[row.id]
    known = evaluation.confidences.get(row.id)
    cells, cut = _within(cell for chunk in row.alignment for cell in _cells(chunk))
    return Row(
        score=row,
        speaker=utterance.speaker or "",
        duration_s=utterance.duration_s,
        confidence=mean(known) if known else None,
        failure=evaluation.failures.get(row.id, ""),
        cells=tuple(cells),
        cut=cut,
    )


def rows_within(
    ranked: Sequence[UtteranceScore],
    evaluation: Evaluation,
    *,
    max_rows: int,
    max_characters: int,
) -> list[Row]:
    """Returns the first utterances that fit in so much of a page, at least one."""
    rows: list[Row] = []
    for row in ranked[:max_rows]:
        made = make_row(row, evaluation)
        max_characters -= made.num_characters
        if rows and max_characters < 0:
            break
        rows.append(made)
    return rows


def _within(cells: Iterable[Cell]) -> tuple[list[Cell], bool]:
    """Returns as much of an alignment as is shown, and whether that is less than all."""
    shown: list[Cell] = []
    left = MAX_CHARACTERS
    for kind, said, heard in cells:
        if left <= 0 or len(shown) == MAX_CELLS:
            return shown, True
        shown.append(Cell(kind, said[:left], heard[:left]))
        left -= len(said) + len(heard)
    return shown, left < 0


def _cells(chunk: Chunk) -> Iterator[Cell]:
    """Yields a chunk in one piece, or word over word where words were taken for others."""
    if chunk.kind == "substitute":
        for pair in zip(chunk.reference, chunk.hypothesis, strict=True):
            yield Cell(chunk.kind, *pair)
    else:
        yield Cell(chunk.kind, " ".join(chunk.reference), " ".join(chunk.hypothesis))
