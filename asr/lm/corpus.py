"""Text on its way into a language model: read once, kept on disk as numbers."""

import tempfile
from array import array
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from asr.errors import LanguageModelError
from asr.lm.ngram import BEGIN, END, UNKNOWN
from asr.lm.trie import Ints
from asr.lm.words import Words

_BUFFER_WORDS = 1 << 20
_LINE = -1
"""What stands in the file before every sentence."""


class Corpus:
    """The words of a text as numbers in a temporary file, and how often each of them occurs.

    Entered as a context; the file is gone when it is left. What is held in memory is the list of
    different words.

    Attributes:
        num_words: Words in the text.
        num_sentences: Sentences in the text.
    """

    def __init__(self) -> None:
        self.num_words = 0
        self.num_sentences = 0
        self._table = _Table()
        self._buffer = array("i")
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        """Returns the corpus."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Lets the file go."""
        self._file.close()

    @property
    def num_different(self) -> int:
        """How many different words the text has."""
        return len(self._table)

    def add(self, sentence: str) -> int:
        """Adds a sentence, normalised, with spaces between its words; one of none is left out.

        `<s>` and `</s>` in it are left out too: every sentence has them of itself.

        Returns:
            How many words it has.
        """
        words = sentence.split()
        if BEGIN in words or END in words:
            words = [word for word in words if word not in (BEGIN, END)]
        if not words:
            return 0
        self._buffer.append(_LINE)
        self._buffer.extend([self._table[word] for word in words])
        self.num_words += len(words)
        self.num_sentences += 1
        if len(self._buffer) >= _BUFFER_WORDS:
            self._flush()
        return len(words)

    def vocabulary(self, *, max_words: int | None = None, min_count: int = 1) -> Words:
        """Returns the words a model of this text is to know, `<s>`, `</s>` and `<unk>` among them.

        Args:
            max_words: Only so many, the most frequent; among equals the first in the alphabet.
            min_count: Only those that occur so often.
        """
        words = [word for word in self._table if word != UNKNOWN]
        counts = self._counts()
        frequent = [word for word in words if counts[self._table[word]] >= min_count]
        if max_words is not None and len(frequent) > max_words:
            frequent.sort(key=lambda word: (-counts[self._table[word]], word.encode()))
            del frequent[max_words:]
        return Words.of([BEGIN, END, UNKNOWN, *frequent])

    def blocks(self, words: Words, *, max_words: int) -> Iterator[Ints]:
        """Yields the text in blocks of whole sentences, each `<s>` word … word `</s>`.

        Args:
            words: The vocabulary; every other word is `<unk>`.
            max_words: A block has about so many words; more, where one sentence has more.

        Yields:
            int32 [num_words]: ids of `words`.

        Raises:
            LanguageModelError: The text has no words.
        """
        if not self.num_sentences:
            raise LanguageModelError("expected a text of at least one word, received none")
        renumber = self._renumbering(words)
        rest = np.empty(0, np.int32)
        for stored in self._stored(max_words):
            text = np.concatenate([rest, stored])
            starts = np.flatnonzero(text == _LINE)
            cut = int(starts[-1]) if len(starts) else 0
            if cut:
                yield _with_ends(text[:cut], renumber)
            rest = text[cut:]
        yield _with_ends(rest, renumber)

    def _stored(self, max_words: int) -> Iterator[Ints]:
        self._flush()
        self._file.seek(0)
        while data := self._file.read(4 * max_words):
            yield np.frombuffer(data, np.int32)

    def _flush(self) -> None:
        self._file.seek(0, 2)
        self._file.write(self._buffer.tobytes())
        self._buffer = array("i")

    def _counts(self) -> npt.NDArray[np.int64]:
        counts = np.zeros(len(self._table), np.int64)
        for stored in self._stored(_BUFFER_WORDS):
            counts += np.bincount(stored[stored != _LINE], minlength=len(counts))
        return counts

    def _renumbering(self, words: Words) -> Ints:
        """Returns the id in `words` of every word of the table, then those of `</s>` and `<s>`."""
        known = {word: place for place, word in enumerate(words)}
        unknown = known[UNKNOWN]
        ids = [known.get(word, unknown) for word in self._table]
        return np.array([*ids, known[END], known[BEGIN]], np.int32)


class _Table(dict[str, int]):
    """Word → its number, in the order of first sight."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number


def _with_ends(text: Ints, renumber: Ints) -> Ints:
    """Puts `</s> <s>` for every mark between sentences; marks are -1, the last of `renumber`."""
    starts = np.flatnonzero(text == _LINE)
    ends = [*starts[1:].tolist(), len(text)]
    return renumber[np.insert(text, ends, -2)]
