"""Search for the settings of decoding under which speech with texts is recognised best.

What the network says of the speech is computed once; then a setting costs no more than decoding.
"""

import collections
import dataclasses
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from asr.audio import SAMPLE_RATE
from asr.cores import available_cores
from asr.decoder import Decoder
from asr.decoding import DecodingOptions, Hypothesis, LanguageModel, token_log_priors
from asr.manifest import Utterance
from asr.passages import cut_log_probs
from asr.recognizer import Floats, Recognizer
from asr.rescoring import TextScorer
from asr.scoring import score
from asr.text import TextOptions
from asr.vocabulary import Vocabulary
from pipelines.pairing import texts_of, utterances_by_id
from pipelines.progress import AUDIO_SECONDS, Progress
from pipelines.speech import load_speech

COARSE_ALPHAS = (0.2, 0.5, 0.8, 1.1)
COARSE_BETAS = (0.0, 1.0, 2.0, 3.0)
COARSE_PRIOR_SCALES = (0.0, 0.4, 0.8)
COARSE_WIDTH = 32
WIDTHS = (8, 16, 32, 64, 128)
MAX_WIDTH = 1024
"""Beams are doubled beyond `WIDTHS` up to here, as long as that makes fewer errors."""
_NEIGHBOURS = (
    *itertools.product((-1, 0, 1), (-1, 0, 1), (0,)),
    # Without the network's own prior of letters the language model's words are to count for more.
    *((a, 0, c) for a, c in itertools.product((-1, 0, 1), (-1, 1))),
)
"""Steps of alpha, beta and the priors' scale around the best point."""
_REFINED = 2
"""How often the steps of the grid are halved around its best point."""
_MAX_MOVES = 8
"""Of the best point at one step; the grid's edges are left behind this way."""
_TOLERANCE = 0.001
"""WER that a narrower beam may cost, as a share: half as wide is twice as fast."""
_NUM_FOLDS = 5
_GROUP_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningSpeech:
    """Speech with texts, as far as the network has come with it.

    Attributes:
        references: Texts by id.
        passages: Of each utterance by id, float32 [num_steps, vocab_size] of the passages it is
            decoded in.
        groups: Whose utterance each is, by id; where there are not two speakers, one of five parts.
        by_speaker: Whether the groups are speakers.
    """

    references: Mapping[str, str]
    passages: Mapping[str, Sequence[Floats]]
    groups: Mapping[str, str]
    by_speaker: bool


def hear(
    recognizer: Recognizer, utterances: Sequence[Utterance], *, quiet: bool = False
) -> TuningSpeech:
    """Has a network listen to speech.

    Args:
        recognizer: Whose network.
        utterances: The recordings, each with its text.
        quiet: Show no progress.

    Raises:
        ScoringError: A reference has no text, or an id is there twice.
        AudioError: A recording cannot be read.
    """
    by_id = utterances_by_id(utterances)
    references = texts_of(by_id)
    cut: dict[str, Sequence[Floats]] = {}
    total_s = sum(item.duration_s or 0.0 for item in utterances)
    unit = AUDIO_SECONDS if total_s else "recordings"
    with Progress(total_s or len(by_id), unit=unit, label="listening", quiet=quiet) as progress:
        for group in _minutes(by_id.values()):
            features = [recognizer.extract(recognizer.led(samples)) for _, samples in group]
            found = recognizer.log_probs(features)
            for (item, _), row in zip(group, found, strict=True):
                cut[item.id] = cut_log_probs(
                    row,
                    blank_id=recognizer.vocabulary.blank_id,
                    step=recognizer.step,
                    sample_rate=SAMPLE_RATE,
                )
            progress.advance(sum(item.duration_s or 0.0 for item, _ in group) or len(group))
    speakers = {key: item.speaker or "" for key, item in by_id.items()}
    by_speaker = len(set(speakers.values())) > 1 and all(speakers.values())
    folds = {key: str(place % _NUM_FOLDS) for place, key in enumerate(by_id)}
    return TuningSpeech(
        references=references,
        passages=cut,
        groups=speakers if by_speaker else folds,
        by_speaker=by_speaker,
    )


def _minutes(utterances: Iterable[Utterance]) -> Iterator[list[tuple[Utterance, Floats]]]:
    group: list[tuple[Utterance, Floats]] = []
    for item in utterances:
        group.append((item, load_speech(item)))
        if sum(len(samples) for _, samples in group) >= _GROUP_S * SAMPLE_RATE:
            yield group
            group = []
    if group:
        yield group


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a setting came to.

    Attributes:
        options: The setting.
        errors: Word errors of each utterance, by id.
        wer: Word error rate of all of them.
        decoding_s: Seconds that decoding all of them took.
    """

    options: DecodingOptions
    errors: Mapping[str, int]
    wer: float
    decoding_s: float

    @property
    def num_errors(self) -> int:
        """Word errors of all utterances."""
        return sum(self.errors.values())


@dataclass(slots=True, kw_only=True)
class Search:
    """Settings that were tried on speech, each once.

    Attributes:
        speech: What the network says of it.
        vocabulary: The network's.
        text: Normalisation of both sides.
        options: The settings that are not searched.
        language_model: What alpha and beta are for; None leaves both out of the search.
        rescorer: What is asked where settings say `num_rescored`.
        quiet: Show no progress.
        priors: Natural logarithm of each token's mean probability over the speech.
        trials: What was tried.
    """

    speech: TuningSpeech
    vocabulary: Vocabulary
    text: TextOptions
    options: DecodingOptions
    language_model: LanguageModel | None = None
    rescorer: TextScorer | None = None
    quiet: bool = False
    priors: tuple[float, ...] = field(init=False)
    trials: dict[DecodingOptions, Trial] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = itertools.chain.from_iterable(self.speech.passages.values())
        priors = token_log_priors(rows, vocab_size=len(self.vocabulary))
        self.priors = tuple(priors.round(4).tolist())  # what can be read in a recipe

    @property
    def num_words(self) -> int:
        """Words of the references, which errors are counted against."""
        return sum(self.words_by_id().values())

    def words_by_id(self) -> dict[str, int]:
        """Returns the words of each reference, by id."""
        said = score(self.speech.references, self.speech.references, text=self.text)
        return {row.id: row.words.num_reference for row in said.rows}

    @property
    def best(self) -> Trial:
        """The setting of fewest errors; of equals the narrowest beam's, then the first tried."""
        order = {"greedy": 0, "beam": 1}
        return min(
            self.trials.values(),
            key=lambda one: (
                one.num_errors,
                order[one.options.method],
                one.options.beam_width,
            ),
        )

    def run(self) -> Trial:
        """Searches, and returns the setting to be used.

        It is that of fewest errors, but for a narrower beam, or none, that costs no more than a
        tenth of a point.
        """
        if not self.options.words:
            self.attempt([self._with(method="greedy")], label="greedy")
        if self.language_model is not None:
            coarse = itertools.product(COARSE_ALPHAS, COARSE_BETAS, COARSE_PRIOR_SCALES)
            self.attempt([self._weighted(*point) for point in coarse], label="coarse grid")
            self._refine()
        elif self.options.words:
            scales = [self._with(method="beam", **self._prior(at)) for at in COARSE_PRIOR_SCALES]
            self.attempt(scales, label="prior scale")
        found = self._beams()[0].options if self._beams() else self._with(method="beam")
        widths = [dataclasses.replace(found, beam_width=width) for width in WIDTHS]
        self.attempt(widths, label="beam width")
        while self._gains(widths[-2:]) and widths[-1].beam_width < MAX_WIDTH:
            widths.append(dataclasses.replace(found, beam_width=2 * widths[-1].beam_width))
            self.attempt(widths[-1:], label="beam width")
        best = self.best
        good = [one for one in self.trials.values() if one.wer <= best.wer + _TOLERANCE]
        same = [one for one in good if self._is_as(one.options, best.options)]
        return min(same, key=lambda one: (one.options.method == "beam", one.options.beam_width))

    def keep(self) -> Trial:
        """Tries no other setting than the one that is there, and returns what it comes to."""
        self.attempt([self.options], label="as it is")
        return self.trials[self.options]

    def attempt(self, settings: Iterable[DecodingOptions], *, label: str) -> None:
        """Tries settings that were not tried before."""
        new = [options for options in dict.fromkeys(settings) if options not in self.trials]
        total = len(new) * len(self.speech.references)
        if not new:
            return
        with Progress(total, unit="utterances", label=label, quiet=self.quiet) as progress:
            for options in new:
                start_s = time.perf_counter()
                found = self.decode(options, progress)
                texts = {key: text_of(one, self.vocabulary) for key, one in found.items()}
                self.judge(options, texts, time.perf_counter() - start_s)

    def decode(
        self, options: DecodingOptions, progress: Progress | None = None
    ) -> dict[str, tuple[Hypothesis, ...]]:
        """Decodes all of the speech, utterances side by side; returns their passages by id."""
        is_beam = options.method == "beam"
        decoder = Decoder(
            options,
            self.vocabulary,
            self.language_model if is_beam else None,
            rescorer=self.rescorer if is_beam else None,
        )

        def decode_one(passages: Sequence[Floats]) -> tuple[Hypothesis, ...]:
            found = tuple(map(decoder, passages))
            if progress is not None:
                progress.advance()
            return found

        heard = self.speech.passages
        with ThreadPoolExecutor(available_cores()) as pool:
            return dict(zip(heard, pool.map(decode_one, heard.values()), strict=True))

    def judge(self, options: DecodingOptions, texts: Mapping[str, str], decoding_s: float) -> Trial:
        """Writes down what a setting made of the speech, by id, and in how many seconds."""
        scored = score(self.speech.references, texts, text=self.text)
        self.trials[options] = trial = Trial(
            options=options,
            errors={row.id: row.words.errors for row in scored.rows},
            wer=scored.wer,
            decoding_s=decoding_s,
        )
        return trial

    def held_out_wer(self) -> float | None:
        """Returns the WER of each group with what would have been chosen on the others.

        None if there is one group only: nothing is known then of speech that was not chosen on.
        """
        groups = collections.defaultdict(list)
        for key, group in self.speech.groups.items():
            groups[group].append(key)
        if len(groups) < 2:
            return None
        errors = 0
        for ids in groups.values():
            chosen = min(
                self.trials.values(),
                key=lambda one: (
                    one.num_errors - sum(one.errors[key] for key in ids),
                    one.options.beam_width,
                ),
            )
            errors += sum(chosen.errors[key] for key in ids)
        return errors / max(self.num_words, 1)

    def _refine(self) -> None:
        step_alpha = COARSE_ALPHAS[1] - COARSE_ALPHAS[0]
        step_beta = COARSE_BETAS[1] - COARSE_BETAS[0]
        step_prior = COARSE_PRIOR_SCALES[1] - COARSE_PRIOR_SCALES[0]
        for _ in range(_REFINED):
            step_alpha, step_beta, step_prior = step_alpha / 2, step_beta / 2, step_prior / 2
            steps = [(a * step_alpha, b * step_beta, c * step_prior) for a, b, c in _NEIGHBOURS]
            for _ in range(_MAX_MOVES):
                best = self._beams()[0].options
                near = [(best.alpha + a, best.beta + b, best.prior_scale + c) for a, b, c in steps]
                self.attempt([self._weighted(*point) for point in near], label="refining")
                if self._beams()[0].options == best:
                    break

    def _gains(self, settings: Sequence[DecodingOptions]) -> bool:
        """Whether the last setting is worth more than the first."""
        return self.trials[settings[-1]].wer < self.trials[settings[0]].wer - _TOLERANCE

    def _beams(self) -> list[Trial]:
        """Returns what was tried of beam searches, the best first."""
        found = [one for one in self.trials.values() if one.options.method == "beam"]
        return sorted(found, key=lambda one: (one.num_errors, one.options.beam_width))

    def _weighted(self, alpha: float, beta: float, prior_scale: float) -> DecodingOptions:
        # Rounded, so that one point reached in two ways is one.
        return self._with(
            method="beam",
            beam_width=COARSE_WIDTH,
            alpha=round(max(alpha, 0.0), 4),
            beta=round(beta, 4),
            **self._prior(prior_scale),
        )

    def _prior(self, scale: float) -> dict[str, object]:
        scale = round(min(max(scale, 0.0), 1.0), 4)
        return {"prior_scale": scale, "token_log_priors": self.priors if scale else ()}

    def _with(self, **changes: object) -> DecodingOptions:
        if changes.get("method") == "greedy":
            changes = {"words": (), "closed_vocabulary": False} | changes
        return dataclasses.replace(self.options, **changes)  # type: ignore[arg-type]

    def _is_as(self, one: DecodingOptions, other: DecodingOptions) -> bool:
        """Whether two settings differ by nothing but the width of the beam; greedy has none."""
        return one.method == "greedy" or one == dataclasses.replace(
            other, beam_width=one.beam_width
        )


def text_of(passages: Sequence[Hypothesis], vocabulary: Vocabulary) -> str:
    """Returns what an utterance's passages say, one after another."""
    return " ".join(" ".join(vocabulary.decode(one.tokens) for one in passages).split())
