"""The evaluation as a few lines on a terminal."""

import textwrap
from collections.abc import Iterator

from asr.scoring import Chunk, ErrorCounts, UtteranceScore
from pipelines.evaluation import Evaluation, confidence_text, interval_text, percent, speed_text
from pipelines.progress import fit, num_columns

COLUMNS = 80
NUM_FAILURES = 10
_ID_COLUMNS = 20


def summary(evaluation: Evaluation, *, num_rows: int) -> str:
    """Returns the figures, what failed, and the worst utterances, at most 80 columns wide.

    In the table `cat→hat` is a word taken for another, `-cat` one not recognised, `+cat` one not
    said; a text too long for its line begins shortly before its first error.

    Args:
        evaluation: What was found.
        num_rows: Utterances to show; those without an error are left out.
    """
    return "\n".join(fit(line, columns=COLUMNS) for line in _lines(evaluation, num_rows))


def _lines(evaluation: Evaluation, num_rows: int) -> Iterator[str]:
    score = evaluation.score
    yield score.kaldi_line()
    yield ""
    yield _rates("WER", score.wer, score.words, "words")
    yield _rates("CER", score.cer, score.characters, "characters")
    yield from _wrapped(_interval(evaluation))
    yield (
        f"SER {percent(score.sentence_error_rate):>9}   "
        f"{evaluation.num_wrong} of {len(score.rows)} utterances hold an error"
    )
    yield f"MER {percent(score.mer)}   WIL {percent(score.wil)}   WIP {percent(score.wip)}"
    yield from _wrapped(f"compared after {score.normalisation}")
    if evaluation.real_time_factor is not None:
        yield speed_text(evaluation)
    if confidence := confidence_text(evaluation):
        yield from _wrapped(f"confidence {confidence}")
    if evaluation.missing:
        yield from _wrapped(str(evaluation.missing))
    if evaluation.change is not None:
        yield from _wrapped(f"since {evaluation.change.baseline}: {evaluation.change.sentence()}")
    yield from _failures(evaluation)
    yield from _table(evaluation, num_rows)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, COLUMNS, subsequent_indent="    ")


def _rates(name: str, rate: float, counts: ErrorCounts, unit: str) -> str:
    return (
        f"{name} {percent(rate):>9}   S {counts.substitutions}  D {counts.deletions}  "
        f"I {counts.insertions}  N {counts.num_reference} {unit}"
    )


def _interval(evaluation: Evaluation) -> str:
    interval = evaluation.analysis.intervals["wer"]
    if interval is None:
        return "no interval of the WER from a single utterance"
    note = f"; {interval.note}" if interval.note else ""
    return (
        f"95 % interval of the WER: {interval_text(interval)} "
        f"(resampled by {interval.unit}, {interval.num_units:,} of them{note})"
    )


def _failures(evaluation: Evaluation) -> Iterator[str]:
    failures = list(evaluation.failures.items())
    if failures:
        yield ""
        yield f"{len(failures)} not transcribed, counted as empty:"
    for key, reason in failures[:NUM_FAILURES]:
        yield from _wrapped(f"  {key}: {reason}")
    if len(failures) > NUM_FAILURES:
        yield f"  and {len(failures) - NUM_FAILURES} more"


def _table(evaluation: Evaluation, num_rows: int) -> Iterator[str]:
    rows = [row for row in evaluation.worst_first() if row.words.errors][: max(0, num_rows)]
    if rows:
        yield ""
        yield f"{'WER':>9} {'S':>3} {'D':>3} {'I':>3} {'N':>4}  {'utterance':{_ID_COLUMNS}}  errors"
    for row in rows:
        yield _row(row)


def _row(row: UtteranceScore) -> str:
    counts, name = row.words, fit(row.id, columns=_ID_COLUMNS)
    name += " " * (_ID_COLUMNS - num_columns(name))
    numbers = (
        f"{percent(counts.rate):>9} {counts.substitutions:>3} {counts.deletions:>3} "
        f"{counts.insertions:>3} {counts.num_reference:>4}"
    )
    start = f"{numbers}  {name}  "
    return start + _errors_in_view(row, COLUMNS - num_columns(start))


def _errors_in_view(row: UtteranceScore, columns: int) -> str:
    """Returns the aligned words, without a long beginning that has no error in it."""
    chunks = row.alignment
    text = " ".join(map(_marked, chunks))
    if num_columns(text) > columns and chunks[0].kind == "equal" and len(chunks[0].reference) > 1:
        return " ".join(["…", chunks[0].reference[-1], *map(_marked, chunks[1:])])
    return text


def _marked(chunk: Chunk) -> str:
    pairs = zip(chunk.reference, chunk.hypothesis, strict=False)
    match chunk.kind:
        case "equal":
            return " ".join(chunk.reference)
        case "substitute":
            return " ".join(f"{said}→{heard}" for said, heard in pairs)
        case "delete":
            return " ".join(f"-{said}" for said in chunk.reference)
        case "insert":
            return " ".join(f"+{heard}" for heard in chunk.hypothesis)
