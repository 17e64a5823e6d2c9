"""A run that is killed, interrupted, starved of disk or of workers, and goes on to the same end."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from places import environment, make_place

SLOW = pytest.mark.slow

# A program of its own, which its worker processes import too. What its listener is sure of depends
# on what it hears at once, as a network's numbers do by a rounding. After so many times that
# something is done to the disk, it kills itself.
PROGRAM = """
import functools, itertools, os, signal, sys
from pathlib import Path
from listeners import load_listener
from pipelines import chunks, cli, network

def at_the_disk(left):
    def counted(function):
        def call(*args, **more):
            if next(left) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            if len(args) > 1 and isinstance(args[1], bytes) and next(left) == 0:
                function(args[0], args[1][: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **more)
        return call
    os.write, os.fsync, os.truncate = map(counted, (os.write, os.fsync, os.truncate))
    Path.replace, Path.unlink, Path.mkdir = map(counted, (Path.replace, Path.unlink, Path.mkdir))

def full_disk(left):
    def counted(handle, data):
        if next(left) <= 0:
            raise OSError(28, "No space left on device")
        return write(handle, data)
    write, os.write = os.write, counted

if __name__ == "__mp_main__" and signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, []):
    print("an interrupt would end this process", file=sys.stderr)

if __name__ == "__main__":
    chunks.MAX_RECORDINGS = 3
    network.load_recognizer = load_listener
    if "KILL_AT" in os.environ:
        at_the_disk(itertools.count(int(os.environ["KILL_AT"]), -1))
    if "FULL_AT" in os.environ:
        full_disk(itertools.count(int(os.environ["FULL_AT"]), -1))
    sys.exit(cli.main(["transcribe", "--model", "any", *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program, a model, recordings, and a list of them."""
    folder = tmp_path_factory.mktemp("place")
    records = [
        {"audio_filepath": str(folder / name), "duration": n / 10, "text": f"word {n}"}
        for name, n in make_place(folder, PROGRAM).items()
    ]
    (folder / "in.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    return folder


def command(place: Path, words: Sequence[str]) -> list[str]:
    return [sys.executable, str(place / "program.py"), *words]


def run(place: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(place, words),
        cwd=place,
        env=environment(place, more),
        capture_output=True,
        text=True,
        check=False,
    )


def content(path: Path) -> dict[str, bytes]:
    """What a person finds: files by their names below the folder."""
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and ".asr" not in file.parts
    }


@pytest.fixture
def out(place: Path) -> Iterator[str]:
    """The name of a folder that is not there."""
    yield "out"
    shutil.rmtree(place / "out", ignore_errors=True)


FOLDER = ("in", "--output-dir", "out", "--output-format", "json,txt")
NUM_FILES = 2 * 16 + 1
"""Of 18 recordings two fail, which a file says."""
LIST = ("in.jsonl", "-o", "out/heard.jsonl")


@pytest.mark.parametrize("words", [FOLDER, LIST], ids=["folder", "list"])
@pytest.mark.parametrize(
    ("workers", "seed"),
    [("0", 1), pytest.param("0", 2, marks=SLOW), pytest.param("2", 3, marks=SLOW)],
)
def test_a_run_killed_again_and_again_ends_as_if_it_had_not_been(
    place: Path, out: str, words: Sequence[str], workers: str, seed: int
) -> None:
    words = (*words, "--workers", workers)
    whole = run(place, *words)
    assert whole.returncode == 1
    expected = content(place / out)
    assert len(expected) == (NUM_FILES if "in" in words else 1)
    again = run(place, *words)
    assert (again.returncode, content(place / out)) == (1, expected)
    shutil.rmtree(place / out)
    chance = random.Random(seed)
    # A list does less at the disk; a process that starts is told to a pipe by the same calls.
    most = (40 if "in" in words else 12) + 8 * int(workers)
    ends = [-signal.SIGKILL]
    while ends[-1] == -signal.SIGKILL:
        assert len(ends) < 60, "it gets nowhere"
        ends.append(run(place, *words, KILL_AT=str(chance.randrange(3, most))).returncode)
    assert ends[-1] == 1
    assert len(ends) > 4
    assert content(place / out) == expected
    assert run(place, *words).returncode == 1
    assert content(place / out) == expected
    assert not list((place / out).rglob("*pending*"))


@pytest.mark.parametrize("words", [FOLDER, LIST], ids=["folder", "list"])
def test_a_full_disk_is_one_line_and_loses_nothing(
    place: Path, out: str, words: Sequence[str]
) -> None:
    expected_run = run(place, *words, "--workers", "0")
    expected = content(place / out)
    shutil.rmtree(place / out)
    full = run(place, *words, "--workers", "0", "--quiet", FULL_AT="2")
    assert full.returncode == 1
    hint, message = full.stderr.splitlines()
    assert hint == (
        "asr: what was done is kept; to go on: asr transcribe --model any "
        f"{' '.join(words)} --workers 0 --quiet"
    )
    assert message.startswith("asr: out/.asr/")
    assert message.endswith(": No space left on device")
    assert set(content(place / out)) < set(expected)
    assert run(place, *words, "--workers", "0").returncode == expected_run.returncode == 1
    assert content(place / out) == expected


def test_a_worker_that_is_killed_by_chance_costs_nothing(place: Path, out: str) -> None:
    words = (*FOLDER, "--workers", "2")
    assert run(place, *words).returncode == 1
    expected = content(place / out)
    shutil.rmtree(place / out)
    mark = place / "crashed"
    assert run(place, *words, CRASH_ONCE=str(mark)).returncode == 1
    assert mark.exists()
    assert content(place / out) == expected


def test_a_worker_that_dies_costs_one_recording(place: Path, out: str) -> None:
    died = run(place, *FOLDER, "--workers", "2", "--quiet", CRASH="1", FAULT="1")
    assert died.returncode == 1
    title, *lines = died.stderr.splitlines()
    assert title == "asr: 4 of 18 were not transcribed"
    assert (
        lines[0]
        == "  in/a/12.wav: the process that heard it ended by SIGKILL, as for want of memory"
    )
    assert lines[1].startswith("  in/a/broken.wav: ")
    assert lines[2] == "  in/b/3.wav: too much"
    assert lines[3].startswith(
        "  in/b/9.wav: a fault of this program: ZeroDivisionError (listeners.py:"
    )
    assert lines[3].endswith("): of the listener")
    listed = [
        json.loads(line) for line in (place / out / "failures.jsonl").read_text().splitlines()
    ]
    assert [one["id"] for one in listed] == [line.split(":")[0].strip() for line in lines]
    assert listed[0]["error"].startswith("the process that heard it")
    # Mended, they are all that is left to do.
    mended = run(place, *FOLDER, "--workers", "2")
    assert "of 18 recordings: 2 transcribed (0:02 of audio), 14 done before, 2 failed" in (
        mended.stderr
    )
    assert len((place / out / "failures.jsonl").read_text().splitlines()) == 2


def test_the_screen_shows_them_in_order_whoever_hears_them(place: Path) -> None:
    alone = run(place, "in", "--workers", "0")
    beside = run(place, "in", "--workers", "2")
    assert alone.returncode == beside.returncode == 1
    assert alone.stdout == beside.stdout
    assert len(alone.stdout.splitlines()) == 16
    assert "an interrupt would end" not in beside.stderr
    assert list((place / "in").rglob(".asr")) == []


def test_a_model_that_no_process_can_open_ends_the_run(place: Path, out: str) -> None:
    refused = run(place, *FOLDER, "--workers", "2", "--quiet", NO_MODEL="1")
    assert refused.returncode == 1
    assert refused.stderr == (
        "asr: a process that was to open the model ended by SIGKILL, as for want of memory\n"
    )
    assert content(place / out) == {}


def test_strict_ends_at_the_first_failure(place: Path, out: str) -> None:
    strict = run(place, *FOLDER, "--workers", "0", "--strict")
    assert strict.returncode == 1
    assert "asr: ended at a failure (--strict); to go on: asr transcribe --model any in" in (
        strict.stderr
    )
    assert "not tried" in strict.stderr
    assert 0 < len(content(place / out)) < NUM_FILES
    rest = run(place, *FOLDER, "--workers", "0")
    assert rest.returncode == 1
    assert len(content(place / out)) == NUM_FILES


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that one waits for")
@pytest.mark.parametrize(("workers", "times"), [("0", 1), ("2", 1), ("2", 2)])
def test_an_interrupt_finishes_what_is_in_hand_and_a_second_does_not(
    place: Path, out: str, workers: str, times: int
) -> None:
    words = (*FOLDER, "--workers", workers)
    assert run(place, *words).returncode == 1
    expected = content(place / out)
    shutil.rmtree(place / out)
    gate = place / f"gate{workers}{times}"
    os.mkfifo(gate)
    handle = os.open(gate, os.O_RDWR)  # who reads waits for as long as this is open
    with subprocess.Popen(
        command(place, words),
        cwd=place,
        env=environment(place, {"WAIT_FOR": str(gate)}),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        said = iter(process.stderr.readline, "")
        assert any("hearing" in line for line in said)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all of them
        assert any("finishing what is in hand" in line for line in said)
        if times == 2:
            os.killpg(process.pid, signal.SIGINT)
        else:
            gate.with_suffix(".open").touch()
            gate.with_suffix(".open").replace(gate)  # who comes now need not wait
            os.close(handle)
        rest = "".join(said)
    if times == 2:
        os.close(handle)
    assert process.returncode == 130
    assert "to go on: asr transcribe --model any in --output-dir out" in rest
    kept = content(place / out)
    assert bool(kept) == (times == 1)
    assert all(expected[name] == kept[name] for name in kept if name != "failures.jsonl")
    assert run(place, *words).returncode == 1
    assert content(place / out) == expected
