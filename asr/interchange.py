"""Lists of utterances in other toolkits' layouts: Kaldi data directories, Coqui's CSV.

Kaldi    a folder with `wav.scp`, and as far as there `segments`, `text`, `utt2spk`, `utt2dur`
Coqui    a CSV file with the columns `wav_filename` and `transcript`, as DeepSpeech takes it

A `wav.scp` may hold commands whose output is the audio (`sox … |`). They are refused, never run: a
list of recordings must not be a program.
"""

import csv
import dataclasses
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from asr.addresses import Audio, AudioBase
from asr.errors import ManifestError
from asr.lines import decode_line, numbered_lines, read_list
from asr.manifest import (
    Fault,
    Utterance,
    raise_faults,
    scan_manifest,
    utterance_of,
    with_ids,
)

_COLUMNS = ("wav_filename", "transcript")


def read_utterances(path: Path | str, *, root: Path | str | None = None) -> list[Utterance]:
    """Reads utterances from a NeMo manifest, a Kaldi data directory or a Coqui CSV.

    Args:
        path: A folder with `wav.scp`, a `.csv` file, or else a file of JSON lines.
        root: Folder of relative audio paths; the list's own if None.

    Returns:
        The utterances in the list's order; `line` counts in the manifest, the CSV, or Kaldi's
        `segments` (`wav.scp` where there is none).

    Raises:
        ManifestError: The list cannot be read, or lines in it cannot be understood: all of them
            are listed, with their numbers.
    """
    utterances, faults = scan_utterances(path, root=root)
    raise_faults(path, faults)
    return utterances


def is_list(path: Path) -> bool:
    """Whether a path is a list of recordings, by its name or by being a folder."""
    return path.suffix.lower() in (".jsonl", ".json", ".csv") or path.is_dir()


def scan_utterances(
    path: Path | str, *, root: Path | str | None = None
) -> tuple[list[Utterance], list[Fault]]:
    """Reads as `read_utterances` does, but returns the faults beside the utterances.

    Raises:
        ManifestError: The list as a whole cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        return _scan_kaldi(path, root)
    if path.suffix.lower() == ".csv":
        return _scan_csv(path, root)
    return scan_manifest(path, root=root)


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    """One line of a Kaldi table: what stands behind its key."""

    line: int
    value: str


class _KaldiFolder:
    """The tables of a data directory, read once, and what is wrong with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[Fault] = []

    def table(self, name: str) -> dict[str, _Entry] | None:
        """Returns key → entry of a file, or None where there is no such file."""
        if not (self.folder / name).exists():
            return None
        entries: dict[str, _Entry] = {}
        for number, line in numbered_lines(self.folder / name):
            try:
                key, _, value = decode_line(line).replace("\t", " ").partition(" ")
            except ManifestError as error:
                self.fault(name, number, str(error))
                continue
            if key in entries:
                self.fault(name, number, f"{key} stands on line {entries[key].line} already")
            else:
                entries[key] = _Entry(number, value.strip())
        return entries

    def fault(self, name: str, line: int, message: str) -> None:
        """Notes what is wrong with a line of a file."""
        self.faults.append(Fault(file=self.folder / name, line=line, message=message))

    def attribute(
        self, name: str, utterances: Mapping[str, object], convert: Callable[[str], Any]
    ) -> dict[str, Any]:
        """Returns utterance id → value of a file; ids that are no utterance are faults."""
        values = {}
        for key, entry in (self.table(name) or {}).items():
            if key not in utterances:
                self.fault(name, entry.line, f"{key} is no utterance of this folder")
                continue
            try:
                values[key] = convert(entry.value)
            except ManifestError as error:
                self.fault(name, entry.line, f"{key}: {error}")
        return values


def _scan_kaldi(folder: Path, root: Path | str | None) -> tuple[list[Utterance], list[Fault]]:
    data = _KaldiFolder(folder)
    listed, segments = data.table("wav.scp"), data.table("segments")
    if listed is None:
        raise ManifestError(
            f"{folder}: expected a Kaldi data directory with wav.scp, or a manifest file"
        )
    recordings = _recordings(data, listed, AudioBase.of(folder, root))
    if segments is None:
        stretches = [
            Utterance(
                id=id_,
                audio=audio.path,
                address=audio.address,
                duration_s=None,
                line=listed[id_].line,
            )
            for id_, audio in recordings.items()
        ]
    else:
        stretches = _segments(data, segments, recordings, listed)
    # An utterance whose own line is faulty is known here too, lest it be reported for every table.
    known = listed if segments is None else segments
    texts = data.attribute("text", known, str)
    speakers = data.attribute("utt2spk", known, _speaker)
    durations = data.attribute("utt2dur", known, _seconds)
    complete = [
        dataclasses.replace(
            stretch,
            text=texts.get(stretch.id),
            speaker=speakers.get(stretch.id),
            duration_s=durations.get(stretch.id, stretch.duration_s),
        )
        for stretch in stretches
    ]
    return complete, data.faults


def _recordings(
    data: _KaldiFolder, listed: Mapping[str, _Entry], base: AudioBase
) -> dict[str, Audio]:
    recordings = {}
    for id_, entry in listed.items():
        try:
            recordings[id_] = base.resolve(_file_name(entry.value))
        except ManifestError as error:
            data.fault("wav.scp", entry.line, f"{id_}: {error}")
    return recordings


def _file_name(value: str) -> str:
    if value.endswith("|") or value.startswith("|"):
        raise ManifestError(
            f"expected an audio file, received a command, which is not run: {value}"
        )
    if re.search(r"\.ark:\d+$", value) or value == "-":
        raise ManifestError(f"expected an audio file, received {value}")
    if not value or "\0" in value:
        raise ManifestError(f"expected an audio file, received {value!r}")
    return value


def _segments(
    data: _KaldiFolder,
    segments: Mapping[str, _Entry],
    recordings: Mapping[str, Audio],
    listed: Mapping[str, _Entry],
) -> list[Utterance]:
    utterances = []
    for id_, entry in segments.items():
        try:
            name, start_s, duration_s = _segment(entry.value)
            if name not in listed:
                raise ManifestError(f"recording {name} is not in wav.scp")
        except ManifestError as error:
            data.fault("segments", entry.line, f"{id_}: {error}")
            continue
        if name in recordings:
            audio, address = recordings[name]
            utterances.append(
                Utterance(
                    id=id_,
                    audio=audio,
                    address=address,
                    offset_s=start_s,
                    duration_s=duration_s,
                    line=entry.line,
                )
            )
    return utterances


def _segment(value: str) -> tuple[str, float, float | None]:
    """Returns recording, start and duration in seconds; None where it runs to the end (-1)."""
    parts = value.split()
    if len(parts) != 3:
        raise ManifestError(f"expected a recording, a start and an end, received {value!r}")
    start_s = _seconds(parts[1])
    if parts[2] == "-1":
        return parts[0], start_s, None
    end_s = _seconds(parts[2])
    if end_s <= start_s:
        raise ManifestError(f"expected an end after the start, received {parts[1]} {parts[2]}")
    # Rounded to the microsecond, so that 1.3 - 1.2 is 0.1.
    return parts[0], start_s, round(end_s - start_s, 6)


def _speaker(value: str) -> str | None:
    return value or None


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        raise ManifestError(f"expected seconds, received {value!r}") from None
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ManifestError(f"expected seconds, 0 or more, received {value!r}")
    return seconds


def _scan_csv(path: Path, root: Path | str | None) -> tuple[list[Utterance], list[Fault]]:
    base = AudioBase.of(path.parent, root)
    rows = _rows(path)
    _, header = next(rows, (1, []))
    missing = [name for name in _COLUMNS if name not in header]
    if missing or len(set(header)) < len(header):
        raise ManifestError(
            f"{path}: expected columns {', '.join(_COLUMNS)} once each in the first line, "
            f"received {', '.join(header) or 'nothing'}"
        )
    utterances, faults = [], []
    for number, row in rows:
        try:
            utterances.append(utterance_of(_record(header, row), line=number, base=base))
        except ManifestError as error:
            faults.append(Fault(file=path, line=number, message=str(error)))
    return with_ids(utterances, base=base), faults


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields rows that are not empty, with the number of the line each starts on.

    A row that ends the reading, such as one whose quotation mark is never closed, comes as one
    broken cell.
    """
    # Bytes that are not UTF-8 survive in file names; `utterance_of` refuses them in a transcript.
    text = read_list(path).decode("utf-8", errors="surrogateescape")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        start = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield start, [f"broken CSV: {error}"]
            return
        if row is None:
            return
        if row:
            yield start, row


def _record(header: list[str], row: list[str]) -> dict[str, Any]:
    """Returns a row as a record with NeMo's keys; empty cells are left out, the size dropped."""
    if len(row) != len(header):
        raise ManifestError(f"expected {len(header)} columns, received {len(row)}: {row!r:.80}")
    cells = dict(zip(header, row, strict=True))
    audio, text = (cells.pop(name) for name in _COLUMNS)
    cells.pop("wav_filesize", None)  # the file system knows it better
    record: dict[str, Any] = {name: cell for name, cell in cells.items() if cell}
    for name in {"duration", "offset"} & set(record):
        record[name] = _seconds(record[name])
    if record.get("channel", "").isdecimal():  # anything else is refused with the line
        record["channel"] = int(record["channel"])
    return record | {"audio_filepath": audio, "text": text}
