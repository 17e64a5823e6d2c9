import json
import string
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asr.text
from asr.errors import OptionsError
from asr.text import TextOptions, describe_normalisation, normalise_text

LANGUAGES = sorted(path.stem for path in (Path(asr.text.__file__).parent / "languages").iterdir())
# What breaks normalisers: marks, joiners, dotted and final letters, quotes, expanding capitals.
AWKWARD = (
    "aZéßẞıİiIσςΣŉ'’`´¨\u0301\u0307\u0345\u200c\u200d\u00ad\ufe0f-·•_ \t\u00a0क्षि़।ـً٣ﬁ①½…ᾳΐ❤\ufffd"
)

TEXTS = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(AWKWARD)))
OPTIONS = st.builds(
    TextOptions,
    language=st.sampled_from([*LANGUAGES, "sw"]),
    case=st.sampled_from(["lower", "upper", "keep"]),
    punctuation=st.sampled_from(["remove", "keep"]),
)


@pytest.mark.parametrize(
    ("language", "written", "spoken"),
    [
        ("en", "Don’t — STOP!", "don't stop"),
        ("en", "“Well,” she said, ‘the dogs’ e-mail.’", "well she said the dogs e mail"),
        ("en", "it´s a` b", "it's a b"),
        ("en", "  One\u00a0two\n\tthree\u2003", "one two three"),
        ("en", "word.Word/word_word", "word word word word"),
        ("en", "ﬁne Ｆｕｌｌ", "fine full"),
        ("en", "soft\u00adhyphen, zero\u200bwidth \ufeffmark", "softhyphen zerowidth mark"),
        ("en", "I ❤️ 3 × 4", "i 3 4"),
        ("en", "!?…", ""),
        ("en", "a ¨b !\u0301c", "a b c"),
        ("en", "e\u00ad\u0301", "é"),
        ("en", "ŉ o\uff40clock", "n o'clock"),
        ("hi", "र्\u200dय\u200d", "र्\u200dय"),
        ("en", "", ""),
        ("de", "Straße, geht’s? ÄÖÜ", "straße geht's äöü"),
        ("fr", "L’homme d'aujourd’hui: « peut-être »", "l'homme d'aujourd'hui peut être"),
        ("es", "¿Qué? ¡'Mañana'!", "qué mañana"),
        ("it", "un po’ d’acqua perché", "un po d'acqua perché"),
        ("ca", "L'il·lusió", "l'il·lusió"),
        ("tr", "IŞIK İstanbul’da", "ışık istanbul'da"),
        ("az", "QIZIL İPƏK", "qızıl ipək"),
        ("en", "IN", "in"),
        ("ru", "Кто-то, ещё «раз»", "кто то ещё раз"),
        ("uk", "п’ять пʼять п'ять", "п'ять п'ять п'ять"),
        ("el", "ΟΔΟΣ, ΣΑΣ·οδοσ", "οδος σας οδος"),
        ("hi", "हिन्दी में।", "हिन्दी में"),
        ("ar", "مـــرحبًا، كَتَبَ؟", "مرحبًا كَتَبَ"),
        ("fa", "مي‌خواهم‌", "می‌خواهم"),
        ("vi", "Tiếng Việt được", "tiếng việt được"),
        ("th", "ที่นี่", "ที่นี่"),
        ("sw", "Ng'ombe!", "ng'ombe"),
    ],
)
def test_what_writers_type_becomes_what_is_spoken(language: str, written: str, spoken: str) -> None:
    assert normalise_text(written, TextOptions(language=language)) == spoken


def test_composed_and_decomposed_spellings_become_one() -> None:
    for text in ("Việt", "é", "क़लम", "й"):
        decomposed = unicodedata.normalize("NFD", text)
        assert normalise_text(decomposed, TextOptions()) == normalise_text(text, TextOptions())


@pytest.mark.parametrize(
    ("language", "upper"),
    [("en", "STRASSE IN"), ("de", "STRAßE IN"), ("tr", "STRASSE İN")],
)
def test_upper_case_follows_the_language(language: str, upper: str) -> None:
    assert normalise_text("straße in", TextOptions(language=language, case="upper")) == upper


def test_kept_case_and_punctuation_still_fold_and_collapse() -> None:
    options = TextOptions(case="keep", punctuation="keep")
    assert normalise_text(" “Don’t”,  she said. ", options) == '"Don\'t", she said.'
    assert normalise_text("ŉ \u1fefx", options) == "'n 'x"


def test_wrongly_decoded_text_stays_visible() -> None:
    assert normalise_text("caf\ufffd", TextOptions()) == "caf\ufffd"


@given(TEXTS, OPTIONS)
def test_normalising_twice_changes_nothing_more(text: str, options: TextOptions) -> None:
    once = normalise_text(text, options)
    assert normalise_text(once, options) == once


@given(TEXTS, OPTIONS)
def test_result_is_composed_with_single_inner_spaces(text: str, options: TextOptions) -> None:
    result = normalise_text(text, options)
    assert result == " ".join(result.split())
    assert unicodedata.is_normalized("NFC", result)
    assert not any(unicodedata.category(char) == "Cc" for char in result)


@given(TEXTS, st.sampled_from(LANGUAGES))
def test_every_letter_outlives_the_removal_of_punctuation(text: str, language: str) -> None:
    letters = [char for char in unicodedata.normalize("NFKC", text) if char.isalpha()]
    removed = ("\u02bc", "\u0640")  # folded to an apostrophe; the tatweel
    kept = normalise_text(text, TextOptions(language=language, case="keep"))
    assert len([char for char in letters if char not in removed]) <= sum(
        len(unicodedata.normalize("NFKD", char)) for char in kept
    )


@given(st.text(string.ascii_lowercase + "'- "))
def test_ascii_english_equals_the_obvious_loop(text: str) -> None:
    padded = f" {text} "
    kept = [
        char if char.isalpha() or (char == "'" and before.isalpha() and after.isalpha()) else " "
        for before, char, after in zip(padded, padded[1:], padded[2:], strict=False)
    ]
    assert normalise_text(text, TextOptions()) == " ".join("".join(kept).split())


def test_description_names_what_was_done() -> None:
    assert describe_normalisation(TextOptions(language="en-GB")) == (
        "NFKC, lower case, punctuation removed except ' inside words, spaces collapsed "
        "(rules: en, English)"
    )
    plain = describe_normalisation(TextOptions(language="xx", case="keep", punctuation="keep"))
    assert plain == (
        "NFKC, case kept, punctuation kept, spaces collapsed (rules: default, any other language)"
    )
    assert "except U+200C U+200D inside" in describe_normalisation(TextOptions(language="hi"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_language_file_states_known_rules_and_its_reason(language: str) -> None:
    path = Path(asr.text.__file__).parent / "languages" / f"{language}.json"
    table = json.loads(path.read_text("utf-8"))
    assert {"name", "reason"} <= set(table)
    keys = {"name", "reason", "fold", "inside", "remove", "space", "lower", "upper", "final"}
    assert set(table) <= keys
    for key in ("fold", "lower", "upper", "final"):
        mapping = table.get(key, {})
        assert all(len(old) == len(new) == 1 for old, new in mapping.items())
        # A chain a → b → c would need two passes.
        if key == "fold":
            assert not set(mapping) & set(mapping.values())


@pytest.mark.parametrize("language", ["", "../secrets", "e", "en/..", "en us", "englishlanguage"])
def test_only_a_language_tag_passes(language: str) -> None:
    with pytest.raises(OptionsError, match="language tag"):
        TextOptions(language=language)


@pytest.mark.parametrize("change", [{"case": "title"}, {"punctuation": "some"}])
def test_unknown_setting_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(OptionsError, match=next(iter(change.values()))):
        TextOptions(**change)  # type: ignore[arg-type]
