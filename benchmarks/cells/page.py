"""docs/cells.md: its tables put in their places, its plots beside it."""

import shutil
from pathlib import Path

from asr.files import write_text
from benchmarks.cells.figures import draw
from benchmarks.cells.store import Results
from benchmarks.cells.tables import TABLES


def write_page(results: Results, folder: Path) -> None:
    """Fills the tables of `cells.md` in a folder, and draws the plots into its folder `cells`.

    A table stands between `<!-- NAME -->` and `<!-- end -->`. One without records stays as it is.

    Raises:
        SystemExit: There is no `cells.md`, or a table's place is not in it.
    """
    page = folder / "cells.md"
    if not page.is_file():
        raise SystemExit(f"{page}: expected the page whose tables are to be filled")
    text = page.read_text(encoding="utf-8")
    for name, make in TABLES.items():
        if table := make(results):
            text = _filled(text, name, table, page)
    write_text(page, text)
    written = draw(results, folder / "cells")
    kept = folder / "cells" / "results.json"
    if results.path.resolve() != kept.resolve():
        shutil.copyfile(results.path, kept)
    print(f"  written: {page} and {', '.join(path.name for path in written)}")


def _filled(text: str, name: str, table: str, page: Path) -> str:
    start, end = f"<!-- {name} -->\n", "<!-- end -->"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{page}: expected a line <!-- {name} --> and one <!-- end --> below it")
    return f"{before}{start}\n{table}\n\n{end}{after}"
