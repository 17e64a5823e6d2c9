"""A training run from recipe to best model. Imports Keras."""

import contextlib
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import keras
import numpy as np

from asr.bundle import NETWORK_FILE, Bundle, write_settings
from asr.decoder import Decoder
from asr.decoding import LanguageModel, log_softmax
from asr.errors import TrainingError
from asr.files import replacing
from asr.recognizer import Floats
from asr.scoring import Score, score
from asr.validation import feasible
from models.bilstm import build_bilstm
from models.ctc import CTCTrainer, ctc_loss
from pipelines.batching import Batch, BatchMaker, Draw, dev_batches
from pipelines.card import described_base, write_card
from pipelines.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from pipelines.corpus import Corpus
from pipelines.feature_store import FeatureStore
from pipelines.fitting import (
    Books,
    SpeechSteps,
    WeightAverage,
    fit_epoch,
    restore,
    variables,
)
from pipelines.network import KerasNetwork
from pipelines.optimizer import build_optimizer
from pipelines.progress import AUDIO_SECONDS, Progress
from pipelines.recipe import Recipe
from pipelines.run_folder import RunFolder
from pipelines.teacher import open_teacher
from pipelines.token_trigram import token_trigram
from pipelines.training_log import TrainingLog


@dataclass(frozen=True, slots=True, kw_only=True)
class DevResult:
    """What the dev speech says of a network.

    Attributes:
        loss: CTC loss in nats a label, of those utterances that CTC can write at all.
        score: Error rates.
        samples: Id, reference and hypothesis of a few utterances, the same every time.
    """

    loss: float
    score: Score
    samples: tuple[tuple[str, str, str], ...]


class Trainer:
    """A run under way.

    Args:
        recipe: What to train and how.
        corpus: What on.
        store: Its features.
        run: Where everything is written.
        base: A network whose weights to begin with, or None.
        language_model: What dev is decoded with, if the recipe's decoding asks for it; or None.
        log: Where the epochs' table goes.

    Raises:
        VocabularyError: The alphabet cannot spell some of the decoding's words.
        BundleError: There is no such model as the recipe's teacher.
        TrainingError: The teacher writes other tokens, or in other steps.
    """

    def __init__(
        self,
        recipe: Recipe,
        corpus: Corpus,
        store: FeatureStore,
        run: RunFolder,
        *,
        base: tuple[Bundle, keras.Model] | None,
        language_model: LanguageModel | None,
        log: TrainingLog,
    ) -> None:
        keras.utils.set_random_seed(recipe.training.seed)
        self.recipe, self.corpus, self.store, self.run, self.log = recipe, corpus, store, run, log
        self.decoder = Decoder(recipe.decoding, corpus.vocabulary, language_model)
        self.teacher = open_teacher(recipe, corpus.vocabulary)
        self.maker = BatchMaker(corpus, store, recipe, self.teacher)
        self.plans = [self.maker.plan(epoch) for epoch in range(recipe.training.epochs)]
        self.network = build_bilstm(
            recipe.model,
            num_features=recipe.features.num_features,
            vocab_size=len(corpus.vocabulary),
        )
        if base is not None:
            transfer(*base, self.network, corpus)
        self.trainer = CTCTrainer(
            self.network,
            blank_id=corpus.vocabulary.blank_id,
            mmi_share=recipe.training.mmi_share,
            trigram=_trigram(corpus) if recipe.training.mmi_share else None,
            teacher_share=recipe.training.teacher_share if self.teacher is not None else 0.0,
        )
        total_steps = sum(map(len, self.plans))
        optimizer = build_optimizer(recipe.training, total_steps=total_steps)
        # Compiling whole steps with XLA would compile anew for every shape of batch.
        self.trainer.compile(optimizer=optimizer, jit_compile=False if _on_tensorflow() else "auto")
        optimizer.build(self.trainer.trainable_variables)
        self.average = WeightAverage(recipe.training.average)
        begun_from = None if base is None else described_base(base[0].name, base[0].card)
        self.state = TrainingState(corpus=corpus.digest(), begun_from=begun_from)

    def resume(self) -> None:
        """Goes back to the run's last checkpoint.

        Raises:
            TrainingError: There is none, it is broken, or the recipe or the speech has changed
                since.
        """
        state, arrays = load_checkpoint(self.run.checkpoint)
        state.corpus = state.corpus or self.state.corpus  # checkpoints once had none
        if state.corpus != self.state.corpus:
            raise TrainingError(
                f"{self.run.path}: expected the speech this run was begun with, received other "
                f"manifests, recordings or texts; begin a new run, by --from if it is to go on "
                f"from this one's model"
            )
        restore(self.trainer, self.average, arrays)
        self.state = state

    def train(self) -> None:
        """Trains to the last epoch, or until dev WER has not improved for `patience` epochs.

        Raises:
            TrainingError: A loss is not finite.
        """
        while not self.finished:
            plan = self.plans[self.state.epoch]
            self._fit(plan)
            self._finish_epoch(plan)

    @property
    def finished(self) -> bool:
        """Whether the last epoch, or patience, is over."""
        state, training = self.state, self.recipe.training
        stale = 0 if state.best_epoch is None else state.epoch - 1 - state.best_epoch
        return state.epoch >= training.epochs or stale >= training.patience

    def checkpoint(self) -> None:
        """Writes down everything needed to go on from here.

        Raises:
            TrainingError: There is no going on, since the weights are no longer finite.
        """
        arrays = variables(self.trainer, self.average)
        if not all(np.isfinite(array).all() for array in arrays["model"]):
            # The loss before was finite, or the run would have stopped at it.
            state = self.state
            draws = self.plans[state.epoch][state.batch - 1]
            raise TrainingError(
                f"the weights became infinite in epoch {state.epoch + 1}, batch {state.batch}, "
                f"which holds {', '.join(self.maker.ids(draws))}; look at these utterances, or "
                f"lower learning_rate or clip_norm"
            )
        save_checkpoint(self.run.checkpoint, self.state, arrays)

    def _fit(self, plan: Sequence[Sequence[Draw]]) -> None:
        state, training = self.state, self.recipe.training
        total = sum(self.maker.duration_s(draws) for draws in plan[state.batch :])
        label = f"epoch {state.epoch + 1}/{training.epochs}"
        with Progress(total, unit=AUDIO_SECONDS, label=label, quiet=self.log.quiet) as progress:
            books = Books(
                state=state,
                average=self.average,
                progress=progress,
                checkpoint=self.checkpoint,
                interval_s=training.checkpoint_interval_s,
            )
            callback = SpeechSteps(books, plan, self.maker)
            if state.batch < len(plan):  # else only the epoch's end is left to do
                fit_epoch(self.trainer, self.maker, plan, state, callback)

    def _finish_epoch(self, plan: Sequence[Sequence[Draw]]) -> None:
        """Measures dev, keeps the model if it is the best, and writes the epoch down."""
        state = self.state
        self.checkpoint()
        with self._averaged():
            result = evaluate_dev(self.trainer, self.corpus, self.store, self.recipe, self.decoder)
            row = self._row(plan, result)
            is_best = self._is_best(row)
            if is_best:
                state.best_wer, state.best_epoch = result.score.wer, state.epoch
                self._save_model([*state.history, row])
        state.history.append(row)
        state.next_epoch()
        self.run.write_history(state.history)
        self.checkpoint()
        self.log.epoch(row, result.samples, is_best=is_best, left_s=self._left_s())

    def _is_best(self, row: Mapping[str, Any]) -> bool:
        """Whether an epoch has the lowest dev WER; of equal ones, the lowest dev loss."""
        if self.state.best_epoch is None:
            return True
        best = self.state.history[self.state.best_epoch]
        return (row["dev_wer"], row["dev_loss"]) < (best["dev_wer"], best["dev_loss"])

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        undo = self.average.apply(self.trainer)
        try:
            yield
        finally:
            undo()

    def _row(self, plan: Sequence[Sequence[Draw]], result: DevResult) -> dict[str, Any]:
        state = self.state
        speech_s = sum(self.maker.duration_s(draws) for draws in plan)
        return {
            "epoch": state.epoch + 1,
            "step": state.step,
            "loss": state.loss_sum / state.loss_weight,
            "dev_loss": result.loss,
            "dev_wer": result.score.wer,
            "dev_cer": result.score.cer,
            "learning_rate": float(self.trainer.optimizer.learning_rate),
            "padding_share": self.maker.padding_share(plan),
            "speed": speech_s / max(state.elapsed_s, 1e-9),
            "elapsed_s": state.elapsed_s,
            "waiting_share": state.waited_s / max(state.elapsed_s, 1e-9),
            "time": time.time(),
        }

    def _left_s(self) -> float:
        if self.finished:
            return 0.0
        last = self.state.history[-1]["elapsed_s"]
        return float(last * (self.recipe.training.epochs - self.state.epoch))

    def _save_model(self, history: list[dict[str, Any]]) -> None:
        folder = self.run.model
        folder.mkdir(exist_ok=True)
        card = write_card(
            self.recipe,
            history,
            num_parameters=self.network.count_params(),
            hours=self.corpus.duration_s(self.corpus.train) / 3600,
            machine=f"{platform.machine()}, Keras {keras.__version__} on {keras.backend.backend()}",
            date=datetime.now(UTC).date(),
            begun_from=self.state.begun_from,
            taught_by=None if self.teacher is None else self.teacher.described,
        )
        write_settings(
            folder, recipe=self.recipe.to_table(), vocabulary=self.corpus.vocabulary, card=card
        )
        self.run.give_language_models()
        with replacing(folder / NETWORK_FILE) as aside:
            self.network.save(aside)


def evaluate_dev(
    trainer: CTCTrainer, corpus: Corpus, store: FeatureStore, recipe: Recipe, decoder: Decoder
) -> DevResult:
    """Runs the network over the dev speech and decodes it as the recognizer will."""
    network = KerasNetwork(trainer.network)
    blank_id = corpus.vocabulary.blank_id
    hypotheses: dict[str, str] = {}
    total, num_labels = 0.0, 0
    for batch in dev_batches(corpus, store, recipe):
        logits, lengths = network(batch.features, batch.feature_lengths)
        loss, count = _dev_loss(batch, logits, blank_id=blank_id)
        total, num_labels = total + loss, num_labels + count
        rows = [log_softmax(row[:length]) for row, length in zip(logits, lengths, strict=True)]
        for key, found in zip(batch.ids, decoder.batch(rows), strict=True):
            hypotheses[key] = " ".join(corpus.vocabulary.decode(found.tokens).split())
    references = {example.id: example.text for example in corpus.dev}
    shown = corpus.dev[:: max(len(corpus.dev) // 3, 1)][:3]
    return DevResult(
        loss=total / max(num_labels, 1),
        score=score(references, hypotheses, text=recipe.text),
        samples=tuple((item.id, item.text, hypotheses[item.id]) for item in shown),
    )


def _dev_loss(batch: Batch, logits: Any, *, blank_id: int) -> tuple[float, int]:
    """Returns the summed loss of a batch's feasible rows, in nats, and their number of labels."""
    pairs = zip(batch.feature_lengths, batch.labels, batch.label_lengths, strict=True)
    rows = [
        row
        for row, (steps, labels, count) in enumerate(pairs)
        if feasible(int(steps), labels[:count].tolist())
    ]
    if not rows:
        return 0.0, 0
    counts, lengths = batch.label_lengths[rows], batch.feature_lengths[rows]
    losses = ctc_loss(batch.labels[rows], logits[rows], counts, lengths, blank_id=blank_id)
    return float(np.sum(keras.ops.convert_to_numpy(losses))), int(counts.sum())


def transfer(bundle: Bundle, source: keras.Model, target: keras.Model, corpus: Corpus) -> None:
    """Copies a trained network's weights into a new one.

    With another alphabet only the output layer differs: it begins anew, except for the rows of
    tokens that both alphabets have, the blank among them.
    """
    for layer in target.layers:
        if layer.name != "logits":
            layer.set_weights(source.get_layer(layer.name).get_weights())
    old = {token: position for position, token in enumerate(bundle.vocabulary.tokens)}
    kernel, bias = target.get_layer("logits").get_weights()
    old_kernel, old_bias = source.get_layer("logits").get_weights()
    for position, token in enumerate(corpus.vocabulary.tokens):
        if token in old:
            kernel[:, position] = old_kernel[:, old[token]]
            bias[position] = old_bias[old[token]]
    target.get_layer("logits").set_weights([kernel, bias])


def _trigram(corpus: Corpus) -> Floats:
    return token_trigram(
        (example.labels for example in corpus.train),
        vocab_size=len(corpus.vocabulary),
        blank_id=corpus.vocabulary.blank_id,
    )


def _on_tensorflow() -> bool:
    return bool(keras.backend.backend() == "tensorflow")
