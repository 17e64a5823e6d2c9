"""What has been measured as tables in Markdown, one for each place of docs/cells.md."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from asr.intervals import Interval, bootstrap
from benchmarks.cells.lags import ENTRIES, LAGS, key_of, max_steps
from benchmarks.cells.networks import CELLS, RECOGNIZERS
from benchmarks.cells.store import Record, Results

REFERENCE = "lstm"
"""What the others are compared with."""
MIB = 2**20
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def by_name(records: Mapping[str, Record], names: Iterable[str]) -> dict[str, list[Record]]:
    """Groups records "NAME/SEED" by their name, in the order of the names, those there are."""
    found = {name: _seeds(records, name) for name in names}
    return {name: seeds for name, seeds in found.items() if seeds}


def rate(records: Sequence[Record], group: str, unit: str = "words") -> float:
    """Returns the error rate of all seeds together on a group."""
    return sum(_errors(records, group, unit)) / sum(_references(records, group, unit))


def interval(records: Sequence[Record], group: str, unit: str = "words") -> Interval | None:
    """Returns the interval of that over other utterances of the same kind."""
    errors, references = _errors(records, group, unit), _references(records, group, unit)
    return bootstrap(list(zip(errors, references, strict=True)))


def difference(
    records: Sequence[Record], others: Sequence[Record], group: str, unit: str = "words"
) -> tuple[float, Interval | None]:
    """Returns by how much a cell's rate exceeds another's on the same utterances."""
    count = min(len(records), len(others))
    mine, theirs = (_errors(each[:count], group, unit) for each in (records, others))
    more = [a - b for a, b in zip(mine, theirs, strict=True)]
    references = _references(records[:count], group, unit)
    return sum(more) / sum(references), bootstrap(list(zip(more, references, strict=True)))


def shares_left(records: Sequence[Record], when: str) -> list[list[float]]:
    """Returns of every seed, by k, the norm of h as a share of what it is one frame back."""
    return [
        [(norm or 0.0) / max(norms[1], 1e-45) for norm in norms]
        for norms in (each[when]["output"] for each in records)
    ]


def recognition(results: Results) -> str:
    """Error rates of every cell: all seeds together, their range, and the interval."""
    cells = by_name(results.part("recognition"), RECOGNIZERS)
    if not cells:
        return ""
    groups = [name for name in _first(cells)["test"] if not _is_joined(name) or name[0] == "3"]
    heads = [f"{name}: {'CER' if name == 'read' else 'WER'}" for name in groups]
    lines = _head("cell", "width", "parameters", *heads)
    for cell, records in cells.items():
        one = records[0]
        rates = [_rate_text(records, group) for group in groups]
        lines.append(_row(cell, one["units"], f"{one['parameters']:,}", *rates))
    return "\n".join(lines)


def differences(results: Results) -> str:
    """How far every cell is from the LSTM; bold where neither speech nor seeds leave a doubt."""
    cells = by_name(results.part("recognition"), RECOGNIZERS)
    if REFERENCE not in cells or len(cells) < 2:
        return ""
    groups = list(_first(cells)["test"])
    groups = [name for name in groups if not _is_joined(name)]
    lines = _head(f"cell − {REFERENCE}, points", *groups)
    for cell, records in cells.items():
        if cell != REFERENCE:
            found = [_difference_text(records, cells[REFERENCE], group) for group in groups]
            lines.append(_row(cell, *found))
    return "\n".join(lines)


def expense(results: Results) -> str:
    """What every cell's recognizer costs."""
    cells = by_name(results.part("recognition"), RECOGNIZERS)
    if not cells:
        return ""
    sets = results.part("speech").get("sets", {}).get("test", {})
    lines = _head("cell", "an epoch", "hearing, × real time", "memory in training")
    for cell, records in cells.items():
        epoch = statistics.median(record["epoch_s"] for record in records)
        speeds = [
            sum(sets[name]["seconds"] for name in record["test"])
            / sum(one["use_s"] for one in record["test"].values())
            for record in records
        ]
        memory = max(record["bytes"] for record in records) / MIB
        speed = f"{statistics.median(speeds):,.0f}"
        lines.append(_row(cell, f"{epoch:.1f} s", speed, f"{memory:,.0f} MiB"))
    return "\n".join(lines)


def longer(results: Results) -> str:
    """Error rates of words, and then of letters, by the digits in a row, of every cell."""
    cells = by_name(results.part("recognition"), CELLS)
    if not cells:
        return ""
    groups = long_groups(_first(cells))
    ends = list(groups)[:: len(groups) - 1] if len(groups) > 1 else list(groups)
    heads = [f"WER of {count}" for count in groups.values()]
    lines = _head("cell", *heads, *(f"CER of {groups[group]}" for group in ends))
    for cell, records in cells.items():
        words = [_within_text(records, group) for group in groups]
        letters = [_within_text(records, group, "characters") for group in ends]
        lines.append(_row(cell, *words, *letters))
    return "\n".join(lines)


def long_groups(record: Record) -> dict[str, int]:
    """Returns the groups of the new speaker's digits, and how many digits are in a row."""
    found = {"digits, new speaker": 1} if "digits, new speaker" in record["test"] else {}
    return found | {name: int(name.split()[0]) for name in record["test"] if _is_joined(name)}


def lags(results: Results, task: str) -> str:
    """Steps that every cell needed at every lag."""
    records = results.part("lags")
    lines = _head("cell", "width", *(f"{lag}" for lag in LAGS))
    for entry in ENTRIES:
        found = {
            lag: [
                record
                for key, record in records.items()
                if key.rpartition("/")[0] == key_of(task, entry.name, lag, 0).rpartition("/")[0]
            ]
            for lag in LAGS
        }
        if any(found.values()):
            width = next(each[0]["units"] for each in found.values() if each)
            cells = [_steps_text(found[lag], task, lag) for lag in LAGS]
            lines.append(_row(entry.name, width, *cells))
    return "\n".join(lines) if len(lines) > 2 else ""


def reach(results: Results) -> str:
    """What is left of a gradient 50 and 99 frames back, of what it is one frame back."""
    records = by_name(results.part("gradients"), (entry.name for entry in ENTRIES))
    if not records:
        return ""
    columns = [(when, place) for when in ("before", "after") for place in (50, 99)]
    lines = _head("cell", *(f"{when}, {place} frames" for when, place in columns))
    for name, seeds in records.items():
        shares = [[each[place] for each in shares_left(seeds, when)] for when, place in columns]
        lines.append(_row(name, *(_spread_text(each) for each in shares)))
    return "\n".join(lines)


def cost(results: Results) -> str:
    """Time of a use and of a training step, and memory, by length."""
    records = results.part("cost")
    if not records:
        return ""
    cells = list(dict.fromkeys(key.partition("/")[0] for key in records))
    lengths = sorted({int(key.partition("/")[2]) for key in records})
    lines = _head("frames", *cells)
    for length in lengths:
        found = [records.get(f"{cell}/{length}") for cell in cells]
        lines.append(_row(f"{length:,}", *(_cost_text(each) if each else "" for each in found)))
    return "\n".join(lines)


def conditions(results: Results) -> str:
    """Where, when and with what the parts were measured."""
    lines = []
    for part, record in results.part("about").items():
        versions = record["versions"]
        of_backend = {"tensorflow": "tensorflow-cpu"}.get(record["backend"], record["backend"])
        version = versions.get(of_backend, versions.get(record["backend"], ""))
        lines.append(
            f"- {part}: {record['machine']}, {record['date']}, {record['backend']} {version}, "
            f"Keras {versions.get('keras', '')}"
        )
    return "\n".join(lines)


TABLES: dict[str, Callable[[Results], str]] = {
    "recognition": recognition,
    "differences": differences,
    "expense": expense,
    "longer": longer,
    "recall": lambda results: lags(results, "recall"),
    "adding": lambda results: lags(results, "adding"),
    "reach": reach,
    "cost": cost,
    "conditions": conditions,
}


def _errors(records: Sequence[Record], group: str, unit: str) -> list[int]:
    """Returns the errors in every utterance of a group, added over seeds."""
    key = "errors" if unit == "words" else "character_errors"
    return [
        int(sum(each)) for each in zip(*(one["test"][group][key] for one in records), strict=True)
    ]


def _seeds(records: Mapping[str, Record], name: str) -> list[Record]:
    return [record for key, record in records.items() if key.rpartition("/")[0] == name]


def _references(records: Sequence[Record], group: str, unit: str) -> list[int]:
    return [len(records) * count for count in records[0]["test"][group][unit]]


def _unit(group: str) -> str:
    return "characters" if group == "read" else "words"


def _within_text(records: Sequence[Record], group: str, unit: str = "") -> str:
    unit = unit or _unit(group)
    found = interval(records, group, unit)
    between = f" ({100 * found.low:.1f}–{100 * found.high:.1f})" if found else ""
    return f"{100 * rate(records, group, unit):.1f} %{between}"


def _rate_text(records: Sequence[Record], group: str) -> str:
    seeds = sorted(100 * rate([one], group, _unit(group)) for one in records)
    return f"{_within_text(records, group)}; {seeds[0]:.1f} to {seeds[-1]:.1f}"


def _spread_text(values: Sequence[float]) -> str:
    """Returns the median, and the lowest and highest where there are several."""
    between = ""
    if len(values) > 1:
        between = f" ({_digit_text(min(values))} to {_digit_text(max(values))})"
    return f"{_digit_text(statistics.median(values))}{between}"


def _digit_text(value: float) -> str:
    """Returns one digit of a number: 0.05, 3·10⁻⁸."""
    rounded = f"{value:.0e}"
    digit, power = rounded.split("e")
    if -3 <= int(power) <= 3:
        return f"{float(rounded):g}"
    return f"{digit}·10{str(int(power)).translate(_RAISED)}"


def _difference_text(records: Sequence[Record], others: Sequence[Record], group: str) -> str:
    more, found = difference(records, others, group, _unit(group))
    if found is None:
        return f"{100 * more:+.1f}"
    text = f"{100 * more:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    mine, theirs = (
        [rate([one], group, _unit(group)) for one in each] for each in (records, others)
    )
    is_apart = len(mine) > 1 and (max(mine) < min(theirs) or max(theirs) < min(mine))
    return f"**{text}**" if is_apart and not found.low <= 0 <= found.high else text


def _steps_text(records: Sequence[Record], task: str, lag: int) -> str:
    if not records:
        return ""
    solved = [record["steps"] for record in records if record["solved"]]
    share = f" ({len(solved)} of {len(records)})"
    if len(solved) > len(records) / 2:
        steps = f"{statistics.median(solved):.0f}"
        return steps if len(solved) == len(records) else steps + share
    # A training that was ended by the clock says less than one that had all its steps.
    ended = max(record["steps"] for record in records if not record["solved"])
    text = "no" if ended >= max_steps(task, lag) else f"out of time at {ended}"
    return text + share if solved else text


def _cost_text(record: Record) -> str:
    times = (_time_text(record[key]) for key in ("use_s", "train_s"))
    return ", ".join((*times, f"{record['bytes'] / MIB:,.0f} MiB"))


def _time_text(seconds: float) -> str:
    return f"{1e3 * seconds:,.0f} ms" if seconds < 10 else f"{seconds:,.0f} s"


def _is_joined(name: str) -> bool:
    return " digits," in name


def _first(cells: Mapping[str, Sequence[Record]]) -> Record:
    return next(iter(cells.values()))[0]


def _head(*names: Any) -> list[str]:
    return [_row(*names), "|---" * len(names) + "|"]


def _row(*values: Any) -> str:
    return "| " + " | ".join(str(value) for value in values) + " |"
