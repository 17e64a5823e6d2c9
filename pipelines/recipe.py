"""A recipe: all that decides how a model is trained, read and checked as a whole.

A recipe is TOML. Its tables [features] [text] [decoding] [confidence] belong to the recognizer and
travel with the model; the others say where the speech is and how to train on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from asr.audio import SAMPLE_RATE
from asr.confidence import Calibration
from asr.decoding import DecodingOptions
from asr.errors import OptionsError
from asr.features import FeatureOptions
from asr.lm.kneser_ney import USUAL_PRUNE, EstimationOptions
from asr.lm.packing import MAX_BITS, MIN_BITS
from asr.options import from_table, require, to_table
from asr.text import TextOptions
from asr.vocabulary_file import Kind
from models.bilstm import BiLSTMOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOptions:
    """Where the speech is.

    Attributes:
        train: Manifests, Kaldi directories or Coqui CSVs to learn from.
        dev: The same to choose the best model by; speakers not in `train` give an honest choice.
        min_duration_s: Shorter utterances are left out of training.
        max_duration_s: Longer ones too: one of them would need a batch of its own.
        licence: Of the training speech, for the model's card; None where it is not known.
    """

    train: tuple[str, ...]
    dev: tuple[str, ...]
    min_duration_s: float = 0.1
    max_duration_s: float = 36.0
    licence: str | None = None

    def __post_init__(self) -> None:
        require(bool(self.train), "train to name at least one manifest", self.train)
        require(bool(self.dev), "dev to name at least one manifest", self.dev)
        shortest, longest = self.min_duration_s, self.max_duration_s
        require(shortest < longest, "min_duration_s below max_duration_s", (shortest, longest))
        licence = "unknown" if self.licence is None else self.licence
        # It becomes a cell of the card's table.
        fits = licence.isprintable() and licence.strip() != "" and "|" not in licence
        require(fits, "licence to be a line of text without |", self.licence)


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyOptions:
    """What the network spells with.

    Attributes:
        kind: "characters", "subwords" learnt by sentencepiece (extra `subwords`), or "sounds", for
            a closed list of words: a network then need not learn how its language spells.
        characters: The alphabet, in order; learnt from the training texts if left out.
        size: Number of subwords.
        pronunciations: Of sounds, the dictionary that says how words sound, such as `asr pronounce`
            makes; training texts with other words are left out.
    """

    kind: Kind = "characters"
    characters: str | None = None
    size: int = 256
    pronunciations: str | None = None

    def __post_init__(self) -> None:
        is_given = self.pronunciations is not None
        expected = 'pronunciations with kind "sounds", and only then'
        require(is_given == (self.kind == "sounds"), expected, self.pronunciations)
        require(self.size >= 2, "size of at least 2", self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModelOptions:
    """An n-gram model that is estimated before the training, and goes along with what is trained.

    Attributes:
        texts: Files with a sentence a line (.gz and .xz too) or manifests; none: no model.
        order: The longest sequence of words.
        prune: For sequences of 1, 2, ... words: those that occur at most so often are left out;
            None: 0 0 1 1.
        vocab_size: Most frequent words that it knows; None: all.
        bits: For each probability in its file, 4 to 16; None: it is not packed.
    """

    texts: tuple[str, ...] = ()
    order: int = 4
    prune: tuple[int, ...] | None = None
    vocab_size: int | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        self.estimation()
        fits = self.bits is None or MIN_BITS <= self.bits <= MAX_BITS
        require(fits, f"bits in {MIN_BITS}..{MAX_BITS}", self.bits)

    def estimation(self) -> EstimationOptions:
        """Returns how to estimate it."""
        prune = USUAL_PRUNE[: max(1, self.order)] if self.prune is None else self.prune
        return EstimationOptions(order=self.order, prune=prune, vocab_size=self.vocab_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """How utterances are grouped.

    Attributes:
        duration_s: Seconds of audio in a batch, padding included.
        shuffle: How far, relatively, an utterance's length is blurred before sorting: more mixes
            the batches better, and pads more.
    """

    duration_s: float = 160.0
    shuffle: float = 0.05

    def __post_init__(self) -> None:
        require(self.duration_s > 0, "duration_s above 0", self.duration_s)
        require(0 <= self.shuffle <= 0.5, "shuffle in 0..0.5", self.shuffle)


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentOptions:
    """How training speech is varied; all off by default.

    Attributes:
        speeds: Each utterance is played at one of these speeds, drawn anew every epoch.
        num_time_masks: SpecAugment's time masks an utterance (Park et al. 2019).
        max_time_mask_s: Longest of them, in seconds.
        max_time_mask_share: Longest of them, as a share of the utterance.
        num_coefficient_masks: Masks over neighbouring coefficients.
        max_coefficient_mask: Widest of them, in coefficients.
        num_band_masks: SpecAugment's masks over neighbouring mel bands an utterance, of which the
            coefficients are made. Where variance is normalised, `prior_frames` is to say how much
            of it each coefficient had.
        max_band_mask: Widest of them, in mel bands.
        max_warp: Each utterance is heard as of another vocal tract: its resonances lie higher or
            lower by a factor drawn from 1 / (1 + max_warp) to 1 + max_warp; 0 for none. Where
            variance is normalised, `prior_frames` is to be above 0, as for `num_band_masks`.
        noise: A folder of background recordings, or None.
        noise_share: Share of utterances that noise is added to.
        min_snr_db: Lowest ratio of speech to noise, in dB; drawn evenly up to `max_snr_db`.
        max_snr_db: Highest ratio.
        channel_db: Each utterance passes through a random smooth filter, as microphones and rooms
            are: the largest standard deviation of its gains, in dB; drawn evenly from 0.
        lead_s: Seconds of its own background that an utterance has before and behind it at most,
            drawn evenly from 0, each by itself.
        narrow_band_share: Share of utterances that lose all above 4 kHz, as a telephone's do.
        trimmed_share: Share of utterances that lose what is quiet at their edges, as where a
            recorder waits for sound: so may a soft first consonant.
        min_trim_db: How far below the loudest 10 ms is quiet, in dB, where most is lost; drawn
            evenly up to `max_trim_db` for each edge.
        max_trim_db: The same where least is lost.
    """

    speeds: tuple[float, ...] = (1.0,)
    num_time_masks: int = 0
    max_time_mask_s: float = 0.3
    max_time_mask_share: float = 0.2
    num_coefficient_masks: int = 0
    max_coefficient_mask: int = 4
    num_band_masks: int = 0
    max_band_mask: int = 8
    max_warp: float = 0.0
    noise: str | None = None
    noise_share: float = 0.5
    min_snr_db: float = 5.0
    max_snr_db: float = 25.0
    channel_db: float = 0.0
    lead_s: float = 0.0
    narrow_band_share: float = 0.0
    trimmed_share: float = 0.0
    min_trim_db: float = 6.0
    max_trim_db: float = 40.0

    def __post_init__(self) -> None:
        require(bool(self.speeds), "speeds to name at least one", self.speeds)
        require(all(0.5 <= speed <= 2 for speed in self.speeds), "speeds in 0.5..2", self.speeds)
        require(self.num_time_masks >= 0, "num_time_masks of at least 0", self.num_time_masks)
        require(self.max_time_mask_s >= 0, "max_time_mask_s of at least 0", self.max_time_mask_s)
        share = self.max_time_mask_share
        require(0 <= share <= 1, "max_time_mask_share in 0..1", share)
        count = self.num_coefficient_masks
        require(count >= 0, "num_coefficient_masks of at least 0", count)
        width = self.max_coefficient_mask
        require(width >= 0, "max_coefficient_mask of at least 0", width)
        require(self.num_band_masks >= 0, "num_band_masks of at least 0", self.num_band_masks)
        require(self.max_band_mask >= 0, "max_band_mask of at least 0", self.max_band_mask)
        require(0 <= self.max_warp <= 0.5, "max_warp in 0..0.5", self.max_warp)
        require(0 <= self.noise_share <= 1, "noise_share in 0..1", self.noise_share)
        require(0 <= self.channel_db <= 30, "channel_db in 0..30", self.channel_db)
        require(0 <= self.lead_s <= 2, "lead_s in 0..2", self.lead_s)
        share = self.narrow_band_share
        require(0 <= share <= 1, "narrow_band_share in 0..1", share)
        require(0 <= self.trimmed_share <= 1, "trimmed_share in 0..1", self.trimmed_share)
        low, high = self.min_trim_db, self.max_trim_db
        require(0 < low <= high, "min_trim_db above 0 up to max_trim_db", low)
        require(self.min_snr_db <= self.max_snr_db, "min_snr_db up to max_snr_db", self.min_snr_db)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How the weights are learnt.

    Attributes:
        seed: Decides the first weights, the order of the speech and its augmentation.
        epochs: Passes over the training speech, at most.
        patience: Epochs without a better dev WER after which training stops.
        optimizer: "adam", or "adamw" with decoupled weight decay (Loshchilov and Hutter 2019).
        learning_rate: Highest learning rate.
        warmup_steps: Batches over which it rises to that, from 0 in a straight line.
        schedule: How it falls afterwards: "constant", "linear" or "cosine", over all epochs.
        final_learning_rate: Share of the highest rate left at the end.
        weight_decay: For "adamw".
        clip_norm: Most the gradients' joint norm may be.
        average: Momentum of the running average of weights that is evaluated and kept; 0 for none.
        mmi_share: Share of the loss that is the MMI criterion's (`models.denominator`), for a
            network that has learnt to read by CTC alone, writes characters or sounds, and is
            decoded with a language model or a list of words; 0 for CTC alone.
        teacher: A trained model, a name or a path with a /, whose certainty of every token is
            learnt from beside the texts (`pipelines.teacher`); it writes the same tokens, in the
            same steps.
        teacher_share: Share of the loss that is the distance from it.
        checkpoint_interval_s: Seconds between checkpoints within an epoch.
    """

    seed: int = 1
    epochs: int = 20
    patience: int = 5
    optimizer: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    final_learning_rate: float = 0.01
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    average: float = 0.0
    mmi_share: float = 0.0
    teacher: str | None = None
    teacher_share: float = 0.5
    checkpoint_interval_s: float = 120.0

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs of at least 1", self.epochs)
        require(self.patience >= 1, "patience of at least 1", self.patience)
        require(self.learning_rate > 0, "learning_rate above 0", self.learning_rate)
        require(self.warmup_steps >= 0, "warmup_steps of at least 0", self.warmup_steps)
        final = self.final_learning_rate
        require(0 <= final <= 1, "final_learning_rate in 0..1", final)
        require(self.weight_decay >= 0, "weight_decay of at least 0", self.weight_decay)
        require(self.clip_norm > 0, "clip_norm above 0", self.clip_norm)
        require(0 <= self.average < 1, "average in 0 to below 1", self.average)
        require(0 <= self.mmi_share <= 1, "mmi_share in 0..1", self.mmi_share)
        share = self.teacher_share
        require(0 <= share <= 1, "teacher_share in 0..1", share)
        interval = self.checkpoint_interval_s
        require(interval >= 0, "checkpoint_interval_s of at least 0", interval)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides how a model is trained."""

    data: DataOptions
    features: FeatureOptions = field(default_factory=FeatureOptions)
    text: TextOptions = field(default_factory=TextOptions)
    vocabulary: VocabularyOptions = field(default_factory=VocabularyOptions)
    language_model: LanguageModelOptions = field(default_factory=LanguageModelOptions)
    model: BiLSTMOptions = field(default_factory=BiLSTMOptions)
    batches: BatchOptions = field(default_factory=BatchOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    confidence: Calibration = field(default_factory=Calibration)

    def __post_init__(self) -> None:
        rate = self.features.sample_rate
        expected = f"[features] sample_rate {SAMPLE_RATE}, at which every recording is read"
        require(rate == SAMPLE_RATE, expected, rate)
        if self.language_model.texts:
            writes = self.vocabulary.kind
            expected = "[vocabulary] kind of letters with a [language_model], which reads them"
            require(writes != "sounds", expected, writes)
            asked = self.decoding.method == "beam" and not self.decoding.words
            expected = '[decoding] method "beam" without words, which alone asks [language_model]'
            require(asked, expected, self.decoding.method)

    def to_table(self) -> dict[str, dict[str, Any]]:
        """Returns the recipe with every setting spelt out; `read_recipe` reads it back."""
        return {name: to_table(getattr(self, name)) for name in _TABLES}


_TABLES: dict[str, type[Any]] = {
    "data": DataOptions,
    "features": FeatureOptions,
    "text": TextOptions,
    "vocabulary": VocabularyOptions,
    "language_model": LanguageModelOptions,
    "model": BiLSTMOptions,
    "batches": BatchOptions,
    "augment": AugmentOptions,
    "training": TrainingOptions,
    "decoding": DecodingOptions,
    "confidence": Calibration,
}


def read_recipe(tables: Mapping[str, Any], *, where: str) -> Recipe:
    """Checks a parsed recipe as a whole.

    Args:
        tables: The TOML document.
        where: The recipe's name, for errors.

    Raises:
        OptionsError: Anything is unknown, missing, of the wrong type or out of range; every table
            with a mistake is named, not only the first.
    """
    problems = []
    options: dict[str, Any] = {}
    unknown = sorted(set(tables) - set(_TABLES))
    if unknown:
        problems.append(
            f"{where}: unknown table {', '.join(unknown)}; known tables are {', '.join(_TABLES)}"
        )
    for name, cls in _TABLES.items():
        table = tables.get(name, {})
        try:
            if not isinstance(table, Mapping):
                raise OptionsError(f"{where} [{name}]: expected a table, received {table!r}")
            options[name] = from_table(cls, table, where=f"{where} [{name}]")
        except OptionsError as error:
            problems.append(str(error))
        except ValueError as error:  # the networks' room has no error tree of its own
            problems.append(f"{where} [{name}]: {error}")
    if problems:
        raise OptionsError("\n".join(problems))
    try:
        return Recipe(**options)
    except OptionsError as error:
        raise OptionsError(f"{where}: {error}") from None
