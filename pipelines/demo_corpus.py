"""The demo's corpus: warehouse commands spoken by synthetic voices, with the truth beside them."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE, write_wav
from asr.errors import OptionsError
from asr.manifest import Utterance, write_manifest
from pipelines.progress import Progress
from pipelines.synthesis import Voice
from pipelines.synthetic_recordings import record

SPLITS = ("train", "dev", "test")
SIZES: Mapping[str, int] = {"train": 2000, "dev": 100, "test": 200}

# No timbre speaks in two parts, so that the test voices are strangers in all but their accent; the
# most extreme ones (ian's formants are the lowest, Andrea's rhythm the quickest) are trained on.
TIMBRES_OF: Mapping[str, tuple[str, ...]] = {
    "train": (
        *("m1", "m2", "m4", "m5", "m7", "m8", "f1", "f3", "f4", "Alex", "Alicia", "Andrea", "Andy"),
        *("Annie", "Denis", "Diogo", "Gene", "Hugo", "Lee", "Mario", "Mike", "Nguyen", "aunty"),
        *("anika", "boris", "edward", "grandma", "gustave", "ian", "iven4", "john", "marcelo"),
        *("max", "michel", "norbert", "paul", "quincy", "robert", "shelby", "steph", "zac"),
    ),
    "dev": ("m6", "Michael", "belinda", "travis"),
    "test": ("m3", "f2", "f5", "Henrique", "grandpa", "linda", "rob", "victor"),
}
SPOKEN_ACCENTS = ("en-us", "en-gb-x-rp", "en-us-nyc", "en-gb-scotland")

ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    *("ten", "eleven", "twelve", "thirteen", "fourteen"),
    *("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
WORDS: Mapping[str, tuple[str, ...]] = {
    "take": ("take", "pick", "fetch", "count"),
    "put": ("put", "leave", "stack"),
    "items": ("boxes", "bottles", "crates", "jars", "pallets", "parcels", "tins", "bags"),
    "item": ("box", "crate", "pallet", "parcel", "order"),
    "place": ("aisle", "bay", "dock", "lane", "shelf", "queue"),
    "colour": ("red", "green", "blue", "yellow", "white"),
    "state": ("ready", "late", "missing", "complete", "damaged"),
    "digit": ("zero", *ONES),
}
TEMPLATES = (
    "{take} {number} {items} from {place} {number}",
    "{put} {number} {colour} {items} in {place} {number}",
    "move {item} {number} to {place} {number}",
    "how many {items} are left in {place} {number}",
    "order {digit} {digit} {digit} is {state}",
    "{item} {number} is {state} and i'm at {place} {number}",
    "we're out of {colour} {items} in {place} {number}",
    "that's {number} {items} and {number} {items}",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Where the parts of a corpus are.

    Attributes:
        manifests: The NeMo manifest of each of `SPLITS`.
        duration_s: Seconds of audio of each.
    """

    manifests: Mapping[str, Path]
    duration_s: Mapping[str, float]


def voices(split: str) -> tuple[Voice, ...]:
    """Returns the speakers of a part of the corpus: each of its timbres in each accent.

    Those to train on are of many sizes, since size, heard in the formants, is what sets strangers
    apart most; the others are as espeak-ng made them.
    """
    pairs = [(timbre, accent) for accent in SPOKEN_ACCENTS for timbre in TIMBRES_OF[split]]
    rng = np.random.default_rng(len(pairs))
    tracts = rng.uniform(0.85, 1.25, len(pairs)) if split == "train" else np.ones(len(pairs))
    return tuple(
        Voice(name=f"{timbre}-{accent}".lower(), accent=accent, timbre=timbre, tract=float(tract))
        for (timbre, accent), tract in zip(pairs, tracts, strict=True)
    )


def phrase(rng: np.random.Generator) -> str:
    """Returns a random command: lower case, words and apostrophes, numbers spelt out."""
    words = rng.choice(TEMPLATES).split()
    return " ".join(_fill(word, rng) for word in words)


def phrases(sizes: Mapping[str, int], *, seed: int) -> dict[str, list[str]]:
    """Returns the phrases of each part: no phrase twice, so none tested was trained on."""
    rng = np.random.default_rng(seed)
    wanted, seen = sum(sizes.values()), dict[str, None]()
    while len(seen) < wanted:
        seen[phrase(rng)] = None
    texts = iter(seen)
    return {split: [next(texts) for _ in range(size)] for split, size in sizes.items()}


def make_corpus(
    folder: Path, *, seed: int = 0, sizes: Mapping[str, int] = SIZES, quiet: bool = False
) -> Corpus:
    """Speaks a corpus into `folder/audio/<split>` and writes `folder/<split>.jsonl`.

    Args:
        folder: Made if need be; recordings and manifests of the same names are replaced.
        seed: The same seed gives the same corpus.
        sizes: Utterances in each of `SPLITS`.
        quiet: Show no progress.

    Raises:
        MissingExtraError: espeak-ng is not installed.
        OptionsError: A split is unknown or empty.
    """
    _check(sizes)
    texts = phrases(sizes, seed=seed)
    manifests, durations = {}, {}
    total = sum(sizes.values())
    with Progress(total, unit="phrases", label="Speaking", quiet=quiet) as progress:
        for split in sizes:
            speak = functools.partial(_speak, folder, split, seed=seed, done=progress.advance)
            utterances = speak(texts[split])
            manifests[split] = folder / f"{split}.jsonl"
            write_manifest(manifests[split], utterances)
            durations[split] = math.fsum(u.duration_s or 0.0 for u in utterances)
    return Corpus(manifests=manifests, duration_s=durations)


def _check(sizes: Mapping[str, int]) -> None:
    for split, size in sizes.items():
        if split not in SPLITS or size < 1:
            raise OptionsError(
                f"expected some utterances for parts among {', '.join(SPLITS)}, "
                f"received {size} for {split!r}"
            )


def _speak(
    folder: Path, split: str, texts: Sequence[str], *, seed: int, done: Callable[[], None]
) -> list[Utterance]:
    speakers = voices(split)
    utterances = []
    for index, text in enumerate(texts):
        voice = speakers[index % len(speakers)]
        # A stream of its own for each utterance: one more phrase leaves the others as they were.
        rng = np.random.default_rng([seed, SPLITS.index(split), index])
        samples = record(text, voice, rng=rng)
        utterances.append(_save(folder, split, index, samples, text=text, voice=voice))
        done()
    return utterances


def _save(
    folder: Path,
    split: str,
    index: int,
    samples: npt.NDArray[np.float32],
    *,
    text: str,
    voice: Voice,
) -> Utterance:
    name = f"{split}-{index:04}"
    path = folder / "audio" / split / f"{name}.wav"
    write_wav(path, samples)
    return Utterance(
        id=name,
        audio=path,
        duration_s=samples.size / SAMPLE_RATE,
        text=text,
        speaker=voice.name,
        language="en",
    )


def _fill(word: str, rng: np.random.Generator) -> str:
    if word == "{number}":
        return _number(int(rng.integers(2, 100)))
    return str(rng.choice(WORDS[word[1:-1]])) if word.startswith("{") else word


def _number(value: int) -> str:
    """Spells 1 to 99."""
    if value < 10:
        return ONES[value - 1]
    if value < 20:
        return TEENS[value - 10]
    tens, ones = TENS[value // 10 - 2], value % 10
    return f"{tens} {ONES[ones - 1]}" if ones else tens
