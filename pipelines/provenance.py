"""What a model says about itself: its card, and how its training went."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asr.bundle import open_bundle
from asr.errors import AsrError

CARD_FILE = "card.md"
HISTORY_FILE = "metrics.jsonl"
_MAX_CARD = 20_000
"""Characters; a card is a page, and what is longer is something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A piece of a card.

    Attributes:
        kind: What it is.
        text: Of a heading or a paragraph.
        rows: Of a table, without its header if that is empty.
    """

    kind: Literal["heading", "text", "table"]
    text: str = ""
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a model comes from.

    Attributes:
        card: Its card; empty if it has none.
        history: The figures of its run's epochs; empty if the run is not there.
    """

    card: tuple[Block, ...] = ()
    history: tuple[Mapping[str, float], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.card or self.history)


def read_provenance(name_or_folder: str) -> Provenance:
    """Reads the card of a model and, where it lies in its run's folder, the run's figures.

    What is not there or cannot be read is left out: the page is about the speech.
    """
    try:
        folder = open_bundle(name_or_folder).folder
    except AsrError:
        return Provenance()
    # Only a run's own model: its parent may be anything else for another.
    history = folder.absolute().parent / HISTORY_FILE if folder.absolute().name == "model" else None
    return Provenance(
        card=read_card(_content(folder / CARD_FILE)[:_MAX_CARD]),
        history=_history(_content(history)) if history else (),
    )


def read_card(markdown: str) -> tuple[Block, ...]:
    """Takes a card apart: headings, tables and paragraphs, which is all that cards are made of."""
    blocks: list[Block] = []
    for part in markdown.replace("\r\n", "\n").split("\n\n"):
        lines = [line.strip() for line in part.splitlines() if line.strip()]
        if lines and all(line.startswith("|") for line in lines):
            blocks.append(Block(kind="table", rows=tuple(_table(lines))))
        elif lines and lines[0].startswith("#"):
            blocks.append(Block(kind="heading", text=lines[0].lstrip("# ")))
            lines = lines[1:]
            blocks += [Block(kind="text", text=" ".join(lines))] if lines else []
        elif lines:
            blocks.append(Block(kind="text", text=" ".join(lines)))
    return tuple(blocks)


def _table(lines: Sequence[str]) -> list[tuple[str, ...]]:
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    return [row for row in rows if any(cell.strip("-: ") for cell in row)]


def _history(content: str) -> tuple[Mapping[str, float], ...]:
    """Returns the epochs; a line that is broken, perhaps being written, ends them."""
    rows = []
    for line in content.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or not isinstance(row.get("epoch"), int):
            break
        rows.append({key: float(value) for key, value in row.items() if _is_number(value)})
    return tuple(rows)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _content(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
