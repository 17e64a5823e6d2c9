"""Compiling: announced once, before it begins, and not when another process has done it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
import sys
sys.path[:0] = [{root!r}, {folder!r}]
from asr.compiled import when_compiling
when_compiling(lambda: print("compiling", flush=True))
import sums_kernel
print(sums_kernel.half(6.0), sums_kernel.half(8))
"""
KERNEL = """
from asr.compiled import compiled

@compiled
def half(x):
    return x / 2
"""


def test_compiling_is_announced_once_and_loading_is_not(tmp_path: Path) -> None:
    (tmp_path / "sums_kernel.py").write_text(KERNEL)
    program = PROGRAM.format(root=str(ROOT), folder=str(tmp_path))
    shown = [
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for _ in range(2)
    ]
    assert shown == [["compiling", "3.0 4.0"], ["3.0 4.0"]]
