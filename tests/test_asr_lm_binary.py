"""Models kept in files of our own: what was written is read, and nothing else is."""

import contextlib
import json
import math
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import LanguageModelError, OptionsError
from asr.lm import NgramModel, binary, open_binary, write_binary
from asr.lm.binary import MAGIC
from asr.lm.corpus import Corpus
from asr.lm.counts import count_ngrams
from asr.lm.kneser_ney import estimate
from asr.lm.trie import Trie
from asr.lm.words import Words

BITS = [None, 4, 8, 12, 16]


@pytest.fixture(scope="module")
def model() -> NgramModel:
    """A model of 2,000 sentences of made-up words, Zipf-distributed."""
    rng = np.random.default_rng(5)
    names = ["".join(rng.choice(list("abcdeé"), rng.integers(1, 5))) for _ in range(300)]
    with Corpus() as corpus:
        for _ in range(2000):
            corpus.add(" ".join(names[k % 300] for k in rng.zipf(1.3, rng.integers(1, 12))))
        words = corpus.vocabulary()
        begin_id = words.find("<s>")
        assert begin_id is not None
        blocks = corpus.blocks(words, max_words=1000)
        counts = count_ngrams(blocks, order=3, vocab_size=len(words), begin_id=begin_id)
    return NgramModel(estimate(counts, thresholds=(0, 0, 1), begin_id=begin_id).trie, words)


@pytest.fixture(params=BITS)
def path(request: pytest.FixtureRequest, model: NgramModel, tmp_path: Path) -> Path:
    write_binary(tmp_path / "lm.ngram", model, bits=request.param)
    return tmp_path / "lm.ngram"


def test_a_plain_file_holds_the_model_itself(model: NgramModel, tmp_path: Path) -> None:
    write_binary(tmp_path / "lm.ngram", model)
    again = open_binary(tmp_path / "lm.ngram", check=True)
    assert list(again.words) == list(model.words)
    assert again.order == model.order
    for name in Trie._fields:
        np.testing.assert_array_equal(getattr(again.trie, name), getattr(model.trie, name))


@pytest.mark.parametrize(
    ("bits", "usual", "most"), [(4, 0.4, 3), (8, 0.05, 1), (12, 0.005, 0.1), (16, 1e-6, 1e-6)]
)
def test_a_packed_file_holds_it_rounded(
    model: NgramModel, tmp_path: Path, bits: int, usual: float, most: float
) -> None:
    """Bounded for each value, `<unk>` included, which lies alone beside `<s>` at 10⁻⁹⁹."""
    write_binary(tmp_path / "lm.ngram", model, bits=bits)
    again = open_binary(tmp_path / "lm.ngram")
    assert list(again.words) == list(model.words)
    for name in ("child_start", "word", "suffix", "max_order_start"):
        np.testing.assert_array_equal(getattr(again.trie, name), getattr(model.trie, name))
    for name in ("log_prob", "backoff"):
        ours, theirs = getattr(again.trie, name), getattr(model.trie, name)
        assert ours.dtype == np.float32
        assert np.sqrt(np.mean((ours - theirs) ** 2)) < usual
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=most)


def test_fewer_bits_make_a_smaller_file(model: NgramModel, tmp_path: Path) -> None:
    sizes = []
    for bits in (4, 8, 12, None):
        write_binary(tmp_path / "lm.ngram", model, bits=bits)
        sizes.append((tmp_path / "lm.ngram").stat().st_size)
    assert sizes == sorted(sizes)


def test_the_scores_of_an_opened_model_are_those_of_the_model(
    model: NgramModel, tmp_path: Path
) -> None:
    write_binary(tmp_path / "lm.ngram", model)
    again = open_binary(tmp_path / "lm.ngram")
    sentence = " ".join([*list(model.words)[10:30], "unheard", *list(model.words)[40:50]])
    assert again.score(sentence) == model.score(sentence)
    ids = [again.begin_id, *again.ids(sentence.split()), again.end_id]
    assert again.score_ids(ids).sum() == pytest.approx(model.score(sentence))


def test_of_a_plain_file_is_checked_what_a_walk_needs(model: NgramModel, tmp_path: Path) -> None:
    """All logarithms are alike good numbers; that they are others is for `check` to notice."""
    path = tmp_path / "lm.ngram"
    write_binary(path, model)
    head, body = split(path.read_bytes())
    _, length, offset = head["arrays"]["log_prob"]
    path.write_bytes(joined(head, body[:offset] + bytes(4 * length) + body[offset + 4 * length :]))
    assert open_binary(path).order == model.order
    with pytest.raises(LanguageModelError, match="was changed after it was written"):
        open_binary(path, check=True)


def test_no_file_cut_short_is_opened(path: Path) -> None:
    data = path.read_bytes()
    for size in {0, 1, 7, 8, 15, 16, 30, 200, len(data) // 2, len(data) - 1}:
        path.write_bytes(data[:size])
        with pytest.raises(LanguageModelError, match=f"^{path}: "):
            open_binary(path)
    path.write_bytes(data + b"x")
    with pytest.raises(LanguageModelError, match="or something was added"):
        open_binary(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\\data\\\n", "expected a language model of ours, received another file"),
        (MAGIC + b"\x02\0\0\0\x10\0\0\0" + bytes(16), "expected version 1, received 2"),
        (MAGIC + b"\x01\0\0\0\xff\xff\xff\xff", "cut short within its head"),
        (MAGIC + b"\x01\0\0\0\x04\0\0\0nope", "the head of this file is broken"),
        (MAGIC + b"\x01\0\0\0\x02\0\0\0{}", "the head of this file is broken"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "lm.ngram").write_bytes(content)
    with pytest.raises(LanguageModelError, match=problem):
        open_binary(tmp_path / "lm.ngram")


def test_a_changed_byte_of_a_packed_file_is_noticed(model: NgramModel, tmp_path: Path) -> None:
    path = tmp_path / "lm.ngram"
    write_binary(path, model, bits=8)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    with pytest.raises(LanguageModelError, match="was changed after it was written"):
        open_binary(path)


@pytest.mark.parametrize(
    ("place", "lie"),
    [
        (("arrays", "word", 0), "object"),
        (("arrays", "word", 0), "float32"),
        (("arrays", "word", 1), 10**15),
        (("arrays", "word", 1), -1),
        (("arrays", "word", 2), 10**15 * 64),
        (("arrays", "suffix", 1), 3),
        (("arrays", "words", 1), 3),
        (("num_bytes",), 10**15),
        (("num_bytes",), "many"),
        (("crc32",), None),
        (("order",), 7),
        (("arrays",), []),
    ],
)
def test_a_head_that_lies_is_refused(
    model: NgramModel, tmp_path: Path, place: tuple[str | int, ...], lie: object
) -> None:
    path = tmp_path / "lm.ngram"
    write_binary(path, model)
    head, body = split(path.read_bytes())
    part = head
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = lie
    path.write_bytes(joined(head, body))
    with pytest.raises(LanguageModelError, match=f"^{path}: "):
        open_binary(path)


STRAY = [
    ("child_start", 0, 0),
    ("child_start", 5, 4),
    ("child_start", 5, -1),
    ("child_start", 5, 2**31 - 1),
    ("child_start", -1, 7),
    ("word", 1, -1),
    ("word", 40, 2**31 - 1),
    ("suffix", 0, 1),
    ("suffix", 40, 40),
    ("suffix", 40, -1),
    ("suffix", -1, 2**31 - 1),
    ("word_ends", 3, 0),
    ("word_ends", 3, -1),
    ("word_ends", -1, 2**40),
    ("words", 0, 0xFF),
    ("log_prob", 9, math.nan),
    ("backoff", 9, math.inf),
]


@pytest.mark.parametrize(("name", "place", "value"), STRAY)
def test_arrays_that_lead_out_of_themselves_are_refused(
    model: NgramModel, tmp_path: Path, name: str, place: int, value: float
) -> None:
    """Compiled functions would read, or write, wherever they are led."""
    path = tmp_path / "lm.ngram"
    write_binary(path, model)
    with pytest.raises(LanguageModelError, match=f"^{path}: "):
        open_binary(changed(path, name, place, value))


@given(
    st.lists(st.tuples(st.sampled_from(sorted(binary._PLAIN)), st.integers(0, 10**6)), max_size=3)
)
def test_whatever_a_stranger_changed_a_model_is_refused_or_can_be_walked(
    model: NgramModel, changes: list[tuple[str, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lm.ngram"
        write_binary(path, model)
        for name, number in changes:
            array = open_array(path, name)
            changed(path, name, number % len(array), int(array[number % 7]) + number % 5 - 2)
        with contextlib.suppress(LanguageModelError):
            opened = open_binary(path)
            words = [*list(opened.words)[3:60], "unheard"]
            assert math.isfinite(opened.score(" ".join(words)))


@pytest.mark.parametrize("claimed", [10**10, 10**30])
def test_a_packed_file_that_would_unpack_to_anything_is_refused(
    model: NgramModel, tmp_path: Path, claimed: int
) -> None:
    path = tmp_path / "lm.ngram"
    write_binary(path, model, bits=8)
    head, body = split(path.read_bytes())
    head["arrays"]["word"][1] = claimed
    path.write_bytes(joined(head, body))
    with pytest.raises(LanguageModelError, match=r"bytes that would unpack to \d"):
        open_binary(path)


def test_a_packed_body_that_is_no_archive_is_refused(model: NgramModel, tmp_path: Path) -> None:
    path = tmp_path / "lm.ngram"
    write_binary(path, model, bits=8)
    head, body = split(path.read_bytes())
    for stored in (b"", b"no archive", body[:60], body[60:]):
        head |= {"num_bytes": len(stored), "crc32": zlib.crc32(stored)}
        path.write_bytes(joined(head, stored))
        with pytest.raises(LanguageModelError, match=f"^{path}: "):
            open_binary(path)


def open_array(path: Path, name: str) -> Any:
    head, body = split(path.read_bytes())
    kind, length, offset = head["arrays"][name]
    return np.frombuffer(body, kind, length, offset)


def changed(path: Path, name: str, place: int, value: float) -> Path:
    """Changes one number of a plain file, as a stranger does who knows the format."""
    head, body = split(path.read_bytes())
    array = open_array(path, name).copy()
    limits = np.iinfo(array.dtype) if array.dtype.kind in "iu" else np.finfo(array.dtype)
    exact = isinstance(value, float) and not math.isfinite(value)
    array[place] = value if exact else min(max(value, limits.min), limits.max)
    offset = head["arrays"][name][2]
    body = body[:offset] + array.tobytes() + body[offset + array.nbytes :]
    head["crc32"] = zlib.crc32(body)
    path.write_bytes(joined(head, body))
    return path


def split(data: bytes) -> tuple[Any, bytes]:
    """The head of a file, and its body."""
    end = 16 + int.from_bytes(data[12:16], "little")
    return json.loads(data[16:end]), data[end:]


def joined(head: object, body: bytes) -> bytes:
    text = json.dumps(head).encode()
    text += b" " * (-(16 + len(text)) % 64)
    return MAGIC + (1).to_bytes(4, "little") + len(text).to_bytes(4, "little") + text + body


@pytest.mark.parametrize("bits", [3, 17])
def test_bits_that_no_number_can_have_are_refused(
    model: NgramModel, tmp_path: Path, bits: int
) -> None:
    with pytest.raises(OptionsError, match=f"expected 4 to 16 bits, received {bits}"):
        write_binary(tmp_path / "lm.ngram", model, bits=bits)
    assert not list(tmp_path.iterdir())


def test_a_plain_model_is_opened_without_numba(model: NgramModel, tmp_path: Path) -> None:
    write_binary(tmp_path / "lm.ngram", model)
    program = (
        "import sys\nfrom asr.lm import open_binary\n"
        f"model = open_binary({str(tmp_path / 'lm.ngram')!r})\n"
        "print(model.score('a b'), 'numba' in sys.modules)"
    )
    root = Path(__file__).resolve().parent.parent
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    score, heavy = result.stdout.split()
    assert heavy == "False"
    assert math.isclose(float(score), model.score("a b"))


def test_words_are_found_by_search(model: NgramModel) -> None:
    words = model.words
    assert [words.find(word) for word in words] == list(range(len(words)))
    assert all(words[place] == word for place, word in enumerate(words))
    assert words[-1] == list(words)[-1]
    assert words[2:5] == list(words)[2:5]
    assert words.find("zzz") is None
    assert "zzz" not in words
    with pytest.raises(IndexError):
        words[len(words)]


def test_words_and_unigrams_that_differ_in_number_are_refused(model: NgramModel) -> None:
    with pytest.raises(LanguageModelError, match="expected as many words as unigrams"):
        NgramModel(model.trie, Words.of(["<s>", "</s>", "<unk>"]))
