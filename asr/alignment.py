"""When each word of a known text is said."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE, load_audio
from asr.decoding import Hypothesis, align_tokens
from asr.errors import VocabularyError
from asr.recognizer import Recognizer
from asr.text import normalise_text
from asr.transcript import Transcript
from asr.vocabulary import describe_characters


def align(
    recognizer: Recognizer, recording: Path | str | npt.NDArray[np.float32], text: str
) -> Transcript:
    """Finds when each word of a text is said in a recording of it.

    The network's best alignment of the text (forced alignment) says about where; the recording's
    own energy, where there is room between words, says where a word begins and ends.

    Args:
        recognizer: A model that has learnt the text's language.
        recording: An audio file, or float32 samples [num_samples] at 16 kHz. The lattice takes a
            byte for each of its steps times twice the text's tokens: minutes, not hours.
        text: What is said in it; normalised as the model's own texts were.

    Returns:
        The normalised text with times for its words and their characters, and for each word how
        sure the network is of it at that place.

    Raises:
        AudioError: The file cannot be read, or holds no samples.
        VocabularyError: The text holds characters the model does not know; they are named.
        DecodingError: The recording is too short for the text.
    """
    samples = load_audio(recording) if isinstance(recording, Path | str) else recording
    normalised = normalise_text(text, recognizer.text)
    vocabulary = recognizer.vocabulary
    if unknown := vocabulary.unknown_characters(normalised):
        raise VocabularyError(
            f"expected a text that the model's vocabulary spells, received one with "
            f"{describe_characters(unknown)}"
        )
    (log_probs,) = recognizer.log_probs([recognizer.extract(samples)])
    best = align_tokens(log_probs, vocabulary.encode(normalised), blank_id=vocabulary.blank_id)
    said = Hypothesis(tokens=best.tokens, frames=best.frames, log_probability=best.log_probability)
    words = recognizer.timed_words(said, log_probs, samples)
    return Transcript(
        text=" ".join(word.text for word in words),
        words=words,
        duration_s=len(samples) / SAMPLE_RATE,
        language=recognizer.text.language,
        log_probability=best.log_probability,
    )
