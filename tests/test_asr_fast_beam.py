"""The compiled beam search against the plain one, which is held to enumeration elsewhere."""

import math
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.compiled import compiled_borrowing
from asr.decoding import (
    DecodingOptions,
    Hypothesis,
    Lexicon,
    align_tokens,
    decode,
    fast_beam,
    prefix_beam,
)
from asr.decoding.align_kernel import place

Floats = npt.NDArray[np.float64]
ROOT = Path(__file__).resolve().parent.parent


def random_log_probs(
    steps: int, vocab: int, seed: int = 0, *, sharpness: float = 2.0, blanks: float = 2.0
) -> Floats:
    rng = np.random.default_rng([seed, steps, vocab])
    logits = rng.normal(0, sharpness, (steps, vocab))
    logits[:, 0] += blanks * (rng.random(steps) < 0.5)
    log_probs: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return log_probs


def check_equal(
    log_probs: Floats,
    *,
    blank_id: int = 0,
    beam_width: int,
    floor: float = -math.inf,
    lexicon: Lexicon | None = None,
) -> None:
    found, expected = (
        search.beam_search(
            log_probs,
            blank_id=blank_id,
            beam_width=beam_width,
            min_token_log_prob=floor,
            lexicon=lexicon,
        )
        for search in (fast_beam, prefix_beam)
    )
    assert [h.tokens for h in found] == [h.tokens for h in expected]
    assert [h.frames for h in found] == [h.frames for h in expected]
    assert [h.log_probability for h in found] == pytest.approx(
        [h.log_probability for h in expected], rel=1e-10, abs=1e-10
    )


@settings(deadline=None)
@given(
    st.integers(0, 40),
    st.integers(1, 8),
    st.integers(0, 10_000),
    st.sampled_from([1, 2, 5, 30]),
    st.sampled_from([-math.inf, -6.0, -2.0, 0.0]),
    st.sampled_from([0.5, 2.0, 8.0]),
)
def test_both_find_the_same_texts_at_the_same_steps(
    steps: int, vocab: int, seed: int, beam_width: int, floor: float, sharpness: float
) -> None:
    log_probs = random_log_probs(steps, vocab, seed, sharpness=sharpness)
    check_equal(log_probs, blank_id=seed % vocab, beam_width=beam_width, floor=floor)


words = st.lists(
    st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple), min_size=1, max_size=4
)


@settings(deadline=None)
@given(
    words,
    st.sampled_from([(4,), (4, 4), (), None]),
    st.integers(0, 25),
    st.integers(0, 10_000),
    st.sampled_from([1, 3, 20]),
    st.sampled_from([-math.inf, -3.0, 0.0]),
)
def test_both_find_the_same_texts_of_a_lexicon(
    words: list[tuple[int, ...]],
    separator: tuple[int, ...] | None,
    steps: int,
    seed: int,
    beam_width: int,
    floor: float,
) -> None:
    lexicon = Lexicon(words, separator=separator)
    log_probs = random_log_probs(steps, 5, seed)
    check_equal(log_probs, beam_width=beam_width, floor=floor, lexicon=lexicon)


def test_equally_probable_texts_come_in_the_order_of_the_dictionary() -> None:
    uniform = np.log(np.full((4, 3), 1 / 3))
    for beam_width in (1, 2, 3, 7, 40):
        check_equal(uniform, beam_width=beam_width)
        check_equal(np.log(np.full((3, 6), 1 / 8)), beam_width=beam_width)


def test_tokens_that_cannot_be_are_never_written() -> None:
    log_probs = random_log_probs(12, 5, 3)
    log_probs[3:6, 2:] = -np.inf
    log_probs[7, 0] = -np.inf
    log_probs[9, :4] = -np.inf
    check_equal(log_probs, beam_width=200)
    check_equal(log_probs, beam_width=3)


def test_probabilities_far_below_what_a_float_holds_are_told_apart() -> None:
    check_equal(random_log_probs(30, 4, 1, sharpness=300.0), beam_width=50)


@pytest.mark.parametrize("seed", range(3))
def test_a_long_utterance_outgrows_the_first_nodes(seed: int) -> None:
    check_equal(random_log_probs(150, 12, seed), beam_width=40)


def test_a_count_takes_the_first() -> None:
    log_probs = random_log_probs(9, 4)
    for search in (fast_beam, prefix_beam):
        everything = search.beam_search(log_probs, blank_id=0, beam_width=9)
        assert search.beam_search(log_probs, blank_id=0, beam_width=9, count=3) == everything[:3]


def test_decode_takes_either() -> None:
    options = DecodingOptions(method="beam", beam_width=20)
    log_probs = random_log_probs(30, 6)
    compiled = decode(log_probs, options, blank_id=0)
    plain = decode(log_probs, options, blank_id=0, implementation="plain")
    assert (compiled.tokens, compiled.frames) == (plain.tokens, plain.frames)


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(2, 4), st.integers(0, 10_000))
def test_both_alignments_are_the_same(steps: int, vocab: int, seed: int) -> None:
    log_probs = random_log_probs(steps, vocab, seed)
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, vocab, rng.integers(0, steps // 2 + 1)).astype(np.int32)
    frames, is_possible = place(log_probs, tokens, 0)
    assert is_possible
    assert tuple(frames) == align_tokens(log_probs, tokens.tolist(), blank_id=0).frames


def test_a_text_without_room_has_no_alignment() -> None:
    assert not place(random_log_probs(2, 3), np.array([1, 1], np.int32), 0)[1]


# Many at once


def work() -> list[Floats]:
    return [random_log_probs(20 + 7 * number, 8, number) for number in range(12)]


def search_one(log_probs: Floats) -> list[Hypothesis]:
    return fast_beam.beam_search(log_probs, blank_id=0, beam_width=25)


@pytest.mark.parametrize("num_threads", [2, 5])
def test_any_number_of_threads_finds_the_same(num_threads: int) -> None:
    expected = [search_one(log_probs) for log_probs in work()]
    with ThreadPoolExecutor(num_threads) as pool:
        assert list(pool.map(search_one, work() * 4)) == expected * 4


def test_a_process_started_anew_finds_the_same() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(search_one, work()[:2])) == list(map(search_one, work()[:2]))


# What is compiled is kept

ADDITION = """
from asr.compiled import compiled
{imports}

@compiled
def total(a: int, b: int) -> int:
    return {total}
"""
SHOW = """
import sys
sys.path[:0] = sys.argv[1:]
from {module} import total
print(total(1, 2), len(total.stats.cache_hits))
"""


def run_total(folder: Path, *, cache: Path | None = None, module: str = "adding") -> list[int]:
    """The sum that a fresh process finds, and how often it had been compiled before."""
    environment = {**os.environ, "HOME": str(cache), "XDG_CACHE_HOME": str(cache)}
    environment.pop("NUMBA_CACHE_DIR", None)
    program = SHOW.format(module=module)
    result = subprocess.run(
        [sys.executable, "-B", "-c", program, str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return [int(word) for word in result.stdout.split()]


def write(folder: Path, name: str, *, total: str, imports: str = "") -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(ADDITION.format(total=total, imports=imports))


def test_the_second_process_compiles_nothing(tmp_path: Path) -> None:
    write(tmp_path, "adding", total="a + b")
    assert run_total(tmp_path) == [3, 0]
    assert run_total(tmp_path) == [3, 1]


def test_what_calls_a_changed_function_is_compiled_anew(tmp_path: Path) -> None:
    write(tmp_path, "adding", total="a + b")
    write(tmp_path, "calling", total="plus(a, b)", imports="from adding import total as plus")
    assert run_total(tmp_path, module="calling") == [3, 0]
    write(tmp_path, "adding", total="a + b + 10")
    assert run_total(tmp_path, module="calling") == [13, 0]
    assert run_total(tmp_path, module="calling") == [13, 1]


def test_what_uses_a_changed_number_is_compiled_anew(tmp_path: Path) -> None:
    (tmp_path / "numbers_here.py").write_text("MORE = 5\n")
    write(tmp_path, "adding", total="a + b + MORE", imports="from numbers_here import MORE")
    write(tmp_path, "calling", total="plus(a, b)", imports="from adding import total as plus")
    assert run_total(tmp_path, module="calling") == [8, 0]
    assert run_total(tmp_path, module="calling") == [8, 1]
    (tmp_path / "numbers_here.py").write_text("MORE = 6\n")
    assert run_total(tmp_path, module="calling") == [9, 0]


def test_a_package_that_cannot_be_written_is_cached_elsewhere(tmp_path: Path) -> None:
    folder, cache = tmp_path / "code", tmp_path / "cache"
    write(folder, "adding", total="a + b")
    (folder / "__pycache__").touch()  # a file: no folder can be made in its place, even by root
    assert run_total(folder, cache=cache) == [3, 0]
    assert run_total(folder, cache=cache) == [3, 1]


def test_where_nothing_can_be_written_it_is_compiled_every_time(tmp_path: Path) -> None:
    folder, cache = tmp_path / "code", tmp_path / "cache"
    write(folder, "adding", total="a + b")
    (folder / "__pycache__").touch()
    cache.touch()
    for _ in range(2):
        assert run_total(folder, cache=cache) == [3, 0]


def test_what_borrows_arrays_makes_none() -> None:
    @compiled_borrowing
    def made(size: int) -> float:
        return float(np.zeros(size).sum())

    @compiled_borrowing
    def largest(values: Floats) -> float:
        best = values[0]
        for value in values:
            best = max(best, value)
        return float(best)

    assert largest(np.array([1.0, 3.0, 2.0])) == 3.0
    with pytest.raises(numba.TypingError):
        made(3)
