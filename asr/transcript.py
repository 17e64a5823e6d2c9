"""What was said in a recording, and when."""

import itertools
from dataclasses import dataclass
from typing import Any

from asr.decoding import Hypothesis
from asr.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word and the stretch of audio its tokens were read from.

    Attributes:
        text: The word.
        start_s: Seconds from the start of the recording to its first token's frame.
        end_s: Seconds to the end of its last token's frame.
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
        """Returns whisper's shape: text, language, and one segment with its words."""
        words = [
            {"word": word.text, "start": word.start_s, "end": word.end_s} for word in self.words
        ]
        segment = {
            "id": 0,
            "start": self.words[0].start_s if self.words else 0.0,
            "end": self.words[-1].end_s if self.words else self.duration_s,
            "text": self.text,
            "words": words,
        }
        return {
            "text": self.text,
            "language": self.language,
            "duration": round(self.duration_s, 3),
            "segments": [segment] if self.words else [],
        }


def words_of(hypothesis: Hypothesis, vocabulary: Vocabulary, *, step_s: float) -> tuple[Word, ...]:
    """Cuts a hypothesis into words with times.

    A character belongs to the frame its token was read from. The times lie inside the audio and
    never run backwards; they say where the network was sure of a token, which for CTC is within
    the sound but seldom at its edge.

    Args:
        hypothesis: Tokens and their frames.
        vocabulary: What the tokens spell.
        step_s: Seconds from one frame of the network's output to the next.
    """
    spelt = [
        (character, frame)
        for token, frame in zip(hypothesis.tokens, hypothesis.frames, strict=True)
        for character in vocabulary.piece(token)
    ]
    words = []
    for is_space, run in itertools.groupby(spelt, key=lambda pair: pair[0] == " "):
        if not is_space:
            characters, frames = zip(*run, strict=True)
            words.append(
                Word(
                    text="".join(characters),
                    start_s=round(frames[0] * step_s, 3),
                    end_s=round((frames[-1] + 1) * step_s, 3),
                )
            )
    return tuple(words)
