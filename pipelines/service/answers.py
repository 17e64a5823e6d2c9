"""A transcript as the answer to a request, in the shapes that OpenAI's clients read."""

import itertools
import math
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from asr.captions import captions
from asr.manifest import Utterance
from asr.transcript import Transcript, Word
from pipelines.formats import render
from pipelines.recognition import Result
from pipelines.service.asked import Asked

_SUBTITLES = {"srt": "application/x-subrip", "vtt": "text/vtt"}


def answer(transcript: Transcript, asked: Asked) -> Response:
    """Returns the answer that was asked for."""
    if asked.form == "text":
        return PlainTextResponse(f"{transcript.text}\n")
    if asked.form in _SUBTITLES:
        here = Utterance(id="recording", audio=Path("recording"), duration_s=transcript.duration_s)
        shown = render(asked.form, Result(utterance=here, transcript=transcript), characters=False)
        return PlainTextResponse(shown, media_type=_SUBTITLES[asked.form])
    record: dict[str, Any] = {"text": transcript.text}
    if asked.form == "verbose_json":
        record = _verbose(transcript, asked)
    record["usage"] = {"type": "duration", "seconds": math.ceil(transcript.duration_s)}
    return JSONResponse(record)


def _verbose(transcript: Transcript, asked: Asked) -> dict[str, Any]:
    record: dict[str, Any] = {
        "task": "transcribe",
        "language": transcript.language,
        "duration": round(transcript.duration_s, 3),
        "text": transcript.text,
    }
    if asked.with_words:
        record["words"] = [word.to_json() for word in transcript.words]
    if asked.with_segments:
        record["segments"] = list(_segments(transcript))
    return record


def _segments(transcript: Transcript) -> Iterable[dict[str, Any]]:
    """Yields whisper's segments: what would be shown at once as a caption.

    Clients expect every key of whisper's. Three of them speak of how whisper decodes, and have
    here the values that mean nothing: no tokens, temperature 0, no speech as likely as nothing.
    """
    words = iter(transcript.words)
    for number, caption in enumerate(captions(transcript)):
        text = " ".join(caption.lines)
        own = itertools.islice(words, len(text.split()))
        content = text.encode()
        yield {
            "id": number,
            "seek": 0,
            "start": round(caption.start_s, 3),
            "end": round(caption.end_s, 3),
            "text": text,
            "tokens": [],
            "temperature": 0.0,
            "avg_logprob": round(_mean_log(own), 4),
            "compression_ratio": round(len(content) / len(zlib.compress(content)), 4),
            "no_speech_prob": 0.0,
        }


def _mean_log(words: Iterable[Word]) -> float:
    """Returns the mean natural logarithm of the words' probabilities; 0 where they have none."""
    known = [
        math.log(max(word.probability, 1e-9)) for word in words if word.probability is not None
    ]
    return sum(known) / len(known) if known else 0.0
