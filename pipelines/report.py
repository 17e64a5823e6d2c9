"""The folder an evaluation is written to.

It holds `metrics.json` (the figures), `utterances.jsonl` (every utterance with its
transcript, its errors and its alignment, worst first), `report.md` (for a pull request) and
`index.html` (one page that needs nothing else).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from asr.errors import OptionsError
from asr.files import write_lines, write_text
from asr.hypotheses import CONFIDENCE_KEY, REPORT_FILE
from pipelines.baseline import METRICS_FILE
from pipelines.calibration import mean
from pipelines.evaluation import (
    Evaluation,
    confidence_text,
    interval_text,
    percent,
    speed_text,
)
from pipelines.evidence import Evidence
from pipelines.metrics import counts_record, metrics
from pipelines.page import render_page

MARKDOWN_ROWS = 20
"""Utterances in `report.md`; more would drown a pull request."""
MARKDOWN_WORDS = 10
"""Words of each kind of error in `report.md`."""


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuses a report folder that holds something already, unless it may be overwritten.

    Raises:
        OptionsError: There is a file in its place, or it is not empty.
    """
    if folder.exists() and not folder.is_dir():
        raise OptionsError(f"expected a folder for the report, received the file {folder}")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise OptionsError(f"the report folder {folder} is not empty; --overwrite replaces it")


def write_report(
    evaluation: Evaluation,
    folder: Path,
    *,
    overwrite: bool = False,
    evidence: Evidence | None = None,
) -> Path:
    """Writes the report and returns the path of its page.

    Each file takes its place when it is complete; other files of the folder are left alone.

    Args:
        evaluation: What was found.
        folder: Where to.
        overwrite: Replace a report that is there.
        evidence: What else the page can show.

    Raises:
        OptionsError: The folder holds something already and `overwrite` is not set.
    """
    check_folder(folder, overwrite=overwrite)
    page = _encodable(render_page(evaluation, evidence))
    write_text(folder / METRICS_FILE, _json(metrics(evaluation), indent=2) + "\n")
    write_lines(folder / REPORT_FILE, map(_json, utterance_records(evaluation)))
    write_text(folder / "report.md", _encodable(markdown(evaluation)))
    write_text(folder / "index.html", page)
    return folder / "index.html"


def utterance_records(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """Yields the lines of `utterances.jsonl`, worst first.

    `text` and `pred_text` are as they came, so that the file can be scored again; `reference` and
    `hypothesis` are what was compared. Counts are of words. `word_confidence` is of the words of
    `pred_text`, `confidence` the mean of those of `hypothesis`.
    """
    for row in evaluation.worst_first():
        utterance = evaluation.utterances[row.id]
        record = {
            "id": row.id,
            "audio_filepath": str(utterance.audio),
            "duration": utterance.duration_s,
            "offset": utterance.offset_s or None,
            "channel": utterance.channel,
            "speaker": utterance.speaker,
            "text": utterance.text,
            "pred_text": evaluation.hypotheses[row.id],
            "reference": row.reference,
            "hypothesis": row.hypothesis,
            "wer": row.words.rate,
            "cer": row.characters.rate,
            **counts_record(row.words),
            "alignment": [
                [chunk.kind, " ".join(chunk.reference), " ".join(chunk.hypothesis)]
                for chunk in row.alignment
            ],
            "failed": evaluation.failures.get(row.id),
            "confidence": _rounded_mean(evaluation.confidences.get(row.id)),
            CONFIDENCE_KEY: _rounded(evaluation.word_confidences.get(row.id)),
        }
        yield {key: value for key, value in record.items() if value is not None}


def markdown(evaluation: Evaluation) -> str:
    """Returns the report as Markdown: the figures, what failed, and the worst utterances."""
    score = evaluation.score
    lines = [f"# WER {percent(score.wer)}", "", f"`{score.kaldi_line()}`", ""]
    lines += _markdown_rates(evaluation)
    lines += ["", f"- Transcripts: {_cell(evaluation.source)}"]
    lines += [f"- References: {_cell(evaluation.references)}"]
    lines += [f"- Compared after: {_cell(score.normalisation)}"]
    if evaluation.missing:
        lines += [f"- Missing: {_cell(str(evaluation.missing))}"]
    if evaluation.real_time_factor is not None:
        lines += [f"- Speed: {speed_text(evaluation)} on {_cell(str(evaluation.machine))}"]
    if confidence := confidence_text(evaluation):
        lines += [f"- Confidence: {confidence}"]
    if evaluation.change is not None:
        lines += ["", f"**Since {_cell(evaluation.change.baseline)}**: "]
        lines[-1] += _cell(evaluation.change.sentence())
    if evaluation.failures:
        lines += ["", "## Not transcribed (counted as empty)", "", "| utterance | reason |"]
        lines += ["|---|---|"]
        lines += [f"| {_cell(key)} | {_cell(why)} |" for key, why in evaluation.failures.items()]
    lines += _markdown_slices(evaluation)
    lines += _markdown_confusions(evaluation)
    if evaluation.num_wrong:
        lines += _markdown_utterances(evaluation)
    return "\n".join(lines) + "\n"


def _markdown_rates(evaluation: Evaluation) -> Iterable[str]:
    score, wrong = evaluation.score, f"{evaluation.num_wrong:,} / {len(evaluation.score.rows):,}"
    found = evaluation.analysis.intervals
    yield "| | rate | 95 % | errors | sub | del | ins | of |"
    yield "|---|--:|:-:|--:|--:|--:|--:|--:|"
    for name, rate, counts in (
        ("WER", score.wer, score.words),
        ("CER", score.cer, score.characters),
    ):
        yield (
            f"| {name} | {percent(rate)} | {interval_text(found[name.lower()])} "
            f"| {counts.errors:,} | {counts.substitutions:,} | {counts.deletions:,} "
            f"| {counts.insertions:,} | {counts.num_reference:,} |"
        )
    yield ""
    yield (
        f"Sentence error rate {percent(score.sentence_error_rate)} ({wrong}), "
        f"MER {percent(score.mer)}, WIL {percent(score.wil)}, WIP {percent(score.wip)}"
    )


def _markdown_slices(evaluation: Evaluation) -> Iterable[str]:
    """Yields the worst part of each dimension, of those large enough to say something."""
    worst = [parts[0] for parts in evaluation.analysis.slices.values() if not parts[0].too_small]
    if worst:
        yield from ("", "## Where it is worst", "")
        yield from ("| by | part | WER | 95 % | words |", "|---|---|--:|:-:|--:|")
    for part in worst[:MARKDOWN_ROWS]:
        yield (
            f"| {_cell(part.dimension)} | {_cell(part.label)} | {percent(part.rate)} "
            f"| {interval_text(part.interval)} | {part.words.num_reference:,} |"
        )


def _markdown_confusions(evaluation: Evaluation) -> Iterable[str]:
    found = evaluation.analysis.mistakes
    kinds = (
        ("Taken for another", [f"{c.reference} → {c.hypothesis}" for c in found.confusions],
         [c.count for c in found.confusions]),
        ("Missed", [w.word for w in found.deletions], [w.deletions for w in found.deletions]),
        ("Made up", [w.word for w in found.insertions], [w.insertions for w in found.insertions]),
    )  # fmt: skip
    if any(names for _, names, _ in kinds):
        yield from ("", "## Most frequent errors", "")
    for title, names, counts in kinds:
        listed = [
            f"{_cell(name)} ({count:,})"
            for name, count in zip(names[:MARKDOWN_WORDS], counts, strict=False)
        ]
        if listed:
            yield f"- {title}: {', '.join(listed)}"


def _markdown_utterances(evaluation: Evaluation) -> Iterable[str]:
    yield from ("", "## Worst utterances", "")
    yield from ("| WER | utterance | reference | hypothesis |", "|--:|---|---|---|")
    for row in evaluation.worst_first()[: min(MARKDOWN_ROWS, evaluation.num_wrong)]:
        texts = " | ".join(map(_cell, (row.id, row.reference, row.hypothesis)))
        yield f"| {percent(row.words.rate)} | {texts} |"


def _rounded(confidences: Sequence[float] | None) -> list[float] | None:
    return [round(one, 4) for one in confidences] if confidences else None


def _rounded_mean(confidences: Sequence[float] | None) -> float | None:
    return round(mean(confidences), 4) if confidences else None


def _cell(text: str) -> str:
    """Returns a text that Markdown shows as it is: no tags, no table bars, no line ends."""
    text = " ".join(text.split())
    for special in "\\`*_[]|~#":
        text = text.replace(special, f"\\{special}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _json(value: object, *, indent: int | None = None) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    # Only escapes can hold a file name that is not UTF-8.
    return text if _encodable(text) == text else json.dumps(value, allow_nan=False, indent=indent)


def _encodable(text: str) -> str:
    """Returns a text with what UTF-8 cannot hold, such as half a surrogate pair, replaced."""
    return text.encode("utf-8", "replace").decode()
