"""What was said in a recording, and when."""

import itertools
from dataclasses import dataclass
from typing import Any

from asr.decoding import Hypothesis
from asr.features import FeatureOptions, span_s
from asr.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word and the stretch of audio its tokens were read from.

    Attributes:
        text: The word; no blank in it.
        start_s: Seconds from the start of the recording to its first token's step.
        end_s: Seconds to the end of its last token's step.
    """

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The text of one recording.

    Attributes:
        text: Words separated by single spaces; empty if nothing was recognised.
        words: The same words with their times, in order.
        duration_s: Length of the recording in seconds.
        language: Language code of the model's text settings.
        log_probability: Natural logarithm of the hypothesis's probability.
    """

    text: str
    words: tuple[Word, ...]
    duration_s: float
    language: str
    log_probability: float

    def to_json(self) -> dict[str, Any]:
        """Returns whisper's shape: text, language, and one segment with its words; none if empty.

        Times are rounded to milliseconds.
        """
        words = [
            {"word": word.text, "start": round(word.start_s, 3), "end": round(word.end_s, 3)}
            for word in self.words
        ]
        segments = []
        if words:
            start, end = words[0]["start"], words[-1]["end"]
            segments = [{"id": 0, "start": start, "end": end, "text": self.text, "words": words}]
        return {
            "text": self.text,
            "language": self.language,
            "duration": round(self.duration_s, 3),
            "segments": segments,
        }


def words_of(
    hypothesis: Hypothesis, vocabulary: Vocabulary, *, features: FeatureOptions, duration_s: float
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
    """
    spelt = [
        (character, step)
        for token, step in zip(hypothesis.tokens, hypothesis.frames, strict=True)
        for character in vocabulary.piece(token)
    ]
    words = []
    for is_space, run in itertools.groupby(spelt, key=lambda pair: pair[0].isspace()):
        if not is_space:
            characters, steps = zip(*run, strict=True)
            start_s, _ = span_s(steps[0], features)
            _, end_s = span_s(steps[-1], features)
            words.append(
                Word(
                    text="".join(characters),
                    start_s=max(0.0, start_s),
                    end_s=min(end_s, duration_s),
                )
            )
    return tuple(words)
