"""A journal is believed after any kind of end, and files that wait for it are never torn."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.journal import Journal
from pipelines.staging import Staging
from pipelines.stamps import Stamp
from pipelines.usage import UsageError

ROOT = Path(__file__).resolve().parent.parent


def begun(path: Path) -> Journal:
    journal = Journal(path)
    assert [record for _, record in journal.records()][:1] in ([], [{"journal": 1}])
    journal.begin()
    return journal


def numbers(path: Path) -> list[int]:
    journal = Journal(path)
    found = [record["n"] for _, record in journal.records() if "n" in record]
    journal.close()
    return found


def test_lines_come_back_from_where_they_begin(tmp_path: Path) -> None:
    journal = begun(tmp_path / "deep" / "j")
    places = [journal.append({"n": n, "text": "né\n" * n}) for n in range(4)]
    assert [journal.at(place)["n"] for place in reversed(places)] == [3, 2, 1, 0]
    journal.append({"n": 4})
    assert journal.at(places[2]) == {"n": 2, "text": "né\nné\n"}
    journal.close()
    assert numbers(tmp_path / "deep" / "j") == [0, 1, 2, 3, 4]


@given(cut=st.integers(0, 400), rubbish=st.binary(max_size=20))
def test_a_torn_end_costs_its_own_line(
    tmp_path_factory: pytest.TempPathFactory, cut: int, rubbish: bytes
) -> None:
    path = tmp_path_factory.mktemp("j") / "j"
    journal = begun(path)
    ends = [journal.append({"n": n, "text": "x" * 50}) for n in range(4)][1:]
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:cut] + rubbish.replace(b"\n", b"\0"))
    left = sum(end <= cut for end in [*ends, len(whole)])
    assert numbers(path)[:left] == list(range(left))
    found = numbers(path)
    journal = begun(path)
    journal.append({"n": 9})
    journal.close()
    assert numbers(path) == [*found, 9]
    assert path.read_bytes().startswith(b'{"journal":1}\n')


def test_a_full_disk_leaves_no_part_of_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = begun(tmp_path / "j")
    journal.append({"n": 0})
    write = os.write

    def half(handle: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space left") as caught:
            journal.append({"n": 1, "text": "x" * 100})
    assert caught.value.filename == str(tmp_path / "j")
    assert (tmp_path / "j").read_bytes().endswith(b'{"n":0}\n')
    journal.append({"n": 2})
    journal.close()
    assert numbers(tmp_path / "j") == [0, 2]


def test_two_programs_do_not_write_to_one(tmp_path: Path) -> None:
    journal = begun(tmp_path / "j")
    path = f"Path({str(tmp_path / 'j')!r})"
    program = f"from pathlib import Path\nfrom pipelines.journal import Journal\nJournal({path})"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "another program is writing to it" in run.stderr
    journal.close()
    begun(tmp_path / "j").close()


def test_two_that_begin_at_once_are_told_apart(tmp_path: Path) -> None:
    late, early = Journal(tmp_path / "j"), Journal(tmp_path / "j")
    early.begin()
    early.close()
    with pytest.raises(UsageError, match="has just written to it"):
        late.begin()
    late.close()


def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j").write_text('{"journal":2}\n')
    journal = Journal(tmp_path / "j")
    with pytest.raises(UsageError, match="expected a journal of version 1"):
        list(journal.records())
    journal.close()


# Files that wait


def test_what_was_told_of_is_released_and_the_rest_dropped(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "pending", tmp_path)
    staging.begin([])
    told = {name: [staging.stage(name, [name.encode()])] for name in ("a", "b", "c")}
    staging.stage("d", [b"nobody knows of it"])
    staging.release(["a"])
    staging.stage("c", [b"another"])  # begun again, and not told of
    assert not (tmp_path / "b").exists()
    Staging(tmp_path / "pending", tmp_path).recover(told, {})
    assert (tmp_path / "a").read_text() == "a"
    assert (tmp_path / "b").read_text() == "b"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert told["a"][-1].fits(tmp_path / "a")
    Staging(tmp_path / "pending", tmp_path).recover(told, {})  # nothing waits


def test_a_file_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = Staging(tmp_path / "pending", tmp_path)
    staging.begin([])

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        staging.stage("a", [b"x"])
    assert not list((tmp_path / "pending").iterdir())


def test_a_file_is_known_by_a_look_or_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"sound")
    stamp = Stamp.of(path)
    assert stamp.fits(path)
    os.utime(path, ns=(0, 0))
    assert stamp.fits(path)  # the same bytes at another time
    path.write_bytes(b"souND")
    assert not stamp.fits(path)
    path.write_bytes(b"sound")
    assert stamp.fits(path)
    path.unlink()
    assert not stamp.fits(path)
