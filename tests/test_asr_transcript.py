"""Words with times, and whisper's shape."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.decoding import Hypothesis
from asr.features import FeatureOptions, num_frames, num_steps, step_s
from asr.pronunciations import Pronunciations
from asr.transcript import Transcript, Word, words_of
from asr.vocabulary import BLANK, Vocabulary

LETTERS = Vocabulary.from_characters(" abc'")
PIECES = Vocabulary(
    tokens=(BLANK, "▁", "▁ca", "t", "s", "▁a", "▁b▁c"), kind="subwords", model=b"unused"
)

SOUNDS = Vocabulary.learn_sounds(
    ["tea at"], Pronunciations.of({"tea": [["t", "iː"]], "at": [["æ", "t"], ["ət"]]})
)


def hypothesis_of(tokens: list[int], frames: list[int]) -> Hypothesis:
    return Hypothesis(tokens=tuple(tokens), frames=tuple(frames), log_probability=-1.0)


@st.composite
def heard(draw: st.DrawFn) -> tuple[Hypothesis, Vocabulary, FeatureOptions, int]:
    """A hypothesis that a decoder may give for a recording of so many samples."""
    options = FeatureOptions(
        hop_length=draw(st.integers(1, 400)),
        stack=draw(st.integers(1, 4)),
        sample_rate=draw(st.sampled_from([8_000, 16_000])),
        fmax=4_000.0,
    )
    num_samples = draw(st.integers(1, 5_000))
    steps = num_steps(num_frames(num_samples, options), options)
    frames = sorted(draw(st.sets(st.integers(0, steps - 1), max_size=12)))
    vocabulary = draw(st.sampled_from([LETTERS, PIECES, SOUNDS]))
    tokens = [draw(st.integers(1, len(vocabulary) - 1)) for _ in frames]
    return hypothesis_of(tokens, frames), vocabulary, options, num_samples


@given(heard())
def test_words_are_the_text_and_their_times_lie_in_order_inside_the_audio(
    case: tuple[Hypothesis, Vocabulary, FeatureOptions, int],
) -> None:
    hypothesis, vocabulary, options, num_samples = case
    duration_s = num_samples / options.sample_rate
    words = words_of(hypothesis, vocabulary, features=options, duration_s=duration_s)
    assert [word.text for word in words] == vocabulary.decode(hypothesis.tokens).split()
    starts, ends = [word.start_s for word in words], [word.end_s for word in words]
    assert (starts, ends) == (sorted(starts), sorted(ends))
    if (
        vocabulary is not PIECES
    ):  # each letter or sound has a step of its own; rounding is all that is left
        assert all(end <= start + 1e-9 for end, start in zip(ends[:-1], starts[1:], strict=True))
    assert all(word.start_s < word.end_s for word in words)
    assert all(0 <= time <= duration_s for time in starts + ends)


def test_a_words_sounds_have_their_times() -> None:
    hypothesis = hypothesis_of(SOUNDS.encode("tea at"), [1, 4, 6, 8, 9])
    tea, at = words_of(hypothesis, SOUNDS, features=FeatureOptions(), duration_s=0.2)
    assert (tea.text, at.text) == ("tea", "at")
    assert [one.text for one in tea.characters] == ["t", "iː"]
    assert [one.start_s for one in at.characters] == pytest.approx([0.075, 0.085])


def test_times_are_those_of_the_steps() -> None:
    options = FeatureOptions()  # 10 ms steps, the nth centred on 10 n ms
    hypothesis = hypothesis_of([2, 3, 1, 4], [0, 5, 6, 50])
    assert step_s(options) == 0.01
    first, second = words_of(hypothesis, LETTERS, features=options, duration_s=0.502)
    assert (first.text, second.text) == ("ab", "c")
    assert (first.start_s, first.end_s) == pytest.approx((0.0, 0.055))
    assert (second.start_s, second.end_s) == pytest.approx((0.495, 0.502))


def test_every_kind_of_blank_cuts_words() -> None:
    vocabulary = Vocabulary.from_characters("a\u3000\t")
    words = words_of(
        hypothesis_of([1, 2, 1, 3, 1], [0, 1, 2, 3, 4]),
        vocabulary,
        features=FeatureOptions(),
        duration_s=1.0,
    )
    assert [word.text for word in words] == ["a", "a", "a"]


def test_subword_pieces_bring_their_spaces() -> None:
    hypothesis = hypothesis_of([2, 3, 4, 6], [1, 2, 3, 9])
    words = words_of(hypothesis, PIECES, features=FeatureOptions(), duration_s=1.0)
    assert [word.text for word in words] == ["cats", "b", "c"]
    # Two words in one piece were heard at one step.
    assert (words[1].start_s, words[1].end_s) == (words[2].start_s, words[2].end_s)


def test_a_words_probability_is_that_of_its_steps_by_tokens() -> None:
    log_probs = np.full((6, len(LETTERS)), -9.0, np.float32)
    # "ab c": the space between counts for both; between letters the blank, or either of the two.
    log_probs[[0, 2, 3, 5], [2, 3, 1, 4]] = np.log([0.9, 0.4, 0.1, 1.0])
    log_probs[[1, 4], [2, 0]] = np.log([0.7, 0.8])
    words = words_of(
        hypothesis_of([2, 3, 1, 4], [0, 2, 3, 5]),
        LETTERS,
        features=FeatureOptions(),
        duration_s=0.06,
        log_probs=log_probs,
    )
    expected = [(0.9 * 0.7 * 0.4 * 0.1) ** (1 / 3), (0.1 * 0.8 * 1.0) ** (1 / 2)]
    assert [word.probability for word in words] == pytest.approx(expected)


def test_a_piece_counts_once_however_many_characters_it_spells() -> None:
    log_probs = np.log(np.full((10, len(PIECES)), 0.5, np.float32))
    log_probs[1] = math.log(0.25)
    (cat,) = words_of(
        hypothesis_of([2, 3], [1, 2]),  # "ca", "t"
        PIECES,
        features=FeatureOptions(),
        duration_s=0.1,
        log_probs=log_probs,
    )
    assert cat.probability == pytest.approx(math.sqrt(0.25 * 0.5))


def test_rounding_makes_no_probability_above_1() -> None:
    (word,) = words_of(
        hypothesis_of([2], [0]),
        LETTERS,
        features=FeatureOptions(),
        duration_s=0.01,
        log_probs=np.full((1, len(LETTERS)), 1e-5, np.float32),
    )
    assert word.probability == 1.0


def test_json_has_whispers_shape() -> None:
    transcript = Transcript(
        text="oh né",
        words=(
            Word(text="oh", start_s=0.12345, end_s=0.2),
            Word(text="né", start_s=0.3, end_s=1.00049, probability=0.123456),
        ),
        duration_s=1.00049,
        language="fr",
        log_probability=-2.0,
    )
    assert json.loads(json.dumps(transcript.to_json())) == {
        "text": "oh né",
        "language": "fr",
        "duration": 1.0,
        "segments": [
            {
                "id": 0,
                "start": 0.123,
                "end": 1.0,
                "text": "oh né",
                "words": [
                    {"word": "oh", "start": 0.123, "end": 0.2},
                    {"word": "né", "start": 0.3, "end": 1.0, "probability": 0.1235},
                ],
            }
        ],
    }


def test_nothing_heard_is_no_segment() -> None:
    empty = Transcript(text="", words=(), duration_s=2.0, language="en", log_probability=0.0)
    assert empty.to_json() == {"text": "", "language": "en", "duration": 2.0, "segments": []}
