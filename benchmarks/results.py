"""What a benchmark leaves behind: figures for programs, a table for people."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asr.files import replacing
from pipelines.machine import this_machine, versions

FOLDER = Path(__file__).parent / "results"


def write_results(name: str, figures: Mapping[str, Any], table: str, *, quick: bool) -> None:
    """Writes results/NAME.json and results/NAME.md, the latter with the machine and the command.

    Args:
        name: The benchmark's.
        figures: What goes into the JSON file.
        table: The same in Markdown.
        quick: It was a short run, which says so and has files of its own.
    """
    command = f"python -m benchmarks {name}" + (" --quick" if quick else "")
    stem = f"{name}_quick" if quick else name
    machine, date = str(this_machine()), datetime.now(UTC).date().isoformat()
    libraries = ", ".join(f"{package} {version}" for package, version in versions().items())
    about = {"command": command, "machine": machine, "date": date, "versions": versions()}
    FOLDER.mkdir(exist_ok=True)
    with replacing(FOLDER / f"{stem}.json") as aside:
        aside.write_text(json.dumps(about | dict(figures), indent=1) + "\n", encoding="utf-8")
    with replacing(FOLDER / f"{stem}.md") as aside:
        text = f"`{command}` on {machine}, {date}. {libraries}.\n\n{table}\n"
        aside.write_text(text, encoding="utf-8")
    print(f"  written: {FOLDER.name}/{stem}.json and .md")
