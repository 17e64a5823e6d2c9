"""Words cut into pieces, the most probable way: what a recurrent language model reads and writes.

The unigram model of Kudo (2018): a word is the pieces whose log-probabilities have the largest sum,
which Viterbi's algorithm finds. The pieces are learnt by `asr.vocabulary`'s sentencepiece; to cut
words takes no more than their list, so that using a model needs no further package.
"""

from collections.abc import Iterable, Iterator, Sequence

from asr.errors import LanguageModelError
from asr.subwords import piece_scores, pieces, train_subwords

UNKNOWN_ID = 0
"""The piece of a character that no other piece spells."""
END_ID = 1
"""The piece between two sentences: it ends one and begins the next."""
SPECIAL = ("<unk>", "</s>")
SPACE = "▁"  # U+2581, as sentencepiece writes the space before a word
_UNKNOWN_LOSS = 10.0  # below the least probable piece, as sentencepiece has it
_NEVER = -1e30


class WordPieces:
    """A list of pieces, and how to cut words into them.

    Attributes:
        pieces: `SPECIAL`, then pieces of words; the first of a word begins with `SPACE`.
        scores: Natural log-probability of each piece by itself.
    """

    def __init__(self, pieces: Sequence[str], scores: Sequence[float]) -> None:
        """Keeps a list of pieces.

        Raises:
            LanguageModelError: The lists differ in length, a piece is empty or there twice, or the
                first two are not `SPECIAL`.
        """
        if tuple(pieces[:2]) != SPECIAL or len(pieces) < 3:
            raise LanguageModelError(f"expected {SPECIAL} and then pieces of words")
        if len(pieces) != len(scores):
            raise LanguageModelError(f"expected {len(pieces)} scores, received {len(scores)}")
        self.pieces = tuple(pieces)
        self.scores = tuple(scores)
        self._ids = {piece: place for place, piece in enumerate(pieces) if place >= len(SPECIAL)}
        if "" in self._ids or len(self._ids) != len(pieces) - len(SPECIAL):
            raise LanguageModelError("expected every piece once, and none of them empty")
        self._longest = max(map(len, self._ids))
        self._unknown = min(scores) - _UNKNOWN_LOSS
        self._known: dict[str, tuple[int, ...]] = {}

    @classmethod
    def learn(cls, sentences: Iterable[str], *, size: int) -> "WordPieces":
        """Learns the pieces of a text.

        Args:
            sentences: Normalised, with spaces between the words.
            size: How many pieces, `SPECIAL` among them.

        Raises:
            VocabularyError: The text does not allow that many pieces, or needs more.
            MissingExtraError: The extra `subwords` is not installed.
        """
        model = train_subwords(sentences, size - 1)
        # Sentencepiece's first one is its `unknown`.
        learnt = pieces(model)[1:], piece_scores(model)[1:]
        return cls([*SPECIAL, *learnt[0]], [0.0, 0.0, *learnt[1]])

    def __len__(self) -> int:
        """How many there are."""
        return len(self.pieces)

    def encode(self, text: str) -> list[int]:
        """Returns the pieces of a text's words, by number; words have spaces between them."""
        return [piece for word in text.split() for piece in self._of(word)]

    def encode_all(self, sentences: Iterable[str]) -> Iterator[list[int]]:
        """Yields the pieces of each sentence that has words, and `END_ID`."""
        for sentence in sentences:
            if found := self.encode(sentence):
                yield [*found, END_ID]

    def _of(self, word: str) -> tuple[int, ...]:
        found = self._known.get(word)
        if found is None:
            found = self._known[word] = self._cut(SPACE + word)
        return found

    def _cut(self, text: str) -> tuple[int, ...]:
        """Viterbi: the best way to each place is the best way to an earlier one and a piece."""
        best = [0.0] + [_NEVER] * len(text)
        came: list[tuple[int, int]] = [(0, UNKNOWN_ID)] * (len(text) + 1)
        for end in range(1, len(text) + 1):
            for start in range(max(0, end - self._longest), end):
                piece = self._ids.get(text[start:end])
                if piece is None and start < end - 1:
                    continue
                score = self._unknown if piece is None else self.scores[piece]
                if best[start] + score > best[end]:
                    best[end] = best[start] + score
                    came[end] = start, UNKNOWN_ID if piece is None else piece
        found = []
        place = len(text)
        while place:
            place, piece = came[place]
            found.append(piece)
        return tuple(reversed(found))
