"""What has been measured so far: a JSON file of records, each written as soon as it is made."""

import json
from pathlib import Path
from typing import Any

from asr.files import write_text

Record = dict[str, Any]


class Results:
    """Records by part and key, such as "lags" and "adding/lstm/100/0".

    A measurement that has a record is not made again: a run that was stopped goes on where it was.

    Args:
        path: The file; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def part(self, name: str) -> dict[str, Record]:
        """Returns the records of a part, by key, in the order they were made.

        Raises:
            SystemExit: The file is there and is not one of results.
        """
        return self._read().get(name, {})

    def has(self, part: str, key: str) -> bool:
        """Whether a measurement has been made."""
        return key in self.part(part)

    def add(self, part: str, key: str, record: Record) -> None:
        """Writes a record down; what another process has added meanwhile stays."""
        parts = self._read()
        parts.setdefault(part, {})[key] = record
        write_text(self.path, _text(parts))

    def _read(self) -> dict[str, dict[str, Record]]:
        if not self.path.exists():
            return {}
        try:
            parts = json.loads(self.path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SystemExit(f"{self.path}: expected JSON, received {error}") from None
        if not isinstance(parts, dict) or not all(isinstance(one, dict) for one in parts.values()):
            raise SystemExit(f"{self.path}: expected results of benchmarks.cells")
        return parts


def _text(parts: dict[str, dict[str, Record]]) -> str:
    """Returns JSON with a record on a line: readable, and small in a version control."""
    blocks = []
    for name, records in parts.items():
        lines = [
            f"  {json.dumps(key)}: {json.dumps(record, separators=(',', ':'))}"
            for key, record in records.items()
        ]
        blocks.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(blocks) + "\n}\n"
