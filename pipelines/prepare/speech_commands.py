"""Speech Commands v0.02: 105,829 one-second recordings of 35 English words by 2618 people.

Where: https://arxiv.org/abs/1804.03209 (P. Warden, 2018).
Licence: CC BY 4.0.
Labelled: by folder, which is the word said; a file is `{speaker}_nohash_{n}`, the speaker being a
hash. Folders that begin with an underscore (background noise, silence) hold no word.
Official split: testing_list.txt and validation_list.txt, by speaker; all the rest is training.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from asr.errors import ManifestError
from asr.manifest import Utterance
from pipelines.prepare.corpus import (
    Archive,
    Corpus,
    Entry,
    Fault,
    chosen,
    files_below,
    is_audio,
    read_lines,
)

NAME = re.compile(r"(?P<speaker>.+)_nohash_[0-9]+")
LISTS = {"testing_list.txt": "testing", "validation_list.txt": "validation"}


def read(source: Path, parts: Sequence[str] = ()) -> Iterator[Entry]:
    """Yields the recordings at or below a folder.

    Args:
        source: The folder that holds one folder a word, or one above it.
        parts: Words to read; all if empty.
    """
    below = source.absolute()
    paths = [
        path
        for path in filter(is_audio, files_below(below))
        if not path.parent.name.startswith("_")
    ]
    words = chosen({path.parent.name for path in paths}, parts, part="word")
    subsets: dict[Path, dict[str, str]] = {}
    for path in paths:
        word, root = path.parent.name, path.parents[1]
        if word not in words:
            continue
        if root not in subsets:
            subsets[root] = _read_lists(root)
        yield _utterance(path, subsets[root])


def _utterance(path: Path, subsets: Mapping[str, str]) -> Entry:
    word = path.parent.name
    match = NAME.fullmatch(path.stem)
    if not match:
        return Fault(where=str(path), reason="expected a name of the form speaker_nohash_n")
    subset = subsets.get(f"{word}/{path.stem}", "training")
    return Utterance(
        id=f"{word}-{path.stem}",
        audio=path,
        duration_s=None,
        text=word,
        speaker=match["speaker"],
        language="en",
        # Without its lists a copy has no official split, and nothing is said about one.
        extra={"subset": subset} if subsets else {},
    )


def _read_lists(root: Path) -> dict[str, str]:
    """Returns the subset by `word/name`, without ending, since people transcode."""
    there = [name for name in LISTS if (root / name).is_file()]
    if len(there) == 1:
        raise ManifestError(f"{root}: expected both {' and '.join(LISTS)}, received {there[0]}")
    return {
        line.rpartition(".")[0]: LISTS[name]
        for name in there
        for _, line in read_lines(root / name)
    }


CORPUS = Corpus(
    name="speech_commands",
    title="Speech Commands, one English word each",
    layout="WORD/{speaker}_nohash_{n}.wav, [testing_list.txt, ...]",
    licence="CC BY 4.0",
    read=read,
    part="word",
    sides={"training": "train", "validation": "dev", "testing": "test"},
    archives={
        "speech_commands": Archive(
            url="https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
            name="speech_commands_v0.02.tar.gz",
            size="2.4 GB",
            sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        )
    },
)
