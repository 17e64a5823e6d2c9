"""Lists of utterances, as JSON lines with NeMo's keys.

One object a line: `audio_filepath`, and as far as known `duration` and `offset` (seconds), `text`,
`speaker`, `id`, `lang`, and `channel` (from 0) where one channel is meant and not the mean of all.
Further keys are kept and written back. A relative path is taken from `root`, or without one from
the manifest's folder and, where nothing is there, from the current folder. An address (`s3://…`)
is kept as it is.

An utterance without an `id` gets one from its audio path, as seen from that folder, without the
suffix: `clips/0001`. A channel is counted from 1 there, `clips/0001.2`, and a segment adds its
start in seconds, `clips/0001@12.5`; blanks become `_`. The id depends on its own line alone, unless
it is taken: then `#2`, `#3` … follow in the order of lines.
"""

import collections
import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from asr import files
from asr.addresses import AudioBase, is_address
from asr.errors import ManifestError
from asr.lines import decode_line, numbered_lines

KEYS = ("audio_filepath", "duration", "text", "offset", "channel", "speaker", "id", "lang")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A stretch of speech, and what is known about it.

    Attributes:
        id: Its name, unique in a sound manifest; `validate` lists repeated ones.
        audio: The recording.
        duration_s: Length of the stretch in seconds; None where it is not known.
        text: What is said; None where it is not known.
        offset_s: Where the stretch starts in the recording, in seconds.
        channel: Which channel of the recording, from 0; None for the mean of all.
        speaker: Who speaks.
        language: A language tag.
        extra: Every other key of the manifest line.
        line: Line number in the file it was read from, from 1; no part of equality.
        address: Where the recording is, if it is no file of this machine; `audio` is then the same
            as a path, which names it and leads nowhere.
    """

    id: str
    audio: Path
    duration_s: float | None
    text: str | None = None
    offset_s: float = 0.0
    channel: int | None = None
    speaker: str | None = None
    language: str | None = None
    extra: Mapping[str, object] = dataclasses.field(default_factory=dict)
    line: int | None = dataclasses.field(default=None, compare=False)
    address: str | None = None

    def __post_init__(self) -> None:
        taken = sorted(set(self.extra) & set(KEYS))
        if taken:
            raise ManifestError(
                f"{self.id}: expected further keys in extra, received {', '.join(taken)}"
            )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A line that cannot be understood."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}: {self.message}"


def read_manifest(path: Path | str, *, root: Path | str | None = None) -> list[Utterance]:
    """Reads a manifest; audio is not opened, and repeated ids are left to `asr.validation`.

    Args:
        path: A file of JSON lines, UTF-8; blank lines are passed over.
        root: Folder of relative audio paths; the manifest's own if None.

    Raises:
        ManifestError: The file cannot be read, or lines in it cannot be understood: all of them
            are listed, with their numbers.
    """
    utterances, faults = scan_manifest(path, root=root)
    raise_faults(path, faults)
    return utterances


def scan_manifest(
    path: Path | str, *, root: Path | str | None = None
) -> tuple[list[Utterance], list[Fault]]:
    """Reads a manifest as `read_manifest` does, but returns its faults beside the utterances.

    Raises:
        ManifestError: The file as a whole cannot be read.
    """
    path = Path(path)
    base = AudioBase.of(path.parent, root)
    utterances, faults = [], []
    for number, line in numbered_lines(path):
        if number == 1 and line.startswith(b"["):
            raise ManifestError(f"{path}: expected one JSON object a line, received a JSON array")
        try:
            utterances.append(utterance_of(_parse(line), line=number, base=base))
        except ManifestError as error:
            faults.append(Fault(file=path, line=number, message=str(error)))
    return with_ids(utterances, base=base), faults


def raise_faults(path: Path | str, faults: Iterable[Fault]) -> None:
    """Raises one ManifestError that lists the faults, if there are any."""
    listed = [f"  {fault}" for fault in faults]
    if listed:
        count = "1 line" if len(listed) == 1 else f"{len(listed)} lines"
        raise ManifestError("\n".join([f"{path}: {count} cannot be understood", *listed]))


def write_manifest(path: Path | str, utterances: Iterable[Utterance]) -> None:
    """Writes utterances as JSON lines, atomically, over what was there.

    Audio below the manifest's folder is named relative to it, so that the folder can be moved.

    Raises:
        ManifestError: An utterance holds what JSON cannot.
    """
    folder = Path(path).parent
    files.write_lines(path, (to_json_line(item, relative_to=folder) for item in utterances))


def to_json_line(utterance: Utterance, *, relative_to: Path | str | None = None) -> str:
    """Returns an utterance as one line of JSON, without a line end; what is None is left out.

    Audio below `relative_to`, the folder that the line will be read from, is named relative to
    it, other audio absolutely; without such a folder the path is written as it is. So is an
    address, always.

    Raises:
        ManifestError: The utterance holds what JSON cannot, such as a duration that is no number.
    """
    record: dict[str, object] = {
        "audio_filepath": utterance.address or _written_path(utterance.audio, relative_to),
        "duration": utterance.duration_s,
        "text": utterance.text,
        "offset": utterance.offset_s or None,
        "channel": utterance.channel,
        "speaker": utterance.speaker,
        "id": utterance.id,
        "lang": utterance.language,
    }
    record = {key: value for key, value in record.items() if value is not None}
    record |= utterance.extra
    try:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ManifestError(f"{utterance.id}: expected what JSON can hold: {error}") from None
    if line.isascii() or _is_text(line):
        return line
    # A file name that is not UTF-8 reaches Python as lone surrogates, which only escapes can hold.
    return json.dumps(record)


def utterance_of(record: Mapping[str, Any], *, line: int, base: AudioBase) -> Utterance:
    """Returns the utterance of a record with NeMo's keys; its id is empty if the record has none.

    Raises:
        ManifestError: Values do not fit their keys; all of them are named.
    """
    wrong = [
        f"{key}: expected {expected}, received {_shown(record, key)}"
        for key, (expected, fits) in _FIELDS.items()
        if not fits(value := record.get(key)) and (value is not None or key == "audio_filepath")
    ]
    if wrong:
        raise ManifestError("; ".join(wrong))
    audio = base.resolve(record["audio_filepath"])
    return Utterance(
        id=_name(record.get("id")) or "",
        audio=audio.path,
        address=audio.address,
        duration_s=None if record.get("duration") is None else float(record["duration"]),
        text=record.get("text"),
        offset_s=float(record.get("offset") or 0.0),
        channel=record.get("channel"),
        speaker=_name(record.get("speaker")),
        language=record.get("lang") or None,
        extra=MappingProxyType({key: value for key, value in record.items() if key not in KEYS}),
        line=line,
    )


def with_ids(utterances: Iterable[Utterance], *, base: AudioBase) -> list[Utterance]:
    """Returns the utterances with ids derived for those that have none; see the module's text."""
    utterances = list(utterances)
    taken = {utterance.id for utterance in utterances}
    repeats: collections.Counter[str] = collections.Counter()
    named = []
    for utterance in utterances:
        if not utterance.id:
            name = stem = _derived_id(utterance, base)
            while name in taken:
                repeats[stem] += 1
                name = f"{stem}#{repeats[stem] + 1}"
            taken.add(name)
            utterance = dataclasses.replace(utterance, id=name)
        named.append(utterance)
    return named


def _parse(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(
            decode_line(line), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise ManifestError(f"expected JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"expected JSON: {error}") from None
    if isinstance(record, dict):
        return record
    raise ManifestError(f"expected a JSON object, received {type(record).__name__}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    counts = collections.Counter(key for key, _ in pairs)
    if len(counts) < len(pairs):
        raise ManifestError(f"expected every key once, repeated: {counts.most_common(1)[0][0]}")
    return dict(pairs)


def _refuse_constant(name: str) -> NoReturn:
    raise ManifestError(f"expected JSON, received the constant {name}")


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.strip() != "" and "\0" not in value


def _is_text(value: object) -> bool:
    """Text that a UTF-8 file can hold: no half of a surrogate pair."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def _is_seconds(value: object) -> bool:
    # Bounded by some thirty years, since JSON's whole numbers may be too large for a float.
    return type(value) is not bool and isinstance(value, int | float) and 0 <= value < 1e9


def _is_channel(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 16


def _is_name(value: object) -> bool:
    return type(value) is int or (_is_text(value) and value != "")


# What a value must be; only the path may not be absent.
_FIELDS: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "audio_filepath": ("a path", _is_path),
    "duration": ("seconds, 0 or more", _is_seconds),
    "text": ("text", _is_text),
    "offset": ("seconds, 0 or more", _is_seconds),
    "channel": ("a channel's number, from 0 on", _is_channel),
    "speaker": ("a name", lambda value: value == "" or _is_name(value)),
    "id": ("a name", _is_name),
    "lang": ("a language tag", _is_text),
}


def _shown(record: Mapping[str, object], key: str) -> str:
    if key in record:
        return repr(record[key])[:80]
    return f"a line without {key}; its keys are {', '.join(record) or 'none'}"


def _name(value: object) -> str | None:
    """Returns a name, which some corpora write as a number, as text."""
    return None if value in (None, "") else str(value)


def _derived_id(utterance: Utterance, base: AudioBase) -> str:
    audio = utterance.audio
    if audio.is_relative_to(base.folder) and (utterance.address is None) == (base.address is None):
        audio = audio.relative_to(base.folder)
    elif utterance.address is not None:
        audio = Path(*audio.parts[1:])  # without the scheme
    name = re.sub(r"\s", "_", audio.with_suffix("").as_posix().lstrip("/"))
    name = name.encode("utf-8", "replace").decode()
    name += "" if utterance.channel is None else f".{utterance.channel + 1}"
    return f"{name}@{utterance.offset_s:.10g}" if utterance.offset_s else name


def _written_path(audio: Path, relative_to: Path | str | None) -> str:
    if relative_to is None:
        return audio.as_posix()
    # Not resolved: a folder of links to recordings must stay a folder of links.
    absolute = Path(os.path.abspath(audio))
    if isinstance(relative_to, str) and is_address(relative_to):
        return absolute.as_posix()
    folder = Path(os.path.abspath(relative_to))
    below = absolute.is_relative_to(folder)
    return (absolute.relative_to(folder) if below else absolute).as_posix()
