r"""ARPA files: back-off models as text, the form in which language model toolkits trade them.

    \data\
    ngram 1=4
    ngram 2=3

    \1-grams:
    -1.3010	<unk>
    -99	<s>	-0.2041      log10 of the probability, the words, log10 of the back-off
    …

    \end\

Nothing is guessed at: what is not as it should be is refused by its line. Two things are allowed
that good files hold. A long n-gram may be there whose shorter suffix was pruned away; and `<unk>`
may be missing, and then has the log10 probability of -100, as in KenLM.
"""

import functools
import gzip
import lzma
import math
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from asr.errors import LanguageModelError
from asr.files import replacing
from asr.lm.ngram import BEGIN, END, UNKNOWN, NgramModel
from asr.lm.trie import BrokenLevelError, Floats, Ints, Level, build_trie
from asr.lm.words import Words

LN10 = math.log(10)
BAD_ARCHIVE = (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error)
"""What Python raises on an archive that is broken."""
MISSING_UNKNOWN = -100.0 * LN10
"""Natural log-probability of `<unk>` where a file does not give one."""
_MAX_LINE_BYTES = 1 << 20
_MAX_COUNT_DIGITS = 18
_LARGEST = 1e30  # of a logarithm: more is no probability, and single precision ends at 3e38
_SPECIAL = {word.lower().encode(): word for word in (BEGIN, END, UNKNOWN)}


def read_arpa(path: Path | str) -> NgramModel:
    """Reads a model of any order; `.gz` and `.xz` are unpacked on the way.

    Raises:
        LanguageModelError: The file is no ARPA file, or broken; the message names the line.
        OSError: It cannot be opened.
    """
    path = Path(path)
    with path.open("rb") as file:
        content = unpacked(file, path)
        # No line is read further than a line can be: what is packed may unpack to any length.
        reader = _Reader(path, iter(functools.partial(content.readline, _MAX_LINE_BYTES + 1), b""))
        try:
            return reader.read()
        except BAD_ARCHIVE as error:
            raise reader.error(f"the compressed file is broken ({error})") from None
        except BrokenLevelError as error:
            line = reader.line_of(error.order, error.row)
            raise LanguageModelError(
                f"{path}, line {line}: a {error.order}-gram: {error.problem}"
            ) from None


def unpacked(file: BinaryIO, path: Path) -> BinaryIO | gzip.GzipFile | lzma.LZMAFile:
    """Returns what a file holds, unpacked if it is called `.gz` or `.xz`."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=file)
    return lzma.LZMAFile(file) if suffix == ".xz" else file


def write_arpa(path: Path | str, model: NgramModel) -> None:
    """Writes a model, atomically; packed if the file is called `.gz` or `.xz`."""
    path = Path(path)
    with replacing(path) as aside, aside.open("wb") as file:
        target = _packed(file, path)
        target.writelines(f"{line}\n".encode() for line in arpa_lines(model))
        if target is not file:
            target.close()


def _packed(file: BinaryIO, path: Path) -> BinaryIO | gzip.GzipFile | lzma.LZMAFile:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=file, mode="wb")
    return lzma.LZMAFile(file, "wb") if suffix == ".xz" else file


def arpa_lines(model: NgramModel) -> Iterator[str]:
    """Yields the lines of a model's ARPA file.

    Eight digits are written, so that reading the lines gives the same float32 again.
    """
    trie = model.trie
    words = list(model.words)
    yield "\\data\\"
    yield from (f"ngram {n}={count}" for n, count in enumerate(model.num_ngrams, start=1))
    first = 1
    for order, ids in enumerate(trie.ngrams(), start=1):
        yield ""
        yield f"\\{order}-grams:"
        end = first + len(ids)
        yield from _level_lines(ids, trie.log_prob[first:end], trie.backoff[first:end], words)
        first = end
    yield ""
    yield "\\end\\"


def _level_lines(
    ids: Ints, log_prob: Floats, backoff: Floats, words: Sequence[str]
) -> Iterator[str]:
    logs = (log_prob.astype(np.float64) / LN10).tolist()
    texts = (" ".join([words[one] for one in row]) for row in ids.tolist())
    if len(backoff) == 0:
        yield from (f"{_number(log)}\t{text}" for log, text in zip(logs, texts, strict=True))
        return
    paid = (backoff.astype(np.float64) / LN10).tolist()
    for log, text, weight in zip(logs, texts, paid, strict=True):
        yield f"{_number(log)}\t{text}\t{_number(weight)}" if weight else f"{_number(log)}\t{text}"


def _number(value: float) -> str:
    return f"{value:.9g}"


class _Header(NamedTuple):
    """Where the n-grams of one order stand."""

    order: int
    line: int


class _Reader:
    """One pass over a file, with the number of the line at hand."""

    def __init__(self, path: Path, file: Iterable[bytes]) -> None:
        self._path = path
        self._lines = iter(file)
        self._number = 0
        self._headers: list[_Header] = []
        self._ids: dict[bytes, int] = {}

    def read(self) -> NgramModel:
        counts = self._read_counts()
        words, unigrams = self._read_words(counts[0], highest=len(counts) == 1)
        levels = [unigrams]
        for order, count in enumerate(counts[1:], start=2):
            levels.append(self._read_level(order, count, highest=order == len(counts)))
        self._expect("\\end\\", self._next_line())
        # Read on: only at its end does a compressed file show that it is whole.
        if line := self._next_line():
            raise self.error(f"expected nothing after \\end\\, received {_shown(line)}")
        return NgramModel(build_trie(levels), words)

    def error(self, problem: str) -> LanguageModelError:
        """Returns the error to raise about the line at hand."""
        return LanguageModelError(f"{self._path}, line {self._number}: {problem}")

    def line_of(self, order: int, row: int) -> int:
        """Returns the number of the line on which a row of an order stands."""
        return next(one.line for one in self._headers if one.order == order) + row + 1

    def _next_line(self) -> bytes:
        """Returns the next line that is not empty, stripped; at the end of the file, nothing."""
        while line := self._line():
            self._number += 1
            if stripped := line.strip():
                return stripped
        return b""

    def _line(self) -> bytes:
        """Returns the next line as it is; at the end of the file, nothing."""
        line = next(self._lines, b"")
        if len(line) > _MAX_LINE_BYTES:
            raise LanguageModelError(
                f"{self._path}, line {self._number + 1}: expected at most {_MAX_LINE_BYTES:,} "
                "bytes, received more"
            )
        return line

    def _expect(self, wanted: str, received: bytes) -> None:
        if received != wanted.encode():
            raise self.error(f"expected {wanted}, received {_shown(received)}")

    def _read_counts(self) -> list[int]:
        while (line := self._next_line()) != b"\\data\\":
            if not line or line.startswith(b"\\"):
                raise self.error(f"expected \\data\\, received {_shown(line)}: no ARPA file")
        counts: list[int] = []
        while not (line := self._next_line()).startswith(b"\\"):
            order, equals, count = line.removeprefix(b"ngram").partition(b"=")
            wanted = len(counts) + 1
            digits = count.strip()
            good = line.startswith(b"ngram ") and equals and digits.isdigit()
            good = good and len(digits) <= _MAX_COUNT_DIGITS
            if not good or order.strip() != str(wanted).encode():
                raise self.error(f"expected “ngram {wanted}=…”, received {_shown(line)}")
            counts.append(int(count))
        if not counts:
            raise self.error(f"expected “ngram 1=…”, received {_shown(line)}")
        self._begin_level(1, line)
        return counts

    def _begin_level(self, order: int, line: bytes) -> None:
        self._expect(f"\\{order}-grams:", line)
        self._headers.append(_Header(order, self._number))

    def _read_words(self, count: int, *, highest: bool) -> tuple[Words, Level]:
        """Reads the unigrams, which are the words; ids are given in the order of their bytes."""
        found: dict[bytes, tuple[float, float]] = {}
        for fields in self._rows(1, count):
            word = _SPECIAL.get(fields[1].lower(), "").encode() or fields[1]
            if word in found:
                raise self.error(f"the word {_shown(word)} stands there twice")
            self._check_text(word)
            found[word] = (self._log_prob(fields[0]), self._backoff(fields, 1, highest=highest))
        for special in (BEGIN, END):
            if special.encode() not in found:
                raise self.error(f"expected the word {special} among the 1-grams, found none")
        found.setdefault(UNKNOWN.encode(), (MISSING_UNKNOWN, 0.0))
        self._ids = {word: place for place, word in enumerate(sorted(found))}
        for word in (*_SPECIAL, *map(bytes.upper, _SPECIAL)):
            self._ids[word] = self._ids[word.lower()]
        values = np.array([found[word] for word in sorted(found)], np.float32)
        ids = np.arange(len(found), dtype=np.int32)[:, None]
        words = Words.of(word.decode() for word in found)
        return words, Level(ids, values[:, 0].copy(), values[:, 1].copy())

    def _read_level(self, order: int, count: int, *, highest: bool) -> Level:
        self._begin_level(order, self._next_line())
        ids, log_prob, backoff = array("i"), array("f"), array("f")
        known = self._ids
        for fields in self._rows(order, count):
            try:
                ids.extend([known[word] for word in fields[1 : order + 1]])
            except KeyError as error:
                raise self.error(f"the word {_shown(error.args[0])} is no 1-gram") from None
            log_prob.append(self._log_prob(fields[0]))
            backoff.append(self._backoff(fields, order, highest=highest))
        table = np.array(ids, np.int32).reshape(-1, order)
        return Level(table, np.array(log_prob, np.float32), np.array(backoff, np.float32))

    def _rows(self, order: int, count: int) -> Iterator[list[bytes]]:
        """Yields the fields of the lines of one order: as many lines as the head says."""
        wanted = "the log-probability, the words"
        for row in range(count):
            line = self._line()
            self._number += 1
            fields = line.split()
            if not order + 1 <= len(fields) <= order + 2:
                if not fields or fields[0].startswith(b"\\"):
                    raise self.error(
                        f"expected {count:,} {order}-grams, as the head says, found {row:,}"
                    )
                raise self.error(
                    f"expected {wanted} and the back-off of a {order}-gram, "
                    f"received {_shown(line.strip())}"
                )
            yield fields

    def _log_prob(self, field: bytes) -> float:
        value = self._float(field)
        if value > 0:
            raise self.error(f"expected a log-probability of at most 0, received {_shown(field)}")
        return value

    def _backoff(self, fields: list[bytes], order: int, *, highest: bool) -> float:
        if len(fields) == order + 1:
            return 0.0
        value = self._float(fields[-1])
        if highest and value:
            raise self.error(
                f"expected no back-off after a {order}-gram, the highest order, "
                f"received {_shown(fields[-1])}"
            )
        return value

    def _float(self, field: bytes) -> float:
        try:
            value = float(field)
        except ValueError:
            value = math.nan
        if not abs(value) <= _LARGEST:  # NaN compares as false
            raise self.error(f"expected a number, received {_shown(field)}")
        return value * LN10

    def _check_text(self, word: bytes) -> None:
        try:
            word.decode()
        except UnicodeDecodeError:
            raise self.error(f"expected UTF-8, received {word!r}") from None


def _shown(field: bytes) -> str:
    if not field:
        return "the end of the file"
    text = field[:60].decode(errors="backslashreplace")
    return f"“{text}…”" if len(field) > 60 else f"“{text}”"
