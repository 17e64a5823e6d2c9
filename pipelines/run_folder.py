"""A training run's folder: what is in it, and how each part is written.

<run>/
├── recipe.toml        every setting spelt out, paths absolute
├── model/             the best model so far, complete in itself
├── stages.toml        of a recipe with stages: `pipelines.staged_training` has the rest
├── metrics.jsonl      one line per epoch
├── curves.png         the same, drawn
├── tensorboard/       the same, for TensorBoard
├── excluded.jsonl     utterances left out of training, each with its reason
├── lm.ngram           what dev is decoded with, of a run begun from a model that had it
├── lm.lstm            what chooses among the texts found, if that model had it
└── checkpoint.npz     where to go on
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.bundle import LANGUAGE_MODEL_FILE, NETWORK_FILE, RESCORER_FILE, VOCABULARY_FILE
from asr.errors import TrainingError
from asr.files import replacing, write_lines, write_text
from asr.vocabulary import Vocabulary

_LANGUAGE_MODELS = (LANGUAGE_MODEL_FILE, RESCORER_FILE)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths within a run's folder."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.toml"

    @property
    def stages(self) -> Path:
        """What is trained before, and then; of a recipe with stages alone."""
        return self.path / "stages.toml"

    def stage(self, name: str) -> Path:
        """Returns the folder of one of them."""
        return self.path / "stages" / name

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

    @property
    def vocabulary(self) -> Path:
        """The tokens, which are there from the run's beginning."""
        return self.model / VOCABULARY_FILE

    @property
    def language_model(self) -> Path:
        """The language model that dev is decoded with, there from the beginning if at all."""
        return self.path / LANGUAGE_MODEL_FILE

    def refuse_existing(self) -> None:
        """Makes sure that no run would be lost.

        Raises:
            TrainingError: There is a run here already.
        """
        if self.recipe.exists() or self.stages.exists():
            raise TrainingError(
                f"{self.path}: there is a run here already; go on with it by --resume, or begin "
                f"anew by --overwrite"
            )

    def create(
        self,
        recipe: Mapping[str, Any],
        vocabulary: Vocabulary,
        checkpoint: Callable[[], None],
        language_models: Sequence[Path] = (),
    ) -> None:
        """Makes the folder for a new run in the place of an old one.

        Args:
            recipe: Every setting.
            vocabulary: What the network spells with, which a resumed run does not learn anew.
            checkpoint: Writes the run's first checkpoint.
            language_models: Files to keep with the model, called as in a bundle.
        """
        import tomli_w

        for file in language_models:  # first of all: they may be those of the run that goes
            with replacing(self.path / file.name) as aside:
                shutil.copyfile(file, aside)
        for name in {*_LANGUAGE_MODELS} - {file.name for file in language_models}:
            (self.path / name).unlink(missing_ok=True)
        for path in (self.recipe, self.checkpoint, self._metrics, self._curves):
            path.unlink(missing_ok=True)
        for folder in (self.model, self._events):
            shutil.rmtree(folder, ignore_errors=True)
        vocabulary.save(self.vocabulary)
        checkpoint()
        # Last: from the moment there is a recipe there is a run, and it can be resumed.
        write_text(self.recipe, tomli_w.dumps(recipe))

    def give_language_models(self) -> None:
        """Copies the run's language models to its model, if it has any."""
        for name in _LANGUAGE_MODELS:
            if (self.path / name).is_file():
                with replacing(self.model / name) as aside:
                    shutil.copyfile(self.path / name, aside)

    def sweep(self) -> None:
        """Removes what a killed process was writing; with large networks it adds up."""
        for path in (self.checkpoint, self.model / NETWORK_FILE):
            for aside in path.parent.glob(f".{path.stem}.*{path.suffix}"):
                aside.unlink(missing_ok=True)

    @property
    def _metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def _curves(self) -> Path:
        return self.path / "curves.png"

    @property
    def _events(self) -> Path:
        return self.path / "tensorboard"

    def write_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Writes the epochs' figures: as JSON lines, as a plot and for TensorBoard."""
        write_lines(self._metrics, (json.dumps(row) for row in history))
        draw_curves(history, self._curves)
        write_events(history[-1], self._events)


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
