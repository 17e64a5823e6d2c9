"""The command line: `python -m benchmarks.cells PART`."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from asr.errors import AsrError
from benchmarks.cells.lags import ENTRIES
from benchmarks.cells.networks import RECOGNIZERS
from benchmarks.cells.store import Results

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "cells" / "results.json"
QUICK_RESULTS = ROOT / "benchmarks" / "results" / "cells_quick.json"
PARTS = {
    "lags": "adding and recall over 50 to 1,000 frames: who learns them, in how many steps",
    "gradients": "how far back gradients reach, before and after training; clipping",
    "cost": "time and memory against length",
    "recognition": "the same recognizer of digits and read speech with every cell",
    "page": "tables and plots of what has been measured, in docs/cells.md",
}


def main(argv: Sequence[str] = ()) -> None:
    """Measures what has no record yet, record by record, or makes the page of all records."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"no part {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    known = {entry.name for entry in ENTRIES} | {*RECOGNIZERS}
    if unknown := set(arguments.cells or ()) - known:
        parser.error(f"no cell {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}")
    left_out = {"recognition"} if arguments.digits is None else set()
    left_out |= {"page"} if arguments.quick else set()
    parts = arguments.parts or [part for part in PARTS if part not in left_out]
    results = Results(arguments.results or (QUICK_RESULTS if arguments.quick else RESULTS))
    for part in parts:
        print(f"{part}: {PARTS[part]}", flush=True)
        if part == "page":
            from benchmarks.cells.page import write_page

            write_page(results, arguments.output)
            continue
        _import_backend(part)
        about(results, part)
        importlib.import_module(f"benchmarks.cells.{part}").measure(results, arguments)


def run() -> None:
    """The program: an error that a user can mend is a line, not a traceback."""
    try:
        main(sys.argv[1:])
    except AsrError as error:
        raise SystemExit(f"benchmarks.cells: {error}") from None


def about(results: Results, part: str) -> None:
    """Writes down where and when a part was measured, the first time that it is."""
    import os
    from datetime import UTC, datetime

    from pipelines.machine import this_machine, versions

    if not results.has("about", part):
        record = {"machine": str(this_machine()), "date": datetime.now(UTC).date().isoformat()}
        own = part in ("lags", "gradients")
        backend = os.environ.get("KERAS_BACKEND", "") if own else "tensorflow"
        results.add("about", part, {**record, "backend": backend, "versions": versions()})


def _import_backend(part: str) -> None:
    from pipelines.network import import_backend

    if part in ("lags", "gradients"):
        import_backend()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cells",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures the recurrent cells of the literature, and attention, side by side.",
        epilog="\n".join(f"  {name:12} {what}" for name, what in PARTS.items())
        + "\n\nWhat has a record in the results is not measured again: name another file to begin "
        "anew.\nlags and gradients take minutes on JAX and hours on TensorFlow: KERAS_BACKEND=jax.",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="some of those below")
    parser.add_argument("--quick", action="store_true", help="short forms, to see that all works")
    parser.add_argument(
        "--results", type=Path, help="the records (default: docs/cells/results.json)"
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "docs", help="where cells.md is (default: docs)"
    )
    parser.add_argument("--cells", nargs="+", metavar="CELL", help="only these")
    parser.add_argument(
        "--tasks", nargs="+", choices=("recall", "adding"), default=("recall", "adding"),
        help="of lags, only these",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each (default: 3)")
    parser.add_argument("--digits", type=Path, help="of recognition: the folder of FSDD")
    parser.add_argument("--new-speaker", default="jackson", help="who of them is left out")
    parser.add_argument("--read", type=Path, help="a manifest of read sentences to learn from")
    parser.add_argument("--read-dev", type=Path, help="one of other readers, to be asked")
    return parser
