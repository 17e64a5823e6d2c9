"""Models made smaller where it costs least (Stolcke 1998, "Entropy-based pruning of backoff LMs").

An n-gram is left out if the model's perplexity rises by less than a share when its context backs
off for it: with p the model, p' the one without the n-gram (h, w), a ratio

    exp( p(h) Σ_v p(v | h) log(p(v | h) / p'(v | h)) ) − 1

which only needs p(w | h), what the shorter context says of w, and how much of h's probability is
not given to any n-gram. Each is judged as if it alone were left out. The longest go first, and
none goes that a longer one begins with.

p(h) is how often a context comes in the model's own text. The product of its words' probabilities
is not that where the model is Kneser-Ney's, whose single words are as likely as they have many
contexts (Chelba et al. 2010, "Study on interaction between entropy pruning and Kneser-Ney
smoothing"). So the probability of its first word is that of the chain that the 2-grams make.
"""

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from asr.errors import OptionsError
from asr.lm.ngram import NgramModel
from asr.lm.trie import Ints, Trie, link

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_LEAST = 1e-12
"""A probability that is divided by, or whose logarithm is taken, is not below this."""
_CHAIN_STEPS = 20
"""So many words on, it hardly matters where a chain began."""


def prune_by_entropy(model: NgramModel, threshold: float) -> NgramModel:
    """Returns a model without the n-grams that add little.

    Args:
        model: The model; its words all stay.
        threshold: By which share of the perplexity an n-gram may raise it and be left out, from 0
            on; 1e-9 to 1e-6 are usual.

    Raises:
        OptionsError: The threshold is below 0 or no number.
    """
    if not 0 <= threshold < math.inf:
        raise OptionsError(f"expected a threshold from 0 on, received {threshold}")
    trie = model.trie
    rises = perplexity_rises(model)
    parents, starts = trie.parents(), model.level_starts
    kept = np.ones(len(trie.word), bool)
    for first, end in zip(starts[-2:0:-1], starts[:1:-1], strict=True):
        begins_longer = np.zeros(end - first, bool)
        longer = np.arange(end, len(kept))[kept[end:]]
        of_level = parents[longer]
        begins_longer[of_level[(of_level >= first) & (of_level < end)] - first] = True
        kept[first:end] = begins_longer | (rises[first:end] >= threshold)
    return NgramModel(_without(trie, kept, parents, starts), model.words)


def perplexity_rises(model: NgramModel) -> Doubles:
    """Returns what leaving out each n-gram does, float64 [num_nodes]: a share of the perplexity.

    It is infinite for the words themselves, and for the root.
    """
    trie, starts = model.trie, model.level_starts
    parents = trie.parents()
    prob = np.exp(trie.log_prob.astype(np.float64))
    marginal = _marginals(model, prob, parents)
    rises = np.full(len(prob), np.inf)
    if len(starts) == 2:  # words alone
        return rises
    nodes = np.arange(starts[1], len(prob))
    own, context = prob[nodes], parents[nodes]
    lower = np.exp(_lower_log_probs(trie, parents, nodes))
    num_contexts = trie.max_order_start
    left = np.maximum(1 - np.bincount(context, own, num_contexts), _LEAST)
    lower_left = np.maximum(1 - np.bincount(context, lower, num_contexts), _LEAST)
    before, after = left / lower_left, (left[context] + own) / (lower_left[context] + lower)
    lost = own * (np.log(np.maximum(own, _LEAST)) - np.log(np.maximum(after * lower, _LEAST)))
    lost -= left[context] * (np.log(after) - np.log(before[context]))
    rises[nodes] = np.expm1(marginal[context] * lost)
    return rises


def _marginals(model: NgramModel, prob: Doubles, parents: Ints) -> Doubles:
    """Returns the probability of each context, float64 [num_contexts]."""
    trie, starts = model.trie, model.level_starts
    marginal = np.ones(trie.max_order_start)
    if trie.max_order_start > 1:
        marginal[1 : starts[1]] = _word_marginals(model, prob, parents)
    for first, end in pairwise(starts[1:-1]):
        marginal[first:end] = marginal[parents[first:end]] * prob[first:end]
    return marginal


def _word_marginals(model: NgramModel, prob: Doubles, parents: Ints) -> Doubles:
    """Returns how often each word comes in a chain by 2-grams, where `<s>` follows every `</s>`."""
    trie, starts = model.trie, model.level_starts
    words = prob[1 : starts[1]]
    pairs = slice(starts[1], starts[2])
    first, second = parents[pairs] - 1, trie.word[pairs]
    leaving = np.exp(trie.backoff[1 : starts[1]].astype(np.float64))
    # What a pair has of its own, over what backing off would give it.
    more = prob[pairs] - leaving[first] * words[second]
    marginal = words.copy()
    for _ in range(_CHAIN_STEPS):
        marginal[model.begin_id] = marginal[model.end_id]
        context = marginal.copy()
        context[model.end_id] = 0.0
        marginal = (context @ leaving) * words
        marginal += np.bincount(second, context[first] * more, len(words))
        marginal = np.maximum(marginal, 0.0)
        marginal /= marginal.sum()
    marginal[model.begin_id] = marginal[model.end_id]
    return marginal


def _lower_log_probs(trie: Trie, parents: Ints, nodes: npt.NDArray[np.int64]) -> Doubles:
    """Returns what the contexts without their first words say of the same last words."""
    state, target = trie.suffix[parents[nodes]], trie.suffix[nodes]
    paid = np.zeros(len(nodes))
    while (further := np.flatnonzero(parents[target] != state)).size:
        paid[further] += trie.backoff[state[further]]
        state[further] = trie.suffix[state[further]]
    return paid + trie.log_prob[target]


def _without(trie: Trie, kept: Mask, parents: Ints, starts: list[int]) -> Trie:
    """Returns the nodes that are kept, and back-offs by which their contexts sum to one."""
    sizes = [int(np.count_nonzero(kept[a:b])) for a, b in pairwise(starts)]
    sizes = sizes[: 1 + max(place for place, size in enumerate(sizes) if size)]
    level_starts = np.cumsum([1, *sizes]).tolist()
    num_contexts = level_starts[-2]
    place = np.cumsum(kept) - 1
    parent = place[parents[kept]][1:]
    num_children = np.bincount(parent, minlength=num_contexts)
    child_start = np.concatenate([np.ones(1), num_children]).cumsum().astype(np.int32)
    word = trie.word[kept]
    found = Trie(
        child_start,
        word,
        trie.log_prob[kept],
        np.zeros(num_contexts, np.float32),
        link(child_start, word),
        num_contexts,
    )
    _set_backoffs(found, level_starts)
    return found


def _set_backoffs(trie: Trie, starts: list[int]) -> None:
    """Gives every context what its n-grams leave over of what they would have by backing off."""
    parents = trie.parents()
    for before, first, end in zip(starts, starts[1:], starts[2:], strict=False):
        nodes = np.arange(first, end)
        own = np.exp(trie.log_prob[nodes].astype(np.float64))
        lower = np.exp(_lower_log_probs(trie, parents, nodes))
        sums = [np.bincount(parents[nodes] - before, one, first - before) for one in (own, lower)]
        left, lower_left = (np.maximum(1 - one, _LEAST) for one in sums)
        trie.backoff[before:first] = np.log(left / lower_left)
