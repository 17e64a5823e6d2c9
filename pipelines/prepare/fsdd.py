"""Free Spoken Digit Dataset: 50 recordings of each digit by each of a few speakers, at 8 kHz.

Where: https://github.com/Jakobovski/free-spoken-digit-dataset (Z. Jackson and contributors).
Licence: CC BY-SA 4.0.
Labelled: by file name, `{digit}_{speaker}_{index}`; the text is the digit's English word.
Official split: its authors propose recordings 0 to 4 of every speaker as test, which puts every
speaker on both sides. Here the split is by speaker; name them with --test-speakers.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from asr.manifest import Utterance
from pipelines.prepare.corpus import Archive, Corpus, Entry, Fault, files_below, is_audio

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>.+)_(?P<index>[0-9]+)")


def read(source: Path, parts: Sequence[str] = ()) -> Iterator[Entry]:
    """Yields the recordings at or below a folder."""
    del parts  # the corpus has none
    for path in filter(is_audio, files_below(source)):
        match = NAME.fullmatch(path.stem)
        if not match:
            yield Fault(where=str(path), reason="expected a name of the form digit_speaker_index")
            continue
        yield Utterance(
            id=path.stem,
            audio=path,
            duration_s=None,
            text=WORDS[int(match["digit"])],
            speaker=match["speaker"],
            language="en",
        )


CORPUS = Corpus(
    name="fsdd",
    title="Free Spoken Digit Dataset",
    layout="recordings/{digit}_{speaker}_{index}.wav",
    licence="CC BY-SA 4.0",
    read=read,
    archives={
        "fsdd": Archive(
            # GitHub makes this archive when asked and does not promise its bytes: no digest.
            url="https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz",
            name="free-spoken-digit-dataset-1.0.10.tar.gz",
            size="16 MB",
        )
    },
)
