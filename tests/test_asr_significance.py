"""Significance tests: worked by hand, by simulation without a difference, and by their words."""

import random

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import ScoringError
from asr.scoring import Score, score
from asr.significance import (
    Comparison,
    MatchedPairs,
    compare,
    compare_all,
    holm,
    matched_pairs,
    p_text,
    segment_differences,
)
from asr.text import TextOptions

TEXT = TextOptions()


def scores(references: list[str], *systems: list[str]) -> list[Score]:
    said = {f"u{n}": text for n, text in enumerate(references)}
    return [
        score(said, {f"u{n}": text for n, text in enumerate(system)}, text=TEXT)
        for system in systems
    ]


def spoilt(rng: np.random.Generator, words: list[str], rate: float) -> str:
    """The words, each of them wrong with this probability."""
    return " ".join("x" if rng.random() < rate else word for word in words)


def systems(rng: np.random.Generator, size: int, *rates: float) -> list[Score]:
    said = [list(rng.choice(list("abcdefgh"), rng.integers(3, 12))) for _ in range(size)]
    return scores(
        [" ".join(words) for words in said],
        *([spoilt(rng, words, rate) for words in said] for rate in rates),
    )


def test_segments_by_hand() -> None:
    """Segments end where both have two words right: after `c`, and not after the lone `f`."""
    first, second = scores(
        ["a b c d e f g h i"],
        ["x b c x e f y h i"],  # wrong: a, d, g
        ["a b c d x x f g h i"],  # wrong: e, and one word inserted
    )
    # a | d e (x) f g: two errors of the first, two of the second
    assert first.rows[0].words.errors == 3
    assert second.rows[0].words.errors == 2
    pair = first.rows[0].alignment, second.rows[0].alignment
    assert segment_differences(*pair) == [1, 0]
    assert segment_differences(*pair[::-1]) == [-1, 0]


@pytest.mark.parametrize(
    ("first", "second", "segments"),
    [
        ("a b c d e", "a b c d e", []),
        ("x b x d e", "a b c d e", [2]),  # one word right between two errors: one segment
        ("x b c x e", "a b c d e", [1, 1]),  # two: two segments
        ("x b y c x e", "a b c d e", [3]),  # with a word inserted between them: one
        ("a b c d x", "x b c d e", [-1, 1]),
        ("", "a b c d e z z", [5 - 2]),
        ("y a b c d e", "a b c d e", [1]),
    ],
)
def test_segments_end_after_two_words_right(first: str, second: str, segments: list[int]) -> None:
    a, b = scores(["a b c d e"], [first], [second])
    assert segment_differences(a.rows[0].alignment, b.rows[0].alignment) == segments


TEXTS = st.lists(st.sampled_from("abc"), max_size=8).map(" ".join)


@given(TEXTS, TEXTS, TEXTS)
def test_segments_hold_every_error(reference: str, first: str, second: str) -> None:
    a, b = scores([reference], [first], [second])
    found = segment_differences(a.rows[0].alignment, b.rows[0].alignment)
    assert sum(found) == a.words.errors - b.words.errors


def test_matched_pairs_by_hand() -> None:
    """Differences 2, 1, 1, 0, -1: mean 0.6, variance 1.3, z = 0.6 / sqrt(1.3 / 5)."""
    first, second = scores(
        ["a b", "a", "a", "a", "a", "a"],
        ["x x", "x", "x", "x", "a", "a"],
        ["a b", "a", "a", "x", "x", "a"],
    )
    found = matched_pairs(first.rows, second.rows)
    z = 0.6 / np.sqrt(1.3 / 5)
    assert found.num_segments == 5
    assert found.mean == pytest.approx(0.6)
    assert found.z == pytest.approx(z)
    assert found.p == pytest.approx(2 * scipy.stats.norm.sf(z))
    assert "few" in found.note
    swapped = matched_pairs(second.rows, first.rows)
    assert [swapped.z, swapped.p] == pytest.approx([-z, found.p])


def test_matched_pairs_are_nists() -> None:
    """What sc_stats 1.3 of NIST's SCTK 2.4.10 printed for these texts."""
    luck, words = random.Random(1989), [f"w{n}" for n in range(14)]

    def heard(rate: float) -> str:
        fates = [(word, luck.random(), luck.random()) for word in words]
        return " ".join(
            "x" if swap < rate else word for word, drop, swap in fates if drop > rate / 3
        )

    first, second = scores(
        [" ".join(words)] * 80, [heard(0.2) for _ in range(80)], [heard(0.13) for _ in range(80)]
    )
    assert (first.words.errors, second.words.errors) == (279, 153)
    found = matched_pairs(first.rows, second.rows)
    assert (found.num_segments, round(found.mean, 3), round(found.z, 3)) == (184, 0.685, 7.513)


def test_matched_pairs_of_equals_and_of_segments_all_alike() -> None:
    first, second = scores(["a"] * 10, ["x"] * 10, ["a"] * 10)
    assert matched_pairs(first.rows, first.rows).p == 1
    alike = matched_pairs(first.rows, second.rows)
    assert alike.p == pytest.approx(scipy.stats.binomtest(10, 10).pvalue)
    assert alike.z > 0
    nothing = matched_pairs(second.rows, second.rows)
    assert (nothing.num_segments, nothing.mean, nothing.p) == (0, 0, 1)
    (one, other) = scores(["a"], ["x"], ["a"])
    assert matched_pairs(one.rows, other.rows).p == 1


def test_p_values_are_uniform_where_there_is_no_difference(rng: np.random.Generator) -> None:
    pairs = [systems(rng, 60, 0.15, 0.15) for _ in range(300)]
    by_segment = [matched_pairs(a.rows, b.rows).p for a, b in pairs]
    by_bootstrap = [compare(a, b, num_resamples=300).p for a, b in pairs]
    for values in (by_segment, by_bootstrap):
        assert scipy.stats.kstest(values, "uniform").pvalue > 0.01
        assert np.mean(np.array(values) < 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.corrcoef(by_segment, by_bootstrap)[0, 1] > 0.9


def test_a_difference_is_found_and_said(rng: np.random.Generator) -> None:
    worse, better = systems(rng, 300, 0.2, 0.1)
    found = compare(worse, better, names=("old", "new"))
    assert found.significant
    assert found.num_more is None
    assert found.difference == pytest.approx(worse.wer - better.wer)
    assert found.interval is not None
    assert 0 < found.interval.low < found.difference < found.interval.high
    points = f"{100 * found.difference:.2g}"
    ends = f"{100 * found.interval.low:.1f} to {100 * found.interval.high:.1f}"
    assert found.verdict() == f"new is better by {points} points (95 %: {ends}), p < 0.001"
    assert compare(better, worse, names=("new", "old")).verdict() == found.verdict()


def test_luck_is_called_luck_and_the_speech_missing_is_counted(rng: np.random.Generator) -> None:
    first, second = systems(rng, 40, 0.16, 0.15)
    found = compare(first, second)
    assert not found.significant
    assert found.num_more is not None
    assert found.verdict().startswith("A and B cannot be told apart with this much speech")
    assert "utterances more would" in found.verdict()
    same = compare(first, first)
    assert (same.p, same.difference, same.num_more) == (1, 0, None)
    assert "more would" not in same.verdict()


def test_the_speech_missing_is_what_the_normal_distribution_says() -> None:
    """Of 100 utterances 12 have an error more and 7 one less: 80 % power takes some 600."""
    d = np.repeat([1, 0, -1], [12, 81, 7])
    first, second = scores(
        ["a b c d e f g h i j"] * 100,
        ["x b c d e f g h i j" if n > 0 else "a b c d e f g h i j" for n in d],
        ["x b c d e f g h i j" if n < 0 else "a b c d e f g h i j" for n in d],
    )
    found = compare(first, second)
    expected = (1.95996 + 0.84162) ** 2 * d.var() / d.mean() ** 2 - 100
    assert found.num_more == pytest.approx(expected, rel=0.1)


def test_speakers_are_drawn_whole() -> None:
    """One of ten speakers makes all the difference: with other speakers it might be gone."""
    said = [f"{'a b c d'} {n % 7}" for n in range(200)]
    first, second = scores(
        said, [text.replace("a b", "x x") if n < 20 else text for n, text in enumerate(said)], said
    )
    names = [f"s{n // 20}" for n in range(200)]
    assert compare(first, second).significant
    by_speaker = compare(first, second, speakers=names)
    assert not by_speaker.significant
    assert by_speaker.interval is not None
    assert by_speaker.interval.unit == "speaker"


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == [0.03, 0.06, 0.06]
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_all_pairs_are_compared_and_adjusted(rng: np.random.Generator) -> None:
    a, b, c = systems(rng, 50, 0.2, 0.17, 0.14)
    found = compare_all({"a": a, "b": b, "c": c})
    assert [(pair.first, pair.second) for pair in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    single = compare(a, c, names=("a", "c"))
    assert found[1].p == pytest.approx(min(1, 3 * single.p))


def test_one_utterance_decides_nothing() -> None:
    found = compare(*scores(["a b"], ["x b"], ["a b"]))
    assert (found.interval, found.p) == (None, 1)
    assert found.verdict() == "A and B cannot be told apart with this much speech"


@pytest.mark.parametrize(
    ("p", "text"), [(0.0004, "p < 0.001"), (0.0123, "p = 0.012"), (0.5, "p = 0.50")]
)
def test_p_is_written_as_people_do(p: float, text: str) -> None:
    assert p_text(p) == text


def test_numbers_of_utterances_are_rounded_up() -> None:
    found = Comparison(
        first="A",
        second="B",
        difference=0.001,
        interval=None,
        p=0.5,
        matched_pairs=MatchedPairs(num_segments=0, mean=0, z=0, p=1),
        num_utterances=10,
        num_more=1_234,
    )
    assert "about 1,300 utterances more would" in found.verdict()


def test_other_references_are_refused() -> None:
    (a,), (b,), (c,) = scores(["a"], ["a"]), scores(["b"], ["b"]), scores(["a", "b"], ["a", "b"])
    with pytest.raises(ScoringError, match=r"the same references .* u0: 'a' and u0: 'b'"):
        compare(a, b)
    with pytest.raises(ScoringError, match="as many utterances"):
        compare(a, c)
