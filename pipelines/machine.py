"""The machine a figure was measured on; a speed without one says nothing."""

import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from asr.cores import available_cores

_DISTRIBUTIONS = ("numpy", "jiwer", "librosa", "keras", "tensorflow", "tensorflow-cpu", "jax")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A computer, as far as it says what it is.

    Attributes:
        processor: Its name.
        num_cores: Cores this process may use.
        memory_bytes: Its memory; None where the system does not say.
        system: The operating system.
    """

    processor: str
    num_cores: int
    memory_bytes: int | None
    system: str

    def __str__(self) -> str:
        memory = "" if self.memory_bytes is None else f", {self.memory_bytes / 2**30:.0f} GiB"
        cores = "1 core" if self.num_cores == 1 else f"{self.num_cores} cores"
        return f"{self.processor}, {cores}{memory}, {self.system}"


def this_machine() -> Machine:
    """Returns the machine this runs on; its name on the network is nobody's business."""
    return Machine(
        processor=_processor(),
        num_cores=available_cores(),
        memory_bytes=_memory_bytes(),
        system=f"{platform.system()} {platform.machine()}".strip(),
    )


def peak_memory_bytes() -> int | None:
    """Returns the most memory this process has held so far; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the libraries that figures depend on."""
    import asr

    found = {"asr": asr.__version__, "python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model") and value.strip():
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown processor"


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
