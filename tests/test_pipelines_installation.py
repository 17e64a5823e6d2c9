import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("asr", "models", "pipelines")
PROGRAM = """
from asr.errors import AsrError
from pipelines.installation import check_installation
try:
    check_installation()
except AsrError as error:
    print(error)
else:
    print("one place")
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The three packages in a folder of their own, as site-packages would hold them."""
    site = tmp_path / "site"
    for room in ROOMS:
        shutil.copytree(ROOT / room, site / room, ignore=shutil.ignore_patterns("__pycache__"))
    return site


def check(*path: Path) -> str:
    """What the check says when Python looks in these folders, the first one first."""
    program = f"import sys; sys.path[:0] = {[str(folder) for folder in path]!r}\n{PROGRAM}"
    # -I: neither the current folder nor the environment adds a place to look in.
    command = [sys.executable, "-I", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_side_by_side_is_well(installed: Path) -> None:
    assert check(installed) == "one place"


def test_a_link_to_the_checkout_is_the_same_place(installed: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(installed, target_is_directory=True)
    assert check(link) == "one place"


def test_another_models_in_front_is_named(installed: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "elsewhere" / "models"
    stranger.mkdir(parents=True)
    (stranger / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    message = check(stranger.parent, installed)
    assert f"models from {stranger.parent}" in message
    assert "asr from" not in message
    assert str(installed) in message


def test_a_folder_without_init_does_not_pass(installed: Path) -> None:
    (installed / "models" / "__init__.py").unlink()
    # A namespace package has no place; its parts may be anywhere.
    assert "models from nowhere" in check(installed)


def test_a_single_file_of_that_name_does_not_pass(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text("")
    assert f"models from {tmp_path.parent}" in check(tmp_path, installed)
