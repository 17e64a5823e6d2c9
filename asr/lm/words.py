"""The words of a language model, found without a table of them all being built."""

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt


class Words(Sequence[str]):
    """A sorted list of words that lies in two arrays, and so can lie in a mapped file.

    A word's id is its place. Looking one up is a binary search, some microseconds; nothing is read
    when the list is made.

    Args:
        blob: uint8 [num_bytes], the words' UTF-8 one after another, in the order of their bytes.
        ends: int64 [num_words], where each of them ends in `blob`.
    """

    def __init__(self, blob: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> None:
        self.blob = blob
        self.ends = ends

    @classmethod
    def of(cls, words: Iterable[str]) -> "Words":
        """Returns the list of these words, sorted by their UTF-8, each once."""
        encoded = sorted({word.encode() for word in words})
        ends = np.cumsum([len(word) for word in encoded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    def check(self) -> None:
        """Refuses a list that is none, as a file that a stranger made may hold.

        Raises:
            ValueError: They overlap, or are no UTF-8.
        """
        starts = np.concatenate([np.zeros(1, np.int64), self.ends[:-1]])[: len(self.ends)]
        if (self.ends <= starts).any() or (self.ends[-1:] != len(self.blob)).any():
            raise ValueError("its words do not fit together")
        self.blob.tobytes().decode()  # UnicodeDecodeError is a ValueError
        if (self.blob[starts] & 0xC0 == 0x80).any():  # a byte within a character
            raise ValueError("a word begins within a character")

    def find(self, word: str) -> int | None:
        """Returns the id of a word, or None if it is not here."""
        wanted = word.encode()
        low, high = 0, len(self.ends)
        while low < high:
            middle = (low + high) // 2
            if self._bytes(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        found = low < len(self.ends) and self._bytes(low) == wanted
        return low if found else None

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]  # negative indices counted, others out of range refused
        return self._bytes(place).decode()

    def __iter__(self) -> Iterator[str]:
        blob, start = self.blob.tobytes(), 0
        for end in self.ends.tolist():
            yield blob[start:end].decode()
            start = end

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self.find(word) is not None

    def _bytes(self, place: int) -> bytes:
        start = int(self.ends[place - 1]) if place else 0
        return self.blob[start : int(self.ends[place])].tobytes()
