"""Files of transcripts, read back by a reader of their own."""

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.captions import captions
from asr.hypotheses import read_hypotheses, read_transcripts
from asr.manifest import Utterance, read_manifest
from asr.transcript import Alternative, Character, Transcript, Word
from pipelines.formats import FORMATS, json_line, manifest_line, render

LETTERS = st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"])
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@dataclass(frozen=True)
class Result:
    """A result of the same shape as the real one."""

    utterance: Utterance
    transcript: Transcript | None
    failure: str = ""


@st.composite
def results(draw: st.DrawFn) -> Result:
    """Speech of some words, at times that milliseconds can tell apart."""
    texts = st.text(LETTERS, min_size=1, max_size=15) | st.sampled_from(["<b>", "-->", "&amp;"])
    now, words = 0, []
    for text in draw(st.lists(texts, max_size=40)):
        start = now + draw(st.integers(0, 2_000))
        now = start + draw(st.integers(20, 900))
        words.append(
            Word(
                text=text,
                start_s=start / 1000,
                end_s=now / 1000,
                probability=draw(st.none() | st.floats(0, 1)),
            )
        )
    transcript = Transcript(
        text=" ".join(word.text for word in words),
        words=tuple(words),
        duration_s=(now + draw(st.integers(1, 4_000_000))) / 1000,
        language="en",
        log_probability=-1.5,
    )
    channel = draw(st.none() | st.integers(0, 3))
    audio = Path("calls/a b.wav")
    return Result(
        Utterance(id=draw(IDS), audio=audio, duration_s=None, channel=channel), transcript
    )


def said(result: Result) -> list[str]:
    assert result.transcript is not None
    return [word.text for word in result.transcript.words]


def seconds(clock: str) -> float:
    """A caption's time, strictly as the formats have it."""
    found = re.fullmatch(r"(\d\d+):([0-5]\d):([0-5]\d)[.,](\d{3})", clock)
    assert found, clock
    return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3]) + int(found[4]) / 1000


def cues(content: str, *, point: str) -> list[tuple[float, float, list[str]]]:
    """Captions from blocks that are each ended by an empty line: start, end, lines."""
    blocks = content.split("\n\n")
    assert blocks.pop() == ""
    found = []
    for block in blocks:
        timing, *lines = block.split("\n")
        times = re.fullmatch(rf"([\d:]+\{point}\d+) --> ([\d:]+\{point}\d+)", timing)
        assert times, timing
        assert lines
        assert not any("-->" in line or line == "" for line in lines)
        found.append((seconds(times[1]), seconds(times[2]), lines))
    return found


def assert_shown(found: list[tuple[float, float, list[str]]], result: Result) -> None:
    assert result.transcript is not None
    expected = captions(result.transcript)
    assert len(found) == len(expected)
    for (start_s, end_s, _), caption in zip(found, expected, strict=True):
        assert (start_s, end_s) == pytest.approx((caption.start_s, caption.end_s), abs=0.000_501)
        assert start_s < end_s
    times = [time for start_s, end_s, _ in found for time in (start_s, end_s)]
    assert times == sorted(times)


@given(results())
def test_srt(result: Result) -> None:
    content = render("srt", result)
    numbers = re.findall(r"(?:\A|\n\n)(\d+)\n", content)
    assert numbers == [str(n) for n in range(1, len(numbers) + 1)]
    found = cues(re.sub(r"(\A|\n\n)\d+\n", r"\1", content), point=",")
    assert len(numbers) == len(found)
    assert_shown(found, result)
    shown = [word for _, _, lines in found for line in lines for word in line.split(" ")]
    assert shown == [word.replace("-->", "->") for word in said(result)]


@given(results())
def test_vtt(result: Result) -> None:
    head, _, content = render("vtt", result).partition("\n\n")
    assert head == "WEBVTT"
    found = cues(content, point=".")
    assert_shown(found, result)
    texts = [line for _, _, lines in found for line in lines]
    assert not any(re.search(r"[<>]|&(?!amp;|lt;|gt;)", line) for line in texts)
    shown = [word for line in texts for word in html.unescape(line).split(" ")]
    assert shown == said(result)


@given(results())
def test_tsv(result: Result) -> None:
    head, *rows = render("tsv", result).removesuffix("\n").split("\n")
    assert head == "start\tend\ttext"
    table = [row.split("\t") for row in rows]
    assert all(len(row) == 3 for row in table)
    found = [(int(start) / 1000, int(end) / 1000, [text]) for start, end, text in table]
    assert_shown(found, result)
    assert [word for _, _, (text,) in found for word in text.split(" ")] == said(result)


@given(results())
def test_ctm(result: Result) -> None:
    rows = [line.split(" ") for line in render("ctm", result).splitlines()]
    assert result.transcript is not None
    for row, word in zip(rows, result.transcript.words, strict=True):
        name, channel, start, duration, text, sure = row
        assert name == ("_".join(result.utterance.id.split()) or "_")
        assert channel == str(1 + (result.utterance.channel or 0))
        assert float(start) == word.start_s
        assert float(start) + float(duration) == pytest.approx(word.end_s, abs=1e-6)
        assert text == word.text
        known = word.probability
        assert sure == "NA" if known is None else float(sure) == pytest.approx(known, abs=1e-4)


@given(results())
def test_trn(result: Result) -> None:
    content = render("trn", result)
    found = re.fullmatch(r"(?:(.*) )?\(([^()\s]+)\)\n", content)
    assert found
    assert (found[1] or "").split() == said(result)


@given(results())
def test_txt_and_json_hold_the_text(result: Result) -> None:
    assert result.transcript is not None
    assert render("txt", result) == f"{result.transcript.text}\n"
    record = json.loads(render("json", result))
    assert record["text"] == result.transcript.text
    words = [word for segment in record["segments"] for word in segment["words"]]
    assert [word["word"] for word in words] == said(result)
    assert [(word["start"], word["end"]) for word in words] == [
        (word.start_s, word.end_s) for word in result.transcript.words
    ]
    named = json.loads(json_line(result, named=True))
    assert named == {"id": result.utterance.id} | record


@given(results())
def test_jsonl_is_a_manifest_that_can_be_read_again(
    tmp_path_factory: pytest.TempPathFactory, result: Result
) -> None:
    assert result.transcript is not None
    path = tmp_path_factory.getbasetemp() / "line.jsonl"
    path.write_text(render("jsonl", result, relative_to=path.parent), "utf-8")
    (found,) = read_manifest(path)
    assert (found.id, found.channel) == (result.utterance.id, result.utterance.channel)
    assert found.extra == {"pred_text": result.transcript.text}
    assert found.duration_s == pytest.approx(result.transcript.duration_s, abs=0.000_501)


@pytest.mark.parametrize("form", ["ctm", "trn", "json", "jsonl", "txt"])
@given(result=results())
def test_what_reads_transcripts_reads_ours(
    tmp_path_factory: pytest.TempPathFactory, form: str, result: Result
) -> None:
    """Except for a line of text, whose first word would be taken for an id."""
    assert result.transcript is not None
    if form == "trn" and re.search(r"[{}]", result.transcript.text):
        return  # which stand for alternatives there
    id_ = f"{form}-{len(result.transcript.words)}"
    named = Utterance(id=id_, audio=Path("a.wav"), duration_s=1.0, text="x")
    path = tmp_path_factory.getbasetemp() / f"{id_}.{form}"
    content = render(form, Result(named, result.transcript))
    path.write_text(f"{id_} {content}" if form == "txt" else content, "utf-8")
    found = read_hypotheses(path)
    heard = result.transcript.text
    assert found == ({id_: heard} if heard or form != "ctm" else {})


def test_confidences_are_read_back(tmp_path: Path) -> None:
    words = (Word(text="a", start_s=0.0, end_s=0.1, probability=0.25),)
    transcript = Transcript(
        text="a", words=words, duration_s=1.0, language="en", log_probability=-1.0
    )
    result = Result(Utterance(id="u", audio=Path("a.wav"), duration_s=None), transcript)
    for form in ("ctm", "json"):
        path = tmp_path / f"u.{form}"
        path.write_text(render(form, result), "utf-8")
        assert read_transcripts(path).confidences == {"u": (0.25,)}


def test_characters_and_alternatives_are_shown_where_they_were_asked_for() -> None:
    character = Character(text="a", start_s=0.0, end_s=0.1)
    other = Alternative(text="a", score=-1.0, log_probability=-1.0, lm_log_probability=0.0)
    transcript = Transcript(
        text="a",
        words=(Word(text="a", start_s=0.0, end_s=0.1, characters=(character,)),),
        duration_s=1.0,
        language="en",
        log_probability=-1.0,
        alternatives=(other,),
    )
    result = Result(Utterance(id="u", audio=Path("a.wav"), duration_s=None), transcript)
    (word,) = json.loads(render("json", result, characters=True))["segments"][0]["words"]
    assert word["characters"] == [{"character": "a", "start": 0.0, "end": 0.1}]
    assert "characters" not in render("json", result)
    assert json.loads(manifest_line(result))["alternatives"] == [other.to_json()]


def test_a_failure_has_a_line_and_no_file() -> None:
    utterance = Utterance(
        id="u", audio=Path("a.wav"), duration_s=None, extra={"error": "old", "source": "x"}
    )
    failed = Result(utterance, None, "a.wav: no such file")
    assert json.loads(render("jsonl", failed)) == {
        **{"audio_filepath": "a.wav", "id": "u", "source": "x"},
        **{"pred_text": "", "error": "a.wav: no such file"},
    }
    for form in set(FORMATS) - {"jsonl"}:
        with pytest.raises(ValueError, match="expected a transcript of u"):
            render(form, failed)
