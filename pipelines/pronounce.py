"""`asr pronounce`: a dictionary of how a text's words sound."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.sentences import SOURCE_HELP, all_sentences
from pipelines.usage import UsageError, refuse_existing

if TYPE_CHECKING:
    from asr.pronunciations import Pronunciations

DESCRIPTION = """\
Makes a dictionary of how the words of texts sound, as espeak-ng (the extra
`demo`) pronounces them. A network that writes sounds instead of letters hears
words it was never trained on much better, where the list of words is closed.
A recipe names the dictionary:

  [vocabulary]
  kind = "sounds"
  pronunciations = "sounds.tsv"

A line is a word, a tab, and its sounds with blanks between them. A word may
have several lines; it is trained as the first, and heard as any. Read it, and
mend what is wrong: names, and words of other languages. CMUdict, lexicons of
Kaldi's and dictionaries of the Montreal Forced Aligner's are read as well.
"""

EXAMPLES = """\
examples:
  asr pronounce data/train.jsonl data/words.txt -o data/sounds.tsv
  asr pronounce words.txt --known mended.tsv -o sounds.tsv
  asr pronounce woerter.txt --language de -o laute.tsv
"""

ENGLISH = {
    # Vowels that differ by dialect or stress alone, and taps: heard alike, and written as one.
    "ᵻ": "ɪ",
    "ɐ": "ə",
    "ɾ": "d",
    "ʔ": "t",
    "ç": "ʃ",
    "r": "ɹ",
    # One sign of espeak-ng's for what is said as several.
    "ɚ": "ə ɹ",
    "ɜ": "ə ɹ",
    "əl": "ə l",
    "n̩": "ə n",
    "iə": "i ə",
    "aɪə": "aɪ ə",
    "aɪɚ": "aɪ ə ɹ",
    "ɑɹ": "ɑ ɹ",
    "ɔɹ": "ɔ ɹ",
    "ɛɹ": "ɛ ɹ",
    "ɪɹ": "i ɹ",
    "ʊɹ": "ʊ ɹ",
}
"""Espeak-ng's American English in 39 sounds, about those of CMUdict."""

WEAK = {
    "a": "ə",
    "an": "ə n",
    "and": "ə n d",
    "for": "f ə ɹ",
    "from": "f ɹ ə m",
    "of": "ə v",
    "to": "t ə",
}
"""How English words that are seldom stressed sound within sentences: espeak-ng is given words by
themselves."""

_STRESS, _LENGTH = "ˈˌ", "ː"
"""Stress tells hardly any words apart; length does in other languages than English."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr pronounce`."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("texts", nargs="+", metavar="TEXT", help=SOURCE_HELP)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", required=True, help="the dictionary"
    )
    parser.add_argument(
        "--language",
        default="en-us",
        metavar="CODE",
        help="as espeak-ng calls it: en-us, en-gb, de, fr, pt-br, …; default: %(default)s",
    )
    parser.add_argument(
        "--known",
        type=Path,
        metavar="FILE",
        help="a dictionary that is right as far as it goes; its words are taken from it",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a dictionary of before")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr pronounce`.

    Returns:
        0.

    Raises:
        UsageError: There are no words, or a file is there already.
        AsrError: A text or dictionary cannot be read, espeak-ng does not know the language, or is
            not installed.
    """
    from asr.files import write_text
    from asr.pronunciations import Pronunciations, read_pronunciations
    from asr.text import TextOptions

    refuse_existing(arguments.output, overwrite=arguments.overwrite)
    text = TextOptions(language=arguments.language)
    known = Pronunciations(entries=())
    if arguments.known is not None:
        known = read_pronunciations(arguments.known, text=text)
    lines = all_sentences(arguments.texts, text, quiet=arguments.quiet)
    words = sorted({word for line in lines for word in line.split()})
    if not words:
        raise UsageError(f"{', '.join(arguments.texts)}: expected words, received none")
    made = pronounced([word for word in words if word not in known], arguments.language)
    spoken = known.within(words) | made
    silent = [word for word in words if word not in spoken]
    write_text(arguments.output, spoken.to_text())
    sounds = spoken.sounds()
    print(f"{arguments.output}: {len(spoken):,} words of {len(sounds)} sounds: {' '.join(sounds)}")
    if silent:
        shown = ", ".join(silent[:5])
        print(f"{len(silent):,} words are not pronounced, and left out: {shown}")
    return 0


def pronounced(words: Iterable[str], language: str) -> "Pronunciations":
    """Returns the dictionary of words as espeak-ng pronounces them.

    Args:
        words: Normalised; those that it says nothing for are left out.
        language: As espeak-ng calls it.

    Raises:
        OptionsError: It does not know the language.
        MissingExtraError: It is not installed.
    """
    from asr.pronunciations import Pronunciations
    from pipelines.synthesis import phonemes

    is_english = language.split("-")[0] == "en"
    weak = WEAK if is_english else {}
    unwritten = str.maketrans("", "", _STRESS + (_LENGTH if is_english else ""))
    entries = []
    for word in words:
        if word in weak:
            entries.append((word, tuple(weak[word].split())))
        sounds = [sign.translate(unwritten) for sign in phonemes(word, language)]
        merged = _merged(sounds) if is_english else tuple(filter(None, sounds))
        if merged:
            entries.append((word, merged))
    return Pronunciations(entries=tuple(entries))


def _merged(sounds: Iterable[str]) -> tuple[str, ...]:
    found = " ".join(ENGLISH.get(sound, sound) for sound in sounds)
    return tuple(found.replace("i ə ɹ", "i ɹ").split())  # zero, and here
