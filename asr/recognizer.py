"""The recognizer: feature settings, a vocabulary, a decoder and a network, joined."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE, load_audio, resample
from asr.batch import batches_by_length, pad
from asr.decoder import Decoder
from asr.decoding import DecodingOptions
from asr.errors import AudioError
from asr.features import FeatureOptions, extract, step_s
from asr.text import TextOptions
from asr.transcript import Transcript, words_of
from asr.vocabulary import Vocabulary

Floats = npt.NDArray[np.float32]
Network = Callable[[Floats, npt.NDArray[np.int32]], tuple[Floats, npt.NDArray[np.int32]]]
"""(features [B, T, F], feature_lengths [B]) → (logits [B, T', V], logit_lengths [B])."""

MAX_BATCH_S = 240.0
"""Padded seconds of audio the network is given at once; bounds memory, not speed."""


def log_softmax(logits: Floats) -> Floats:
    """Turns logits [T, V] into natural log-probabilities, float32 [T, V]; the only place to."""
    with np.errstate(invalid="ignore"):  # infinity gives NaN, which the decoders refuse
        shifted = logits - logits.max(axis=-1, keepdims=True)
    normaliser = np.log(np.exp(shifted.astype(np.float64)).sum(axis=-1, keepdims=True))
    return np.asarray(shifted - normaliser, dtype=np.float32)


def check_duration(duration_s: float, *, at_most_s: float) -> None:
    """Refuses a recording that is too long to be recognised in one piece.

    Raises:
        AudioError: It is.
    """
    if duration_s > at_most_s:
        raise AudioError(
            f"is {duration_s:.0f} s long: expected at most {at_most_s:.0f} s at once, for which "
            f"there is the memory; cut it into parts"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognizer:
    """Recordings in, transcripts out.

    Attributes:
        features: How samples become features.
        text: Normalisation of the texts the network was trained on.
        vocabulary: What its tokens spell.
        decoding: How its output becomes a hypothesis.
        network: Any callable from features and lengths to logits and lengths.
        max_duration_s: Longest recording that it has the memory for, in seconds.

    Raises:
        VocabularyError: The vocabulary cannot spell some of the decoding's words.
    """

    features: FeatureOptions
    text: TextOptions
    vocabulary: Vocabulary
    decoding: DecodingOptions
    network: Network
    max_duration_s: float = math.inf
    _decoder: Decoder = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_decoder", Decoder(self.decoding, self.vocabulary))

    def transcribe(self, recording: Path | str | Floats) -> Transcript:
        """Transcribes one audio file, or float32 samples [num_samples] at 16 kHz.

        Raises:
            AudioError: The file cannot be read, or there is nothing in it to recognise.
            DecodingError: The network gave NaN.
        """
        if isinstance(recording, Path | str):
            recording = load_audio(recording)
        return self.transcribe_batch([recording])[0]

    def transcribe_batch(self, recordings: Sequence[Floats]) -> list[Transcript]:
        """Transcribes several recordings, float32 [num_samples] each at 16 kHz, in their order.

        A recording's transcript does not depend on the others.

        Raises:
            AudioError: One of them is empty, too long, or not one row of finite floating-point
                numbers.
            DecodingError: The network gave NaN.
        """
        for samples in recordings:
            check_duration(len(samples) / SAMPLE_RATE, at_most_s=self.max_duration_s)
        features = [self.extract(samples) for samples in recordings]
        seconds = [len(samples) / SAMPLE_RATE for samples in recordings]
        return [
            self._transcript(log_probs, duration_s)
            for log_probs, duration_s in zip(self.log_probs(features), seconds, strict=True)
        ]

    def extract(self, samples: Floats) -> Floats:
        """Returns what the network takes of samples [num_samples] at 16 kHz: float32 [T, F].

        Raises:
            AudioError: They are empty, or not one row of finite floating-point numbers.
        """
        if self.features.sample_rate != SAMPLE_RATE:
            samples = resample(samples, from_rate=SAMPLE_RATE, to_rate=self.features.sample_rate)
        if np.size(samples) == 0:
            raise AudioError("expected samples to recognise, received none")
        return extract(samples, self.features)

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

    def _transcript(self, log_probs: Floats, duration_s: float) -> Transcript:
        hypothesis = self._decoder(log_probs)
        words = words_of(
            hypothesis,
            self.vocabulary,
            features=self.features,
            duration_s=duration_s,
            log_probs=log_probs,
        )
        return Transcript(
            text=" ".join(word.text for word in words),
            words=words,
            duration_s=duration_s,
            language=self.text.language,
            log_probability=hypothesis.log_probability,
        )
