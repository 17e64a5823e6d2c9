"""The recurrent cells of the literature, and attention, measured side by side: docs/cells.md."""

from benchmarks.cells.program import main

__all__ = ["main"]
