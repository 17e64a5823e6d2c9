"""A run at addresses that is killed, or loses a node, and goes on to the same end."""

import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import places
import pytest
from folder_store import objects, put_tree
from ray_cluster import cluster

SLOW = pytest.mark.slow

# A program of its own, which its worker processes import too. What its listener is sure of depends
# on what it hears at once, as a network's numbers do by a rounding. After so many times that
# something is done to an object, it kills itself, or in the midst of one.
PROGRAM = """
import itertools, os, sys
from listeners import load_listener
from pipelines import chunks, cli, network, remote_journal

if __name__ == "__main__":
    chunks.MAX_RECORDINGS = 3
    remote_journal.NUM_JOINED = 3
    network.load_recognizer = load_listener
    if "KILL_AT" in os.environ:
        import folder_store

        folder_store.left = itertools.count(int(os.environ["KILL_AT"]), -1)
    sys.exit(cli.main(["transcribe", "--model", "any", *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the program, a model, and a store with recordings and a list of them."""
    folder = tmp_path_factory.mktemp("place")
    lengths = places.make_place(folder, PROGRAM)
    # As fsspec finds file systems that others have installed, in every process.
    (folder / "store-1.dist-info").mkdir()
    (folder / "store-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: store\n")
    (folder / "store-1.dist-info/entry_points.txt").write_text(
        "[fsspec.specs]\nstore = folder_store:FolderStore\n"
    )
    (folder / "tmp").mkdir()
    (folder / "list").mkdir()
    records = [{"audio_filepath": name, "text": f"word {n}"} for name, n in lengths.items()]
    (folder / "list/in.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORE", str(folder / "store"))
        put_tree(folder / "in", "bucket/in")
        put_tree(folder / "list", "bucket")
        yield folder


@pytest.fixture
def clean(place: Path) -> Iterator[None]:
    """What is in the store and in the folder of temporary files is as it was in the end."""
    before = {path.name for path in (place / "store").iterdir()}
    yield
    for path in (place / "store").iterdir():
        if path.name not in before:
            path.unlink()
    assert list((place / "tmp").glob("asr-fetched-*")) == []
    shutil.rmtree(place / "out", ignore_errors=True)


def environment(place: Path, more: dict[str, str]) -> dict[str, str]:
    own = {"STORE": str(place / "store"), "TMPDIR": str(place / "tmp")}
    return places.environment(place, own | more)


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


PATIENCE_S = 180
"""After so long something hangs, which is better said than waited for."""
OUT = "store://bucket/out"
FOLDER = ("store://bucket/in", "--output-dir", OUT, "--output-format", "json,txt")
NUM_FILES = 2 * 16 + 1
"""Of 18 recordings two fail, which a file says."""
LIST = ("store://bucket/in.jsonl", "-o", f"{OUT}/heard.jsonl")


def forget(place: Path) -> None:
    for path in (place / "store").glob("bucket%2Fout%2F*"):
        path.unlink()


def journal(place: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in (place / "store").glob("bucket%2Fout%2F.asr%2F*journal%2F*")
    }


def test_the_same_files_as_of_files(place: Path, clean: None) -> None:
    del clean
    assert run(place, "in", "--output-dir", "out", *FOLDER[3:], "--workers", "0").returncode == 1
    whole = run(place, *FOLDER, "--workers", "2")
    assert (whole.returncode, whole.stdout) == (1, "")
    assert "of 18 recordings: 16 transcribed" in whole.stderr
    here = {
        path.relative_to(place / "out").as_posix(): path.read_bytes()
        for path in (place / "out").rglob("*")
        if path.is_file() and ".asr" not in path.parts
    }
    there = objects("bucket/out")
    assert len(there.pop("failures.jsonl").splitlines()) == 2
    assert here.pop("failures.jsonl")
    assert there == here


@pytest.mark.parametrize("words", [FOLDER, LIST], ids=["folder", "list"])
@pytest.mark.parametrize(
    ("workers", "seed", "more"),
    [
        ("0", 1, {}),
        pytest.param("0", 2, {"NO_MD5": "", "TORN": ""}, marks=SLOW),
        pytest.param("2", 3, {}, marks=SLOW),
        pytest.param("2", 4, {"NO_MD5": ""}, marks=SLOW),
    ],
)
def test_a_run_killed_again_and_again_ends_as_if_it_had_not_been(
    place: Path, clean: None, words: Sequence[str], workers: str, seed: int, more: dict[str, str]
) -> None:
    del clean
    words = (*words, "--workers", workers)
    assert run(place, *words, **more).returncode == 1
    expected = objects("bucket/out")
    assert len(expected) == (NUM_FILES if words[0] == FOLDER[0] else 1)
    assert not any(b'"content"' in data for data in journal(place).values())
    again = run(place, *words, **more)
    assert again.returncode == 1
    assert objects("bucket/out") == expected
    forget(place)
    chance = random.Random(seed)
    # Where other processes fetch, or there is one file in the end, less is done here.
    most = {"00": 70, "02": 60, "10": 38, "12": 38}[f"{int('-o' in words)}{workers}"]
    ends = [-signal.SIGKILL]
    while ends[-1] == -signal.SIGKILL:
        assert len(ends) < 60, "it gets nowhere"
        kill_at = str(chance.randrange(8, most))
        ends.append(run(place, *words, KILL_AT=kill_at, **more).returncode)
    assert ends[-1] == 1
    assert len(ends) > 2
    assert objects("bucket/out") == expected
    assert run(place, *words, **more).returncode == 1
    assert objects("bucket/out") == expected
    assert not any(b'"content"' in data for data in journal(place).values())


@SLOW
@pytest.mark.parametrize("words", [FOLDER, LIST], ids=["folder", "list"])
def test_a_node_of_a_cluster_killed_midway_costs_nothing(
    place: Path, clean: None, tmp_path: Path, words: Sequence[str]
) -> None:
    del clean
    assert run(place, *words, "--workers", "0").returncode == 1
    expected = objects("bucket/out")
    forget(place)
    gate = str(tmp_path / "gate")
    gates = {}
    for name in ("", ".never", ".second"):
        os.mkfifo(gate + name)
        gates[name] = os.open(gate + name, os.O_RDWR)  # who reads waits for as long as this is open
    with cluster(environment(place, {}), gate=gate) as (address, kill):
        on_cluster = (*words, "--engine", "ray", "--ray-address", address)
        with subprocess.Popen(
            command(place, on_cluster),
            cwd=place,
            env=environment(place, {}),
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert select.select([gates[""]], [], [], PATIENCE_S)[0], "no part came there"
            kill()
            Path(gate + ".open").touch()
            Path(gate + ".open").replace(gate + ".second")  # who comes now need not wait
            os.close(gates[".second"])
            _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "16 transcribed" in said
    assert objects("bucket/out") == expected
    # What is done here or there is the same work.
    assert "16 done before" in run(place, *words, "--workers", "0").stderr
    assert objects("bucket/out") == expected
    os.close(gates[""])
    os.close(gates[".never"])


def test_workers_that_are_killed_leave_nothing_behind(place: Path, clean: None) -> None:
    del clean
    gate = place / "gate"
    os.mkfifo(gate)
    os.mkfifo(f"{gate}.never")
    handles = [os.open(path, os.O_RDWR) for path in (gate, f"{gate}.never")]
    with subprocess.Popen(
        command(place, (*FOLDER, "--workers", "2", "--quiet")),
        cwd=place,
        env=environment(place, {"GATE": str(gate)}),
        stderr=subprocess.DEVNULL,
    ) as process:
        assert select.select(handles[:1], [], [], PATIENCE_S)[0]
        assert list((place / "tmp").glob("asr-fetched-*/*.wav"))
        process.kill()
    for handle in handles:
        os.close(handle)
    # The next run finds what its workers had fetched.
    assert run(place, *FOLDER, "--workers", "0").returncode == 1
    assert list((place / "tmp").glob("asr-fetched-*")) == []
