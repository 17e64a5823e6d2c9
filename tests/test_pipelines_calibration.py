"""Whether confidences are honest, and what could be accepted by them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.scoring import score
from asr.text import TextOptions
from pipelines.calibration import (
    MAX_POINTS,
    Accepted,
    acceptance,
    all_compared,
    calibrate,
    compared_confidences,
    met_targets,
    most_accepted,
    right_words,
    thinned,
)

ENGLISH = TextOptions()


def rows_of(*pairs: tuple[str, str]):  # type: ignore[no-untyped-def]
    references = {f"u{n}": said for n, (said, _) in enumerate(pairs)}
    return score(references, {f"u{n}": got for n, (_, got) in enumerate(pairs)}, text=ENGLISH).rows


def test_each_recognised_word_is_right_or_not() -> None:
    (row,) = rows_of(("one two three four", "one too three oh five"))
    assert right_words(row) == [True, False, True, False, False]


def test_calibration_by_hand() -> None:
    rows = rows_of(("a b c d", "a b x d"))
    found = calibrate(rows, {"u0": [0.95, 0.91, 0.65, 1.0]})
    assert found is not None
    low, high = found.bins
    assert (low.num_words, low.confidence, low.correct) == (1, 0.65, 0.0)
    assert (high.num_words, high.correct) == (3, 1.0)
    assert high.confidence == pytest.approx((0.95 + 0.91 + 1.0) / 3)
    off = (0.65 + 3 * (1 - (0.95 + 0.91 + 1) / 3)) / 4
    assert found.expected_calibration_error == pytest.approx(off)
    assert (found.num_bins, found.num_words, found.correct) == (10, 4, 0.75)
    assert found.confidence == pytest.approx((0.95 + 0.91 + 0.65 + 1.0) / 4)


def test_honest_confidences_have_next_to_no_error() -> None:
    rng = np.random.default_rng(1)
    sure = rng.random(4_000)
    heard = ["a" if rng.random() < p else "b" for p in sure]
    rows = rows_of((" ".join("a" * 4_000), " ".join(heard)))
    found = calibrate(rows, {"u0": sure.tolist()})
    assert found is not None
    assert found.expected_calibration_error < 0.03
    boastful = calibrate(rows, {"u0": [1.0] * 4_000})
    assert boastful is not None
    assert boastful.expected_calibration_error == pytest.approx(1 - heard.count("a") / 4_000)


def test_no_confidences_are_no_calibration() -> None:
    assert calibrate(rows_of(("a", "a")), {}) is None
    assert calibrate(rows_of(("a", "")), {"u0": []}) is None
    assert acceptance(rows_of(("a", "a")), {}) == []


def test_acceptance_by_hand() -> None:
    rows = rows_of(("a b", "a b"), ("a b", "a x"), ("a b", "a b"), ("a b", ""))
    found = acceptance(rows, {"u0": [0.9, 0.7], "u1": [0.6, 0.6], "u2": [0.8, 0.8], "u3": []})
    # u0 and u2 are equally sure and go together; u3 heard nothing and is never accepted.
    assert [item.threshold for item in found] == pytest.approx([0.8, 0.6])
    assert found == [
        Accepted(threshold=found[0].threshold, share=0.5, wer=0.0),
        Accepted(threshold=0.6, share=0.75, wer=1 / 6),
    ]
    assert most_accepted(found, wer=0.1) == found[0]
    assert most_accepted(found, wer=0.2) == found[1]
    assert most_accepted(found[1:], wer=0.1) is None


@given(st.integers(1, 1_000))
def test_a_thinned_curve_keeps_its_ends(size: int) -> None:
    whole = [Accepted(threshold=1 / (n + 1), share=n / size, wer=0.1) for n in range(size)]
    found = thinned(whole)
    assert len(found) == min(size, MAX_POINTS)
    assert (found[0], found[-1]) == (whole[0], whole[-1])
    assert found == sorted(found, key=lambda one: one.share)


@pytest.mark.parametrize(
    ("transcript", "confidences", "compared"),
    [
        ("One, two", [0.1, 0.2], [0.1, 0.2]),
        ("one — two", [0.1, 0.5, 0.2], [0.1, 0.2]),
        ("twenty-one", [0.3], [0.3, 0.3]),
        ("", [], []),
        ("one two", [0.1], None),
    ],
)
def test_confidences_follow_normalisation(
    transcript: str, confidences: list[float], compared: list[float] | None
) -> None:
    assert compared_confidences(transcript, confidences, text=ENGLISH) == compared


def test_targets_are_those_that_can_be_met() -> None:
    found = [
        Accepted(threshold=0.9, share=0.2, wer=0.04),
        Accepted(threshold=0.8, share=0.5, wer=0.12),
        Accepted(threshold=0.7, share=1.0, wer=0.25),
    ]
    targets = {wer: one.share for wer, one in met_targets(found)}
    assert targets == {0.05: 0.2, 0.2: 0.5}  # 10 % accepts no more than 5 %
    assert met_targets([]) == []


def test_only_transcripts_that_are_compared_have_confidences() -> None:
    texts = {"a": "One, two", "b": "x y"}
    found = all_compared(texts, {"a": [0.1, 0.2], "b": [0.1], "c": [0.5]}, text=ENGLISH)
    assert found == {"a": [0.1, 0.2]}
