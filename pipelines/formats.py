"""What a transcript looks like as a file, in each of the formats there are.

txt     the text, one line
json    whisper's shape: text, and segments with words, their times and how sure each is
srt     captions for players (SubRip)
vtt     captions for browsers (WebVTT)
tsv     whisper's table: start and end in milliseconds, text; a row a caption
ctm     NIST's words: recording, channel, start, duration, word, confidence
trn     NIST's line: text (recording)
jsonl   a line of a NeMo manifest, with what was heard as pred_text
"""

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from asr.captions import Caption, captions
from asr.manifest import Utterance, to_json_line
from asr.transcript import Transcript, Word


class Result(Protocol):
    """What became of one recording."""

    @property
    def utterance(self) -> Utterance:
        """Where it is."""

    @property
    def transcript(self) -> Transcript | None:
        """What was said in it; None if that could not be found out."""

    @property
    def failure(self) -> str:
        """Why not; empty if it could."""


def render(
    form: str, result: Result, *, characters: bool = False, relative_to: Path | str | None = None
) -> str:
    """Returns the content of a result's file, with the end of its last line.

    Args:
        form: One of `FORMATS`.
        result: A transcript; or, in `jsonl` alone, the reason why there is none.
        characters: In `json`, words have their characters with times.
        relative_to: Folder of the file, which paths in `jsonl` are named from, or its address; if
            None they are written as they are.

    Raises:
        KeyError: There is no such format.
        ValueError: There is no transcript, and the format has no place for the reason.
    """
    if form == "jsonl":
        return f"{manifest_line(result, relative_to=relative_to)}\n"
    if form == "json":
        return f"{json_line(result, characters=characters)}\n"
    return _WRITERS[form](result.utterance, _transcript(result))


def json_line(result: Result, *, characters: bool = False, named: bool = False) -> str:
    """Returns whisper's shape as one line, without its end.

    Args:
        result: A transcript.
        characters: Words have their characters with times.
        named: The recording's id stands before all else.

    Raises:
        ValueError: There is no transcript.
    """
    record: dict[str, object] = {"id": result.utterance.id} if named else {}
    record |= _transcript(result).to_json(characters=characters)
    return json.dumps(record, ensure_ascii=False)


def manifest_line(result: Result, *, relative_to: Path | str | None = None) -> str:
    """Returns the recording's line of a manifest, with `pred_text`, without its end.

    A failure has an empty `pred_text`, and its reason as `error`.

    Args:
        result: A transcript, or the reason why there is none.
        relative_to: Folder that the line will be read from; None leaves paths as they are.
    """
    utterance, transcript = result.utterance, result.transcript
    extra = {key: value for key, value in utterance.extra.items() if key != "error"}
    extra["pred_text"] = transcript.text if transcript else ""
    if transcript is not None and transcript.alternatives:
        extra["alternatives"] = [one.to_json() for one in transcript.alternatives]
    if transcript is None:
        extra["error"] = result.failure
    elif utterance.duration_s is None:
        utterance = dataclasses.replace(utterance, duration_s=round(transcript.duration_s, 3))
    return to_json_line(dataclasses.replace(utterance, extra=extra), relative_to=relative_to)


def ctm_lines(utterance: Utterance, transcript: Transcript) -> Iterator[str]:
    """Yields NIST's lines, without their ends: name, channel, start, duration, word, confidence.

    The channel is counted from 1, and 1 if all are mixed; the name is the id, `_` for its blanks. A
    confidence that is not known is NA.
    """
    channel = 1 if utterance.channel is None else utterance.channel + 1
    for word in _written(transcript):
        # The end that a reader adds up is the end rounded.
        start_s, end_s = round(word.start_s, 3), round(word.end_s, 3)
        sure = "NA" if word.probability is None else f"{word.probability:.4f}"
        times = f"{start_s:.3f} {end_s - start_s:.3f}"
        yield f"{_one_word(utterance.id)} {channel} {times} {word.text} {sure}"


def _ctm(utterance: Utterance, transcript: Transcript) -> str:
    return "".join(f"{line}\n" for line in ctm_lines(utterance, transcript))


def _txt(_: Utterance, transcript: Transcript) -> str:
    return f"{transcript.text}\n"


def _trn(utterance: Utterance, transcript: Transcript) -> str:
    name = re.sub(r"[()]", "_", _one_word(utterance.id))
    return f"{transcript.text} ({name})\n".lstrip()


def _tsv(_: Utterance, transcript: Transcript) -> str:
    rows = ["start\tend\ttext\n"]
    for caption in captions(transcript):
        start, end = _milliseconds(caption)
        rows.append(f"{start}\t{end}\t{' '.join(caption.lines)}\n")
    return "".join(rows)


def _srt(_: Utterance, transcript: Transcript) -> str:
    blocks = []
    for number, caption in enumerate(captions(transcript), start=1):
        start, end = (_clock(time, ",") for time in _milliseconds(caption))
        # The format has no escapes: an arrow in the text could be taken for another caption's.
        lines = "\n".join(caption.lines).replace("-->", "->")
        blocks.append(f"{number}\n{start} --> {end}\n{lines}\n\n")
    return "".join(blocks)


def _vtt(_: Utterance, transcript: Transcript) -> str:
    blocks = ["WEBVTT\n\n"]
    for caption in captions(transcript):
        start, end = (_clock(time, ".") for time in _milliseconds(caption))
        lines = "\n".join(caption.lines)
        for character, escape in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            lines = lines.replace(character, escape)
        blocks.append(f"{start} --> {end}\n{lines}\n\n")
    return "".join(blocks)


_WRITERS: Mapping[str, Callable[[Utterance, Transcript], str]] = {
    "txt": _txt,
    "srt": _srt,
    "vtt": _vtt,
    "tsv": _tsv,
    "ctm": _ctm,
    "trn": _trn,
}

FORMATS = ("txt", "json", "srt", "vtt", "tsv", "ctm", "trn", "jsonl")


def _transcript(result: Result) -> Transcript:
    if result.transcript is None:
        raise ValueError(f"expected a transcript of {result.utterance.id}, received a failure")
    return result.transcript


def _written(transcript: Transcript) -> Iterator[Word]:
    """Yields the words that have a text, with no blank in it."""
    for word in transcript.words:
        for text in word.text.split():
            yield word if text == word.text else dataclasses.replace(word, text=text)


def _one_word(name: str) -> str:
    return "_".join(name.split()) or "_"


def _milliseconds(caption: Caption) -> tuple[int, int]:
    return round(1000 * caption.start_s), round(1000 * caption.end_s)


def _clock(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{point}{rest:03}"
