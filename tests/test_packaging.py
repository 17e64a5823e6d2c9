"""What an installation holds, and that its figures agree with one another."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import asr

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("asr", "models", "pipelines")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The project's wheel, built offline from a copy, since a build leaves folders behind."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for room in (*ROOMS, "tests"):
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    build = "import setuptools.build_meta as backend; backend.build_wheel('dist')"
    command = [sys.executable, "-W", "ignore", "-c", build]
    result = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (path,) = (copy / "dist").glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_three_rooms_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(ROOMS)


def test_the_wheel_leaves_no_file_behind(wheel: zipfile.ZipFile) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"asr/py.typed", "asr/languages/en.json"} <= files
    assert files - set(wheel.namelist()) == set()


def test_the_command_is_installed(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "asr = pipelines.cli:main" in wheel.read(entry_points).decode()


def test_the_changelog_knows_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, flags=re.MULTILINE)
    assert versions[0] == asr.__version__


def pins() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_constraints_are_exact_and_name_no_place() -> None:
    odd = [line for line in pins() if not re.match(r"[a-z0-9-]+==[\w.]+( ; [^:/]+)?$", line)]
    assert odd == []


def test_everything_asked_for_is_pinned() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = settings["project"]["optional-dependencies"]
    groups = [
        settings["project"]["dependencies"],
        *(
            extras[name] for name in extras if name != "gpu"
        ),  # gpu: CUDA's packages follow its driver
        *settings["dependency-groups"].values(),
    ]
    asked = {
        str(re.split(r"[><=;\[ ]", line)[0]).replace("_", "-")
        for group in groups
        for line in group
        if isinstance(line, str) and not re.match(r"[\w-]+==", line)  # pinned where it stands
    }
    assert asked - {line.partition("==")[0] for line in pins()} == set()
