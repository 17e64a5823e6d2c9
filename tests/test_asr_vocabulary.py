import base64
import builtins
import collections
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import MissingExtraError, VocabularyError
from asr.pronunciations import Pronunciations
from asr.text import TextOptions, normalise_text
from asr.vocabulary import BLANK, Vocabulary, describe_characters

WORDS = ("the", "other", "mother", "cat", "catch", "matcher", "three", "there")
SENTENCES = [f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS]


@pytest.fixture(scope="module")
def subwords() -> Vocabulary:
    pytest.importorskip("sentencepiece")
    return Vocabulary.learn_subwords(SENTENCES, size=16)


def test_blank_is_zero_and_characters_follow_in_order() -> None:
    vocabulary = Vocabulary.from_characters(" ba'")
    assert vocabulary.tokens == ("<blank>", " ", "b", "a", "'")
    assert (vocabulary.blank_id, len(vocabulary), vocabulary.kind) == (0, 5, "characters")
    assert vocabulary.encode("a b'") == [3, 1, 2, 4]
    assert vocabulary.decode([3, 1, 2, 4]) == "a b'"


def test_learnt_characters_do_not_depend_on_the_order_of_texts() -> None:
    vocabulary = Vocabulary.learn_characters(["ba", "c a"])
    assert vocabulary.tokens == (BLANK, " ", "a", "b", "c")
    assert vocabulary == Vocabulary.learn_characters(["c a", "ba"])


def test_combining_marks_are_tokens_of_their_own() -> None:
    text = normalise_text("क्षेत्र", TextOptions(language="hi"))
    vocabulary = Vocabulary.learn_characters([text])
    assert "्" in vocabulary.tokens
    assert vocabulary.decode(vocabulary.encode(text)) == text


@given(st.lists(st.text(), min_size=1).filter(any))
def test_any_alphabet_round_trips(texts: list[str]) -> None:
    vocabulary = Vocabulary.learn_characters(texts)
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary
    for text in texts:
        tokens = vocabulary.encode(text)
        assert vocabulary.blank_id not in tokens
        assert vocabulary.decode(tokens) == text


@given(st.text("abcde़"))
def test_unknown_characters_are_counted_never_dropped(text: str) -> None:
    vocabulary = Vocabulary.from_characters("abc")
    unknown = vocabulary.unknown_characters(text)
    assert unknown == collections.Counter(char for char in text if char not in "abc")
    assert vocabulary.encodable(text) == (not unknown)
    if unknown:
        with pytest.raises(VocabularyError, match="unknown characters"):
            vocabulary.encode(text)
    else:
        assert len(vocabulary.encode(text)) == len(text)


def test_unknown_characters_are_named_with_code_points() -> None:
    with pytest.raises(VocabularyError, match=r"'é' \(U\+00E9\) × 2, '!' \(U\+0021\) × 1"):
        Vocabulary.from_characters("a").encode("éaé!")
    assert describe_characters(collections.Counter("bab")) == "'b' (U+0062) × 2, 'a' (U+0061) × 1"


@pytest.mark.parametrize("token", [0, -1, 3, 99])
def test_blank_and_numbers_outside_are_refused(token: int) -> None:
    with pytest.raises(VocabularyError, match=rf"from 1 to 2 \(0 is blank\), received {token}"):
        Vocabulary.from_characters("ab").decode([1, token])


@pytest.mark.parametrize(
    ("characters", "message"),
    [
        ("", "received none"),
        ("aba", "repeated: 'a'"),
        (["ab"], "single code points"),
        (["a", ""], "received ''"),
        ([BLANK], "repeated: '<blank>'"),
        (["\ud800"], "expected text as tokens"),
    ],
)
def test_broken_alphabet_is_refused(characters: list[str], message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.from_characters(characters)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": ["a", BLANK]}, "expected '<blank>' as the first token, received 'a'"),
        ({"tokens": ["a", "b"]}, "expected '<blank>' as the first token"),
        ({"tokens": []}, "received no token"),
        ({"tokens": [BLANK, "a", "a"]}, "repeated: 'a'"),
        ({"tokens": [BLANK, 1]}, "list of strings"),
        ({"tokens": "ab"}, "list of strings"),
        ({"kind": "phones"}, "received 'phones'"),
        ({"kind": "subwords"}, "received subwords without a model"),
        ({"model": ""}, "received characters with a model"),
        ({"model": 3}, "base64"),
        ({"model": "é"}, "base64"),
        ({"unk": 1}, "unknown key unk; the keys are kind, tokens, model"),
    ],
)
def test_broken_file_is_refused_not_repaired(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps({"kind": "characters", "tokens": [BLANK, "a"]} | change))
    with pytest.raises(VocabularyError, match=message) as caught:
        Vocabulary.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "characters"}', "missing key tokens"),
        ('{"kind": "characters", "kind": "characters", "tokens": []}', "repeated: kind"),
        ("[]", "JSON object"),
        ("", "JSON document"),
        ("[" * 100_000, "JSON document"),
    ],
)
def test_what_is_no_vocabulary_is_refused(text: str, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.from_json(text)


def test_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("absent", "binary"):
        with pytest.raises(VocabularyError, match=name):
            Vocabulary.load(tmp_path / name)


def test_file_shows_letters_and_escapes_marks(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_characters("дé\u0301\u200d𝒳")
    vocabulary.save(tmp_path / "vocabulary.json")
    text = (tmp_path / "vocabulary.json").read_text("utf-8")
    assert '"д"' in text
    assert '"\\u0301"' in text
    assert Vocabulary.load(tmp_path / "vocabulary.json") == vocabulary


def test_subwords_round_trip_through_a_file(tmp_path: Path, subwords: Vocabulary) -> None:
    assert (len(subwords), subwords.tokens[0], subwords.kind) == (16, BLANK, "subwords")
    subwords.save(tmp_path / "vocabulary.json")
    loaded = Vocabulary.load(tmp_path / "vocabulary.json")
    assert loaded == subwords
    for text in [*SENTENCES, ""]:
        assert loaded.decode(loaded.encode(text)) == text
    # Pieces are longer than characters, or they would be of no use.
    assert len(loaded.encode(SENTENCES[0])) < len(SENTENCES[0])


@settings(max_examples=50)
@given(st.text("the oracm "))
def test_subwords_spell_any_text_of_their_characters(subwords: Vocabulary, text: str) -> None:
    tokens = subwords.encode(text)
    assert all(0 < token < len(subwords) for token in tokens)
    assert subwords.decode(tokens) == text


def test_subwords_refuse_unknown_characters(subwords: Vocabulary) -> None:
    assert subwords.unknown_characters("the é ▁é") == collections.Counter({"é": 2, "▁": 1})
    with pytest.raises(VocabularyError, match=r"U\+00E9"):
        subwords.encode("the é")


@pytest.mark.parametrize("size", [3, 10_000])
def test_impossible_number_of_subwords_is_refused(size: int) -> None:
    pytest.importorskip("sentencepiece")
    with pytest.raises(VocabularyError, match=f"cannot learn {size} tokens"):
        Vocabulary.learn_subwords(SENTENCES, size=size)


def test_tokens_that_are_not_the_models_are_refused(subwords: Vocabulary) -> None:
    swapped = (subwords.tokens[0], subwords.tokens[2], subwords.tokens[1], *subwords.tokens[3:])
    other = Vocabulary(tokens=swapped, kind="subwords", model=subwords.model)
    with pytest.raises(VocabularyError, match="pieces of the sentencepiece model"):
        other.encode("the cat")


def test_damaged_model_is_refused(subwords: Vocabulary) -> None:
    table = json.loads(subwords.to_json()) | {"model": base64.b64encode(b"rubbish").decode()}
    with pytest.raises(VocabularyError, match="model is broken"):
        Vocabulary.from_json(json.dumps(table)).encode("the cat")


def test_without_sentencepiece_decoding_works_and_encoding_names_the_extra(
    subwords: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = subwords.encode("the cat")
    real_import = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "sentencepiece":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, "sentencepiece", raising=False)
    # Another model than the fixture's, so that nothing comes from a cache.
    table = json.loads(subwords.to_json()) | {"model": base64.b64encode(b"another").decode()}
    assert Vocabulary.from_json(json.dumps(table)).decode(tokens) == "the cat"
    with pytest.raises(MissingExtraError, match="subwords"):
        Vocabulary.from_json(json.dumps(table)).encode("the cat")


@given(st.lists(st.integers(1, 3), max_size=8))
def test_pieces_of_characters_join_to_the_text(tokens: list[int]) -> None:
    vocabulary = Vocabulary.from_characters("a é")
    assert "".join(map(vocabulary.piece, tokens)) == vocabulary.decode(tokens)


def test_pieces_of_subwords_bring_their_spaces(subwords: Vocabulary) -> None:
    tokens = subwords.encode("the cat")
    assert "".join(map(subwords.piece, tokens)) == " the cat"
    assert subwords.decode(tokens) == "the cat"


@pytest.mark.parametrize("token", [0, 4, -1])
def test_there_is_no_piece_of_blank_nor_of_what_is_no_token(token: int) -> None:
    with pytest.raises(VocabularyError, match=f"received {token}$"):
        Vocabulary.from_characters("a é").piece(token)


SPOKEN = Pronunciations.of(
    {"four": [["f", "ɔ", "ɹ"], ["f", "oʊ"]], "five": [["f", "aɪ", "v"]], "for": [["f", "ɔ", "ɹ"]]}
)


@pytest.fixture
def sounds() -> Vocabulary:
    return Vocabulary.learn_sounds(["four five", "for"], SPOKEN)


def test_sounds_write_words(sounds: Vocabulary) -> None:
    assert sounds.tokens == (BLANK, " ", "aɪ", "f", "oʊ", "v", "ɔ", "ɹ")
    assert sounds.encode("five four") == [3, 2, 5, 1, 3, 6, 7]
    assert sounds.decode([3, 2, 5, 1, 3, 6, 7]) == "five four"
    assert sounds.decode([1, 3, 4, 1]) == "four"
    assert sounds.decode([3, 4, 5]) == "foʊv"
    assert sounds.spellings("four") == [[3, 6, 7], [3, 4]]
    assert (sounds.separator, sounds.unit, sounds.piece(2)) == ([1], "words", "aɪ")
    assert (sounds.symbols(2), sounds.word_of(["f", "oʊ"])) == (("aɪ",), "four")


def test_of_words_that_sound_alike_the_preferred_is_written(sounds: Vocabulary) -> None:
    assert sounds.decode(sounds.encode("for")) == "four"
    assert sounds.preferring(["for"]).decode(sounds.encode("four")) == "for"
    letters = Vocabulary.from_characters("for")
    assert letters.preferring(["for"]) is letters


def test_sounds_of_single_words_need_no_space() -> None:
    vocabulary = Vocabulary.learn_sounds(["five", "four"], SPOKEN)
    assert " " not in vocabulary.tokens
    assert vocabulary.separator is None
    assert vocabulary.unknown_characters("five four") == {" ": 1}
    assert vocabulary.without_unknown("five four") == "five"


def test_words_without_a_pronunciation_are_counted_and_named(sounds: Vocabulary) -> None:
    assert sounds.unknown_characters("six five six") == {"six": 2}
    assert sounds.without_unknown("six five six") == "five"
    assert not sounds.encodable("six")
    with pytest.raises(VocabularyError, match="unknown words 'six' × 2 in 'six five six'"):
        sounds.encode("six five six")
    with pytest.raises(VocabularyError, match="at least one word"):
        Vocabulary.learn_sounds(["six"], SPOKEN)


def test_sounds_come_back_as_they_were_written(sounds: Vocabulary, tmp_path: Path) -> None:
    for vocabulary in (sounds, sounds.preferring(["for"])):
        vocabulary.save(tmp_path / "vocabulary.json")
        assert Vocabulary.load(tmp_path / "vocabulary.json") == vocabulary
    assert '"four": ["f ɔ ɹ", "f oʊ"]' in sounds.to_json()


@given(st.lists(st.sampled_from(["four", "five", "nine"]), max_size=6))
def test_texts_of_words_that_sound_different_round_trip(words: list[str]) -> None:
    spoken = SPOKEN.within(["four", "five"]) | Pronunciations.of({"nine": [["n", "aɪ", "n"]]})
    vocabulary = Vocabulary.learn_sounds(["four five nine"], spoken)
    text = " ".join(words)
    assert vocabulary.decode(vocabulary.encode(text)) == text


@pytest.mark.parametrize(
    ("kind", "extra", "reason"),
    [
        ("sounds", {}, "sounds without pronunciations"),
        ("characters", {"pronunciations": {"a": ["x"]}}, "characters with pronunciations"),
        ("sounds", {"pronunciations": {"a": ["y"]}}, "among the tokens alone: 'y'"),
        ("sounds", {"pronunciations": []}, "to be a JSON object"),
        ("sounds", {"pronunciations": {"a": "x"}}, "list of pronunciations of 'a'"),
        ("sounds", {"pronunciations": {"a": [" "]}}, "expected sounds of 'a'"),
    ],
    ids=["none", "kind", "token", "list", "text", "silent"],
)
def test_broken_pronunciations_are_refused(kind: str, extra: dict[str, Any], reason: str) -> None:
    table = {"kind": kind, "tokens": [BLANK, "x"], **extra}
    with pytest.raises(VocabularyError, match=reason):
        Vocabulary.from_json(json.dumps(table))
