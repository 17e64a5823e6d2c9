"""Finished transcripts of any recognizer, by utterance id.

JSON lines   NeMo's, and ours: `pred_text` or else `text`, by `id` or audio path
whisper      one JSON file with `text` or `segments`, or a folder of them; the id is the file's name
CTM          NIST's words with times, `file channel start duration word [confidence]`
TRN          NIST's `words (id)`
Kaldi        `text` or a `.txt` file of lines `id words`; a data directory
Coqui        a CSV with `wav_filename` and `transcript`
report       the folder of an evaluation, with `utterances.jsonl` in it

Confidences of words are read where a format has them: NeMo's `word_confidence`, whisper's word
timestamps, the sixth field of a CTM.

An id that no reference has is looked up by the name of the reference's audio file, since most
programs name their output after their input.
"""

import collections
import contextlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.addresses import AudioBase
from asr.confidences import Confidences, confidences_of, of_whisper
from asr.errors import ManifestError, ScoringError
from asr.interchange import read_utterances
from asr.lines import decode_line, numbered_lines, read_list
from asr.manifest import Fault, Utterance, raise_faults, utterance_of
from asr.scoring import some_ids

REPORT_FILE = "utterances.jsonl"


CONFIDENCE_KEY = "word_confidence"
"""Of a line of JSON: NeMo's name for the confidences of a transcript's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcripts:
    """Finished transcripts.

    Attributes:
        texts: By id, as they are written.
        confidences: Of the words of a text, by id; of those whose every word has one.
    """

    texts: Mapping[str, str]
    confidences: Confidences = field(default_factory=dict)


def read_hypotheses(path: Path | str) -> dict[str, str]:
    """Reads the texts of finished transcripts by id; see `read_transcripts`."""
    return dict(read_transcripts(path).texts)


def read_transcripts(path: Path | str) -> Transcripts:
    """Reads finished transcripts; the format is known by the file's name and content.

    Args:
        path: A file or folder in one of the formats above.

    Raises:
        ManifestError: The file cannot be understood; every bad line is listed.
        ScoringError: An id is there twice, or a line has no transcript.
    """
    path = Path(path)
    if (path / REPORT_FILE).is_file():
        path = path / REPORT_FILE
    if path.is_dir() and not (path / "wav.scp").exists():
        return _read_whisper_folder(path)
    match path.suffix.lower():
        case ".ctm":
            return _read_ctm(path)
        case ".trn":
            return Transcripts(texts=_read_trn(path))
        case ".txt":
            return Transcripts(texts=_read_text(path))
        case _ if path.name == "text":
            return Transcripts(texts=_read_text(path))
        case ".json" if (record := _whisper_record(path)) is not None:
            return _of_whisper(path.stem, record)
    return _read_utterances(path)


def by_reference_id(
    hypotheses: Mapping[str, str], references: Collection[Utterance]
) -> dict[str, str]:
    """Returns transcripts under their references' ids, as `reference_ids` finds them.

    Raises:
        ScoringError: Two transcripts belong to one reference.
    """
    return {new: hypotheses[old] for old, new in reference_ids(hypotheses, references).items()}


def reference_ids(hypotheses: Collection[str], references: Collection[Utterance]) -> dict[str, str]:
    """Returns the reference's id for each transcript's.

    An id that is no reference's is taken for the path or name of an audio file, where exactly one
    reference without a transcript has it; other ids are kept.

    Args:
        hypotheses: Ids as a program wrote them.
        references: The utterances they belong to.

    Raises:
        ScoringError: Two transcripts belong to one reference.
    """
    known = {item.id for item in references}
    names: dict[str, set[str]] = collections.defaultdict(set)
    for item in references:
        if item.id in hypotheses:
            continue
        path = item.audio
        for name in (path.stem, path.name, path.as_posix(), path.with_suffix("").as_posix()):
            names[name].add(item.id)
    found: dict[str, str] = {}
    taken: set[str] = set()
    for key in hypotheses:
        candidates = names.get(key, set())
        new = next(iter(candidates)) if key not in known and len(candidates) == 1 else key
        if new in taken:
            raise ScoringError(f"expected one transcript of {new}, received another as {key}")
        taken.add(new)
        found[key] = new
    return found


def _read_utterances(path: Path) -> Transcripts:
    """Reads manifests of any kind: `pred_text` or, where no line has it, `text`."""
    texts: dict[str, object] = {}
    predicted: dict[str, object] = {}
    sure: dict[str, object] = {}
    for item in _named_only(path) or read_utterances(path):
        if item.id in texts:
            raise ScoringError(f"expected every id once, received {item.id} again")
        texts[item.id] = item.text
        if "pred_text" in item.extra:
            predicted[item.id] = item.extra["pred_text"]
        if CONFIDENCE_KEY in item.extra:
            sure[item.id] = item.extra[CONFIDENCE_KEY]
    if predicted:
        found = _all_texts(dict.fromkeys(texts) | predicted, "a string as pred_text")
    else:
        found = _all_texts(texts, "a text")
    return Transcripts(texts=found, confidences=_known(found, sure))


def _known(texts: Mapping[str, str], values: Mapping[str, object]) -> Confidences:
    """Returns the values that are confidences of their texts' words."""
    found = {key: confidences_of(texts[key], value) for key, value in values.items()}
    return {key: sure for key, sure in found.items() if sure is not None}


def _all_texts(texts: Mapping[str, object], expected: str) -> dict[str, str]:
    if lacking := [key for key, text in texts.items() if not isinstance(text, str)]:
        raise ScoringError(f"expected {expected} for every utterance; none for {some_ids(lacking)}")
    return {key: str(text) for key, text in texts.items()}


def _named_only(path: Path) -> list[Utterance]:
    """Returns the utterances of a file whose lines say no audio, or none if it is another kind."""
    if path.is_dir() or path.suffix.lower() == ".csv":
        return []
    utterances, base = [], AudioBase.of(path.parent, None)
    for number, line in numbered_lines(path):
        try:
            record = json.loads(line)
        except ValueError:
            return []  # the reader of manifests says what is wrong with it
        if not isinstance(record, dict) or "audio_filepath" in record or not record.get("id"):
            return []
        try:
            named = {"audio_filepath": str(record["id"]), **record}
            utterances.append(utterance_of(named, line=number, base=base))
        except ManifestError as error:
            raise ManifestError(f"{path.name}:{number}: {error}") from None
    return utterances


def _read_whisper_folder(folder: Path) -> Transcripts:
    texts: dict[str, str] = {}
    confidences: dict[str, Sequence[float]] = {}
    for path in sorted(folder.rglob("*.json")):
        record = _whisper_record(path)
        if record is None:
            raise ManifestError(f"{path}: expected whisper's JSON, with text or segments")
        one = _of_whisper(path.relative_to(folder).with_suffix("").as_posix(), record)
        texts |= one.texts
        confidences |= one.confidences
    if not texts:
        raise ManifestError(
            f"{folder}: expected a Kaldi directory with wav.scp, or whisper's JSON files; found "
            "neither"
        )
    return Transcripts(texts=texts, confidences=confidences)


def _of_whisper(key: str, record: Mapping[str, Any]) -> Transcripts:
    text = _whisper_text(record)
    sure = of_whisper(record, text)
    return Transcripts(texts={key: text}, confidences={key: sure} if sure else {})


def _whisper_record(path: Path) -> Mapping[str, Any] | None:
    """Returns the content of a whisper JSON file, or None if it is something else."""
    try:
        record = json.loads(read_list(path))
    except ValueError:
        return None
    if not isinstance(record, dict) or "audio_filepath" in record or "id" in record:
        return None
    segments = record.get("segments")
    in_segments = isinstance(segments, list) and all(map(_has_text, segments))
    return record if in_segments or _has_text(record) else None


def _whisper_text(record: Mapping[str, Any]) -> str:
    if _has_text(record):
        return str(record["text"]).strip()
    return " ".join(segment["text"].strip() for segment in record["segments"])


def _has_text(record: Any) -> bool:
    return isinstance(record, dict) and isinstance(record.get("text"), str)


def _read_ctm(path: Path) -> Transcripts:
    words: dict[str, list[tuple[float, str, float | None]]] = collections.defaultdict(list)
    channels: dict[str, str] = {}
    faults = []
    for number, line in _lines(path):
        if line.startswith(";;"):
            continue
        try:
            name, channel, start_s, word, sure = _ctm_fields(line)
            if channels.setdefault(name, channel) != channel:
                raise ManifestError(
                    f"expected one channel of {name}, received {channels[name]} and {channel}"
                )
            words[name].append((start_s, word, sure))
        except ManifestError as error:
            faults.append(Fault(file=path, line=number, message=str(error)))
    raise_faults(path, faults)
    # Stable, so that words of the same start stay as they were written.
    ordered = {name: sorted(found, key=lambda word: word[0]) for name, found in words.items()}
    texts = {name: " ".join(word for _, word, _ in found) for name, found in ordered.items()}
    values = {name: [sure for _, _, sure in found] for name, found in ordered.items()}
    return Transcripts(texts=texts, confidences=_known(texts, values))


def _ctm_fields(line: str) -> tuple[str, str, float, str, float | None]:
    """Returns file, channel, start, word and confidence; that is None where there is none."""
    fields = line.split()
    if not 5 <= len(fields) <= 8:
        raise ManifestError(f"expected file channel start duration word, received {line[:80]!r}")
    name, channel, start, duration, word = fields[:5]
    if word.upper() in ("<ALT_BEGIN>", "<ALT>", "<ALT_END>"):
        raise ManifestError("expected one transcript, received alternatives (<ALT>)")
    try:
        float(duration)
        return name, channel, float(start), word, _number(fields[5:6])
    except ValueError:
        raise ManifestError(
            f"expected start and duration in seconds, received {start} and {duration}"
        ) from None


def _number(fields: Sequence[str]) -> float | None:
    """Returns the first field's number; None where there is no field, or NA in it."""
    with contextlib.suppress(ValueError):
        return float(fields[0]) if fields else None
    return None


def _read_trn(path: Path) -> dict[str, str]:
    def parse(line: str) -> tuple[str, str]:
        found = re.fullmatch(r"(.*?)\s*\(([^()\s]+)\)", line)
        if not found:
            raise ManifestError(f"expected words (id), received {line[-80:]!r}")
        if re.search(r"(^|\s)[{}]", found[1]):
            raise ManifestError("expected one transcript, received alternatives ({ a / b })")
        return found[2], found[1]

    return _read_pairs(path, (pair for pair in _lines(path) if not pair[1].startswith(";;")), parse)


def _read_text(path: Path) -> dict[str, str]:
    def parse(line: str) -> tuple[str, str]:
        key, _, text = line.partition(" ")
        return key, text.strip()

    return _read_pairs(path, ((n, line.replace("\t", " ", 1)) for n, line in _lines(path)), parse)


def _read_pairs(
    path: Path, lines: Iterable[tuple[int, str]], parse: Callable[[str], tuple[str, str]]
) -> dict[str, str]:
    """Reads a pair of id and text from each line."""
    texts: dict[str, str] = {}
    faults = []
    for number, line in lines:
        try:
            key, text = parse(line)
            if key in texts:
                raise ManifestError(f"expected every id once, received {key} again")
            texts[key] = text
        except ManifestError as error:
            faults.append(Fault(file=path, line=number, message=str(error)))
    raise_faults(path, faults)
    return texts


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the numbered lines of a text file.

    Raises:
        ManifestError: A line is not UTF-8; it is named.
    """
    for number, line in numbered_lines(path):
        try:
            yield number, decode_line(line)
        except ManifestError as error:
            raise ManifestError(f"{path.name}:{number}: {error}") from None
