"""ARPA files: read to the numbers they mean, refused by line, written to be read the same."""

import gzip
import lzma
import math
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import LanguageModelError
from asr.lm import NgramModel, read_arpa, write_arpa
from asr.lm.ngram import advance
from asr.lm.ngram_kernel import advance as compiled_advance
from asr.lm.trie import Trie

HAND = """\\data\\
ngram 1=5
ngram 2=4
ngram 3=2

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.3
-0.7\t</s>
-0.5\ta\t-0.2
-0.6\tb\t-0.1

\\2-grams:
-0.25\t<s> a\t-0.05
-0.3\ta b\t-0.15
-0.35\tb </s>
-0.45\tb b\t0.02

\\3-grams:
-0.1\t<s> a b
-0.2\tb b a

\\end\\
"""


@pytest.fixture
def hand(tmp_path: Path) -> NgramModel:
    return read_arpa(write(tmp_path, HAND))


def write(folder: Path, text: str, name: str = "lm.arpa") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# Each sum is worked out by hand: what is paid to leave a context, then the n-gram found.
WORKED = {
    # <s> a | <s> a b | (a b) is no 3-gram's context: -0.15, b </s>
    "a b": [-0.25, -0.1, -0.15 - 0.35],
    # leave <s>: -0.3, b | leave b: -0.1, a | leave a: -0.2, </s>
    "b a": [-0.3 - 0.6, -0.1 - 0.5, -0.2 - 0.7],
    # … | leave <s> a: -0.05, leave a: -0.2, a | a b | leave a b: -0.15, b b |
    # b b a, though "b a" is not there: its suffix is a | leave a: -0.2, </s>
    "a a b b a": [-0.25, -0.05 - 0.2 - 0.5, -0.3, -0.15 - 0.45, -0.2, -0.2 - 0.7],
    # leave <s>, <unk> | <unk> has no back-off and ends every context, a | leave a: -0.2, </s>
    "x a": [-0.3 - 1.0, -0.5, -0.2 - 0.7],
    # leave <s>, b | b b | leave b b: a gain of 0.02, b b | the same, b </s>
    "b b b": [-0.3 - 0.6, -0.45, 0.02 - 0.45, 0.02 - 0.35],
    "": [-0.3 - 0.7],
}


@pytest.mark.parametrize("sentence", WORKED)
def test_scores_are_those_worked_out_by_hand(hand: NgramModel, sentence: str) -> None:
    wanted = WORKED[sentence]
    state = hand.begin_state
    for word, log10 in zip([*sentence.split(), "</s>"], wanted, strict=True):
        log_prob, state = hand.advance(state, word)
        assert log_prob / math.log(10) == pytest.approx(log10, abs=1e-6)
    assert hand.score(sentence) / math.log(10) == pytest.approx(sum(wanted), abs=1e-6)
    ids = [hand.begin_id, *hand.ids(sentence.split()), hand.end_id]
    assert hand.score_ids(ids).sum() == pytest.approx(hand.score(sentence), abs=1e-12)


def test_the_words_of_a_model_are_known_and_no_others(hand: NgramModel) -> None:
    assert list(hand.words) == ["</s>", "<s>", "<unk>", "a", "b"]
    assert [hand.word_id(word) for word in hand.words] == list(range(5))
    assert hand.word_id("c") is hand.word_id("") is None
    assert hand.order == 3
    assert hand.num_ngrams == (5, 4, 2)


Table = dict[tuple[str, ...], tuple[float, float]]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """N-grams with log10 of probability and back-off; each one's context is there, as it must be.

    Suffixes may be missing, as they are where a model was pruned by entropy.
    """
    words = ["<s>", "</s>", "<unk>", "a", "b", "é"]
    order = draw(st.integers(1, 4))
    numbers = st.floats(-5, 0, allow_subnormal=False)
    level: list[tuple[str, ...]] = [(word,) for word in words]
    table: Table = {}
    for n in range(1, order + 1):
        for ngram in level:
            backoff = draw(st.floats(-2, 0.5, allow_subnormal=False)) if n < order else 0.0
            table[ngram] = (draw(numbers), backoff)
        grown = [(*context, word) for context in level for word in words]
        level = draw(st.lists(st.sampled_from(grown), min_size=1, max_size=12, unique=True))
    return table


def arpa_of(table: Table) -> str:
    order = max(map(len, table))
    levels = [{key: table[key] for key in table if len(key) == n} for n in range(1, order + 1)]
    lines = ["\\data\\", *(f"ngram {n}={len(level)}" for n, level in enumerate(levels, 1))]
    for n, level in enumerate(levels, 1):
        lines += ["", f"\\{n}-grams:"]
        lines += [f"{p!r}\t{' '.join(key)}\t{b!r}" for key, (p, b) in level.items()]
    return "\n".join([*lines, "", "\\end\\", ""])


def by_definition(table: Table, history: tuple[str, ...], word: str) -> float:
    """Katz's back-off, from the whole history on."""
    ngram = (*history, word)
    if ngram in table:
        return table[ngram][0]
    return table.get(history, (0.0, 0.0))[1] + by_definition(table, history[1:], word)


def read_table(table: Table) -> NgramModel:
    with tempfile.TemporaryDirectory() as folder:
        return read_arpa(write(Path(folder), arpa_of(table)))


@given(tables(), st.lists(st.sampled_from(["a", "b", "é", "?"]), max_size=8))
def test_scores_are_the_definition_of_back_off(table: Table, sentence: list[str]) -> None:
    model = read_table(table)
    order, words = model.order, ["<s>", *sentence, "</s>"]
    known = [word if (word,) in table else "<unk>" for word in words]
    ids = [model.begin_id, *model.ids(sentence), model.end_id]
    found = model.score_ids(ids)
    for place in range(1, len(known)):
        history = tuple(known[max(0, place - order + 1) : place])
        wanted = by_definition(table, history, known[place]) * math.log(10)
        assert found[place] == pytest.approx(wanted, abs=1e-4)
    assert found.sum() == pytest.approx(model.score(" ".join(sentence)), abs=1e-9)


@given(tables(), st.data())
def test_the_compiled_walk_is_the_plain_one(table: Table, data: st.DataObject) -> None:
    model = read_table(table)
    state = data.draw(st.integers(0, model.trie.max_order_start - 1))
    word_id = data.draw(st.integers(0, len(model.words) - 1))
    assert compiled_advance(*model.arrays, state, word_id) == advance(*model.arrays, state, word_id)


@given(tables(), st.sampled_from(["again.arpa", "again.arpa.gz", "again.xz"]))
def test_what_is_written_reads_the_same(table: Table, name: str) -> None:
    model = read_table(table)
    with tempfile.TemporaryDirectory() as folder:
        write_arpa(Path(folder) / name, model)
        again = read_arpa(Path(folder) / name)
    assert list(again.words) == list(model.words)
    for field in Trie._fields:
        np.testing.assert_allclose(
            getattr(again.trie, field), getattr(model.trie, field), rtol=3e-7, err_msg=field
        )


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_compressed_files_are_read_and_broken_ones_refused(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    name = {gzip.compress: "lm.gz", lzma.compress: "lm.arpa.xz"}[pack]
    packed = pack(HAND.encode())
    (tmp_path / name).write_bytes(packed)
    assert read_arpa(tmp_path / name).score("a b") / math.log(10) == pytest.approx(-0.85)
    (tmp_path / name).write_bytes(packed[:-10])
    with pytest.raises(LanguageModelError, match=r"line \d+: the compressed file is broken"):
        read_arpa(tmp_path / name)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("ngram 2=4", "ngram 2=5", r"line 18: expected 5 2-grams, as the head says, found 4"),
        ("ngram 2=4", "ngram 2=3", r"line 17: expected \\3-grams:, received “-0.45\tb b\t0.02”"),
        ("ngram 2=4", "ngram 3=4", r"line 3: expected “ngram 2=…”, received “ngram 3=4”"),
        ("ngram 2=4", "ngrams 2=4", "line 3: expected “ngram 2=…”"),
        ("ngram 2=4", "ngram 2=-4", "line 3: expected “ngram 2=…”"),
        ("\\2-grams:", "\\4-grams:", r"line 13: expected \\2-grams:, received “\\4-grams:”"),
        ("\\data\\", "data", "line 6: expected .*: no ARPA file"),
        (HAND, "", "line 0: expected .*data.*, received the end of the file: no ARPA file"),
        ("\\end\\", "", r"line 23: expected \\end\\, received the end of the file"),
        (HAND[HAND.index("-0.45") :], "", "line 17: expected 4 2-grams, as the head says, found 3"),
        ("-0.3\ta b", "nan\ta b", "line 15: expected a number, received “nan”"),
        ("-0.3\ta b", "-inf\ta b", "line 15: expected a number, received “-inf”"),
        (
            "-0.3\ta b",
            "0.3\ta b",
            "line 15: expected a log-probability of at most 0, received “0.3”",
        ),
        ("-0.15", "x", "line 15: expected a number, received “x”"),
        ("\ta b\t", "\ta c\t", "line 15: the word “c” is no 1-gram"),
        ("\ta b\t", "\ta\t", "line 15: the word “-0.15” is no 1-gram"),
        ("\ta b\t", "\ta a a b\t", "line 15: expected the log-probability, the words and"),
        ("\ta b\t", "\t<s> a\t", "line 15: a 2-gram: it stands there twice"),
        ("-0.6\tb", "-0.6\ta", "line 11: the word “a” stands there twice"),
        ("\tb b a", "\tb a a", "line 21: a 3-gram: its context is no 2-gram of the model"),
        ("\tb b a", "\tb b a\t-1", "line 21: expected no back-off after a 3-gram"),
        ("\\end\\", "\\end\\\nmore", r"expected nothing after \\end\\, received “more”"),
        ("\t<s>\t", "\tc\t", "expected the word <s> among the 1-grams, found none"),
    ],
)
def test_a_broken_file_is_refused_by_its_line(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert old in HAND
    path = write(tmp_path, HAND.replace(old, new, 1))
    with pytest.raises(LanguageModelError, match=problem) as caught:
        read_arpa(path)
    assert str(caught.value).startswith(f"{path}, line ")


@given(st.data())
def test_no_file_cut_short_is_taken_for_a_whole_one(data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(HAND) - 3))
    with tempfile.TemporaryDirectory() as folder, pytest.raises(LanguageModelError):
        read_arpa(write(Path(folder), HAND[:cut]))


def test_words_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_bytes(HAND.encode().replace(b"-0.6\tb", b"-0.6\t\xff"))
    with pytest.raises(LanguageModelError, match=r"line 11: expected UTF-8, received b'\\xff'"):
        read_arpa(path)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("ngram 2=4", f"ngram 2={'9' * 5000}", "line 3: expected “ngram 2=…”, received"),
        ("ngram 2=4", f"ngram 2={10**17}", "expected 100,000,000,000,000,000 2-grams, as the head"),
        ("-0.2\tb b a", "-1e300\tb b a", "line 21: expected a number, received “-1e300”"),
        ("\t-0.05", "\t1e39", "line 14: expected a number, received “1e39”"),
        ("\ta b\t", f"\ta b{' ' * 2**20}\t", "line 15: expected at most 1,048,576 bytes"),
    ],
)
def test_what_only_ill_will_writes_is_refused(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert old in HAND
    with pytest.raises(LanguageModelError, match=problem):
        read_arpa(write(tmp_path, HAND.replace(old, new, 1)))


def test_a_line_that_unpacks_without_end_is_not_read_to_it(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(LanguageModelError, match="expected at most 1,048,576 bytes"):
            read_arpa(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_what_other_toolkits_write_is_read(tmp_path: Path) -> None:
    """Text before the head, Windows' line ends, <UNK> for <unk>, a zero after the highest order."""
    text = HAND.replace("<unk>", "<UNK>").replace("\t<s> a b", "\t<s> a b\t0")
    path = write(tmp_path, "made by hand\r\n" + text.replace("\n", "\r\n"))
    assert read_arpa(path).score("a x") / math.log(10) == pytest.approx(-0.25 - 0.25 - 1 - 0.7)


def test_an_unknown_word_that_the_file_does_not_price_is_as_good_as_impossible(
    tmp_path: Path,
) -> None:
    text = HAND.replace("-1.0\t<unk>\n", "").replace("ngram 1=5", "ngram 1=4")
    model = read_arpa(write(tmp_path, text))
    assert model.score("x") / math.log(10) == pytest.approx(-0.3 - 100 - 0.7, rel=1e-6)
