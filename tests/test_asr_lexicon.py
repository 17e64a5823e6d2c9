"""Decoding into a closed list of words, against enumeration of every alignment."""

import itertools
import math
import tomllib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from asr.decoder import Decoder, lexicon_of
from asr.decoding import (
    DecodingOptions,
    Hypothesis,
    Lexicon,
    beam_search,
    ctc_log_probability,
    decode,
    greedy_decode,
)
from asr.errors import DecodingError, OptionsError, VocabularyError
from asr.options import from_table, to_table
from asr.pronunciations import Pronunciations
from asr.vocabulary import Vocabulary

Floats = npt.NDArray[np.float64]
Tokens = tuple[int, ...]
SPACE, A, B = 1, 2, 3
LETTERS = Vocabulary.from_characters(" abcdefghijklmnopqrstuvwxyz")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WIDE = 5**6  # more than the different texts of 5 steps


def random_log_probs(steps: int, vocab: int, seed: int = 0, sharpness: float = 2.0) -> Floats:
    rng = np.random.default_rng([seed, steps, vocab])
    logits = rng.normal(0, sharpness, (steps, vocab))
    log_probs: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return log_probs


def writing(path: str, *, sure: float = 0.9) -> Floats:
    """Log-probabilities whose best path is the one given, with a blank at each `_`."""
    tokens = [0 if char == "_" else LETTERS.encode(char)[0] for char in path]
    probs = np.full((len(path), len(LETTERS)), (1 - sure) / (len(LETTERS) - 1))
    probs[np.arange(len(path)), tokens] = sure
    log_probs: Floats = np.log(probs)
    return log_probs


def enumerate_texts(log_probs: Floats) -> dict[Tokens, float]:
    """Probability of every text, by writing down every alignment; token 0 is the blank."""
    steps, vocab = log_probs.shape
    sums: dict[Tokens, float] = {}
    for path in itertools.product(range(vocab), repeat=steps):
        text = tuple(token for token, _ in itertools.groupby(path) if token)
        p = math.exp(sum(log_probs[t, token] for t, token in enumerate(path)))
        sums[text] = sums.get(text, 0.0) + p
    return sums


def texts_of(words: Sequence[Tokens], separator: Tokens | None, max_tokens: int) -> set[Tokens]:
    """Every text of these words, by writing down every row of them."""
    texts: set[Tokens] = {(), *words}
    if separator is None:
        return texts
    rows = set(words)
    while rows:
        rows = {(*row, *separator, *word) for row in rows for word in words}
        rows = {row for row in rows if len(row) <= max_tokens}
        if rows <= texts:
            break
        texts |= rows
    return texts


def check_against_enumeration(
    log_probs: Floats, words: Sequence[Tokens], separator: Tokens | None
) -> None:
    allowed = texts_of(words, separator, len(log_probs))
    expected = {text: p for text, p in enumerate_texts(log_probs).items() if text in allowed}
    lexicon = Lexicon(words, separator=separator)
    found = beam_search(log_probs, blank_id=0, beam_width=WIDE, lexicon=lexicon)
    assert [h.tokens for h in found] == sorted(expected, key=lambda text: -expected[text])
    for hypothesis in found:
        p = math.exp(hypothesis.log_probability)
        assert p == pytest.approx(expected[hypothesis.tokens], rel=1e-9)


@pytest.mark.parametrize("separator", [(SPACE,), (), None])
@pytest.mark.parametrize(
    "words",
    [
        [(A,)],
        [(A, A)],  # a letter twice, as in three
        [(A, A), (B,), (A, B)],
        [(A, B), (A,), (A, B, A)],  # words that begin others
        [(A,), (A, A)],  # without a separator one text is several rows of words
        [(B, A, A, B), (A, B)],
        [(A, SPACE, B), (A,)],  # a phrase
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_wide_beam_equals_enumeration_of_the_lexicons_texts(
    words: list[Tokens], separator: Tokens | None, seed: int
) -> None:
    check_against_enumeration(random_log_probs(5, 4, seed), words, separator)


words_of_tokens = st.lists(
    st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple), min_size=1, max_size=4
)


@given(words_of_tokens, st.sampled_from([(SPACE,), (SPACE, SPACE), (), None]), st.integers(0, 99))
def test_any_words_equal_their_enumeration(
    words: list[Tokens], separator: Tokens | None, seed: int
) -> None:
    check_against_enumeration(random_log_probs(4, 4, seed), words, separator)


@pytest.mark.parametrize("beam_width", [1, 4, WIDE])
@pytest.mark.parametrize("seed", range(3))
def test_a_lexicon_of_all_texts_is_none(seed: int, beam_width: int) -> None:
    log_probs = random_log_probs(5, 4, seed)
    everything = Lexicon([(1,), (2,), (3,)], separator=())
    assert beam_search(
        log_probs, blank_id=0, beam_width=beam_width, lexicon=everything
    ) == beam_search(log_probs, blank_id=0, beam_width=beam_width)


@given(st.integers(0, 30), st.integers(1, 12), st.sampled_from([-math.inf, -3.0, 0.0]))
def test_any_beam_writes_words_of_the_lexicon_alone(
    steps: int, beam_width: int, floor: float
) -> None:
    log_probs = random_log_probs(steps, len(LETTERS), sharpness=1.0)
    found = beam_search(
        log_probs,
        blank_id=0,
        beam_width=beam_width,
        min_token_log_prob=floor,
        lexicon=lexicon_of(DIGITS, LETTERS),
    )
    assert 1 <= len(found) <= beam_width
    assert found == sorted(found, key=lambda h: -h.log_probability)
    for h in found:
        text = LETTERS.decode(h.tokens)
        assert set(text.split()) <= set(DIGITS)
        assert text == " ".join(text.split())
        exact = ctc_log_probability(log_probs, h.tokens, blank_id=0)
        assert h.log_probability <= exact + 1e-9
        assert all(a < b for a, b in itertools.pairwise((-1, *h.frames, steps)))


# Finger-decodable


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        ("twor", "two"),
        ("_t_w__o_", "two"),
        ("thre_e", "three"),
        ("thre__", "three"),  # an e heard once: it is written at a step that wants a blank
        ("t_wo n_ine", "two nine"),
        ("twonine", "two one"),
        ("fife six", "five six"),
        (" two", "two"),
        ("two ", "two"),
        ("two  one", "two one"),
        ("____", ""),
    ],
)
def test_what_was_nearly_written_becomes_a_word(heard: str, words: str) -> None:
    decoder = Decoder(DecodingOptions(method="beam", words=DIGITS), LETTERS)
    assert LETTERS.decode(decoder(writing(heard)).tokens) == words


def test_greedy_spells_twor_and_the_lexicon_two() -> None:
    log_probs = writing("twor")
    assert LETTERS.decode(greedy_decode(log_probs, blank_id=0).tokens) == "twor"
    lexicon = lexicon_of(DIGITS, LETTERS)
    first = beam_search(log_probs, blank_id=0, beam_width=16, lexicon=lexicon)[0]
    assert (LETTERS.decode(first.tokens), first.frames) == ("two", (0, 1, 2))


def test_improbable_letters_begin_where_a_word_needs_them() -> None:
    log_probs = writing("fixe", sure=0.999)  # the others: 4e-5 each
    lexicon = lexicon_of(("five", "nine"), LETTERS)
    (first, *_) = beam_search(
        log_probs, blank_id=0, beam_width=4, min_token_log_prob=-1.0, lexicon=lexicon
    )
    assert LETTERS.decode(first.tokens) == "five"


def test_where_no_word_fits_nothing_is_heard() -> None:
    log_probs = writing("th")  # three has no room, and two none either
    lexicon = lexicon_of(DIGITS, LETTERS)
    expected = Hypothesis(tokens=(), frames=(), log_probability=float(log_probs[:, 0].sum()))
    (first,) = beam_search(log_probs, blank_id=0, beam_width=1, lexicon=lexicon)
    assert first == expected
    everything = beam_search(log_probs, blank_id=0, beam_width=1000, lexicon=lexicon)
    assert [h.tokens for h in everything] == [()]
    assert everything[0].log_probability == pytest.approx(expected.log_probability)


def test_no_steps_spell_nothing_for_certain() -> None:
    nothing = np.zeros((0, len(LETTERS)))
    empty = Hypothesis(tokens=(), frames=(), log_probability=0.0)
    lexicon = lexicon_of(DIGITS, LETTERS)
    assert beam_search(nothing, blank_id=0, beam_width=4, lexicon=lexicon) == [empty]


# What spells the words


def test_characters_without_a_space_write_one_word() -> None:
    vocabulary = Vocabulary.from_characters("abc")
    decoder = Decoder(DecodingOptions(method="beam", words=("ab", "c"), beam_width=999), vocabulary)
    log_probs = np.log(np.full((3, 4), 0.02))
    log_probs[np.arange(3), [1, 2, 3]] = math.log(0.94)  # abc
    assert decoder(log_probs).tokens == (1, 2)


def test_subwords_follow_one_another() -> None:
    pytest.importorskip("sentencepiece")
    vocabulary = Vocabulary.learn_subwords(["one two", "two one", "three two one"], size=12)
    words = ("one", "two", "three")
    decoder = Decoder(DecodingOptions(method="beam", words=words), vocabulary)
    for text in ("two", "three three", "one two one"):
        path = [token for piece in vocabulary.encode(text) for token in (piece, 0)]
        probs = np.full((len(path), len(vocabulary)), 0.001)
        probs[np.arange(len(path)), path] = 0.9
        assert vocabulary.decode(decoder(np.log(probs)).tokens) == text
        last = np.log(probs[:-4])  # a word or piece is missing at the end
        assert set(vocabulary.decode(decoder(last).tokens).split()) <= set(words)


SOUNDS = Vocabulary.learn_sounds(
    ["two too six"],
    Pronunciations.of(
        {"too": [["t", "u"]], "two": [["t", "u"], ["t", "o"]], "six": [["s", "i", "k", "s"]]}
    ),
)


def sounding(path: str) -> Floats:
    """Log-probabilities whose best path is the one given, with a blank at each `_`."""
    tokens = [0 if char == "_" else SOUNDS.tokens.index(char) for char in path]
    probs = np.full((len(path), len(SOUNDS)), 0.02)
    probs[np.arange(len(path)), tokens] = 1 - 0.02 * (len(SOUNDS) - 1)
    log_probs: Floats = np.log(probs)
    return log_probs


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        ("tu", "two"),
        ("t_o", "two"),  # by its other pronunciation
        ("tu siks", "two six"),
        ("to_su", "two"),
        ("_iks", "six"),
    ],
)
def test_a_word_is_heard_by_any_of_its_pronunciations(heard: str, words: str) -> None:
    options = DecodingOptions(method="beam", words=("two", "six"))
    decoder = Decoder(options, SOUNDS)
    assert SOUNDS.preferring(options.words).decode(decoder(sounding(heard)).tokens) == words


@pytest.mark.parametrize("seed", range(3))
def test_sounds_equal_the_enumeration_of_all_pronunciations(seed: int) -> None:
    vocabulary = Vocabulary.learn_sounds(
        ["a b"], Pronunciations.of({"a": [["x"], ["x", "y"]], "b": [["y"]]})
    )
    words = [tuple(one) for word in ("a", "b") for one in vocabulary.spellings(word)]
    assert words == [(A,), (A, B), (B,)]
    check_against_enumeration(random_log_probs(5, 4, seed), words, (SPACE,))


def test_words_that_sound_alike_are_all_named() -> None:
    options = DecodingOptions(method="beam", words=("two", "six", "too"))
    with pytest.raises(VocabularyError, match=r"sound different, received too like two$"):
        Decoder(options, SOUNDS)


def test_what_reads_letters_is_refused_with_sounds() -> None:
    options = DecodingOptions(method="beam")
    with pytest.raises(DecodingError, match="received one that writes sounds"):
        Decoder(options, SOUNDS, hotwords={"two": 1.0})


def test_words_that_cannot_be_spelt_are_all_named() -> None:
    options = DecodingOptions(method="beam", words=("one", "zwölf", "Two"))
    with pytest.raises(VocabularyError, match=r"27 characters spell, received 'zwölf', 'Two'$"):
        Decoder(options, LETTERS)


def test_a_decoder_without_words_decodes_as_the_options_say() -> None:
    log_probs = random_log_probs(9, len(LETTERS))
    for options in (DecodingOptions(), DecodingOptions(method="beam", beam_width=3)):
        assert Decoder(options, LETTERS)(log_probs) == decode(log_probs, options, blank_id=0)


def test_words_are_never_left_out_in_silence() -> None:
    options = DecodingOptions(method="beam", words=("one",))
    with pytest.raises(DecodingError, match="received 1 words without a lexicon"):
        decode(writing("one"), options, blank_id=0)
    lexicon = lexicon_of(("one",), LETTERS)
    with pytest.raises(DecodingError, match="received 0 words with a lexicon"):
        decode(writing("one"), DecodingOptions(), blank_id=0, lexicon=lexicon)


@pytest.mark.parametrize("words", [[(A, 0)], [(A,), (4,)], [(-1,)]])
def test_tokens_that_no_text_can_hold_are_refused(words: list[Tokens]) -> None:
    lexicon = Lexicon(words, separator=None)
    with pytest.raises(DecodingError, match="other than the blank 0 within a vocabulary of 4"):
        beam_search(random_log_probs(3, 4), blank_id=0, beam_width=2, lexicon=lexicon)


@pytest.mark.parametrize(("words", "received"), [([], "received none"), ([(A,), ()], "of none")])
def test_words_of_nothing_are_refused(words: list[Tokens], received: str) -> None:
    with pytest.raises(DecodingError, match=received):
        Lexicon(words, separator=(SPACE,))


# Options


def test_words_survive_a_recipe() -> None:
    options = DecodingOptions(method="beam", words=("één", "two"))
    document = tomli_w.dumps({"decoding": to_table(options)})
    table = tomllib.loads(document)["decoding"]
    assert from_table(DecodingOptions, table, where="decoding") == options


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"words": ["one"]}, "expected method 'beam' with words, received 'greedy'"),
        ({"method": "beam", "words": ["one", "turn left"]}, r"no space, received \['turn left'\]"),
        ({"method": "beam", "words": ["one", ""]}, r"at least one character .* received \[''\]"),
        ({"method": "beam", "words": ["b", "a", "b"]}, r"words once each, received \['b'\]"),
        ({"method": "beam", "words": "one"}, "words: expected a list, received 'one'"),
        ({"method": "beam", "words": [1]}, "words: expected str, received 1"),
    ],
)
def test_senseless_words_are_refused(bad: dict[str, object], message: str) -> None:
    with pytest.raises(OptionsError, match=f"decoding: .*{message}"):
        from_table(DecodingOptions, bad, where="decoding")
