"""One training: a recipe and manifests of speech in, a run folder with the best model out."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asr.bundle import LANGUAGE_MODEL_FILE, Bundle, open_bundle, open_language_model
from asr.decoding import DecodingOptions
from asr.errors import AsrError, TrainingError
from asr.interchange import read_utterances
from asr.manifest import Utterance
from asr.options import from_table, require
from asr.text import normalise_text
from asr.vocabulary import Vocabulary
from models.bilstm import BiLSTMOptions
from pipelines.alphabet import base_vocabulary, learn_vocabulary
from pipelines.average_speech import with_average_speech
from pipelines.corpus import Corpus, load_corpus
from pipelines.estimated_lm import check_texts, estimate_lm
from pipelines.export import can_export, export
from pipelines.feature_store import FeatureStore
from pipelines.network import import_backend, load_network, require_backend
from pipelines.progress import duration_text
from pipelines.recipe import Recipe
from pipelines.run_folder import RunFolder
from pipelines.training_log import TrainingLog

EXPORT_AUDIO_S = 1200.0
"""Dev speech that the exported network is checked on, at most: half a minute's work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        run_folder: Everything it wrote.
        model_folder: Its best model.
        dev_wer: That model's WER on the dev speech.
        epochs: Epochs trained.
    """

    run_folder: Path
    model_folder: Path
    dev_wer: float
    epochs: int


def train(
    recipe: Recipe,
    run_folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    base: str | Path | None = None,
    cache: Path | None = None,
    quiet: bool = False,
    exported: bool = True,
) -> TrainingResult:
    """Trains a model.

    Args:
        recipe: What to train and how.
        run_folder: Where everything is written; see `pipelines.run_folder`.
        resume: Go on from the run's last checkpoint. Ends with the weights an uninterrupted run
            would have ended with.
        overwrite: Begin anew where a run exists.
        base: A model to begin with instead of random weights. Its features and network are used;
            its alphabet too if it spells all training texts, else the output layer is replaced.
            With its alphabet go its language model and decoding, unless the recipe has others.
        cache: Folder for features; `default_cache()` if left out.
        quiet: Print nothing.
        exported: Make the model fast to transcribe with at the end.

    Raises:
        AsrError: Something the user can mend; the message says what.
    """
    require_backend()
    log = TrainingLog(quiet=quiet)
    run = RunFolder(run_folder)
    vocabulary, files = None, list[Path]()
    if resume:
        run.sweep()
        if run.vocabulary.is_file():
            vocabulary = Vocabulary.load(run.vocabulary)
        if run.language_model.is_file():
            files = [run.language_model]
    elif not overwrite:
        run.refuse_existing()
    bundle = open_bundle(base) if base is not None else None
    if bundle is not None:
        recipe, vocabulary, files = _inherit(recipe, bundle, log)
    _check_bands(recipe)
    check_texts(recipe)
    features = with_average_speech(recipe.features, _utterances(recipe), quiet=quiet)
    recipe = replace(recipe, features=features)
    store = FeatureStore(cache or default_cache(), recipe.features)
    corpus = load_corpus(recipe, store, vocabulary=vocabulary, quiet=quiet)
    log.line(corpus.describe())

    import_backend()
    from pipelines.trainer import Trainer

    source = (bundle, load_network(bundle.folder)) if bundle is not None else None
    with tempfile.TemporaryDirectory() as aside:
        if recipe.language_model.texts and not resume:
            files = [Path(aside) / LANGUAGE_MODEL_FILE]
            estimate_lm(recipe, files[0], log)
        words = open_language_model(files[0]) if files else None
        trainer = Trainer(recipe, corpus, store, run, base=source, language_model=words, log=log)
        if resume:
            trainer.resume()
        else:
            run.create(recipe.to_table(), corpus.vocabulary, trainer.checkpoint, files)
    corpus.write_exclusions(run.exclusions)
    if corpus.exclusions:
        log.line(f"what was left out, and why: {run.exclusions}")
    log.line(f"network: {trainer.network.count_params():,} parameters")
    trainer.train()
    state = trainer.state
    if state.best_wer is None:
        raise TrainingError(f"{run_folder}: no epoch was finished")
    if exported:
        _export(run, corpus, log)
    seconds = sum(row["elapsed_s"] for row in state.history)
    log.line(f"\ntrained {duration_text(seconds)}; best dev WER {100 * state.best_wer:.2f} %")
    return TrainingResult(
        run_folder=run_folder,
        model_folder=run.model,
        dev_wer=state.best_wer,
        epochs=len(state.history),
    )


def _check_bands(recipe: Recipe) -> None:
    """Refuses to change bands where nothing will say how much variance normalisation took."""
    frames = recipe.features.prior_frames
    for name in ("num_band_masks", "max_warp"):
        if getattr(recipe.augment, name) and recipe.features.normalise == "mean-variance":
            require(frames > 0, f"[features] prior_frames above 0 with [augment] {name}", frames)


def _export(run: RunFolder, corpus: Corpus, log: TrainingLog) -> None:
    """Makes the best model fast to transcribe with; without that it is a model all the same."""
    if not can_export():
        log.line("\nnot exported for fast transcription: onnx and ONNX Runtime are not installed")
        return
    utterances = [example.utterance for example in corpus.dev]
    try:
        result = export(
            open_bundle(run.model),
            utterances,
            source="the dev speech",
            max_audio_s=EXPORT_AUDIO_S,
            quiet=log.quiet,
        )
    except AsrError as error:
        log.line(f"\nnot exported for fast transcription: {error}")
        return
    log.line("\n".join(["\nexported for fast transcription", *result.lines()]))


def default_cache() -> Path:
    """Returns the folder for features: $ASR_CACHE, else the user's cache folder."""
    chosen = os.environ.get("ASR_CACHE")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "asr" / "features"


def _inherit(
    recipe: Recipe, bundle: Bundle, log: TrainingLog
) -> tuple[Recipe, Vocabulary, list[Path]]:
    """Returns the recipe with what is the base model's, the vocabulary and the language models.

    Of these the first is the one that the search asks; there is no second without it.
    """
    model: Any = bundle.recipe.get("model", {})
    network = from_table(BiLSTMOptions, model, where=f"{bundle.folder} [model]")
    features = replace(bundle.features, lead_s=recipe.features.lead_s)
    if features.normalise != "none" and not features.prior_frames:
        # The one setting that may be added: a network takes to it within its first steps.
        features = replace(features, prior_frames=recipe.features.prior_frames)
    recipe = replace(
        recipe,
        features=features,
        text=bundle.text,
        model=replace(network, dropout=recipe.model.dropout),
    )
    texts, dev_texts = (_texts(recipe, side) for side in (recipe.data.train, recipe.data.dev))
    vocabulary, lacking = base_vocabulary(bundle.vocabulary, recipe, texts, dev_texts)
    if vocabulary is None:
        log.line(f"beginning from {bundle.name}; {lacking}, so the output layer is replaced")
        return recipe, learn_vocabulary(recipe, texts, dev_texts), []
    language_model = bundle.language_model_file
    # A list of words, unlike a language model, would forbid what is to be learnt.
    can_keep = bundle.decoding.method == "beam" and not bundle.decoding.words
    if language_model is None or not can_keep or recipe.decoding != DecodingOptions():
        log.line(f"beginning from {bundle.name}, with its alphabet")
        return recipe, vocabulary, []
    log.line(f"beginning from {bundle.name}, with its alphabet and language model")
    recipe = replace(recipe, decoding=bundle.decoding, confidence=bundle.confidence)
    files = [file for file in (language_model, bundle.rescorer_file) if file is not None]
    return recipe, vocabulary, files


def _texts(recipe: Recipe, manifests: Iterable[str]) -> list[str]:
    utterances = (item for path in manifests for item in read_utterances(Path(path)))
    return [normalise_text(item.text or "", recipe.text) for item in utterances]


def _utterances(recipe: Recipe) -> Iterator[Utterance]:
    for path in recipe.data.train:
        yield from read_utterances(Path(path))
