r"""What a list of hotwords finds, and what it spoils where nobody says them.

    python -m benchmarks.hotwords --model en-read --manifest data/dev.jsonl

The words are those of four letters or more that the model's language model ranks below 1 in 100,000
or does not know. A list of them that nobody says is taken from the language model and from texts
(`--texts`, other speech's manifest) whose words it does not know; then as many of the list as there
are give way to the words that are said. Speakers fall into two halves, so that a weight chosen on
one can be confirmed on the other.
"""

import argparse
import collections
import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.decoder import Decoder
from asr.interchange import read_utterances
from asr.lm import NgramModel
from asr.manifest import Utterance
from asr.recognizer import Floats, Recognizer
from asr.scoring import score
from asr.text import normalise_text
from pipelines.network import load_recognizer
from pipelines.tuning import hear, text_of

NUM_HOTWORDS = 1_000
NUM_UNKNOWN = 150
WEIGHTS = (0.01, 0.5, 1.0, 2.0, 3.0)
_LETTERS = 4
_RARE = -11.5
"""Natural log-probability without context, 1 in 100,000: what is below is rare."""

Texts = Mapping[str, str]


class Speech(NamedTuple):
    """Some speakers' utterances, by id."""

    texts: Texts
    passages: Mapping[str, Sequence[Floats]]


def rare(model: NgramModel) -> Callable[[str], bool]:
    """Returns a function that tells which words are."""
    log_probs = np.asarray(model.arrays[2])

    def is_rare(word: str) -> bool:
        number = model.word_id(word)
        return len(word) >= _LETTERS and (number is None or log_probs[number + 1] < _RARE)

    return is_rare


def halves(recognizer: Recognizer, items: Sequence[Utterance]) -> list[Speech]:
    """Has the network listen to every other speaker, and to the others."""
    heard = hear(recognizer, items)
    speakers = sorted(set(heard.groups.values()))
    found = []
    for half in (speakers[::2], speakers[1::2]):
        ids = [name for name, speaker in heard.groups.items() if speaker in half]
        texts = {name: normalise_text(heard.references[name], recognizer.text) for name in ids}
        found.append(Speech(texts, {name: heard.passages[name] for name in ids}))
    return found


def unsaid_words(
    recognizer: Recognizer, model: NgramModel, said: set[str], others: Sequence[Utterance]
) -> list[str]:
    """Returns rare words that nobody says: some are not in the language model, in any order."""
    is_rare, vocabulary = rare(model), recognizer.vocabulary
    elsewhere = " ".join(normalise_text(item.text or "", recognizer.text) for item in others)
    unknown = sorted({word for word in elsewhere.split() if model.word_id(word) is None})
    pools = ([word for word in model.words if word.isalpha()], unknown)
    rng = random.Random(0)
    found: list[str] = []
    for pool, count in zip(pools, (NUM_HOTWORDS - NUM_UNKNOWN, NUM_UNKNOWN), strict=True):
        fitting = [w for w in pool if is_rare(w) and w not in said and vocabulary.encodable(w)]
        found += rng.sample(fitting, min(count, len(fitting)))
    rng.shuffle(found)
    return found


def decoded(recognizer: Recognizer, speech: Speech, hotwords: Mapping[str, float]) -> Texts:
    """Returns what is heard in each utterance."""
    parts = (recognizer.decoding, recognizer.vocabulary, recognizer.language_model)
    decoder = Decoder(*parts, hotwords)
    return {
        key: text_of(decoder.batch(passages), recognizer.vocabulary)
        for key, passages in speech.passages.items()
    }


def num_found(texts: Texts, heard: Texts, words: Sequence[str]) -> tuple[int, int]:
    """Returns how many of the words were heard where they are said, and how many are said."""
    listed, found, said = set(words), 0, 0
    for name, text in texts.items():
        own, other = (collections.Counter(one.split()) for one in (text, heard[name]))
        own = collections.Counter({word: n for word, n in own.items() if word in listed})
        found, said = found + (own & other).total(), said + own.total()
    return found, said


def compare(
    recognizer: Recognizer, model: NgramModel, speech: Speech, unsaid: Sequence[str]
) -> None:
    """Prints, for every weight, what the list costs unsaid, and what it finds."""
    is_rare = rare(model)
    said = sorted({word for text in speech.texts.values() for word in text.split()})
    said = [w for w in said if is_rare(w) and recognizer.vocabulary.encodable(w)]
    known = [word for word in said if model.word_id(word) is not None]
    unknown = [word for word in said if model.word_id(word) is None]
    mixed = [*said, *unsaid][:NUM_HOTWORDS]
    plain = decoded(recognizer, speech, {})
    wer = score(speech.texts, plain, text=recognizer.text).wer
    print(f"  without: WER {wer:.2%}, found {_share(speech, plain, known, unknown)}")
    for weight in WEIGHTS:
        spoilt = decoded(recognizer, speech, dict.fromkeys(unsaid, weight))
        helped = decoded(recognizer, speech, dict.fromkeys(mixed, weight))
        costs, gains = (
            100 * (score(speech.texts, one, text=recognizer.text).wer - wer)
            for one in (spoilt, helped)
        )
        shares = _share(speech, helped, known, unknown)
        print(f"  weight {weight:4.2f}: unsaid {costs:+.2f} points; mixed {gains:+.2f}, {shares}")


def _share(speech: Speech, heard: Texts, *lists: Sequence[str]) -> str:
    counts = (num_found(speech.texts, heard, words) for words in lists)
    return ", ".join(
        f"{found} of {said} {name}"
        for (found, said), name in zip(counts, ("known", "unknown"), strict=True)
    )


def main(argv: Sequence[str] = ()) -> None:
    """Measures a model that has a language model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hotwords")
    parser.add_argument("--model", help="a model's name, its folder, or a run's")
    parser.add_argument("--manifest", type=Path, help="utterances with texts and speakers")
    parser.add_argument("--texts", type=Path, help="others, whose words are unsaid ones too")
    parser.add_argument("--beam-width", type=int, default=256, help="default: 256")
    arguments = parser.parse_args(argv)
    if not arguments.model or not arguments.manifest:
        print("  needs a model and recordings: python -m benchmarks.hotwords --help")
        return
    recognizer = load_recognizer(arguments.model)
    decoding = dataclasses.replace(
        recognizer.decoding, method="beam", beam_width=arguments.beam_width
    )
    recognizer = dataclasses.replace(recognizer, decoding=decoding)
    model = recognizer.language_model
    if not isinstance(model, NgramModel):
        print("  needs a model with a language model")
        return
    others = read_utterances(arguments.texts) if arguments.texts else []
    both = halves(recognizer, read_utterances(arguments.manifest))
    said = {word for half in both for text in half.texts.values() for word in text.split()}
    unsaid = unsaid_words(recognizer, model, said, others)
    for half in both:
        compare(recognizer, model, half, unsaid)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
