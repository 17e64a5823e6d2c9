"""What `asr` exports is what docs/architecture.md promises, no more and no less."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_table_of_homes_is_the_list_of_exports() -> None:
    assert sorted(name for names in asr._HOMES.values() for name in names) == asr.__all__


def test_an_unknown_name_is_an_attribute_error_and_no_import() -> None:
    with pytest.raises(AttributeError, match="'asr' has no attribute 'recognise'"):
        getattr(asr, "recognise")  # noqa: B009


def test_completion_offers_the_exports() -> None:
    assert set(asr.__all__) <= set(dir(asr))


def test_importing_asr_loads_nothing_until_a_name_is_used() -> None:
    program = (
        "import sys, asr\n"
        "print(*(name for name in sys.modules if name.startswith(('asr.', 'numpy', 'librosa'))))\n"
        "asr.AsrError\n"
        "print(*(name for name in sys.modules if name.startswith('asr.')))\n"
    )
    root = DOCUMENT.parent.parent
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert run.stdout == "\nasr.errors\n"
