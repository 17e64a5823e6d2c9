"""Everything a training run needs to go on exactly where it stood, in one file."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asr.errors import TrainingError
from asr.files import replacing

Arrays = Mapping[str, Sequence[npt.NDArray[Any]]]


@dataclass(slots=True, kw_only=True)
class TrainingState:
    """Where a run stands; changes as it goes on.

    Attributes:
        epoch: The epoch under way, from 0.
        batch: Its next batch.
        step: Batches trained on since the start of the run.
        loss_sum: Sum of this epoch's batch losses, each weighted by its utterances.
        loss_weight: Utterances in that sum.
        elapsed_s: Seconds this epoch has trained so far.
        waited_s: Seconds of these spent waiting for batches.
        best_wer: Best dev WER so far.
        best_epoch: The epoch that reached it.
        history: One row per finished epoch.
        corpus: Digest of the speech the run was begun with.
        begun_from: What the model was that the run was begun from, for the card.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_weight: float = 0.0
    elapsed_s: float = 0.0
    waited_s: float = 0.0
    best_wer: float | None = None
    best_epoch: int | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    corpus: str = ""
    begun_from: str | None = None

    def next_epoch(self) -> None:
        """Moves on to the first batch of the next epoch."""
        self.epoch += 1
        self.batch = 0
        self.loss_sum = self.loss_weight = self.elapsed_s = self.waited_s = 0.0


def save_checkpoint(path: Path, state: TrainingState, arrays: Arrays) -> None:
    """Writes a checkpoint: the old one is whole until the new one is.

    Args:
        path: The file, `.npz`.
        state: Where the run stands.
        arrays: Lists of arrays by name: weights, optimiser, averages.
    """
    stored = {
        f"{name}/{position}": array
        for name, group in arrays.items()
        for position, array in enumerate(group)
    }
    text = json.dumps(asdict(state)).encode()
    with replacing(path) as aside, aside.open("wb") as file:
        np.savez(file, state=np.frombuffer(text, np.uint8), **stored)  # type: ignore[arg-type]


def load_checkpoint(path: Path) -> tuple[TrainingState, dict[str, list[npt.NDArray[Any]]]]:
    """Reads a checkpoint back.

    Raises:
        TrainingError: There is none, or it is not one of ours.
    """
    try:
        _refuse_packed(path)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            state = TrainingState(**json.loads(stored["state"].tobytes()))
            groups: dict[str, dict[int, npt.NDArray[Any]]] = {}
            for key in stored.files:
                name, separator, position = key.partition("/")
                if separator:
                    groups.setdefault(name, {})[int(position)] = stored[key]
    except (
        *(OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile),
        MemoryError,  # an array's head may claim any shape
    ) as error:
        raise TrainingError(f"{path}: expected a checkpoint of a training run ({error})") from None
    return state, {
        name: [group[position] for position in sorted(group)] for name, group in groups.items()
    }


def _refuse_packed(path: Path) -> None:
    """Refuses an archive that is packed: ours are not, and it may unpack to any size."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > path.stat().st_size:
                raise ValueError(f"{member.filename} is packed")
