"""What was said in a recording, and when."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from asr.certainty import text_log_probs, word_probability
from asr.decoding import Hypothesis
from asr.features import FeatureOptions, span_s
from asr.vocabulary import Vocabulary

Timed = TypeVar("Timed", "Character", "Word")


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """A character of a word and its stretch of audio.

    Attributes:
        text: One character; of a network that writes sounds, one sound.
        start_s: Seconds from the start of the recording.
        end_s: The same.
    """

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word and its stretch of audio.

    Attributes:
        text: The word; no blank in it.
        start_s: Seconds from the start of the recording.
        end_s: The same.
        probability: How sure the recognizer was of it, from 0 to 1; None where it is not known.
        characters: The word's characters with their own times, in order; empty where not known.
    """

    text: str
    start_s: float
    end_s: float
    probability: float | None = None
    characters: tuple[Character, ...] = ()

    def later(self, seconds: float, *, at_most_s: float) -> "Word":
        """Returns the word as in a recording that begins so much earlier.

        Args:
            seconds: How much.
            at_most_s: What its times may not exceed; nor do they lie before 0.
        """

        def moved(part: Timed) -> Timed:
            times = (part.start_s, part.end_s)
            start_s, end_s = (max(0.0, min(time + seconds, at_most_s)) for time in times)
            return dataclasses.replace(part, start_s=start_s, end_s=end_s)

        return dataclasses.replace(moved(self), characters=tuple(map(moved, self.characters)))

    def judged(self, worth: Callable[[float], float]) -> "Word":
        """Returns the word with its certainty corrected, if there is any.

        Args:
            worth: What a certainty from 0 to 1 is worth, such as `asr.confidence.Calibration`.
        """
        if self.probability is None:
            return self
        return dataclasses.replace(self, probability=worth(self.probability))

    def to_json(self, *, characters: bool = False) -> dict[str, Any]:
        """Returns whisper's shape: word, start, end, and as far as known its probability.

        Args:
            characters: Its characters, in the same shape, are part of it.
        """
        record: dict[str, Any] = {"word": self.text, **_times(self.start_s, self.end_s)}
        if self.probability is not None:
            record["probability"] = round(self.probability, 4)
        if characters:
            record["characters"] = [
                {"character": one.text, **_times(one.start_s, one.end_s)} for one in self.characters
            ]
        return record


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One of the texts that a recording may hold.

    Attributes:
        text: Words separated by single spaces.
        score: What texts are ranked by: `log_probability` with all that was fused, weighted.
        log_probability: The network's natural log-probability of it.
        lm_log_probability: The language model's; 0 without one.
    """

    text: str
    score: float
    log_probability: float
    lm_log_probability: float

    @classmethod
    def of(cls, hypothesis: Hypothesis, vocabulary: Vocabulary) -> "Alternative":
        """Returns what a hypothesis says."""
        return cls(
            text=" ".join(vocabulary.decode(hypothesis.tokens).split()),
            score=hypothesis.score,
            log_probability=hypothesis.log_probability,
            lm_log_probability=hypothesis.lm_log_probability,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the fields, rounded to four digits."""
        return {
            "text": self.text,
            "score": round(self.score, 4),
            "log_probability": round(self.log_probability, 4),
            "lm_log_probability": round(self.lm_log_probability, 4),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The text of one recording.

    Attributes:
        text: Words separated by single spaces; empty if nothing was recognised.
        words: The same words with their times, in order.
        duration_s: Length of the recording in seconds.
        language: Language code of the model's text settings.
        log_probability: Natural logarithm of the hypothesis's probability.
        alternatives: The best texts, this one first; empty where they were not asked for.
    """

    text: str
    words: tuple[Word, ...]
    duration_s: float
    language: str
    log_probability: float
    alternatives: tuple[Alternative, ...] = ()

    def without_lead(self, lead_s: float) -> "Transcript":
        """Returns the transcript of the recording alone, that was heard with more around it.

        Args:
            lead_s: Seconds before its beginning, and behind its end.
        """
        if not lead_s:
            return self
        duration_s = self.duration_s - 2 * lead_s
        words = tuple(word.later(-lead_s, at_most_s=duration_s) for word in self.words)
        return dataclasses.replace(self, words=words, duration_s=duration_s)

    def to_json(self, *, characters: bool = False) -> dict[str, Any]:
        """Returns whisper's shape: text, language, and one segment with its words; none if empty.

        Times are rounded to milliseconds, probabilities to four digits.

        Args:
            characters: Words have their `characters` with times.
        """
        words = [word.to_json(characters=characters) for word in self.words]
        segments = []
        if words:
            start, end = words[0]["start"], words[-1]["end"]
            segments = [{"id": 0, "start": start, "end": end, "text": self.text, "words": words}]
        record: dict[str, Any] = {
            "text": self.text,
            "language": self.language,
            "duration": round(self.duration_s, 3),
            "segments": segments,
        }
        if self.alternatives:
            record["alternatives"] = [one.to_json() for one in self.alternatives]
        return record


def _times(start_s: float, end_s: float) -> dict[str, float]:
    return {"start": round(start_s, 3), "end": round(end_s, 3)}


def words_of(
    hypothesis: Hypothesis,
    vocabulary: Vocabulary,
    *,
    features: FeatureOptions,
    duration_s: float,
    log_probs: npt.NDArray[np.floating[Any]] | None = None,
) -> tuple[Word, ...]:
    """Cuts a hypothesis into words with times.

    A character belongs to the step its token was read from. The times lie inside the audio and
    never run backwards; they say where the network was sure of a token, which for CTC is within
    the sound but seldom at its edge.

    Args:
        hypothesis: Tokens and their frames.
        vocabulary: What the tokens spell.
        features: The settings that decide which stretch of audio a step stands for.
        duration_s: Length of the recording in seconds.
        log_probs: What the hypothesis was read from, float [num_steps, vocab_size], for the words'
            probabilities.
    """
    spelt = [
        (character, step)
        for token, step in zip(hypothesis.tokens, hypothesis.frames, strict=True)
        for character in vocabulary.symbols(token)
    ]
    given = None
    if log_probs is not None:
        given = text_log_probs(
            log_probs, hypothesis.tokens, hypothesis.frames, blank_id=vocabulary.blank_id
        )
    runs = [[*run] for _, run in itertools.groupby(spelt, key=lambda pair: pair[0].isspace())]
    words = []
    for number, run in enumerate(runs):
        characters, steps = zip(*run, strict=True)
        if characters[0].isspace():
            continue
        around = {runs[number - 1][-1][1] if number else steps[0], *steps}
        around.add(runs[number + 1][0][1] if number + 1 < len(runs) else steps[-1])
        start_s, _ = span_s(steps[0], features)
        _, end_s = span_s(steps[-1], features)
        words.append(
            Word(
                text=vocabulary.word_of(characters),
                start_s=max(0.0, start_s),
                end_s=min(end_s, duration_s),
                probability=None if given is None else word_probability(given, around),
                characters=_characters(characters, steps, features, duration_s),
            )
        )
    return tuple(words)


def _characters(
    characters: Sequence[str], steps: Sequence[int], features: FeatureOptions, duration_s: float
) -> tuple[Character, ...]:
    """Gives each character its token's step, in equal parts where a token spells several."""
    timed = []
    for step, run in itertools.groupby(
        zip(steps, characters, strict=True), key=lambda pair: pair[0]
    ):
        texts = [text for _, text in run]
        start_s, end_s = span_s(step, features)
        start_s, end_s = max(0.0, start_s), min(end_s, duration_s)
        bounds = [start_s, end_s]
        if len(texts) > 1:
            bounds = np.linspace(start_s, end_s, len(texts) + 1).tolist()
        timed += [
            Character(text=text, start_s=start, end_s=end)
            for text, (start, end) in zip(texts, itertools.pairwise(bounds), strict=True)
        ]
    return tuple(timed)
