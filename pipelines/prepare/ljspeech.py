"""LJ Speech: 24 hours of one woman reading seven non-fiction books in English.

Where: https://keithito.com/LJ-Speech-Dataset/ (K. Ito, L. Johnson, 2017).
Licence: public domain.
Labelled: metadata.csv holds `id|text|normalised text` with no quoting; the normalised column, in
which numbers and abbreviations are written out, is what is read. Many single-speaker corpora
made since have this layout; a line of two columns is read by its second.
Official split: none, and a single speaker, so it can be split by utterance only.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from asr.errors import ManifestError
from asr.manifest import Utterance
from pipelines.prepare.corpus import (
    Archive,
    Corpus,
    Entry,
    Fault,
    audio_in,
    files_below,
    read_lines,
)

SPEAKER = "LJ"
TABLE = "metadata.csv"


def read(source: Path, parts: Sequence[str] = ()) -> Iterator[Entry]:
    """Yields the utterances of every metadata.csv at or below a folder."""
    del parts  # the corpus has none
    direct = source / TABLE
    tables = [direct] if direct.is_file() else [p for p in files_below(source) if p.name == TABLE]
    for table in tables:
        yield from _read_table(table)


def _read_table(table: Path) -> Iterator[Entry]:
    audio = audio_in(table.parent / "wavs")
    try:
        lines = read_lines(table)
    except ManifestError as error:
        yield Fault(where=str(table), reason=str(error))
        return
    for number, line in lines:
        name, *columns = line.split("|")
        if len(columns) not in (1, 2):
            reason = f"expected id|text|normalised text, received {len(columns) + 1} columns"
            yield Fault(where=f"{table}:{number}", reason=reason)
        elif name not in audio:
            yield Fault(where=f"{table}:{number}", reason=f"no audio named {name} in wavs/")
        else:
            yield Utterance(
                id=name,
                audio=audio[name],
                duration_s=None,
                text=columns[-1].strip(),
                speaker=SPEAKER,
                language="en",
            )


CORPUS = Corpus(
    name="ljspeech",
    title="LJ Speech, one English reader",
    layout="metadata.csv (id|text|normalised) and wavs/",
    licence="public domain",
    read=read,
    archives={
        "ljspeech": Archive(
            url="https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
            name="LJSpeech-1.1.tar.bz2",
            size="2.7 GB",
            sha256="be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
        )
    },
)
