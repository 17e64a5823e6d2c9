"""Pruning by entropy: against a model worked by hand, and against the sums it abbreviates."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import OptionsError
from asr.lm import Corpus, EstimationOptions, NgramModel, estimate_model, prune_by_entropy
from asr.lm.arpa import read_arpa
from asr.lm.entropy_pruning import perplexity_rises

# After a: b 0.5, else 0.5 over what is left of 0.8 (1 without b), so that backing off costs 0.625.
# After b: a 0.5 where a is 0.4 without b: left 0.5 / 0.6.
BY_HAND = """\\data\\
ngram 1=5
ngram 2=2

\\1-grams:
{end}\t</s>
-99\t<s>
{unknown}\t<unk>
{a}\ta\t{back_a}
{b}\tb\t{back_b}

\\2-grams:
{half}\ta b
{half}\tb a

\\end\\
""".format(
    end=math.log10(0.3),
    unknown=math.log10(0.1),
    a=math.log10(0.4),
    b=math.log10(0.2),
    back_a=math.log10(0.5 / 0.8),
    back_b=math.log10(0.5 / 0.6),
    half=math.log10(0.5),
)

SENTENCES = st.lists(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=6).map(" ".join),
    min_size=3,
    max_size=30,
)


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> NgramModel:
    path = tmp_path_factory.mktemp("lm") / "hand.arpa"
    path.write_text(BY_HAND, encoding="utf-8")
    return read_arpa(path)


def estimated(sentences: list[str], order: int) -> NgramModel:
    with Corpus() as corpus:
        for sentence in sentences:
            corpus.add(sentence)
        options = EstimationOptions(order=order)
        return estimate_model(corpus, options, tell=lambda _: None).model


def names(model: NgramModel) -> list[tuple[str, ...]]:
    """The n-grams in the order of their nodes, the root's left out."""
    ids = (row for level in model.trie.ngrams() for row in level)
    return [tuple(model.words[word] for word in row) for row in ids]


def distribution(model: NgramModel, context: tuple[str, ...]) -> dict[str, float]:
    state = model.null_state
    for word in context:
        state = model.begin_state if word == "<s>" else model.advance(state, word).state
    return {
        word: math.exp(model.advance(state, word).log_prob) for word in model.words if word != "<s>"
    }


def test_the_rise_is_the_one_worked_by_hand(by_hand: NgramModel) -> None:
    """The chain by 2-grams: its words are as frequent as p satisfies p = p · P."""
    # Rows: from a, b, <unk>, and <s> in the place of </s>, which says what the words alone do.
    words = {"a": 0.4, "b": 0.2, "<unk>": 0.1, "</s>": 0.3}
    after_a = {"a": 0.25, "b": 0.5, "<unk>": 0.0625, "</s>": 0.1875}
    after_b = {"a": 0.5, "b": 1 / 6, "<unk>": 0.5 / 6, "</s>": 0.25}
    matrix = np.array(
        [list(row.values()) for row in (after_a, after_b, words, words)], dtype=np.float64
    )
    frequency = np.linalg.matrix_power(matrix, 200)[0]
    # Without (a, b) all is as words alone say, without (b, a) likewise.
    loss_a = sum(p * math.log(p / words[w]) for w, p in after_a.items())
    loss_b = sum(p * math.log(p / words[w]) for w, p in after_b.items())
    rises = dict(zip(names(by_hand), perplexity_rises(by_hand)[1:], strict=True))
    assert rises["a", "b"] == pytest.approx(math.expm1(frequency[0] * loss_a), rel=1e-5)
    assert rises["b", "a"] == pytest.approx(math.expm1(frequency[1] * loss_b), rel=1e-5)
    assert math.isinf(rises[("a",)])


def test_what_says_less_than_the_threshold_goes(by_hand: NgramModel) -> None:
    rises = dict(zip(names(by_hand), perplexity_rises(by_hand)[1:], strict=True))
    between = (rises["a", "b"] + rises["b", "a"]) / 2
    assert rises["b", "a"] < between < rises["a", "b"]
    small = prune_by_entropy(by_hand, between)
    assert [gram for gram in names(small) if len(gram) > 1] == [("a", "b")]
    assert distribution(small, ("a",)) == pytest.approx(distribution(by_hand, ("a",)), rel=1e-5)
    assert distribution(small, ("b",)) == pytest.approx(distribution(by_hand, ()), rel=1e-5)
    assert prune_by_entropy(by_hand, 1.0).num_ngrams == (5,)
    assert prune_by_entropy(by_hand, 0.0).num_ngrams == (5, 2)


def contexts(model: NgramModel) -> Iterator[tuple[str, ...]]:
    inner = [word for word in model.words if word not in ("<s>", "</s>")]
    for length in range(model.order):
        yield from itertools.product(inner, repeat=length)
        if length:
            yield from (("<s>", *rest) for rest in itertools.product(inner, repeat=length - 1))


@given(SENTENCES, st.integers(1, 4), st.sampled_from([0.0, 1e-4, 1e-3, 1e-2, 0.1, 10.0]))
def test_a_pruned_model_is_a_model(sentences: list[str], order: int, threshold: float) -> None:
    whole = estimated(sentences, order)
    small = prune_by_entropy(whole, threshold)
    assert list(small.words) == list(whole.words)
    left = names(small)
    assert set(left) <= set(names(whole))
    assert {gram[:-1] for gram in left if len(gram) > 1} <= set(left)
    assert len(left) <= len(names(prune_by_entropy(whole, threshold / 2)))
    for context in itertools.islice(contexts(small), 0, 400, 7):
        assert sum(distribution(small, context).values()) == pytest.approx(1, abs=1e-4), context
    if threshold == 10.0:
        assert small.order == 1


@given(SENTENCES, st.integers(2, 3))
def test_a_rise_is_that_of_the_perplexity_on_the_models_own_text(
    sentences: list[str], order: int
) -> None:
    """One n-gram that nothing hangs on is left out: what that costs, word by word, in its context.

    How often the context comes is left open: costs of n-grams of one context have one ratio.
    """
    whole = estimated(sentences, order)
    rises = dict(zip(names(whole), perplexity_rises(whole)[1:], strict=True))
    groups: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    longest = [gram for gram in rises if len(gram) == whole.order > 1]
    for gram in longest[:12]:
        target = rises[gram]
        only = _without_one(whole, gram)
        before, after = distribution(whole, gram[:-1]), distribution(only, gram[:-1])
        loss = sum(p * math.log(p / after[word]) for word, p in before.items())
        groups.setdefault(gram[:-1], []).append((math.log1p(target), loss))
    for pairs in groups.values():
        shares = [known / loss for known, loss in pairs if loss > 1e-4]
        assert all(0 < share <= 1.001 for share in shares)
        assert shares == pytest.approx(shares[:1] * len(shares), rel=0.02)


def _without_one(model: NgramModel, gram: tuple[str, ...]) -> NgramModel:
    from asr.lm.entropy_pruning import _without

    kept = np.ones(len(model.trie.word), bool)
    kept[1 + names(model).index(gram)] = False
    trie = _without(model.trie, kept, model.trie.parents(), model.level_starts)
    return NgramModel(trie, model.words)


@pytest.mark.parametrize("threshold", [-1.0, math.nan, math.inf])
def test_a_threshold_that_is_none_is_refused(by_hand: NgramModel, threshold: float) -> None:
    with pytest.raises(OptionsError, match="threshold from 0 on"):
        prune_by_entropy(by_hand, threshold)
