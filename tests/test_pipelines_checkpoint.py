"""Checkpoints: everything comes back, and a kill at any moment leaves a whole file."""

import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from asr.errors import TrainingError
from pipelines.checkpoint import TrainingState, load_checkpoint, save_checkpoint

ROOT = Path(__file__).resolve().parent.parent


def arrays(rng: np.random.Generator) -> dict[str, list[npt.NDArray[np.generic]]]:
    many = [rng.normal(size=(2, 3)).astype(np.float32) + index for index in range(12)]
    return {"model": [*many, np.array([7, 2**31], np.uint32)], "optimizer": [np.array(41)]}


def test_everything_comes_back(tmp_path: Path, rng: np.random.Generator) -> None:
    state = TrainingState(
        epoch=2,
        batch=7,
        step=31,
        loss_sum=1 / 3,
        loss_weight=9.0,
        best_wer=0.1 + 0.2,
        best_epoch=1,
        history=[{"epoch": 1, "loss": 0.1}, {"epoch": 2, "loss": 1e-17}],
        corpus="c0ffee",
    )
    saved = arrays(rng)
    save_checkpoint(tmp_path / "c.npz", state, saved | {"average": []})
    loaded_state, loaded = load_checkpoint(tmp_path / "c.npz")
    assert loaded_state == state
    assert loaded.keys() == saved.keys()
    for name, group in saved.items():
        assert len(loaded[name]) == len(group)
        for array, expected in zip(loaded[name], group, strict=True):
            assert array.dtype == expected.dtype
            np.testing.assert_array_equal(array, expected)


def test_the_next_epoch_begins_with_nothing_counted() -> None:
    state = TrainingState(epoch=1, batch=9, step=20, loss_sum=3.0, loss_weight=4.0, best_wer=0.5)
    state.elapsed_s = state.waited_s = 5.0
    state.next_epoch()
    assert state == TrainingState(epoch=2, step=20, best_wer=0.5)


@pytest.mark.parametrize("damage", ["missing", "empty", "half", "text", "npy", "foreign", "folder"])
def test_a_broken_file_is_refused_by_name(
    tmp_path: Path, rng: np.random.Generator, damage: str
) -> None:
    path = tmp_path / "c.npz"
    save_checkpoint(path, TrainingState(), arrays(rng))
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif damage == "foreign":
        np.savez(path, weights=np.zeros(3))
    else:
        content = {"empty": b"", "half": data[: len(data) // 2], "text": b"no checkpoint"}
        path.write_bytes(content[damage])
    with pytest.raises(TrainingError, match=r"c\.npz: expected a checkpoint"):
        load_checkpoint(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "c.npz"
    weights = rng.normal(size=5000).astype(np.float32)
    save_checkpoint(path, TrainingState(), {"model": [weights]})
    data = bytearray(path.read_bytes())
    data[data.index(weights.tobytes()) + 9000] ^= 1
    path.write_bytes(data)
    with pytest.raises(TrainingError, match="expected a checkpoint"):
        load_checkpoint(path)


WRITER = """
import sys
import numpy as np
from pathlib import Path
from pipelines.checkpoint import TrainingState, save_checkpoint
for step in range(1, 10**9):
    arrays = [np.full(200_000, step, np.float32), np.full(7, step)]
    save_checkpoint(Path(sys.argv[1]), TrainingState(step=step), {"model": arrays})
"""


def test_killed_while_writing_it_leaves_a_whole_file(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / "c.npz"
    last = 0
    for _ in range(4):
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=ROOT)
        try:
            wait_for(path, process)
            time.sleep(rng.uniform(0.0, 0.1))
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        state, loaded = load_checkpoint(path)
        assert [set(array.tolist()) for array in loaded["model"]] == [{state.step}, {state.step}]
        last = max(last, state.step)
    assert last > 1  # or nothing was overwritten, and nothing shown


def wait_for(path: Path, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.005)


def test_an_archive_made_to_exhaust_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    np.savez_compressed(path, state=np.zeros(1_000_000, np.uint8))
    with pytest.raises(TrainingError, match="is packed"):
        load_checkpoint(path)
    header = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (10**15,)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("state.npy", header.getvalue())
    with pytest.raises(TrainingError, match=f"^{path}: expected a checkpoint"):
        load_checkpoint(path)
