"""Training of a recurrent language model. Imports Keras."""

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from asr.errors import LanguageModelError, TrainingError
from asr.lm.lstm import LstmModel, LstmWeights
from asr.lm.word_pieces import END_ID, WordPieces
from models.text_lstm import TextLstm, TextLstmOptions
from pipelines.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from pipelines.fitting import Books, StepCallback, WeightAverage, restore, variables
from pipelines.optimizer import build_optimizer
from pipelines.progress import Progress
from pipelines.text_options import TextTrainingOptions

_LEARNT_SENTENCES = 120_000
"""Pieces are learnt from so many: more take minutes and change little."""
_PIECES_AT_ONCE = 1 << 20

Pieces = npt.NDArray[np.uint16]


def learn_pieces(sentences: Sequence[str], size: int) -> WordPieces:
    """Learns pieces of words from a text, or from a part of it if it is long.

    Raises:
        VocabularyError: The text does not allow that many pieces, or needs more.
        MissingExtraError: The extra `subwords` is not installed.
    """
    if len(sentences) > _LEARNT_SENTENCES:
        sentences = random.Random(0).sample(sentences, _LEARNT_SENTENCES)
    return WordPieces.learn(sentences, size=size)


def encoded(sentences: Iterable[str], pieces: WordPieces) -> Pieces:
    """Returns a text as one row of pieces, each sentence ended by `END_ID`: uint16 [num_pieces]."""
    found, buffer = [], list[int]()
    for sentence in pieces.encode_all(sentences):
        buffer += sentence
        if len(buffer) >= _PIECES_AT_ONCE:
            found.append(np.array(buffer, np.uint16))
            buffer = []
    return np.concatenate([*found, np.array(buffer, np.uint16)])


class TextTrainer:
    """The training of a recurrent language model under way.

    Args:
        text: All of it, uint16 [num_pieces].
        pieces: What it is written in.
        options: How to train.
        checkpoint: The file that lets it go on after it was stopped.
        begun: Weights to go on from, of these pieces and the options' shape; None: drawn ones.

    Raises:
        LanguageModelError: The text is shorter than one step's rows.
    """

    def __init__(
        self,
        text: Pieces,
        pieces: WordPieces,
        options: TextTrainingOptions,
        checkpoint: Path,
        *,
        begun: LstmWeights | None = None,
    ) -> None:
        keras.utils.set_random_seed(options.seed)
        self.text, self.pieces, self.options, self.path = text, pieces, options, checkpoint
        # Every epoch's rows begin elsewhere, by up to a row.
        self.num_rows = (len(text) - options.row_pieces) // options.row_pieces
        self.num_steps = self.num_rows // options.batch_rows
        if self.num_steps < 1:
            least = (options.batch_rows + 1) * options.row_pieces
            raise LanguageModelError(
                f"expected a text of at least {least:,} pieces of words, received {len(text):,}"
            )
        shape = TextLstmOptions(
            vocab_size=len(pieces),
            width=options.width,
            units=options.units,
            dropout=options.dropout,
        )
        self.network = TextLstm(shape)
        if begun is not None:
            self.network.assign_arrays(
                {one.name: getattr(begun, one.name) for one in fields(begun)}
            )
        total_steps = options.epochs * self.num_steps
        training = options.training(total_steps=total_steps)
        optimizer = build_optimizer(training, total_steps=total_steps)
        # XLA multiplies bfloat16 slowly: see `models.text_lstm_tf`.
        on_tensorflow = keras.backend.backend() == "tensorflow"
        self.network.compile(optimizer=optimizer, jit_compile=False if on_tensorflow else "auto")
        optimizer.build(self.network.trainable_variables)
        self.average = WeightAverage(training.average)
        self.state = TrainingState(corpus=self._digest())

    @property
    def finished(self) -> bool:
        """Whether the last epoch is over."""
        return self.state.epoch >= self.options.epochs

    def resume(self) -> None:
        """Goes back to the last checkpoint.

        Raises:
            TrainingError: It is broken, or of another text or other settings.
        """
        state, arrays = load_checkpoint(self.path)
        if state.corpus != self.state.corpus:
            raise TrainingError(
                f"{self.path}: expected the text and the settings that this training was begun "
                "with, received others; remove the file to begin anew"
            )
        restore(self.network, self.average, arrays)
        self.state = state

    def save(self) -> None:
        """Writes down everything needed to go on from here."""
        save_checkpoint(self.path, self.state, variables(self.network, self.average))

    def train_epoch(self, *, quiet: bool = False) -> float:
        """Trains on what is left of an epoch.

        Returns:
            The epoch's mean loss, in nats a piece.

        Raises:
            TrainingError: The loss is not finite.
        """
        state, options = self.state, self.options
        rows = self._rows(state.epoch)[state.batch * options.batch_rows :]
        label = f"epoch {state.epoch + 1}/{options.epochs}"
        with Progress(
            len(rows) * options.row_pieces, unit="pieces", label=label, quiet=quiet
        ) as progress:
            books = Books(
                state=state,
                average=self.average,
                progress=progress,
                checkpoint=self.save,
                interval_s=options.checkpoint_interval_s,
            )
            callback = _TextSteps(books, options.batch_rows * options.row_pieces)
            if len(rows):
                self.network.fit(
                    rows,
                    batch_size=options.batch_rows,
                    shuffle=False,  # `_rows` has done that
                    verbose=0,
                    callbacks=[callback],
                )
        loss = state.loss_sum / state.loss_weight
        state.next_epoch()
        self.save()
        return loss

    def model(self) -> LstmModel:
        """Returns the language model as it is now, its weights averaged over the last steps."""
        undo = self.average.apply(self.network)
        weights = LstmWeights(**self.network.weight_arrays())
        undo()
        return LstmModel(self.pieces, weights)

    def _rows(self, epoch: int) -> npt.NDArray[np.int32]:
        """Returns an epoch's rows in its order, int32 [num_rows, 1 + row_pieces].

        A row begins in the middle of a sentence as well as at its beginning, as speech does that
        was cut in its pauses; it is read as if a sentence had ended before it.
        """
        options = self.options
        drawn = np.random.default_rng((options.seed, epoch))
        first = int(drawn.integers(options.row_pieces))
        order = drawn.permutation(self.num_rows)[: self.num_steps * options.batch_rows]
        places = first + order[:, None] * options.row_pieces + np.arange(options.row_pieces)
        rows = self.text[places].astype(np.int32)
        return np.pad(rows, ((0, 0), (1, 0)), constant_values=END_ID)

    def _digest(self) -> str:
        found = hashlib.sha256(self.text.tobytes())
        found.update(repr((asdict(self.options), self.pieces.pieces)).encode())
        return found.hexdigest()


class _TextSteps(StepCallback):
    """The books of an epoch of text.

    Args:
        books: The books.
        num_pieces: Of a step.
    """

    def __init__(self, books: Books, num_pieces: int) -> None:
        super().__init__(books)
        self._num_pieces = num_pieces

    def amount(self) -> float:
        """Returns the pieces of text in it."""
        return self._num_pieces
