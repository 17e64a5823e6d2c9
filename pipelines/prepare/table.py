"""A table of one's own: a CSV or TSV file with a header, one recording a line.

Where: yours. Licence: yours.
Labelled: by column. The header's names are taken in any case and with spaces or hyphens for
underscores; see `COLUMNS` for those understood. Columns that mean nothing here are kept with each
utterance. Audio paths are relative to the table's folder, or absolute.
A recording may be a stretch of a longer file: `offset` and `duration` in seconds; and one `channel`
of it, counted from 0.
Official split: a column `split` (or `subset`, `set`) that says train, dev or test of every line.
"""

import csv
import dataclasses
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from asr.errors import ManifestError
from asr.manifest import KEYS, Utterance
from pipelines.prepare.corpus import Corpus, Entry, Fault, Side

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "audio": (
        *("audio", "path", "file", "filename", "file_name", "audio_path", "audio_file"),
        *("audio_filepath", "wav_filename", "wav", "wav_path", "filepath", "file_path", "clip"),
    ),
    "text": (
        *("text", "sentence", "transcript", "transcription", "normalized_text"),
        *("normalised_text", "label", "words"),
    ),
    "speaker": ("speaker", "speaker_id", "client_id", "spk", "spk_id", "speaker_name", "reader"),
    "id": ("id", "utterance_id", "utt_id", "utt"),
    "language": ("language", "lang", "locale"),
    "subset": ("subset", "split", "set"),
    "offset": ("offset", "offset_s", "start", "start_s"),
    "duration": ("duration", "duration_s"),
    "channel": ("channel",),
}
SUBSETS: Mapping[str, Side] = {
    **{"train": "train", "training": "train"},
    **{"dev": "dev", "valid": "dev", "validation": "dev", "val": "dev", "development": "dev"},
    **{"test": "test", "testing": "test"},
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A table's place and what its columns mean: our name of a column to the header's."""

    path: Path
    columns: Mapping[str, str]

    def cell(self, row: Mapping[str, str], column: str) -> str:
        return row[self.columns[column]].strip() if column in self.columns else ""


def read(source: Path, parts: Sequence[str] = ()) -> Iterator[Entry]:
    """Yields the lines of a CSV or TSV file.

    Raises:
        ManifestError: It cannot be read, or its header names no audio or no text.
    """
    del parts  # a table has none
    try:
        # A file of text in another encoding is refused as a whole, before any line is taken.
        content = source.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ManifestError(f"{source}: expected a CSV or TSV file: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{source}: expected UTF-8 text, received {error}") from error
    header = content.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(content, newline=""), delimiter=_delimiter(header))
    table = _Table(path=source, columns=match_columns(rows.fieldnames or (), where=str(source)))
    try:
        for row in rows:
            yield _utterance(row, table, where=f"{source}:{rows.line_num}")
    except csv.Error as error:
        yield Fault(where=f"{source}:{rows.line_num}", reason=f"cannot be read on: {error}")


def match_columns(header: Sequence[str], *, where: str) -> dict[str, str]:
    """Returns the header's name of each column in `COLUMNS` that it has.

    Raises:
        ManifestError: There is no column for the audio or the text, or several.
    """
    plain = {name.strip().lower().replace(" ", "_").replace("-", "_"): name for name in header}
    found = {
        column: [plain[name] for name in names if name in plain]
        for column, names in COLUMNS.items()
    }
    for column in ("audio", "text"):
        if len(found[column]) != 1:
            names = ", ".join(COLUMNS[column])
            received = ", ".join(found[column] or header) or "an empty file"
            raise ManifestError(
                f"{where}: expected one column for {column} ({names}), received {received}"
            )
    return {column: names[0] for column, names in found.items() if names}


def _delimiter(header: str) -> str:
    return max("\t;,|", key=header.count)


def _utterance(row: Mapping[str, str], table: _Table, *, where: str) -> Entry:
    # DictReader gives None for the cells of a short line, and the key None to those of a long one.
    if None in row or None in row.values():
        return Fault(where=where, reason="expected as many columns as the header has")
    audio = table.path.parent / table.cell(row, "audio")
    if not audio.is_file():
        return Fault(where=where, reason=f"no such audio file: {audio}")
    try:
        offset_s, duration_s = _stretch(row, table)
        channel = _channel(table.cell(row, "channel"))
    except ValueError as error:
        return Fault(where=where, reason=str(error))
    known = {*table.columns.values(), *KEYS}
    kept = {name: cell for name, cell in row.items() if name not in known and cell}
    subset = table.cell(row, "subset").lower()
    name = table.cell(row, "id") or Path(table.cell(row, "audio")).with_suffix("").as_posix()
    stretch = ""
    if "id" not in table.columns:
        stretch = "" if channel is None else f".{channel + 1}"
        stretch += f"@{offset_s:.10g}" if offset_s else ""
    return Utterance(
        id=re.sub(r"\s", "_", name.lstrip("./")) + stretch,
        audio=audio,
        duration_s=duration_s,
        text=table.cell(row, "text"),
        offset_s=offset_s,
        channel=channel,
        speaker=table.cell(row, "speaker") or None,
        language=table.cell(row, "language") or None,
        extra=kept | ({"subset": subset} if subset else {}),
    )


def _stretch(row: Mapping[str, str], table: _Table) -> tuple[float, float | None]:
    """Returns offset and duration in seconds; no duration where the whole file is meant."""
    cell = table.cell(row, "offset")
    offset_s = float(cell) if cell else 0.0
    if "offset" not in table.columns:
        return 0.0, None  # a duration alone is a remark, and the file's own is measured
    if not table.cell(row, "duration"):
        raise ValueError("expected a duration beside the offset")
    duration_s = float(table.cell(row, "duration"))
    if not (0 <= offset_s < float("inf") and 0 < duration_s < float("inf")):
        raise ValueError(f"expected seconds, received offset {cell} and duration {duration_s:g}")
    return offset_s, duration_s


def _channel(cell: str) -> int | None:
    if cell and not (cell.isascii() and cell.isdecimal()):
        raise ValueError(f"expected a channel's number, from 0 on, received {cell}")
    return int(cell) if cell else None


CORPUS = Corpus(
    name="table",
    title="your own recordings, listed in a CSV or TSV file",
    layout="a header: audio (or path), text (or sentence), [speaker]",
    licence="yours",
    read=read,
    sides=SUBSETS,
)
