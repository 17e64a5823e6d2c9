"""Private folders: locked while in use, and gone after any end of their process."""

import os
import tempfile
from pathlib import Path

import pytest

from pipelines.spool import private_folder, remove_abandoned


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_private_folder_goes_with_its_context(temporary: Path) -> None:
    with private_folder() as folder:
        assert folder.parent == temporary.resolve()
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "0.wav").write_bytes(b"RIFF")
    assert list(temporary.iterdir()) == []


def test_what_is_in_use_stays(temporary: Path) -> None:
    with private_folder() as folder:
        (folder / "0.wav").write_bytes(b"RIFF")
        remove_abandoned()
        assert (folder / "0.wav").exists()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("left", [(), ("in-use",), ("in-use", "0.wav"), ("in-use", "0.wav", "1")])
def test_whatever_a_killed_process_left_goes(temporary: Path, left: tuple[str, ...]) -> None:
    folder = temporary / "asr-fetched-1"
    folder.mkdir()
    for name in left:
        (folder / name).touch()
    remove_abandoned()
    assert list(temporary.iterdir()) == []


def test_a_folder_without_a_lock_that_holds_something_is_left_alone(temporary: Path) -> None:
    folder = temporary / "asr-fetched-1"
    folder.mkdir()
    (folder / "somebody-elses").touch()
    remove_abandoned()
    assert (folder / "somebody-elses").exists()


@pytest.mark.usefixtures("temporary")
def test_a_folder_taken_for_abandoned_before_it_was_locked_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make = tempfile.mkdtemp
    taken: list[str] = []

    def mkdtemp(prefix: str) -> str:
        folder = make(prefix=prefix)
        if not taken:
            taken.append(folder)
            remove_abandoned()
            assert not os.path.exists(folder)
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with private_folder() as folder:
        assert str(folder) not in taken
        assert (folder / "in-use").exists()
