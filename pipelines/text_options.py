"""Settings of the training of a recurrent language model."""

from dataclasses import dataclass

from asr.options import require
from pipelines.recipe import TrainingOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTrainingOptions:
    """How a recurrent language model is made of a text.

    Attributes:
        num_pieces: Pieces of words that it reads and writes.
        units: Of its LSTM.
        width: Values a piece is told by.
        dropout: Share of the LSTM's inputs and outputs dropped in training.
        epochs: Passes over the text.
        learning_rate: Highest; it rises to that in 200 steps, or a tenth of all if that is less,
            and falls by the cosine to 0.
        row_pieces: Pieces of a row of text, at whose beginning nothing is remembered.
        batch_rows: Rows of a step.
        seed: Decides the first weights, the rows and their order.
        checkpoint_interval_s: Seconds between checkpoints.
    """

    num_pieces: int = 4000
    units: int = 512
    width: int = 256
    dropout: float = 0.2
    epochs: int = 5
    learning_rate: float = 2e-3
    row_pieces: int = 64
    batch_rows: int = 128
    seed: int = 1
    checkpoint_interval_s: float = 120.0

    def __post_init__(self) -> None:
        """Refuses what nothing can be made of."""
        require(3 <= self.num_pieces < 1 << 16, "3 to 65535 pieces", self.num_pieces)
        for name in ("units", "width", "epochs", "row_pieces", "batch_rows"):
            require(getattr(self, name) >= 1, f"{name} of at least 1", getattr(self, name))
        require(0 <= self.dropout < 1, "dropout from 0 to below 1", self.dropout)
        require(self.learning_rate > 0, "learning_rate above 0", self.learning_rate)

    def training(self, *, total_steps: int) -> TrainingOptions:
        """Returns the settings of its optimiser, for so many steps."""
        return TrainingOptions(
            seed=self.seed,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            warmup_steps=min(200, total_steps // 10),
            final_learning_rate=0.0,
            weight_decay=1e-5,
            clip_norm=1.0,
            average=0.998,
        )
