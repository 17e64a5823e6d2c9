"""Estimation: against the published formulas done by hand, and as a distribution."""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import LanguageModelError, OptionsError
from asr.lm import NgramModel
from asr.lm.corpus import Corpus
from asr.lm.counts import NgramCounts, count_ngrams
from asr.lm.kneser_ney import FALLBACK, Estimate, EstimationOptions, discounts_of, estimate
from asr.lm.words import Words

Gram = tuple[str, ...]

SENTENCES = st.lists(
    st.lists(st.sampled_from("abcdé"), min_size=1, max_size=6).map(" ".join),
    min_size=1,
    max_size=30,
)
PRUNING = st.lists(st.integers(0, 2), max_size=3).map(lambda more: (0, *sorted(more)))


def counted(
    sentences: Sequence[str], order: int, *, block: int = 1 << 20, **limits: int
) -> tuple[NgramCounts, Words]:
    with Corpus() as corpus:
        for sentence in sentences:
            corpus.add(sentence)
        words = corpus.vocabulary(**limits)
        blocks = corpus.blocks(words, max_words=block)
        counts = count_ngrams(blocks, order=order, vocab_size=len(words), begin_id=id_of(words))
    return counts, words


def id_of(words: Words, word: str = "<s>") -> int:
    found = words.find(word)
    assert found is not None
    return found


def estimated(
    sentences: Sequence[str], order: int, prune: tuple[int, ...], **limits: int
) -> tuple[NgramModel, Estimate]:
    counts, words = counted(sentences, order, **limits)
    thresholds = EstimationOptions(order=order, prune=prune[:order]).thresholds
    found = estimate(counts, thresholds=thresholds, begin_id=id_of(words))
    return NgramModel(found.trie, words), found


class ByHand:
    """The same model by the formulas, from dictionaries of n-grams."""

    def __init__(self, sentences: Sequence[str], order: int, prune: Sequence[int]) -> None:
        self.order = order
        self.actual: list[Counter[Gram]] = [Counter() for _ in range(order + 1)]
        left: list[defaultdict[Gram, set[str]]] = [defaultdict(set) for _ in range(order + 1)]
        for sentence in sentences:
            words = ["<s>"] * order + sentence.split() + ["</s>"]
            for end in range(order + 1, len(words) + 1):
                for n in range(1, order + 1):
                    gram = tuple(words[end - n : end])
                    if "<s>" not in gram[1:]:
                        self.actual[n][gram] += 1
                        left[n][gram].add(words[end - n - 1])
        self.counts = [
            {
                gram: count if n == order or gram[0] == "<s>" else len(left[n][gram])
                for gram, count in self.actual[n].items()
            }
            for n in range(order + 1)
        ]
        self.kept = [
            {gram for gram, count in self.actual[n].items() if count > prune[n - 1]}
            for n in range(order + 1)
        ]
        self.vocabulary = {"<unk>", *(gram[0] for gram in self.actual[1])}
        self.discounts = [self._discounts(n) for n in range(order + 1)]

    def _discounts(self, n: int) -> tuple[float, ...]:
        counts = list(self.counts[n].values())
        n1, n2, n3, n4 = (counts.count(k) for k in (1, 2, 3, 4))
        if not (n1 and n2 and n3):
            return (0, *FALLBACK)
        y = n1 / (n1 + 2 * n2)
        found = (0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        return found if all(0 <= found[k] <= k for k in (1, 2, 3)) else (0, *FALLBACK)

    def probability(self, context: Gram, word: str) -> float:
        context = context[max(0, len(context) - self.order + 1) :]
        n = len(context) + 1
        following = {gram: c for gram, c in self.counts[n].items() if gram[:-1] == context}
        below = self.probability(context[1:], word) if context else 1 / len(self.vocabulary)
        if not following:
            return below
        total = sum(following.values())
        kept = {gram: c for gram, c in following.items() if gram in self.kept[n]}
        taken = {gram: self.discounts[n][min(c, 3)] for gram, c in kept.items()}
        gamma = (total - sum(c - taken[gram] for gram, c in kept.items())) / total
        gram = (*context, word)
        own = (kept[gram] - taken[gram]) / total if gram in kept else 0.0
        return own + gamma * below


def contexts(vocabulary: Sequence[str], order: int) -> Iterator[Gram]:
    """Every context that a text can have: what no text had, what begins it, nothing."""
    inner = [word for word in vocabulary if word not in ("<s>", "</s>")]
    for length in range(order):
        yield from itertools.product(inner, repeat=length)
        if length:
            yield from (("<s>", *rest) for rest in itertools.product(inner, repeat=length - 1))


def distribution(model: NgramModel, context: Gram) -> dict[str, float]:
    state = model.null_state
    for place, word in enumerate(context):
        if word == "<s>":
            assert place == 0
            state = model.begin_state
        else:
            state = model.advance(state, word).state
    return {
        word: math.exp(model.advance(state, word).log_prob) for word in model.words if word != "<s>"
    }


@given(SENTENCES, st.integers(1, 4), PRUNING)
def test_the_model_is_the_published_one(
    sentences: list[str], order: int, prune: tuple[int, ...]
) -> None:
    model, found = estimated(sentences, order, prune)
    thresholds = EstimationOptions(order=order, prune=prune[:order]).thresholds
    wanted = ByHand(sentences, order, thresholds)
    for n in range(1, order + 1):
        assert found.discounts[n - 1].amounts == pytest.approx(wanted.discounts[n][1:])
        assert found.num_counted[n - 1] == len(wanted.counts[n])
        num_ngrams = model.num_ngrams[n - 1] if n <= model.order else 0
        assert num_ngrams - (2 if n == 1 else 0) == len(wanted.kept[n])
    for context in itertools.islice(contexts(list(model.words), order), 0, 400, 7):
        for word, prob in distribution(model, context).items():
            assert prob == pytest.approx(wanted.probability(context, word), rel=1e-5), context


@given(SENTENCES, st.integers(1, 4), PRUNING, st.integers(1, 6))
def test_the_probabilities_of_any_context_sum_to_one(
    sentences: list[str], order: int, prune: tuple[int, ...], vocab_size: int
) -> None:
    model, _ = estimated(sentences, order, prune, max_words=vocab_size)
    for context in itertools.islice(contexts(list(model.words), order), 0, 400, 7):
        assert sum(distribution(model, context).values()) == pytest.approx(1, abs=1e-5), context


@given(SENTENCES, st.integers(1, 4), st.integers(1, 9))
def test_counts_do_not_depend_on_how_the_text_is_cut(
    sentences: list[str], order: int, block: int
) -> None:
    whole, _ = counted(sentences, order)
    parts, _ = counted(sentences, order, block=block)
    np.testing.assert_array_equal(parts.counts, whole.counts)
    for ours, theirs in zip(parts.rows, whole.rows, strict=True):
        np.testing.assert_array_equal(ours.suffix, theirs.suffix)
        np.testing.assert_array_equal(ours.first, theirs.first)


def test_a_sentence_has_one_beginning_however_long_the_ngrams() -> None:
    """Four-grams of a text of two words: <s> is a context once, and no n-gram holds it inside."""
    model, _ = estimated(["a b"] * 4, 4, (0,))
    grams = [[model.words[one] for one in row] for ids in model.trie.ngrams() for row in ids]
    assert ["<s>", "a", "b", "</s>"] in grams
    assert not [gram for gram in grams if "<s>" in gram[1:]]


def test_discounts_are_those_of_the_equation() -> None:
    # n1 = 8, n2 = 4, n3 = 2, n4 = 1: Y = 8 / 16; 1 − 2Y·4/8, 2 − 3Y·2/4, 3 − 4Y·1/2
    counts = np.repeat([1, 2, 3, 4, 9, 0], [8, 4, 2, 1, 5, 3])
    assert discounts_of(counts) == ((0.5, 1.25, 2.0), True)


@pytest.mark.parametrize("counts", [[], [1, 1, 2], [1, 2, 3, 3, 3, 3, 3]])
def test_where_the_equation_fails_discounts_are_usual_ones(counts: list[int]) -> None:
    assert discounts_of(np.array(counts, np.int64)) == (FALLBACK, False)


def test_a_vocabulary_has_the_most_frequent_words() -> None:
    with Corpus() as corpus:
        for sentence in ("c c c b b a a é d", "b"):
            corpus.add(sentence)
        special = ["</s>", "<s>", "<unk>"]
        assert list(corpus.vocabulary()) == [*special, "a", "b", "c", "d", "é"]
        assert list(corpus.vocabulary(max_words=3)) == [*special, "a", "b", "c"]
        assert list(corpus.vocabulary(max_words=4)) == [*special, "a", "b", "c", "d"]
        assert list(corpus.vocabulary(min_count=3)) == [*special, "b", "c"]
        assert (corpus.num_words, corpus.num_sentences, corpus.num_different) == (10, 2, 5)


def test_other_words_become_the_unknown_one_and_are_learnt_as_such() -> None:
    rare = [f"a x{n} b" for n in range(20)]
    model, _ = estimated(rare, 3, (0,), min_count=2)
    assert list(model.words) == ["</s>", "<s>", "<unk>", "a", "b"]
    after_a = distribution(model, ("<s>", "a"))
    assert after_a["<unk>"] > 0.9
    assert model.score("a y b") == model.score("a x3 b")


def test_what_marks_a_sentence_is_no_word_of_one() -> None:
    with Corpus() as corpus:
        assert corpus.add("<s> a <unk> </s>") == 2
        assert corpus.add("<s>") == corpus.add("  ") == 0
        assert list(corpus.vocabulary()) == ["</s>", "<s>", "<unk>", "a"]
        (block,) = corpus.blocks(corpus.vocabulary(), max_words=100)
    assert block.tolist() == [1, 3, 2, 0]


def test_a_text_without_words_is_refused() -> None:
    with pytest.raises(LanguageModelError, match="expected a text of at least one word"):
        counted([" ", ""], 2)


def test_a_model_without_probability_for_a_word_is_never_made() -> None:
    model, _ = estimated(["a a a b", "a b"], 2, (0,))
    assert np.isfinite(model.trie.log_prob).all()
    assert np.isfinite(model.trie.backoff).all()
    assert (model.trie.log_prob <= 0).all()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"order": 0}, "expected an order from 1 to 8, received 0"),
        ({"order": 9}, "expected an order from 1 to 8"),
        ({"prune": (1,)}, "the first 0 and none below the one before, received '1'"),
        ({"prune": (0, 2, 1)}, "received '0 2 1'"),
        ({"prune": (0, 0, 0, 0, 0)}, "expected 1 to 4 counts to prune by"),
        ({"prune": ()}, "expected 1 to 4 counts"),
        ({"vocab_size": 0}, "expected a vocabulary of at least one word"),
        ({"min_count": 0}, "expected a count of at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(settings: dict[str, int], problem: str) -> None:
    with pytest.raises(OptionsError, match=problem):
        EstimationOptions(**settings)  # type: ignore[arg-type]


def test_the_last_threshold_holds_for_the_orders_after_it() -> None:
    assert EstimationOptions(order=4, prune=(0, 0, 1)).thresholds == (0, 0, 1, 1)
    assert EstimationOptions(order=2).thresholds == (0, 0)
