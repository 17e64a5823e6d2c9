"""A known text laid over a recording by a network whose opinion is written down."""

import numpy as np
import numpy.typing as npt
import pytest

from asr.alignment import align
from asr.audio import SAMPLE_RATE
from asr.decoding import DecodingOptions
from asr.errors import AudioError, DecodingError, VocabularyError
from asr.features import FeatureOptions
from asr.recognizer import Recognizer
from asr.text import TextOptions
from asr.vocabulary import Vocabulary

LETTERS = Vocabulary.from_characters(" acdt")
Floats = npt.NDArray[np.float32]


def hears(*heard: tuple[int, str]) -> Recognizer:
    """A recognizer sure of these characters at these steps of 10 ms, and of blanks elsewhere."""

    def network(
        features: Floats, lengths: npt.NDArray[np.int32]
    ) -> tuple[Floats, npt.NDArray[np.int32]]:
        logits = np.zeros((*features.shape[:2], len(LETTERS)), np.float32)
        logits[:, :, LETTERS.blank_id] = 4.0
        for step, character in heard:
            (token,) = LETTERS.encode(character)
            logits[:, step, token] = 8.0
        return logits, lengths

    return Recognizer(
        features=FeatureOptions(),
        text=TextOptions(language="en"),
        vocabulary=LETTERS,
        decoding=DecodingOptions(),
        network=network,
    )


def sound(*spans: tuple[float, float], duration_s: float) -> Floats:
    rng = np.random.default_rng(0)
    samples = 1e-3 * rng.standard_normal(round(duration_s * SAMPLE_RATE))
    for start, end in spans:
        stretch = slice(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE))
        samples[stretch] += 0.3 * rng.standard_normal(len(samples[stretch]))
    return samples.astype(np.float32)


def test_words_lie_where_they_sound() -> None:
    machine = hears((25, "c"), (30, "a"), (35, "t"), (60, " "), (92, "a"), (96, "d"))
    samples = sound((0.2, 0.5), (0.85, 1.1), duration_s=1.5)
    found = align(machine, samples, "Cat, ad!")
    assert found.text == "cat ad"
    times = [(word.start_s, word.end_s) for word in found.words]
    assert times == [pytest.approx((0.2, 0.5), abs=0.02), pytest.approx((0.85, 1.1), abs=0.02)]
    assert [char.text for word in found.words for char in word.characters] == [*"catad"]


def test_a_text_that_was_not_said_is_laid_out_all_the_same_and_hardly_believed() -> None:
    machine = hears((25, "c"), (30, "a"), (35, "t"))
    samples = sound((0.2, 0.5), duration_s=1.0)
    (said,) = align(machine, samples, "cat").words
    (unsaid,) = align(machine, samples, "tad").words
    assert said.probability is not None
    assert unsaid.probability is not None
    assert unsaid.probability < 0.5 < said.probability


def test_what_cannot_be_laid_out_is_refused() -> None:
    machine = hears()
    with pytest.raises(VocabularyError, match=r"'x' \(U\+0078\)"):
        align(machine, sound(duration_s=1.0), "tax")
    with pytest.raises(DecodingError, match="at least 9 steps"):
        align(machine, sound(duration_s=0.02), "cat a dad")
    with pytest.raises(AudioError, match="received none"):
        align(machine, np.zeros(0, np.float32), "cat")


def test_an_empty_text_has_no_words() -> None:
    found = align(hears(), sound(duration_s=0.5), " ")
    assert (found.text, found.words) == ("", ())
