"""The figures of an evaluation as `metrics.json` holds them; docs/metrics.md describes each."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from asr.intervals import Interval
from asr.mistakes import Duplicates, Mistakes, WordErrors
from asr.scoring import ErrorCounts
from asr.significance import Comparison
from asr.slices import Slice
from pipelines.baseline import Change
from pipelines.calibration import Calibration, met_targets
from pipelines.evaluation import Evaluation
from pipelines.suspects import Suspect

VERSION = 1
"""Of the schema: raised when a key changes its meaning or goes; new keys leave it as it is."""
MAX_IDS = 20
"""Ids listed of each kind of finding; all are in `utterances.jsonl`."""

_SCHEMA = Path(__file__).parent / "schemas" / "metrics.schema.json"


def metrics(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the figures as `metrics.json` holds them; rates are fractions, not per cent."""
    score, analysis = evaluation.score, evaluation.analysis
    return {
        "version": VERSION,
        "wer": score.wer,
        "cer": score.cer,
        "mer": score.mer,
        "wil": score.wil,
        "wip": score.wip,
        "sentence_error_rate": score.sentence_error_rate,
        "intervals": {
            name: interval_record(interval) for name, interval in analysis.intervals.items()
        },
        "num_utterances": len(score.rows),
        "num_failed": len(evaluation.failures),
        "num_speakers": len(
            {item.speaker for item in evaluation.utterances.values() if item.speaker is not None}
        ),
        "words": counts_record(score.words),
        "characters": counts_record(score.characters),
        "kaldi": score.kaldi_line(),
        "normalisation": score.normalisation,
        "text": dataclasses.asdict(evaluation.text),
        "source": evaluation.source,
        "model": evaluation.model or None,
        "references": evaluation.references,
        "missing": {
            "counted": evaluation.missing.counted,
            "without_hypothesis": len(evaluation.missing.without_hypothesis),
            "without_reference": len(evaluation.missing.without_reference),
        },
        "audio_s": round(evaluation.audio_s, 3),
        "compute_s": round(evaluation.compute_s, 3),
        "real_time_factor": evaluation.real_time_factor,
        "peak_memory_bytes": evaluation.peak_memory_bytes,
        "machine": dataclasses.asdict(evaluation.machine),
        "versions": dict(evaluation.versions),
        "created": evaluation.created.isoformat(timespec="seconds"),
        "slices": {
            name: [slice_record(part) for part in parts] for name, parts in analysis.slices.items()
        },
        "mistakes": _mistakes(analysis.mistakes),
        "calibration": _calibration(analysis.calibration),
        "acceptance": [
            {"wer_limit": limit, "threshold": one.threshold, "share": one.share, "wer": one.wer}
            for limit, one in met_targets(analysis.accepted)
        ],
        "suspects": [_suspect(one) for one in evaluation.suspects],
        "duplicate_texts": _duplicates(analysis.duplicate_texts),
        "duplicate_audio": _duplicates(analysis.duplicate_audio),
        "unknown_characters": {
            character: {"num_utterances": len(ids), "ids": list(ids[:MAX_IDS])}
            for character, ids in analysis.unknown_characters.items()
        },
        "change": None if evaluation.change is None else _change(evaluation.change),
        "failed": [{"id": key, "reason": why} for key, why in evaluation.failures.items()],
    }


def metrics_schema() -> dict[str, Any]:
    """Returns the JSON schema of `metrics.json`."""
    schema: dict[str, Any] = json.loads(_SCHEMA.read_text("utf-8"))
    return schema


def counts_record(counts: ErrorCounts) -> dict[str, int]:
    """Returns counts with the number of reference units."""
    return {
        "num_reference": counts.num_reference,
        "hits": counts.hits,
        "substitutions": counts.substitutions,
        "deletions": counts.deletions,
        "insertions": counts.insertions,
    }


def interval_record(interval: Interval | None) -> dict[str, Any] | None:
    """Returns an interval's fields."""
    return None if interval is None else dataclasses.asdict(interval)


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """Returns a comparison's fields and its verdict."""
    return {
        **dataclasses.asdict(comparison),
        "significant": comparison.significant,
        "verdict": comparison.verdict(),
    }


def slice_record(part: Slice) -> dict[str, Any]:
    """Returns a slice's fields."""
    return {
        "label": part.label,
        "wer": part.rate,
        "interval": interval_record(part.interval),
        "num_utterances": part.num_utterances,
        "num_speakers": part.num_speakers,
        "words": counts_record(part.words),
        "too_small": part.too_small,
        "note": part.note,
    }


def _mistakes(found: Mistakes) -> dict[str, Any]:
    def words(listed: Iterable[WordErrors]) -> list[dict[str, Any]]:
        return [dataclasses.asdict(word) for word in listed]

    return {
        "num_confusions": found.num_confusions,
        "confusions": [dataclasses.asdict(one) for one in found.confusions],
        "deletions": words(found.deletions),
        "insertions": words(found.insertions),
        "words": words(found.words),
    }


def _calibration(found: Calibration | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {**dataclasses.asdict(found), "bins": [dataclasses.asdict(one) for one in found.bins]}


def _suspect(found: Suspect) -> dict[str, Any]:
    return {
        "id": found.row.id,
        "loss": None if found.impossible else found.loss,
        "heard_loss": found.heard_loss,
        "usual_loss": found.usual_loss,
    }


def _duplicates(found: Iterable[Duplicates]) -> list[Mapping[str, Any]]:
    listed = list(found)[:MAX_IDS]
    return [
        {"value": one.value, "num_utterances": len(one.ids), "ids": list(one.ids[:MAX_IDS])}
        for one in listed
    ]


def _change(change: Change) -> dict[str, Any]:
    return {
        "baseline": change.baseline,
        "wer_before": change.wer_before,
        "wer_now": change.wer_now,
        "p": change.p,
        "paired": change.paired,
        "num_utterances": change.num_utterances,
        "comparison": None if change.comparison is None else comparison_record(change.comparison),
        "num_better": len(change.better),
        "num_worse": len(change.worse),
        "better": list(change.better[:MAX_IDS]),
        "worse": list(change.worse[:MAX_IDS]),
        "significantly_worse": change.significantly_worse,
        "sentence": change.sentence(),
        "note": change.note,
    }
