"""A run on a Ray cluster: the same results as here, whatever nodes and processes are lost."""

import json
import os
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import environment, make_place
from ray_cluster import cluster

from asr.errors import AsrError
from asr.manifest import Utterance
from pipelines import cli, ray_engine
from pipelines.hearing import Heard, Job
from pipelines.inputs import Recording

Task = partial[Any]


# What its listener is sure of depends on what it hears at once, as a network's numbers do by a
# rounding. On a node with a gate it says that it hears something, and gets no further; the other
# node waits for that with its second part.
PROGRAM = """
import os, signal, sys
from listeners import load_listener
from pipelines import chunks, cli, network

if __name__ == "__main__":
    chunks.MAX_RECORDINGS = 3
    network.load_recognizer = load_listener
    sys.exit(cli.main(["transcribe", "--model", "any", *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program, a model and recordings."""
    folder = tmp_path_factory.mktemp("place")
    records = [
        {"audio_filepath": name, "text": f"word {tenths}", "take": take}
        for take, (name, tenths) in enumerate(make_place(folder, PROGRAM).items())
    ]
    (folder / "in.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    return folder


@contextmanager
def started(place: Path, *words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Yields the program; it is ended with the context."""
    with subprocess.Popen(
        [sys.executable, str(place / "program.py"), *words],
        cwd=place,
        env=environment(place, more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(place: Path, *words: str, **more: str) -> tuple[int, str]:
    """Returns how it ended and what it said."""
    with started(place, *words, **more) as process:
        _, said = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said


def content(path: Path) -> dict[str, bytes]:
    """What a person finds: files by their names below the folder."""
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and ".asr" not in file.parts
    }


@pytest.fixture
def out(place: Path) -> Iterator[Path]:
    """A folder that is not there."""
    yield place / "out"
    shutil.rmtree(place / "out", ignore_errors=True)


PATIENCE_S = 180
"""After so long something hangs, which is better said than waited for."""
FOLDER = ("in", "--output-dir", "out", "--output-format", "json,txt")
LIST = ("in.jsonl", "-o", "out/heard.jsonl")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that one waits for")
@pytest.mark.parametrize("words", [FOLDER, LIST], ids=["folder", "list"])
def test_a_node_killed_midway_costs_nothing(
    place: Path, out: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert run(place, *words, "--workers", "0")[0] == 1
    expected = content(out)
    assert len(expected) == (2 * 16 + 1 if words == FOLDER else 1)
    shutil.rmtree(out)
    gate = str(tmp_path / "gate")
    gates = {}
    for name in ("", ".never", ".second"):
        os.mkfifo(gate + name)
        # Who reads waits for as long as this is open.
        gates[name] = os.open(gate + name, os.O_RDWR)
    with cluster(environment(place, {}), gate=gate) as (address, kill):
        on_cluster = (*words, "--engine", "ray", "--ray-address", address)
        with started(place, *on_cluster) as process:
            assert select.select([gates[""]], [], [], PATIENCE_S)[0], "no part came there"
            kill()
            Path(gate + ".open").touch()
            Path(gate + ".open").replace(gate + ".second")  # who comes now need not wait
            os.close(gates[".second"])
            _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1
        summary = "of 18 recordings: 16" if words == FOLDER else "of 17 recordings: 16"
        assert summary in said
        assert content(out) == expected
        # What is done here or there is the same work.
        code, said = run(place, *words, "--workers", "0")
    assert code == 1
    assert "16 done before" in said
    assert content(out) == expected
    os.close(gates[""])
    os.close(gates[".never"])


@pytest.mark.slow
def test_a_recording_that_ends_its_process_costs_itself(place: Path, out: Path) -> None:
    assert run(place, *FOLDER, "--workers", "1", CRASH="1")[0] == 1
    expected = content(out)
    shutil.rmtree(out)
    with cluster(environment(place, {"CRASH": "1"})) as (address, _):
        code, said = run(place, *FOLDER, "--engine", "ray", "--ray-address", address)
    assert code == 1
    assert "in/a/12.wav: a process of the Ray cluster ended over it, and so did the next" in said
    found = content(out)
    ids = [
        [json.loads(line)["id"] for line in files.pop("failures.jsonl").splitlines()]
        for files in (found, expected)
    ]
    assert ids[0] == ids[1] == ["in/a/12.wav", "in/a/broken.wav", "in/b/3.wav"]
    assert found == expected


@pytest.mark.slow
def test_a_model_that_no_node_can_open_ends_the_run(place: Path, out: Path) -> None:
    with cluster(environment(place, {"NO_MODEL": "1"})) as (address, _):
        code, said = run(place, *FOLDER, "--engine", "ray", "--ray-address", address, "--quiet")
    assert code == 1
    assert said.startswith("asr: opening the model: a process of the Ray cluster ended over it")
    assert len(said.splitlines()) == 1
    assert content(out) == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--engine", "ray", "--workers", "0"), "expected a number from 1 on with --engine ray"),
        (("--ray-address", "auto"), "--ray-address: expected --engine ray with it"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["transcribe", "a.wav", *words]) == 2
    assert message in capsys.readouterr().err


def test_an_address_where_nothing_answers_is_one_line() -> None:
    job = Job(open=cast("Any", object), forms=())
    with socket.socket() as deaf, pytest.MonkeyPatch.context() as patch:
        deaf.bind(("127.0.0.1", 0))  # and it does not listen
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        for prefix in ("", "ray://"):
            engine = ray_engine.RayCluster(job, address=prefix + address)
            with pytest.raises(AsrError, match=f"no Ray cluster answers at {prefix}{address}: "):
                next(engine.hear(iter([])))
        patch.setenv("RAY_ADDRESS", address)
        engine = ray_engine.RayCluster(job)
        with pytest.raises(AsrError, match="no Ray cluster answers at 127"):
            next(engine.hear(iter([])))


class LostTaskError(Exception):
    """What a cluster says of a task that it has lost."""


class PretendedRay(ModuleType):
    """Ray in this process: it loses tasks as it was told, and says which it had."""

    def __init__(self, losses: Iterator[bool]) -> None:
        super().__init__("ray")
        self.exceptions = SimpleNamespace(
            RayTaskError=ZeroDivisionError, RayError=LostTaskError, OutOfMemoryError=MemoryError
        )
        self.cloudpickle = SimpleNamespace(dumps=self._jobs_name, loads=lambda _: self._job)
        self.tasks: list[tuple[tuple[str, ...], bool]] = []
        self._losses = losses

    def _jobs_name(self, job: Job) -> bytes:
        self._job = job
        return repr(id(self)).encode()

    def init(self, **_: object) -> None:
        pass

    def shutdown(self) -> None:
        pass

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def remote(self, **_: object) -> Callable[[Callable[..., object]], SimpleNamespace]:
        return lambda function: SimpleNamespace(remote=partial(partial, function))

    def wait(self, tasks: list[Task], timeout: float) -> tuple[list[Task], list[Task]]:
        del timeout
        return tasks[-1:], tasks[:-1]

    def get(self, task: Task) -> object:
        if len(task.args) == 3:  # it hears something
            lost = next(self._losses, False)
            self.tasks.append((tuple(one.name for one in task.args[2]), lost))
            if lost:
                raise LostTaskError
        return task()


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 3), max_size=5),
    losses=st.lists(st.booleans(), max_size=25),
)
def test_whatever_is_lost_each_recording_is_heard_or_has_failed_alone(
    sizes: list[int], losses: list[bool]
) -> None:
    parts = [[recording(f"{n}{k}") for k in range(size)] for n, size in enumerate(sizes)]
    ray = PretendedRay(iter(losses))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "ray", ray)
        for name in ("cloudpickle", "exceptions"):
            patch.setitem(sys.modules, f"ray.{name}", getattr(ray, name))
        patch.setattr(ray_engine, "hear", heard_by_name)
        engine = ray_engine.RayCluster(Job(open=cast("Any", object), forms=()))
        done = list(engine.hear(iter(parts)))
    assert sorted([one.name for one in part] for part, _ in done) == [
        [one.name for one in part] for part in parts
    ]
    for part, heard in done:
        whole = tuple(one.name for one in part)
        for one, became in zip(part, heard, strict=True):
            turns = [(names, lost) for names, lost in ray.tasks if one.name in names]
            assert [lost for _, lost in turns[:-1]] == [True] * (len(turns) - 1)
            alone = (one.name,)
            assert [names for names, _ in turns] == [whole, whole, alone][: len(turns)]
            if became.failure:
                assert turns[-1] == (alone, True)
                assert len(turns) == (2 if whole == alone else 3)
            else:
                assert (became.text, turns[-1][1]) == (one.name, False)


def recording(name: str) -> Recording:
    return Recording(utterance=Utterance(id=name, audio=Path(name), duration_s=1.0), name=name)


def heard_by_name(job: Job, recognizer: object, part: Sequence[Recording]) -> list[Heard]:
    del job, recognizer
    return [Heard(text=one.name) for one in part]
