"""LibriSpeech: about 1000 hours of English audiobooks of LibriVox, by some 2500 readers.

Where: https://www.openslr.org/12 (V. Panayotov, G. Chen, D. Povey, S. Khudanpur, ICASSP 2015).
Licence: CC BY 4.0.
Labelled: the books' own text, aligned and normalised: upper case A-Z and apostrophe, no
punctuation. Speakers are the LibriVox reader ids; SPEAKERS.TXT gives their sex.
Official split: by speaker. The subsets train-* are for training, dev-* and test-* for the rest.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from asr.errors import ManifestError
from asr.manifest import Utterance
from pipelines.prepare.corpus import (
    Archive,
    Corpus,
    Entry,
    Fault,
    Side,
    audio_in,
    chosen,
    files_below,
    read_lines,
)

ENDING = ".trans.txt"
SUBSETS: Mapping[str, Side] = {
    "train-clean-100": "train",
    "train-clean-360": "train",
    "train-other-500": "train",
    "dev-clean": "dev",
    "dev-other": "dev",
    "test-clean": "test",
    "test-other": "test",
}
# https://www.openslr.org/resources/12/md5sum.txt, and the sizes of the page above it.
PUBLISHED = {
    "dev-clean": ("42e2234ba48799c1f50f24a7926300a1", "337 MB"),
    "dev-other": ("c8d0bcc9cca99d4f8b62fcc847357931", "314 MB"),
    "test-clean": ("32fa31d27d2e1cad72775fee3f4849a9", "346 MB"),
    "test-other": ("fb5a50374b501bb3bac4815ee91d3135", "328 MB"),
    "train-clean-100": ("2a93770f6d5c6c964bc36631d331a522", "6.3 GB"),
    "train-clean-360": ("c0e676e450a7ff2f54aeade5171606fa", "23 GB"),
    "train-other-500": ("d1a0fd59409feb2c614ce4d30c387708", "30 GB"),
}


def read(source: Path, parts: Sequence[str] = ()) -> Iterator[Entry]:
    """Yields the utterances of the subsets below a folder, or of the subset it is.

    Args:
        source: The folder `LibriSpeech`, one above it, or a single subset such as `dev-clean`.
        parts: Subsets to read; all if empty.
    """
    chapters = [path for path in files_below(source.absolute()) if path.name.endswith(ENDING)]
    subsets = chosen({_subset(path) for path in chapters}, parts, part="subset")
    sexes: dict[Path, dict[str, str]] = {}
    for transcript in chapters:
        if _subset(transcript) not in subsets:
            continue
        root = transcript.parents[3]
        if root not in sexes:
            sexes[root] = read_sexes(root / "SPEAKERS.TXT")
        yield from _read_chapter(transcript, sexes[root])


def read_sexes(path: Path) -> dict[str, str]:
    """Returns `M` or `F` by reader id; empty if there is no such file."""
    if not path.is_file():
        return {}
    rows = [line.split("|") for _, line in read_lines(path) if not line.startswith(";")]
    return {row[0].strip(): row[1].strip() for row in rows if len(row) > 1}


def _read_chapter(transcript: Path, sexes: Mapping[str, str]) -> Iterator[Entry]:
    audio = audio_in(transcript.parent)
    try:
        lines = read_lines(transcript)
    except ManifestError as error:
        yield Fault(where=str(transcript), reason=str(error))
        return
    named = set()
    for number, line in lines:
        name, _, text = line.partition(" ")
        named.add(name)
        if name not in audio:
            yield Fault(where=f"{transcript}:{number}", reason=f"no audio named {name} beside it")
            continue
        speaker = transcript.parents[1].name
        extra = {"subset": _subset(transcript)} | (
            {"sex": sexes[speaker]} if speaker in sexes else {}
        )
        yield Utterance(
            id=name,
            audio=audio[name],
            duration_s=None,
            text=text.strip(),
            speaker=speaker,
            language="en",
            extra=extra,
        )
    for name in sorted(audio.keys() - named):
        yield Fault(where=str(audio[name]), reason=f"no transcript of it in {transcript.name}")


def _subset(transcript: Path) -> str:
    # subset/speaker/chapter/speaker-chapter.trans.txt
    return transcript.parents[2].name


CORPUS = Corpus(
    name="librispeech",
    title="LibriSpeech, English audiobooks",
    layout="subset/speaker/chapter/*.trans.txt with the audio beside it",
    licence="CC BY 4.0",
    read=read,
    part="subset",
    sides=SUBSETS,
    archives={
        subset: Archive(
            url=f"https://www.openslr.org/resources/12/{subset}.tar.gz",
            name=f"{subset}.tar.gz",
            size=size,
            md5=md5,
        )
        for subset, (md5, size) in PUBLISHED.items()
    },
)
