"""The table of a model's card: what it says, and saying something else."""

import re
from collections.abc import Mapping


def stated(card: str, *names: str) -> str:
    """Returns what a card's table says under the first of these names; empty if nothing."""
    for name in names:
        found = re.search(rf"^\| *{name} *\|(.*)\| *$", card, re.MULTILINE | re.IGNORECASE)
        if found:
            return found.group(1).strip()
    return ""


def restated(card: str, rows: Mapping[str, str]) -> str:
    """Returns a card whose table says something else under some names.

    Args:
        card: Markdown with a table of two columns; without one, a table is added at its end.
        rows: What is to stand beside each name; a name that is not there becomes a row.
    """
    for name, value in rows.items():
        line = f"| {name} | {value} |"
        pattern = re.compile(rf"^\| *{re.escape(name)} *\|.*$", re.MULTILINE)
        if pattern.search(card):
            card = pattern.sub(line.replace("\\", r"\\"), card)
            continue
        lines = card.rstrip("\n").split("\n")
        last = max((n for n, text in enumerate(lines) if text.startswith("|")), default=None)
        if last is None:
            lines += ["", "| | |", "|---|---|", line]
        else:
            lines.insert(last + 1, line)
        card = "\n".join(lines) + "\n"
    return card
