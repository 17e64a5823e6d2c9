"""Conditions under which an evaluation fails, so that a pipeline can hold a quality.

    wer > 0.12                         a figure of metrics.json
    wer > 12% and num_failed > 0       joined; `and` binds closer than `or`
    intervals.wer.high > 0.15          a figure within it
    worse than reports/main            significantly, against an earlier report

Only this is understood: nothing of it is ever run as a program.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import OptionsError
from pipelines.baseline import Baseline, change_since
from pipelines.evaluation import Evaluation
from pipelines.metrics import metrics
from pipelines.usage import UsageError

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_COMPARISON = re.compile(
    r"\s*([A-Za-z_][\w.]*)\s*(>=|<=|==|!=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(%?)\s*"
)
_WORSE = re.compile(r"\s*worse\s+than\s+(.+?)\s*", re.DOTALL)
_SHORT = {"ser": "sentence_error_rate", "rtf": "real_time_factor"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A figure compared with a number."""

    metric: str
    operator: str
    number: float

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {self.number:g}"

    def holds(self, figures: Mapping[str, Any]) -> bool:
        """Whether the figure is so.

        Raises:
            OptionsError: There is no such figure.
        """
        return _OPERATORS[self.operator](value_of(self.metric, figures), self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A condition under which an evaluation fails.

    Attributes:
        text: As it was written.
        alternatives: Any of these, in each of which all limits must hold.
        baseline: Or else the report that it must not be worse than.
    """

    text: str
    alternatives: tuple[tuple[Limit, ...], ...] = ()
    baseline: Path | None = None

    def reason(self, figures: Mapping[str, Any]) -> str | None:
        """Returns why the evaluation fails by its figures, or None if it does not.

        Raises:
            OptionsError: There is no such figure.
        """
        # All are looked up, so that a misspelt name is found on a good day too.
        held = [[limit.holds(figures) for limit in limits] for limits in self.alternatives]
        for limits, all_held in zip(self.alternatives, held, strict=True):
            if all(all_held):
                names = dict.fromkeys(limit.metric for limit in limits)
                shown = ", ".join(f"{name} is {value_of(name, figures):.6g}" for name in names)
                return f"{self.text.strip()} ({shown})"
        return None


def parse_gate(text: str) -> Gate:
    """Understands a condition; see the module's text.

    Raises:
        UsageError: It is something else.
    """
    if found := _WORSE.fullmatch(text):
        return Gate(text=text, baseline=Path(found[1].strip("'\"")))
    alternatives = tuple(
        tuple(_limit(part, text) for part in re.split(r"\band\b", alternative))
        for alternative in re.split(r"\bor\b", text)
    )
    return Gate(text=text, alternatives=alternatives)


def value_of(name: str, figures: Mapping[str, Any]) -> float:
    """Returns a figure of `metrics.json` by its name, `intervals.wer.high` for one within another.

    Raises:
        OptionsError: There is none of that name, or it was not measured.
    """
    value: Any = figures
    for key in _SHORT.get(name, name).split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        known = ", ".join(sorted(_numbers(figures)))
        raise OptionsError(f"expected a figure that was measured, received {name}; these: {known}")
    return value


def reasons_to_fail(
    gates: Iterable[Gate], evaluation: Evaluation, baselines: Mapping[Gate, Baseline]
) -> list[str]:
    """Returns a line for each condition that is met.

    Args:
        gates: The conditions.
        evaluation: What they are asked of.
        baselines: The earlier reports of those that name one.

    Raises:
        OptionsError: A condition names a figure that there is not, or a report on other speech.
    """
    figures, reasons = metrics(evaluation), []
    for gate in gates:
        if gate in baselines:
            change = change_since(
                baselines[gate],
                evaluation.score,
                text=evaluation.text,
                interval=evaluation.analysis.intervals["wer"],
                speakers={key: item.speaker for key, item in evaluation.utterances.items()},
            )
            if change.significantly_worse:
                reasons.append(f"{gate.text.strip()} ({change.sentence()})")
        elif reason := gate.reason(figures):
            reasons.append(reason)
    return reasons


def _limit(part: str, text: str) -> Limit:
    found = _COMPARISON.fullmatch(part)
    if not found:
        raise UsageError(
            f'expected a condition such as "wer > 0.12 or cer > 5%", or "worse than FOLDER", '
            f"received {text!r}, where {part.strip()!r} is neither"
        )
    number = float(found[3]) / (100 if found[4] else 1)
    return Limit(metric=found[1], operator=found[2], number=number)


def _numbers(figures: Mapping[str, Any]) -> Sequence[str]:
    return [
        key
        for key, value in figures.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
