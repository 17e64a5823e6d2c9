"""The recognizer: feature settings, a vocabulary, a decoder and a network, joined."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, overload

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE, resample, stream_audio
from asr.background import as_heard, lead_samples, led
from asr.batch import batches_by_length, pad
from asr.bundle import Bundle
from asr.confidence import Calibration
from asr.cores import available_cores
from asr.cuts import LIVE, RECORDING, CutOptions
from asr.decoder import Decoder
from asr.decoding import DecodingOptions, Hypothesis, LanguageModel, log_softmax
from asr.errors import AudioError, DecodingError
from asr.features import FeatureOptions, extract, step_s
from asr.passages import Passage, passages
from asr.rescoring import TextScorer
from asr.side_by_side import side_by_side
from asr.streaming import Heard, Listener
from asr.text import TextOptions
from asr.transcript import Alternative, Transcript, Word, words_of
from asr.transcriptions import Recording, Transcriptions
from asr.vocabulary import Vocabulary
from asr.windows import Window, windows
from asr.word_edges import to_edges

Floats = npt.NDArray[np.float32]
Network = Callable[[Floats, npt.NDArray[np.int32]], tuple[Floats, npt.NDArray[np.int32]]]
"""(features [B, T, F], feature_lengths [B]) → (logits [B, T', V], logit_lengths [B])."""

_WINDOWS_AT_ONCE = 8
MAX_BATCH_S = 240.0
"""Padded seconds of audio the network is given at once; bounds memory, not speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognizer:
    """Recordings in, transcripts out.

    Attributes:
        features: How samples become features.
        text: Normalisation of the texts the network was trained on.
        vocabulary: What its tokens spell.
        decoding: How its output becomes a hypothesis.
        network: Any callable from features and lengths to logits and lengths.
        language_model: How likely words are after one another (beam search only).
        hotwords: Words and phrases to be expected, normalised as `text` says, each with what it
            adds to a text's natural log-probability where it is heard (beam search only).
        rescorer: Chooses among the texts that the search found best (beam search only).
        confidence: What the network's certainty of a word is worth.
        num_texts: How many texts a transcript shows, the best of them included (more than one with
            beam search only).
        cuts: Where a long recording is cut.
        threads: How many of its passages are decoded side by side.

    Raises:
        VocabularyError: The vocabulary cannot spell some of the decoding's words or hotwords.
        DecodingError: What is for the beam search only was given without it, or too many texts.
    """

    features: FeatureOptions
    text: TextOptions
    vocabulary: Vocabulary
    decoding: DecodingOptions
    network: Network
    language_model: LanguageModel | None = None
    hotwords: Mapping[str, float] = field(default_factory=dict)
    rescorer: TextScorer | None = None
    confidence: Calibration = field(default_factory=Calibration)
    num_texts: int = 1
    cuts: CutOptions = RECORDING
    threads: int = field(default_factory=available_cores)
    _decoder: Decoder = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        most = self.decoding.beam_width if self.decoding.method == "beam" else 1
        if not 1 <= self.num_texts <= most:
            raise DecodingError(
                f"expected from 1 to {most} texts of a {self.decoding.method} search, received "
                f"{self.num_texts}"
            )
        parts = (self.decoding, self.vocabulary, self.language_model, self.hotwords, self.rescorer)
        object.__setattr__(self, "_decoder", Decoder(*parts))

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        network: Network,
        *,
        hotwords: Mapping[str, float] | None = None,
        num_texts: int = 1,
        cuts: CutOptions = RECORDING,
        threads: int | None = None,
    ) -> Self:
        """Joins an opened model, its language models included, with what computes its network.

        Raises:
            AsrError: As for the attributes, or the language model is broken.
        """
        return cls(
            features=bundle.features,
            text=bundle.text,
            vocabulary=bundle.vocabulary,
            decoding=bundle.decoding,
            network=network,
            language_model=bundle.open_language_model(),
            hotwords=hotwords or {},
            rescorer=bundle.open_rescorer(),
            confidence=bundle.confidence,
            num_texts=num_texts,
            cuts=cuts,
            threads=threads or available_cores(),
        )

    @overload  # a str is an iterable too, of what is no recording
    def transcribe(self, recording: Recording) -> Transcript: ...  # type: ignore[overload-overlap]
    @overload
    def transcribe(self, recording: Iterable[Recording]) -> Transcriptions: ...
    def transcribe(self, recording: Recording | Iterable[Recording]) -> Transcript | Transcriptions:
        """Transcribes an audio file, or float32 samples [num_samples] at 16 kHz, or many of these.

        A file of hours takes no more memory than one of minutes. Of many, the transcripts are made
        as they are asked for, and a recording that cannot be transcribed stops no other.

        Raises:
            AudioError: The one file cannot be read, or there is nothing in it to recognise.
            DecodingError: The network gave NaN.
        """
        if isinstance(recording, Path | str):
            return self.transcribe_blocks(stream_audio(recording))
        if isinstance(recording, np.ndarray):
            return self.transcribe_batch([recording])[0]
        return Transcriptions(self, recording)

    def transcribe_batch(self, recordings: Sequence[Floats]) -> list[Transcript]:
        """Transcribes several recordings, float32 [num_samples] each at 16 kHz, in their order.

        None depends on the others.

        Raises:
            AudioError: One of them is empty, or not one row of finite floating-point numbers.
            DecodingError: The network gave NaN.
        """
        longest = self.cuts.longest_s * SAMPLE_RATE - 2 * self.lead
        short = [self.led(samples) for samples in recordings if len(samples) <= longest]
        heard = self.log_probs([self.extract(samples) for samples in short])
        inner = self.threads if len(short) == 1 else 1  # else, recordings are read side by side

        def read(part: tuple[Floats, Floats]) -> Transcript:
            return self._read_all([part], self.cuts, inner)

        parts = zip(heard, short, strict=True)
        found = iter([*side_by_side(read, parts, num_threads=self.threads)])
        return [
            next(found) if len(samples) <= longest else self.transcribe_blocks([samples])
            for samples in recordings
        ]

    def transcribe_blocks(
        self, blocks: Iterable[Floats], *, cuts: CutOptions | None = None
    ) -> Transcript:
        """Transcribes a recording of any length, holding a few windows of it at a time.

        It is heard in windows that overlap (`asr.windows`), and decoded in passages cut in its
        pauses (`asr.passages`). One that is not long gives what `transcribe` gives.

        Args:
            blocks: The recording at 16 kHz, float32 [any number of samples] each.
            cuts: Where it is cut, if not as `cuts` of the recognizer says.

        Raises:
            AudioError: There are no samples, or some are not finite floating-point numbers.
            DecodingError: The network gave NaN.
        """
        cuts = cuts or self.cuts
        return self._read_all(self._parts(led(blocks, self.lead), cuts), cuts, self.threads)

    def stream(
        self, blocks: Iterable[Floats], *, interval_s: float = 0.5, cuts: CutOptions = LIVE
    ) -> Iterator[Heard]:
        """Transcribes speech while it comes: guesses at once, words for good when they are certain.

        The network hears in both directions, so what is said is heard in windows that end in the
        first pause of 0.4 s behind 2 s of speech, or after 10 s without one, and in that much of
        what follows (1 s) as a step may need. Until then its words are guessed anew, from all that
        has come, at the first block after each `interval_s`. A word is certain about a second
        after the next pause; after at most `cuts.latency_s` (27 s) if there never is one.

        Certain words do not change. Together they are the words of `transcribe_blocks` with the
        same cuts, whatever the lengths of the blocks; longer windows hear better.

        Args:
            blocks: The speech at 16 kHz, float32 [any number of samples] each, as it comes.
            interval_s: Seconds of sound from one guess to the next. Each costs as much as a
                window of all that is not certain.
            cuts: How long windows and passages are.

        Yields:
            New certain words with the guess of what follows them, and at the end the last certain
            ones; nothing where nothing has changed.

        Raises:
            AudioError: There are no samples, or some are not finite floating-point numbers.
            DecodingError: The network gave NaN.
            OptionsError: `interval_s` is not above 0.
        """
        listener = Listener(
            hear=self._hear,
            read=lambda passage: self._read(passage).words,
            blank_id=self.vocabulary.blank_id,
            step=self.step,
            cuts=cuts,
        )
        return listener.listen(blocks, interval_s=interval_s)

    @property
    def step(self) -> int:
        """Samples at 16 kHz from one of the network's steps to the next."""
        return round(step_s(self.features) * SAMPLE_RATE)

    @property
    def lead(self) -> int:
        """Samples at 16 kHz of background before and behind a recording, as it is heard."""
        return lead_samples(self.features.lead_s)

    def led(self, samples: Floats) -> Floats:
        """Returns a recording, float32 [num_samples] at 16 kHz, as it is heard."""
        return as_heard(samples, self.lead)

    def _parts(self, blocks: Iterable[Floats], cuts: CutOptions) -> Iterator[tuple[Floats, Floats]]:
        """Yields log-probabilities and samples of stretches that follow each other."""
        coming = windows(blocks, step=self.step, cuts=cuts)
        while group := list(itertools.islice(coming, _WINDOWS_AT_ONCE)):
            yield from zip(self._hear(group), (one.own_samples for one in group), strict=True)

    def _hear(self, group: Sequence[Window]) -> list[Floats]:
        """Returns the log-probabilities [num_steps, vocab_size] of each window's own part."""
        rows = self.log_probs([self.extract(window.samples) for window in group])
        return [
            row[window.own_steps(len(row), step=self.step)]
            for window, row in zip(group, rows, strict=True)
        ]

    def _read_all(
        self, parts: Iterable[tuple[Floats, Floats]], cuts: CutOptions, num_threads: int
    ) -> Transcript:
        """Returns the transcript of stretches that follow each other, cut in their pauses."""
        if self.num_texts > 1:
            whole_s = min(cuts.longest_s, cuts.longest_passage_s)
            cuts = dataclasses.replace(cuts, passage_s=max(cuts.passage_s, whole_s))
        blank_id, step = self.vocabulary.blank_id, self.step
        cut = passages(parts, blank_id=blank_id, step=step, sample_rate=SAMPLE_RATE, cuts=cuts)
        found = list(side_by_side(self._read, cut, num_threads=num_threads))
        if not found:
            raise AudioError("expected samples to recognise, received none")
        words = tuple(word for one in found for word in one.words)
        whole = dataclasses.replace(
            found[0],
            text=" ".join(word.text for word in words),
            words=words,
            duration_s=sum(round(one.duration_s * SAMPLE_RATE) for one in found) / SAMPLE_RATE,
            log_probability=sum(one.log_probability for one in found),
            # Each passage has other texts of its own, and all ways to join them are too many.
            alternatives=found[0].alternatives if len(found) == 1 else (),
        )
        return whole.without_lead(self.lead / SAMPLE_RATE)

    def _read(self, passage: Passage) -> Transcript:
        """Returns a passage's transcript, its words' times counted from the recording's start."""
        found = self._transcript(passage.log_probs, passage.samples)
        start = passage.first_step * self.step
        start_s, end_s = start / SAMPLE_RATE, (start + len(passage.samples)) / SAMPLE_RATE
        words = tuple(word.later(start_s, at_most_s=end_s) for word in found.words)
        return dataclasses.replace(found, words=words)

    def extract(self, samples: Floats) -> Floats:
        """Returns what the network takes of samples [num_samples] at 16 kHz: float32 [T, F].

        Raises:
            AudioError: They are empty, or not one row of finite floating-point numbers.
        """
        if self.features.sample_rate != SAMPLE_RATE:
            samples = resample(samples, from_rate=SAMPLE_RATE, to_rate=self.features.sample_rate)
        if np.size(samples) == 0:
            raise AudioError("expected samples to recognise, received none")
        return extract(samples, self.features, without_pauses=True)

    def log_probs(self, features: Sequence[Floats]) -> list[Floats]:
        """Runs the network over features [T, F] of each utterance: log-probabilities [T', V]."""
        results: dict[int, Floats] = {}
        max_padded = int(MAX_BATCH_S / step_s(self.features))
        for batch in batches_by_length([len(row) for row in features], max_padded=max_padded):
            rows = self._run([features[position] for position in batch])
            results.update(zip(batch, rows, strict=True))
        return [results[position] for position in range(len(features))]

    def _run(self, features: Sequence[Floats]) -> Iterator[Floats]:
        padded, lengths = pad(features)
        logits, logit_lengths = self.network(padded.astype(np.float32), lengths)
        for row, length in zip(logits, logit_lengths, strict=True):
            yield log_softmax(row[:length])

    def timed_words(
        self, hypothesis: Hypothesis, log_probs: Floats, samples: Floats
    ) -> tuple[Word, ...]:
        """Returns a hypothesis's words with the times of their sound.

        Args:
            hypothesis: Tokens and their frames.
            log_probs: What they were read from, float32 [T', V].
            samples: The recording, float32 [num_samples] at 16 kHz.

        Returns:
            The words; their probabilities are what the network's certainty is worth.
        """
        words = words_of(
            hypothesis,
            self.vocabulary,
            features=self.features,
            duration_s=len(samples) / SAMPLE_RATE,
            log_probs=log_probs,
        )
        edged = to_edges(words, samples, sample_rate=SAMPLE_RATE)
        return tuple(word.judged(self.confidence) for word in edged)

    def _transcript(self, log_probs: Floats, samples: Floats) -> Transcript:
        if self.num_texts > 1:
            found = self._decoder.n_best(log_probs, self.num_texts)
        else:
            found = [self._decoder(log_probs)]
        shown = found if self.num_texts > 1 else []
        words = self.timed_words(found[0], log_probs, samples)
        return Transcript(
            text=" ".join(word.text for word in words),
            words=words,
            duration_s=len(samples) / SAMPLE_RATE,
            language=self.text.language,
            log_probability=found[0].log_probability,
            alternatives=tuple(Alternative.of(one, self.vocabulary) for one in shown),
        )
