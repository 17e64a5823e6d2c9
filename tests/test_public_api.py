"""What `asr` exports is what docs/architecture.md promises, no more and no less."""

import inspect
import re
from pathlib import Path

import asr

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "architecture.md"


def documented_names() -> list[str]:
    """The first column of the table under "Public names"."""
    _, _, rest = DOCUMENT.read_text(encoding="utf-8").partition("\n## Public names\n")
    section, _, _ = rest.partition("\n## ")
    return re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)


def test_the_exports_are_the_documented_names() -> None:
    assert len(documented_names()) > 1
    assert sorted(asr.__all__) == sorted(documented_names())


def test_the_exports_are_strings_that_a_star_import_takes() -> None:
    namespace: dict[str, object] = {}
    exec("from asr import *", namespace)
    assert namespace.keys() - {"__builtins__"} == set(asr.__all__)


def test_every_export_is_ours_and_says_what_it_is() -> None:
    for name in asr.__all__:
        exported = getattr(asr, name)
        assert exported.__module__.partition(".")[0] == "asr", name
        assert inspect.getdoc(exported), name


def test_nothing_else_is_called_public_by_accident() -> None:
    """A name without an underscore is a submodule, or exported on purpose."""
    public = {
        name
        for name, value in vars(asr).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public <= set(asr.__all__)
