"""Slices of a corpus: every error in one of them, the worst first, the small ones marked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.scoring import UtteranceScore, score
from asr.slices import (
    Slice,
    duration_label,
    key_labels,
    quarters,
    slice_by,
    slice_words,
    snr_label,
)
from asr.snr import estimate_snr_db
from asr.text import TextOptions


def rows(*pairs: tuple[str, str]) -> tuple[UtteranceScore, ...]:
    said = {f"u{n}": reference for n, (reference, _) in enumerate(pairs)}
    heard = {f"u{n}": hypothesis for n, (_, hypothesis) in enumerate(pairs)}
    return score(said, heard, text=TextOptions()).rows


TEN = "a b c d e f g h i j"
ONE_WRONG = "x b c d e f g h i j"
TWO_WRONG = "x y c d e f g h i j"


def test_the_worst_slice_comes_first_and_small_ones_last() -> None:
    found = slice_by(
        "accent",
        rows(
            *[(TEN, ONE_WRONG if n % 2 else TEN) for n in range(20)],
            *[(TEN, TWO_WRONG if n % 2 else ONE_WRONG) for n in range(20)],
            *[(TEN, "")] * 9,
            (TEN, TEN),
        ),
        ["north"] * 20 + ["south"] * 20 + ["west"] * 9 + [None],
    )
    assert [(part.label, part.rate, part.too_small) for part in found] == [
        ("south", 0.15, False),
        ("north", 0.05, False),
        ("west", 1, True),
    ]
    south, _, west = found
    assert south.interval is not None
    assert 0.1 < south.interval.low < 0.15 < south.interval.high < 0.2
    assert (west.interval, west.num_utterances) == (None, 9)
    assert west.note == "too small: fewer than 100 words or 10 utterances"
    assert {part.dimension for part in found} == {"accent"}


def test_a_slice_of_many_speakers_draws_speakers() -> None:
    pairs = [(TEN, ONE_WRONG if n < 10 else TEN) for n in range(80)]
    speakers = [f"s{n // 10}" for n in range(80)]
    (both,) = slice_by("all", rows(*pairs), ["all"] * 80, speakers=speakers)
    assert both.interval is not None
    assert (both.interval.unit, both.num_speakers) == ("speaker", 8)
    of_speakers = slice_by("speaker", rows(*pairs), speakers, speakers=speakers)
    assert len(of_speakers) == 8
    assert (of_speakers[0].label, of_speakers[0].rate, of_speakers[0].note) == ("s0", 0.1, "")
    assert of_speakers[0].interval is not None
    assert of_speakers[0].interval.unit == "utterance"


def test_words_are_cut_by_how_often_training_has_shown_them() -> None:
    found = slice_words(
        rows(("the cat sat", "the hat"), ("the the dog", "a the dog now")),
        {"the": 500, "cat": 9, "dog": 10},
    )
    assert {
        part.label: (part.words.substitutions, part.words.deletions, part.words.num_reference)
        for part in found
    } == {"out of vocabulary": (0, 1, 1), "rare": (1, 0, 1), "frequent": (1, 0, 4)}
    assert all(part.words.insertions == 0 for part in found)
    assert {part.label: part.num_utterances for part in found}["frequent"] == 2


TEXTS = st.lists(st.sampled_from("abc"), max_size=5).map(" ".join)


@given(st.lists(st.tuples(TEXTS, TEXTS, st.sampled_from("pq")), min_size=1, max_size=6))
def test_slices_hold_every_error_once(triples: list[tuple[str, str, str]]) -> None:
    scored = rows(*[(said, heard) for said, heard, _ in triples])
    found = slice_by("key", scored, [label for _, _, label in triples])
    assert sum(part.words.errors for part in found) == sum(row.words.errors for row in scored)
    assert sum(part.num_utterances for part in found) == len(triples)
    by_word = slice_words(scored, {"a": 1, "b": 100})
    assert sum(part.words.num_reference for part in by_word) == sum(
        row.words.num_reference for row in scored
    )


@pytest.mark.parametrize(
    ("duration_s", "label"),
    [(0.5, "under 2 s"), (2.0, "2 to 5 s"), (19.9, "10 to 20 s"), (20, "20 s and more")],
)
def test_durations_have_fixed_slices(duration_s: float, label: str) -> None:
    assert duration_label(duration_s) == label


def test_what_is_not_known_has_no_slice() -> None:
    assert duration_label(None) is None
    assert snr_label(None) is None
    assert snr_label(12) == "10 to 20 dB"


def test_quarters_hold_a_quarter_each() -> None:
    labels = quarters([*map(float, range(100)), None], unit="cps")
    assert labels[-1] is None
    assert labels[0] == "lowest quarter (0 to 24 cps)"
    assert labels[99] == "highest quarter (74 to 99 cps)"
    assert [labels.count(label) for label in dict.fromkeys(labels[:100])] == [25] * 4


def test_equal_values_share_a_quarter() -> None:
    assert len(set(quarters([1.0] * 10, unit="cps"))) == 1
    assert quarters([None, None], unit="cps") == [None, None]
    assert len(quarters([3.0], unit="cps")) == 1


def test_keys_become_slices_where_they_make_groups() -> None:
    assert key_labels(["f", "m", None, "f", ""]) == ["f", "m", None, "f", None]
    assert key_labels([True, False, True, True]) == ["True", "False", "True", "True"]
    assert key_labels(["only"] * 5) is None
    assert key_labels([f"name {n}" for n in range(100)]) is None
    assert key_labels([["a"], ["b"]]) is None
    numbers = key_labels([float(n) for n in range(100)])
    assert numbers is not None
    assert numbers[0] == "lowest quarter (0 to 24)"


def test_slices_are_sorted_by_what_is_shown() -> None:
    found = slice_by("k", rows(*[(TEN, TEN)] * 20), ["b", "a"] * 10)
    assert [part.label for part in found] == ["a", "b"]
    assert isinstance(found[0], Slice)


@pytest.mark.parametrize("snr_db", [5, 15, 30])
def test_noise_is_estimated_within_some_decibels(snr_db: float, rng: np.random.Generator) -> None:
    """Tones with pauses, six of ten tenths of a second loud, in white noise."""
    time = np.arange(16_000 * 4) / 16_000
    tone = np.sin(2 * np.pi * 300 * time) * (time % 1 < 0.6)
    noise = rng.normal(size=len(time)) * np.sqrt(0.5) * 10 ** (-snr_db / 20)
    samples = (0.1 * (tone + noise)).astype(np.float32)
    assert estimate_snr_db(samples, sample_rate=16_000) == pytest.approx(snr_db, abs=2)
    quieter = estimate_snr_db(samples / 8, sample_rate=16_000)
    assert quieter == pytest.approx(estimate_snr_db(samples, sample_rate=16_000), abs=0.1)


def test_noise_alone_and_silence_have_no_ratio(rng: np.random.Generator) -> None:
    noise = rng.normal(0, 0.1, 16_000).astype(np.float32)
    assert estimate_snr_db(noise, sample_rate=16_000) == 0
    assert estimate_snr_db(np.zeros(16_000, np.float32), sample_rate=16_000) == 0
    assert estimate_snr_db(noise[:3_000], sample_rate=16_000) is None
