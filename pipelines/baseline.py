"""What changed since an earlier report: utterance by utterance where its rows are there."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.errors import ManifestError, OptionsError
from asr.hypotheses import REPORT_FILE, read_hypotheses
from asr.intervals import Interval
from asr.lines import read_list
from asr.scoring import Score, score
from asr.significance import ALPHA, Comparison, compare, p_text
from asr.tails import normal_tail
from asr.text import TextOptions

METRICS_FILE = "metrics.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """An earlier report.

    Attributes:
        path: Its `metrics.json`.
        metrics: The content of that file.
        hypotheses: Its transcripts by id; None without `utterances.jsonl` beside the figures.
    """

    path: Path
    metrics: Mapping[str, Any]
    hypotheses: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An evaluation against an earlier one.

    Attributes:
        baseline: Where the earlier figures are.
        wer_before: Its WER; over the utterances compared where there are rows.
        wer_now: This one's, over the same.
        p: Two-sided: how often luck gives a difference as large.
        paired: Whether the same utterances were compared one by one, which finds smaller
            differences.
        num_utterances: Utterances compared.
        comparison: The paired comparison, `now` against `before`.
        better: Ids of utterances with fewer word errors than before, most improved first.
        worse: Ids of utterances with more.
        note: What limits the comparison.
    """

    baseline: str
    wer_before: float
    wer_now: float
    p: float
    paired: bool
    num_utterances: int
    comparison: Comparison | None = None
    better: tuple[str, ...] = field(default=())
    worse: tuple[str, ...] = field(default=())
    note: str = ""

    @property
    def significantly_worse(self) -> bool:
        """Whether it got worse, and luck is an unlikely reason."""
        return self.wer_now > self.wer_before and self.p < ALPHA

    def sentence(self) -> str:
        """Returns the change as a sentence."""
        figures = f"WER {100 * self.wer_now:.2f} % after {100 * self.wer_before:.2f} %"
        way = f"{self.num_utterances:,} utterances paired" if self.paired else "not paired"
        if self.p >= ALPHA:
            outcome = "no change beyond luck"
        else:
            outcome = "worse" if self.wer_now > self.wer_before else "better"
        note = f"; {self.note}" if self.note else ""
        return f"{outcome}: {figures} ({p_text(self.p)}, {way}{note})"


def read_baseline(path: Path) -> Baseline:
    """Reads an earlier report.

    Args:
        path: Its folder, or its `metrics.json`.

    Raises:
        OptionsError: It is not there, or is no such file.
    """
    path = path / METRICS_FILE if path.is_dir() else path
    metrics = read_metrics(path)
    rows = path.with_name(REPORT_FILE)
    hypotheses = read_hypotheses(rows) if rows.is_file() else None
    return Baseline(path=path, metrics=metrics, hypotheses=hypotheses)


def read_metrics(path: Path) -> dict[str, Any]:
    """Reads a `metrics.json`.

    Raises:
        OptionsError: It cannot be read, or holds no WER.
    """
    try:
        metrics = json.loads(read_list(path))
    except (ManifestError, ValueError) as error:
        raise OptionsError(f"{path}: expected the metrics.json of a report: {error}") from None
    if not isinstance(metrics, dict) or not _is_number(metrics.get("wer")):
        raise OptionsError(f"{path}: expected the metrics.json of a report, with a wer in it")
    return metrics


def change_since(
    baseline: Baseline,
    now: Score,
    *,
    text: TextOptions,
    interval: Interval | None,
    speakers: Mapping[str, str | None],
) -> Change:
    """Compares a score with an earlier report.

    With its rows, the utterances of both are compared in pairs, scored alike; utterances of one
    side only are left out, and counted in the note. Without, the two intervals decide, as of two
    independent tests.

    Args:
        baseline: The earlier report.
        now: This score.
        text: Its normalisation.
        interval: Of its WER.
        speakers: Who speaks, by id.

    Raises:
        OptionsError: They have no utterance in common, or neither rows nor intervals.
    """
    if baseline.hypotheses is None:
        return _unpaired(baseline, now, interval)
    before = baseline.hypotheses
    common = {row.id: row.reference for row in now.rows if row.id in before}
    if not common:
        raise OptionsError(
            f"{baseline.path}: expected a report on the same utterances, received one with none of "
            "them"
        )
    now_score = _restricted(now, common)
    # References are normalised already, and doing so again changes nothing.
    before_score = score(common, {key: before[key] for key in common}, text=text)
    comparison = compare(
        now_score,
        before_score,
        names=("now", "before"),
        speakers=[speakers.get(key) for key in common],
    )
    pairs = zip(now_score.rows, before_score.rows, strict=True)
    changes = {a.id: a.words.errors - b.words.errors for a, b in pairs}
    ranked = sorted(changes, key=changes.__getitem__)
    alone = len(now.rows) - len(common), len(before) - len(common)
    return Change(
        baseline=str(baseline.path),
        wer_before=before_score.wer,
        wer_now=now_score.wer,
        p=comparison.p,
        paired=True,
        num_utterances=len(common),
        comparison=comparison,
        better=tuple(key for key in ranked if changes[key] < 0),
        worse=tuple(key for key in reversed(ranked) if changes[key] > 0),
        note=f"{alone[0]} only now and {alone[1]} only before left out" if any(alone) else "",
    )


def _restricted(whole: Score, common: Mapping[str, str]) -> Score:
    if len(common) == len(whole.rows):
        return whole
    hypotheses = {row.id: row.hypothesis for row in whole.rows if row.id in common}
    # Both sides are normalised already.
    return score(common, hypotheses, text=TextOptions(case="keep", punctuation="keep"))


def _unpaired(baseline: Baseline, now: Score, interval: Interval | None) -> Change:
    """Compares by the intervals alone: the spread of a difference of independent figures."""
    earlier = (baseline.metrics.get("intervals") or {}).get("wer")
    if not isinstance(earlier, dict) or not all(
        _is_number(earlier.get(end)) for end in ("low", "high")
    ):
        raise OptionsError(
            f"{baseline.path}: expected {REPORT_FILE} beside it or an interval of the wer in "
            "it, received neither: nothing tells a change from luck"
        )
    before, p = float(baseline.metrics["wer"]), 1.0
    if interval is not None:
        spread = math.hypot(
            _standard_error(earlier["low"], earlier["high"]),
            _standard_error(interval.low, interval.high),
        )
        p = 2 * normal_tail(abs(now.wer - before) / spread) if spread else 1.0
    return Change(
        baseline=str(baseline.path),
        wer_before=before,
        wer_now=now.wer,
        p=p,
        paired=False,
        num_utterances=len(now.rows),
        note=f"no {REPORT_FILE} beside the baseline",
    )


def _standard_error(low: float, high: float) -> float:
    return (high - low) / (2 * 1.959964)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
