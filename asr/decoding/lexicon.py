"""A closed list of words, as the ways on that a text has within it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asr.errors import DecodingError

State = tuple[int, ...]
"""Where in a lexicon a text stands: the trie's nodes that its tokens may have led to, in order."""

_ROOT = 0


class Ways(NamedTuple):
    """A lexicon as arrays; state 0 is where the empty text stands.

    Attributes:
        first: int32 [num_states + 1]: the ways on from state s are those from first[s] to
            first[s + 1].
        token: int32 [num_ways], the token of each way; rising within a state.
        target: int32 [num_ways], where it leads.
        is_end: bool [num_states], whether a word ends here.
    """

    first: npt.NDArray[np.int32]
    token: npt.NDArray[np.int32]
    target: npt.NDArray[np.int32]
    is_end: npt.NDArray[np.bool_]


class Lexicon:
    """The texts made of a closed list of words, and the empty text.

    A trie of spellings with a way back to its root where a word ends, made deterministic (the
    subset construction of Rabin and Scott 1959) as far as it is walked. So one text is one walk,
    even where words begin alike or two rows of words are spelt by the same tokens.

    Attributes:
        tokens: Every token id that a text may hold.
        start: Where the empty text stands.
    """

    def __init__(
        self, spellings: Iterable[Sequence[int]], *, separator: Sequence[int] | None
    ) -> None:
        """Builds the trie.

        Args:
            spellings: Token ids of every word.
            separator: Token ids between two words: none of them where the spellings themselves say
                where a word begins. None: a text is one word at most.

        Raises:
            DecodingError: There are no words, or one has no tokens.
        """
        self._children: list[dict[int, int]] = [{}]
        # A separator belongs to the word behind it, so that no text can end in one.
        before = () if separator is None else tuple(separator)
        self._ends = {self._grow(before, spelling) for spelling in spellings}
        if not self._ends:
            raise DecodingError("expected a lexicon of at least one word, received none")
        self._after_end: State = () if separator is None else (_ROOT,)
        self._known: dict[State, dict[int, State]] = {}
        self._ways: Ways | None = None
        self.tokens = frozenset(token for ways in self._children for token in ways)
        self.start: State = (self._walk(before),)

    def ways_on(self, state: State) -> Mapping[int, State]:
        """Returns the tokens that a text may go on with, and where each one leads."""
        if state not in self._known:
            nodes = {*state, *self._after_end} if self.is_end(state) else set(state)
            ways: dict[int, set[int]] = {}
            for node in nodes:
                for token, child in self._children[node].items():
                    ways.setdefault(token, set()).add(child)
            self._known[state] = {token: tuple(sorted(ways[token])) for token in sorted(ways)}
        return self._known[state]

    def is_end(self, state: State) -> bool:
        """Whether a word ends here."""
        return not self._ends.isdisjoint(state)

    def ways(self) -> Ways:
        """Returns all that can be reached, made deterministic, as arrays."""
        if self._ways is None:
            numbers = {self.start: 0}
            waiting, first = [self.start], [0]
            ways: list[tuple[int, int]] = []
            for state in waiting:  # which grows meanwhile
                for token, target in self.ways_on(state).items():
                    if target not in numbers:
                        numbers[target] = len(waiting)
                        waiting.append(target)
                    ways.append((token, numbers[target]))
                first.append(len(ways))
            table = np.array(ways, np.int32).reshape(-1, 2)
            self._ways = Ways(
                np.array(first, np.int32),
                np.ascontiguousarray(table[:, 0]),
                np.ascontiguousarray(table[:, 1]),
                np.array([self.is_end(state) for state in waiting]),
            )
        return self._ways

    def _grow(self, before: Sequence[int], spelling: Sequence[int]) -> int:
        """Lets the trie hold one word more; returns the node where it ends."""
        if not len(spelling):
            raise DecodingError("expected words of at least one token, received one of none")
        node = _ROOT
        for token in (*before, *spelling):
            if token not in self._children[node]:
                self._children[node][token] = len(self._children)
                self._children.append({})
            node = self._children[node][token]
        return node

    def _walk(self, tokens: Iterable[int]) -> int:
        node = _ROOT
        for token in tokens:
            node = self._children[node][token]
        return node
