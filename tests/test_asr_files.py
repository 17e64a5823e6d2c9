import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr import files

# Rewrites a file for ever, with letters in turn, by each writer; says when the first is there.
REWRITE = """
import itertools, sys
from asr import files
path = sys.argv[1]
for round, letter in enumerate(itertools.cycle("abc")):
    if round % 3 == 0:
        files.write_text(path, f"{letter * 99}\\n" * 10_000)
    elif round % 3 == 1:
        files.write_bytes(path, f"{letter * 99}\\n".encode() * 10_000)
    else:
        files.write_lines(path, (letter * 99 for _ in range(10_000)))
    if round == 0:
        print("ready", flush=True)
"""
# Stops in the middle of a file, and says so.
STOP_HALFWAY = """
import sys, time
from asr import files
with files.replacing(sys.argv[1]) as aside, aside.open("w") as file:
    file.write("half")
    file.flush()
    print(aside, flush=True)
    time.sleep(60)
"""
SIZE = 1_000_000


def start(program: str, path: Path) -> "subprocess.Popen[str]":
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", program, str(path)]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)


def kill(child: "subprocess.Popen[str]") -> None:
    child.kill()
    with child:
        assert child.wait() == -signal.SIGKILL


@pytest.mark.parametrize("seed", range(8))
def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "model.json"
    child = start(REWRITE, path)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    for _ in range(20):  # a reader beside the writer never sees half a file either
        assert_whole(path.read_text())
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(timeout=random.Random(seed).uniform(0, 0.1))
    kill(child)
    assert_whole(path.read_text())


def assert_whole(text: str) -> None:
    assert text[:1] in ("a", "b", "c")
    assert len(text) == SIZE
    assert text == f"{text[0] * 99}\n" * 10_000


def test_a_writer_killed_halfway_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text("old")
    child = start(STOP_HALFWAY, path)
    assert child.stdout is not None
    aside = Path(child.stdout.readline().strip())
    kill(child)
    assert aside.read_text() == "half"
    assert path.read_text() == "old"
    files.write_text(path, "new")  # what the dead one left is in nobody's way
    assert path.read_text() == "new"


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    files.write_lines(path, ["old"])

    def lines() -> Iterator[str]:
        yield "new"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        files.write_lines(path, lines())
    assert path.read_bytes() == b"old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_the_path_aside_lies_beside_and_keeps_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "model.keras"
    with files.replacing(path) as aside:
        assert aside.parent == path.parent
        assert (aside.suffix, aside.name[:1]) == (".keras", ".")
        assert not path.exists()
        aside.write_bytes(b"weights")
    assert path.read_bytes() == b"weights"
    assert list(path.parent.iterdir()) == [path]


def test_text_is_utf8_with_line_ends_as_they_are(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a", "é\r\n\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\r\n\n"
    files.write_bytes(tmp_path / "b", b"\x00\r\n")
    assert (tmp_path / "b").read_bytes() == b"\x00\r\n"
    files.write_lines(tmp_path / "c", ["é", ""])
    assert (tmp_path / "c").read_bytes() == b"\xc3\xa9\n\n"
