"""A training run's folder: what is in it, and how each part is written.

<run>/
├── recipe.toml        every setting spelt out, paths absolute
├── model/             the best model so far, complete in itself
├── metrics.jsonl      one line per epoch
├── curves.png         the same, drawn
├── tensorboard/       the same, for TensorBoard
├── excluded.jsonl     utterances left out of training, each with its reason
└── checkpoint.npz     where to go on
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import TrainingError
from asr.files import replacing, write_lines, write_text


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths within a run's folder."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.toml"

    @property
    def model(self) -> Path:
        """The bundle of the best model."""
        return self.path / "model"

    @property
    def checkpoint(self) -> Path:
        """Where to go on."""
        return self.path / "checkpoint.npz"

    @property
    def exclusions(self) -> Path:
        """What was left out."""
        return self.path / "excluded.jsonl"

    def create(self, recipe: Mapping[str, Any], *, overwrite: bool) -> None:
        """Makes the folder for a new run.

        Raises:
            TrainingError: There is a run in it already.
        """
        import tomli_w

        if self.recipe.exists() and not overwrite:
            raise TrainingError(
                f"{self.path}: there is a run here already; go on with it by --resume, or begin "
                f"anew by --overwrite"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self.checkpoint.unlink(missing_ok=True)
        write_text(self.recipe, tomli_w.dumps(recipe))

    def write_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Writes the epochs' figures: as JSON lines, as a plot and for TensorBoard."""
        write_lines(self.path / "metrics.jsonl", (json.dumps(row) for row in history))
        draw_curves(history, self.path / "curves.png")
        write_events(history[-1], self.path / "tensorboard")


def draw_curves(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draws loss, error rates and learning rate against the epoch, as a PNG."""
    from matplotlib.figure import Figure  # no pyplot: nothing global, no screen

    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    losses, rates, speeds = figure.subplots(1, 3)
    losses.plot(epochs, [row["loss"] for row in history], "o-", label="train, augmented")
    losses.plot(epochs, [row["dev_loss"] for row in history], "s-", label="dev")
    losses.set(title="CTC loss (nats a label)", ylim=(0, None))
    rates.plot(epochs, [100 * row["dev_wer"] for row in history], "s-", label="dev WER")
    rates.plot(epochs, [100 * row["dev_cer"] for row in history], "^-", label="dev CER")
    rates.set(title="Errors (%)", ylim=(0, None))
    speeds.plot(epochs, [row["learning_rate"] for row in history], "-", label="learning rate")
    speeds.set(title="Learning rate", ylim=(0, None))
    for axes in (losses, rates, speeds):
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    with replacing(path) as aside:
        figure.savefig(aside, dpi=110)


def write_events(row: Mapping[str, Any], folder: Path) -> None:
    """Adds one epoch's figures to a folder that TensorBoard reads."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    scalars = {key: value for key, value in row.items() if isinstance(value, int | float)}
    values = [Summary.Value(tag=key, simple_value=value) for key, value in scalars.items()]
    writer = EventFileWriter(str(folder))
    writer.add_event(Event(step=row["epoch"], wall_time=row["time"], summary=Summary(value=values)))
    writer.close()
