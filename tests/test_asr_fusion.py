"""Language models and hotwords in the beam: against enumeration, and compiled against plain."""

import itertools
import math
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.decoding import Fusion, FusionWeights, Lexicon, fast_beam, prefix_beam
from asr.decoding.character_trie import CharacterTrie
from asr.decoding.fusion_tables import LISTED_LOG_PROB
from asr.errors import DecodingError
from asr.lm import NgramModel, read_arpa

Floats = npt.NDArray[np.float64]
LETTERS = ("", " ", "a", "b")
SUBWORDS = ("", " a", " b", "a", "ba", " ", " ab")
WIDE = 4**6

ARPA = """\\data\\
ngram 1=7
ngram 2=5
ngram 3=2

\\1-grams:
-1.3\t<unk>
-99\t<s>\t-0.3
-0.9\t</s>
-0.5\ta\t-0.2
-0.8\tab\t-0.4
-1.1\tbab\t-0.1
-0.7\tb\t-0.25

\\2-grams:
-0.25\t<s> a\t-0.05
-0.3\ta b\t-0.15
-0.35\tb </s>
-0.45\tb b\t-0.02
-0.2\tab a\t-0.3

\\3-grams:
-0.1\t<s> a b
-0.15\tb b </s>

\\end\\
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> NgramModel:
    path: Path = tmp_path_factory.mktemp("lm") / "small.arpa"
    path.write_text(ARPA)
    return read_arpa(path)


def random_log_probs(steps: int, vocab: int, seed: int = 0, sharpness: float = 1.5) -> Floats:
    rng = np.random.default_rng([seed, steps, vocab])
    logits = rng.normal(0, sharpness, (steps, vocab))
    log_probs: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return log_probs


def enumerate_texts(log_probs: Floats) -> dict[tuple[int, ...], float]:
    """Probability of every text, by writing down every alignment; token 0 is the blank."""
    steps, vocab = log_probs.shape
    sums: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(vocab), repeat=steps):
        text = tuple(token for token, _ in itertools.groupby(path) if token)
        p = math.exp(sum(log_probs[t, token] for t, token in enumerate(path)))
        sums[text] = sums.get(text, 0.0) + p
    return sums


# Against enumeration


@pytest.mark.parametrize("pieces", [LETTERS, SUBWORDS[:5]])
@pytest.mark.parametrize("weights", [FusionWeights(), FusionWeights(0.0, -1.0), FusionWeights(2.0)])
@pytest.mark.parametrize("search", [fast_beam, prefix_beam])
def test_wide_beam_ranks_texts_as_their_words_deserve(
    search: object, weights: FusionWeights, pieces: tuple[str, ...], model: NgramModel
) -> None:
    log_probs = random_log_probs(5, len(pieces))
    expected = {}
    for tokens, p in enumerate_texts(log_probs).items():
        words = "".join(pieces[token] for token in tokens).split()
        language = model.score(" ".join(words))
        language += sum(
            len(word) * weights.unknown_letter_log_prob
            for word in words
            if model.word_id(word) is None
        )
        score = math.log(p) + weights.alpha * language + weights.beta * len(words)
        expected[tokens] = (score, language)
    fusion = Fusion(pieces, language_model=model, weights=weights)
    found = search.beam_search(log_probs, blank_id=0, beam_width=WIDE, fusion=fusion)  # type: ignore[attr-defined]
    assert {h.tokens for h in found} == expected.keys()
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    for h in found:
        assert (h.score, h.lm_log_probability) == pytest.approx(expected[h.tokens], abs=1e-6)
        assert h.score == h.log_probability + h.fusion_score


def test_a_closed_vocabulary_writes_its_words_alone(model: NgramModel) -> None:
    log_probs = random_log_probs(5, len(LETTERS))
    fusion = Fusion(LETTERS, language_model=model, weights=FusionWeights(is_closed=True))
    allowed = {
        tokens
        for tokens in enumerate_texts(log_probs)
        if set("".join(LETTERS[token] for token in tokens).split()) <= {"a", "ab", "bab", "b"}
    }
    found = fast_beam.beam_search(log_probs, blank_id=0, beam_width=WIDE, fusion=fusion)
    assert {h.tokens for h in found} == allowed
    assert max(map(len, allowed)) == 5


@pytest.mark.parametrize(
    "hotwords", [{"ab": 2.0}, {"a b": 3.0, "a": 1.0}, {"b a b": 4.0, "a b": 1}]
)
def test_hotwords_count_where_they_are_whole_words(hotwords: Mapping[str, float]) -> None:
    log_probs = random_log_probs(6, len(LETTERS))
    found = fast_beam.beam_search(
        log_probs, blank_id=0, beam_width=WIDE, fusion=Fusion(LETTERS, hotwords=hotwords)
    )
    texts = enumerate_texts(log_probs)
    assert {h.tokens for h in found} == texts.keys()
    for h in found:
        words = "".join(LETTERS[token] for token in h.tokens).split()
        expected = sum(
            weight
            for hotword, weight in hotwords.items()
            for place in range(len(words))
            if words[place : place + len(hotword.split())] == hotword.split()
        )
        assert h.fusion_score == pytest.approx(expected, abs=1e-9)
        assert h.log_probability == pytest.approx(math.log(texts[h.tokens]), abs=1e-9)


# Compiled against plain

hotwords_of_letters = st.dictionaries(
    st.lists(st.sampled_from(["a", "b", "ab", "ba", "aba", "bab"]), min_size=1, max_size=3).map(
        " ".join
    ),
    st.floats(0.1, 9.0),
    max_size=4,
)


@settings(deadline=None)
@given(
    st.sampled_from([LETTERS, SUBWORDS]),
    st.booleans(),
    hotwords_of_letters,
    st.tuples(st.floats(0, 2), st.floats(-2, 3), st.floats(-4, 0), st.booleans()),
    st.tuples(st.integers(0, 30), st.integers(0, 10_000)),
    st.sampled_from([1, 3, 20]),
    st.sampled_from([-math.inf, -3.0]),
    st.booleans(),
)
def test_both_searches_add_the_same(
    model: NgramModel,
    pieces: tuple[str, ...],
    has_model: bool,
    hotwords: dict[str, float],
    weights: tuple[float, float, float, bool],
    size: tuple[int, int],
    beam_width: int,
    floor: float,
    recombine: bool,
) -> None:
    fusion = Fusion(
        pieces,
        language_model=model if has_model else None,
        weights=FusionWeights(*weights),
        hotwords=hotwords,
    )
    steps, seed = size
    found, expected = (
        search.beam_search(
            random_log_probs(steps, len(pieces), seed),
            blank_id=0,
            beam_width=beam_width,
            min_token_log_prob=floor,
            fusion=fusion,
            recombine=recombine,
        )
        for search in (fast_beam, prefix_beam)
    )
    assert [h.tokens for h in found] == [h.tokens for h in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.frames == other.frames
        assert one.score == pytest.approx(other.score, abs=1e-5)
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-9)
        assert one.lm_log_probability == pytest.approx(other.lm_log_probability, abs=1e-5)


@pytest.mark.parametrize("recombine", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_both_keep_to_a_lexicon_as_well(seed: int, recombine: bool, model: NgramModel) -> None:
    fusion = Fusion(LETTERS, language_model=model, hotwords={"ab": 1.5})
    lexicon = Lexicon([(2,), (2, 3), (3, 3, 2)], separator=(1,))
    found, expected = (
        search.beam_search(
            random_log_probs(25, 4, seed),
            blank_id=0,
            beam_width=12,
            lexicon=lexicon,
            fusion=fusion,
            recombine=recombine,
        )
        for search in (fast_beam, prefix_beam)
    )
    assert [h.tokens for h in found] == [h.tokens for h in expected]
    assert [h.score for h in found] == pytest.approx([h.score for h in expected], abs=1e-5)


def test_nothing_to_fuse_changes_nothing() -> None:
    log_probs = random_log_probs(30, 4)
    alone = fast_beam.beam_search(log_probs, blank_id=0, beam_width=20)
    assert (
        fast_beam.beam_search(log_probs, blank_id=0, beam_width=20, fusion=Fusion(LETTERS)) == alone
    )


# What it is for


def writing(path: str, *, sure: float = 0.6) -> Floats:
    """Log-probabilities whose best path is the one given, with a blank at each `_`."""
    probs = np.full((len(path), 4), (1 - sure) / 3)
    probs[np.arange(len(path)), ["_ ab".index(char) for char in path]] = sure
    log_probs: Floats = np.log(probs)
    return log_probs


def best_text(log_probs: Floats, fusion: Fusion | None = None) -> str:
    best = fast_beam.beam_search(log_probs, blank_id=0, beam_width=100, fusion=fusion)[0]
    return "".join(LETTERS[token] for token in best.tokens)


def test_a_hotword_is_heard_where_it_nearly_was_and_nowhere_else() -> None:
    fusion = Fusion(LETTERS, hotwords={"bab": 4.0})
    heard = writing("b__b_", sure=0.9)
    assert best_text(heard) == "bb"
    assert best_text(heard, fusion) == "bab"
    clear = writing("b b a b", sure=0.99)
    assert best_text(clear, fusion) == best_text(clear) == "b b a b"


def test_what_is_lent_to_a_hotword_is_taken_back() -> None:
    fusion = Fusion(LETTERS, hotwords={"abb": 6.0})
    begun, broken = (2, 3), (2, 3, 2)
    assert fusion.so_far(begun) == pytest.approx(4.0)
    assert fusion.so_far(broken) == 0.0
    assert fusion.finished(begun).score == 0.0
    assert fusion.finished((2, 3, 3)).score == fusion.so_far((2, 3, 3)) == 6.0


def test_an_unknown_word_costs_more_the_longer_it_is(model: NgramModel) -> None:
    fusion = Fusion(LETTERS, language_model=model)
    short, long = fusion.finished((3, 2)), fusion.finished((3, 2, 2, 2))
    assert -math.inf < long.language == pytest.approx(short.language - 6.0)


def test_a_word_that_is_expected_is_not_spelt_letter_by_letter(model: NgramModel) -> None:
    """Nor does a closed vocabulary leave it out; all other words stay as they are."""
    word = (3, 2, 3, 3)
    hotwords = {"ab baba abab": 1.0, "babb": 2.0}
    for closed in (False, True):
        weights = FusionWeights(is_closed=closed)
        plain = Fusion(LETTERS, language_model=model, weights=weights)
        fusion = Fusion(LETTERS, language_model=model, weights=weights, hotwords=hotwords)
        unknown = model.score("ab <unk>")
        known = (2, 3, 1)
        assert fusion.finished(known + word).language == pytest.approx(unknown + LISTED_LOG_PROB)
        assert fusion.finished(known) == plain.finished(known)
        assert fusion.finished((*word, 3)) == plain.finished((*word, 3))
        assert fusion.so_far(word[:3]) > plain.so_far(word[:3])


def test_a_fusion_goes_to_another_process(model: NgramModel) -> None:
    fusion = Fusion(LETTERS, language_model=model, hotwords={"ab": 1.0})
    copy = pickle.loads(pickle.dumps(fusion))
    log_probs = random_log_probs(12, 4)
    assert fast_beam.beam_search(
        log_probs, blank_id=0, beam_width=9, fusion=copy
    ) == fast_beam.beam_search(log_probs, blank_id=0, beam_width=9, fusion=fusion)


def test_log_probabilities_of_other_tokens_are_refused() -> None:
    for search in (fast_beam, prefix_beam):
        with pytest.raises(
            DecodingError, match="of the 4 tokens whose texts are fused, received 5"
        ):
            search.beam_search(
                random_log_probs(3, 5), blank_id=0, beam_width=2, fusion=Fusion(LETTERS)
            )


@given(st.sets(st.text("abcé☃𝄞 ", min_size=1, max_size=8), min_size=1, max_size=12))
def test_a_character_trie_holds_its_texts_and_their_beginnings(texts: set[str]) -> None:
    listed = sorted(texts, reverse=True)
    trie = CharacterTrie.of(listed)
    beginnings = {text[:length] for text in texts for length in range(len(text) + 1)}
    assert len(trie.text) == len(beginnings)
    for beginning in beginnings:
        node = 0
        for character in beginning:
            found = trie.child(node, ord(character))
            assert found is not None
            assert trie.parents()[found] == node
            node = found
        number = int(trie.text[node])
        assert (listed[number] if number >= 0 else None) == (
            beginning if beginning in texts else None
        )
    assert trie.child(0, ord("z")) is None


# Recombination


@pytest.mark.parametrize("seed", range(20))
def test_what_is_left_are_texts_as_they_would_be_without(seed: int, model: NgramModel) -> None:
    """With room for all, what is beaten is missing, and the best words are what they were."""
    log_probs = random_log_probs(6, 4, seed)
    fusion = Fusion(LETTERS, language_model=model)
    every, some = (
        fast_beam.beam_search(
            log_probs, blank_id=0, beam_width=WIDE, fusion=fusion, recombine=recombine
        )
        for recombine in (False, True)
    )
    exact = {h.tokens: h.score for h in every}
    assert len(some) < len(every)
    # A text loses the alignments that go over prefixes that were beaten, never gains any.
    assert all(h.score <= exact[h.tokens] + 1e-6 for h in some)
    best, expected = ("".join(LETTERS[t] for t in one[0].tokens).split() for one in (some, every))
    assert best == expected


@pytest.mark.parametrize("search", [fast_beam, prefix_beam])
def test_a_narrow_beam_is_for_what_is_to_come(search: object, tmp_path: Path) -> None:
    """A doubtful first word fills a beam of two with pasts, and the second is lost.

    To a model of single words all texts are alike behind a space.
    """
    path = tmp_path / "single.arpa"
    words = ARPA.partition("\\2-grams")[0].replace("ngram 2=5\nngram 3=2\n", "")
    path.write_text(re.sub("\t-[0-9.]*$", "", words, flags=re.MULTILINE) + "\\end\\\n")
    fusion = Fusion(LETTERS, language_model=read_arpa(path), weights=FusionWeights(0.1, 0.0))
    probs = np.full((6, 4), 0.01)
    probs[0, 2:] = 0.5, 0.49
    probs[1, 1] = 0.97
    probs[2, 2:] = 0.55, 0.4
    # Of the words that go on so, bab is one and aab is none.
    probs[3, 0] = probs[4, 2] = probs[5, 3] = 0.97
    texts = [
        search.beam_search(  # type: ignore[attr-defined]
            np.log(probs / probs.sum(axis=1, keepdims=True)),
            blank_id=0,
            beam_width=2,
            fusion=fusion,
            recombine=recombine,
        )[0].tokens
        for recombine in (False, True)
    ]
    assert ["".join(LETTERS[token] for token in tokens) for tokens in texts] == ["a aab", "a bab"]


def test_what_hotwords_and_half_words_tell_apart_is_not_alike(model: NgramModel) -> None:
    plain = Fusion(LETTERS, language_model=model)
    a, b, space = 2, 3, 1
    assert plain.future((b, a, b, space)) == plain.future((a, b, space, b, a, b, space))
    assert plain.future((a,)) != plain.future((b,))
    assert plain.future((a, b, space)) != plain.future((b, space))
    # Nobody knows aa and ba: of both only the length counts.
    assert plain.future((a, a)) == plain.future((a, a))
    assert plain.future((b, b)) == plain.future((a, a)) != plain.future((a, a, a))
    expecting = Fusion(LETTERS, language_model=model, hotwords={"bab ab": 1.0})
    once, twice = (a, b, space), (b, a, b, space, a, b, space)
    assert plain.future(once) == plain.future(twice)
    assert expecting.future(once) != expecting.future(twice)
