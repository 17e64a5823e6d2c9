"""AN4, the census corpus of Carnegie Mellon: 1078 short utterances of names, numbers and spelling.

Where: http://www.speech.cs.cmu.edu/databases/an4/ (A. Acero, 1991); the same archive over https
from NVIDIA's public store.
Licence: free for research, given by Carnegie Mellon University without warranty.
Labelled: etc/an4_train.transcription and etc/an4_test.transcription, lines such as
`<s> RUBOUT G M E F </s> (an406-fcaw-b)`, in the order of the .fileids beside them, which give
each recording's path. The speaker is the last folder of that path; its first letter is the sex.
Audio: the NIST SPHERE archive is read as it is, and so is any transcoded copy. The archives of
headerless .raw samples are not: such a file does not say what it holds.
Official split: train and test, by speaker. It has no dev set; one is taken from train by speaker.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from asr.errors import ManifestError
from asr.manifest import Utterance
from pipelines.prepare.corpus import (
    AUDIO_SUFFIXES,
    Archive,
    Corpus,
    Entry,
    Fault,
    Side,
    files_below,
    read_lines,
)

TABLE = re.compile(r"an4_(?P<subset>train|test)\.transcription")
LINE = re.compile(r"(?:<s>)?\s*(?P<text>.*?)\s*(?:</s>)?\s*\((?P<name>[^()\s]+)\)")
SIDES_OF: dict[str, Side] = {"train": "train", "test": "test"}


def read(source: Path, parts: Sequence[str] = ()) -> Iterator[Entry]:
    """Yields the utterances of the transcriptions at or below a folder.

    Raises:
        ManifestError: The audio is there as headerless .raw samples only.
    """
    del parts  # the corpus has none
    tables = [path for path in files_below(source) if TABLE.fullmatch(path.name)]
    for table in tables:
        paths = _read_fileids(table.with_suffix(".fileids"), table.parents[1] / "wav")
        _refuse_raw(paths.values())
        match = TABLE.fullmatch(table.name)
        subset = match["subset"] if match else ""
        for number, line in read_lines(table):
            yield _utterance(line, paths, where=f"{table}:{number}", subset=subset)


def _read_fileids(path: Path, folder: Path) -> dict[str, Path]:
    """Returns the place of each recording, without ending, by its name."""
    return {Path(line).name: folder / line for _, line in read_lines(path)}


def _utterance(line: str, paths: dict[str, Path], *, where: str, subset: str) -> Entry:
    match = LINE.fullmatch(line)
    if not match:
        return Fault(where=where, reason="expected <s> TEXT </s> (name)")
    name = match["name"]
    if name not in paths:
        return Fault(where=where, reason=f"{name} is not in the .fileids")
    audio = _with_ending(paths[name])
    if audio is None:
        return Fault(where=where, reason=f"no audio at {paths[name]}.sph or another ending")
    speaker = paths[name].parent.name
    return Utterance(
        id=name,
        audio=audio,
        duration_s=None,
        text=match["text"],
        speaker=speaker,
        language="en",
        extra={"subset": subset, "sex": speaker[:1].upper()},
    )


def _with_ending(path: Path) -> Path | None:
    candidates = (path.with_name(path.name + suffix) for suffix in AUDIO_SUFFIXES)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _refuse_raw(paths: Iterable[Path]) -> None:
    """Says once, rather than a thousand times, that raw samples cannot be read."""
    found = [_with_ending(path) for path in paths]
    there = [path for path in found if path is not None]
    if there and all(path.suffix == ".raw" for path in there):
        raise ManifestError(
            f"{there[0]} and the rest are headerless .raw samples, which do not say their rate, "
            "width or byte order; take the NIST SPHERE archive (an4_sphere.tar.gz), or convert "
            "them with the byte order their archive names, for big-endian: "
            "sox -r 16000 -e signed -b 16 -c 1 --endian big in.raw out.wav"
        )


CORPUS = Corpus(
    name="an4",
    title="AN4, names, numbers and spelling in English",
    layout="etc/an4_train.transcription and .fileids (and _test), wav/",
    licence="free for research",
    read=read,
    sides=SIDES_OF,
    archives={
        "an4": Archive(
            url="https://dldata-public.s3.us-east-2.amazonaws.com/an4_sphere.tar.gz",
            name="an4_sphere.tar.gz",
            size="64 MB",
        )
    },
)
