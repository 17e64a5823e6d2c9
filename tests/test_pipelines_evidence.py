"""What the page shows beyond figures: recordings, suspects, charts, and what a model says."""

import base64
import io
import json
import math
import struct
import xml.etree.ElementTree
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import SAMPLE_RATE, load_audio, write_wav
from asr.clips import encode_clip
from asr.errors import AudioError
from asr.manifest import Utterance
from asr.text import TextOptions
from asr.vocabulary import Vocabulary
from pipelines.evaluate import evaluate
from pipelines.evaluation import Evaluation
from pipelines.evidence import gather
from pipelines.examples import MAX_CLIP_S, choose_examples, make_clip
from pipelines.provenance import Provenance, read_card, read_provenance
from pipelines.spectrogram import png, spectrogram
from pipelines.svg import Axis, Line, axis_up_to, line_chart, waveform

Floats = npt.NDArray[np.float32]


def tone(seconds: float, hertz: float = 440.0) -> Floats:
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.5 * np.sin(2 * np.pi * hertz * time_s)).astype(np.float32)


def spoken(folder: Path, *texts: tuple[str, str], seconds: float = 0.3) -> Evaluation:
    """An evaluation of (said, heard), with a recording of each."""
    items, heard = [], {}
    for n, (said, got) in enumerate(texts):
        path = folder / f"u{n:03d}.wav"
        write_wav(path, tone(seconds))
        items.append(Utterance(id=path.stem, audio=path, duration_s=seconds, text=said))
        heard[path.stem] = got
    return evaluate(items, heard, text=TextOptions())


# Clips


@pytest.mark.parametrize("seconds", [0.01, 1.0, 61.0])
def test_a_clip_is_what_went_in(tmp_path: Path, seconds: float) -> None:
    samples = tone(seconds)
    content = encode_clip(samples)
    assert len(content) < 2_000 + 9_000 * seconds
    path = tmp_path / "clip.mp3"
    path.write_bytes(content)
    again = load_audio(path)
    assert len(again) / SAMPLE_RATE == pytest.approx(seconds, abs=0.15)
    if seconds >= 1:
        power = np.abs(np.fft.rfft(again[:SAMPLE_RATE]))
        assert power.argmax() == pytest.approx(440, abs=2)
        assert np.abs(again).max() == pytest.approx(0.5, abs=0.1)


def test_what_cannot_be_a_clip_is_refused() -> None:
    for samples in (np.zeros(0), np.zeros((2, 100))):
        with pytest.raises(AudioError, match="expected samples"):
            encode_clip(samples)
    with pytest.raises(AudioError, match="17 Hz"):
        encode_clip(tone(1), sample_rate=17)


def test_a_long_recording_is_cut() -> None:
    clip = make_clip(tone(MAX_CLIP_S + 3))
    assert (clip.duration_s, clip.whole_s) == (MAX_CLIP_S, MAX_CLIP_S + 3)
    kind, _, data = clip.audio.partition(";base64,")
    assert kind == "data:audio/mpeg"
    info = soundfile.info(io.BytesIO(base64.b64decode(data)))
    assert info.duration == pytest.approx(MAX_CLIP_S, abs=0.15)


# Pictures


def unpacked(picture: bytes) -> npt.NDArray[np.uint8]:
    """The pixels of a PNG, by its specification."""
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, rest = {}, picture[8:]
    while rest:
        (size,) = struct.unpack(">I", rest[:4])
        kind, data = rest[4:8], rest[8 : 8 + size]
        assert struct.unpack(">I", rest[8 + size : 12 + size]) == (zlib.crc32(kind + data),)
        chunks[kind], rest = data, rest[12 + size :]
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (8, 0)
    assert list(chunks)[-1] == b"IEND"
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    return rows[:, 1:]


@given(st.integers(1, 9), st.integers(1, 9))
def test_png_holds_the_picture(height: int, width: int) -> None:
    picture = np.random.default_rng(height * 10 + width).integers(0, 256, (height, width), np.uint8)
    assert (unpacked(png(picture)) == picture).all()


def test_spectrogram_shows_a_rising_tone_rising() -> None:
    sweep = np.sin(np.cumsum(np.linspace(0.05, 2.5, 3 * SAMPLE_RATE))).astype(np.float32)
    picture = spectrogram(sweep)
    assert picture.shape[0] == 64
    assert picture.shape[1] <= 480
    loudest = picture.argmin(axis=0)[5:-5]  # the row, from the top
    assert loudest[0] > 45
    assert loudest[-1] < 20
    assert (np.diff(loudest) <= 2).all()


@pytest.mark.parametrize("samples", [np.zeros(1), np.zeros(9_000), np.ones(401)])
def test_silence_and_next_to_nothing_are_drawn(samples: npt.NDArray[np.float64]) -> None:
    quiet = samples.astype(np.float32)
    assert unpacked(png(spectrogram(quiet))).shape[0] == 64
    xml.etree.ElementTree.fromstring(waveform(quiet))


def test_a_waveform_stays_in_its_box() -> None:
    path = xml.etree.ElementTree.fromstring(waveform(tone(1.0) * 0.01))[0].get("d") or ""
    heights = [float(point.split()[1]) for point in path.strip("MZ").split("L")]
    assert (min(heights), max(heights)) == (1, 99)


def test_charts_are_sound_xml_and_escape_their_words() -> None:
    chart = line_chart(
        [Line(name="<b>", points=[(0, 0), (1, 0.5), (2, math.nan)], marks=True)],
        x=Axis(label='a < b & "c"', low=0, high=2),
        y=axis_up_to("y", [0.5], percent=True),
        title="'<script>\"",
    )
    root = xml.etree.ElementTree.fromstring(chart)
    texts = [element.text for element in root if element.tag == "text"]
    assert 'a < b & "c"' in texts
    assert root.get("aria-label") == "'<script>\""
    assert sum(element.tag == "circle" for element in root) == 2
    assert "50 %" in texts


@given(st.floats(1e-6, 1e6), st.floats(1e-3, 1e3))
def test_ticks_are_few_round_and_on_the_axis(low: float, width: float) -> None:
    ticks = Axis(label="x", low=low, high=low + width).ticks()
    assert 1 <= len(ticks) <= 7
    assert ticks == sorted(ticks)
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in ticks)


@given(st.lists(st.just(0.0) | st.floats(1e-9, 1e6), max_size=5))
def test_an_axis_reaches_its_values(values: list[float]) -> None:
    axis = axis_up_to("x", values)
    assert axis.low == 0
    assert axis.high > 0
    assert axis.high >= max(values, default=0) * (1 - 1e-9)
    assert axis.high <= 1.3 * max(values, default=1) or max(values, default=0) == 0


# Examples


def test_examples_are_the_worst_the_median_and_the_best(tmp_path: Path) -> None:
    texts = [("a b c d", "a b c d"[: 2 * n].strip()) for n in (0, 1, 2, 3, 4)]
    found = spoken(tmp_path, *texts, ("a b c d e f", "a b c d e f"))
    chosen = choose_examples(found, num_clips=3, quiet=True)
    assert [(one.group, one.row.id) for one in chosen] == [
        ("worst", "u000"),
        ("median", "u003"),
        ("best", "u005"),  # as right as u004, with more words to be right about
    ]
    every = choose_examples(found, num_clips=50, quiet=True)
    assert len(every) == len({one.row.id for one in every}) == 6
    assert choose_examples(found, num_clips=0, quiet=True) == ()


def test_what_is_right_is_not_among_the_worst(tmp_path: Path) -> None:
    found = spoken(tmp_path, ("a", "a"), ("b", "b"), ("a b", "a"), ("c", "c"))
    chosen = choose_examples(found, quiet=True)
    assert [one.row.id for one in chosen if one.group == "worst"] == ["u002"]
    assert len(chosen) == 4


def test_recordings_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    found = spoken(tmp_path, ("a", "b"), ("c", "c"))
    (tmp_path / "u000.wav").unlink()
    assert [one.row.id for one in choose_examples(found, quiet=True)] == ["u001"]
    assert gather(found, quiet=True).examples[0].words == ()


def test_clips_together_stay_within_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = spoken(tmp_path, *[("a", "b")] * 6)
    one = choose_examples(found, num_clips=1, quiet=True)[0].clip.num_bytes
    monkeypatch.setattr("pipelines.examples.MAX_CLIPS_BYTES", 2 * one + 10)
    assert len(choose_examples(found, num_clips=6, quiet=True)) == 2


# Finished transcripts


def test_finished_transcripts_have_recordings_and_nothing_else(tmp_path: Path) -> None:
    evidence = gather(spoken(tmp_path, ("a", "b")), quiet=True)
    assert len(evidence.examples) == 1
    assert not evidence.provenance


# Provenance


def run_of(folder: Path, history: str) -> Path:
    model = folder / "model"
    Vocabulary.from_characters(" abc").save(model / "vocabulary.json")
    tables = "".join(f"[{name}]\n" for name in ("features", "text", "decoding"))
    (model / "recipe.toml").write_text(tables)
    (model / "card.md").write_text("# A card\n\n| | |\n|---|---|\n| data | mine |\n\nSaid `so`.\n")
    (folder / "metrics.jsonl").write_text(history)
    return model


def test_a_runs_card_and_curves_are_read(tmp_path: Path) -> None:
    lines = [json.dumps({"epoch": n, "loss": 1 / n, "note": "x"}) for n in (1, 2)]
    model = run_of(tmp_path, "\n".join([*lines, '{"epoch": 3, "lo']))
    for name in (model, tmp_path):
        found = read_provenance(str(name))
        assert [block.kind for block in found.card] == ["heading", "table", "text"]
        assert found.card[1].rows == (("data", "mine"),)
        assert found.history == ({"epoch": 1.0, "loss": 1.0}, {"epoch": 2.0, "loss": 0.5})


def test_no_model_has_no_provenance() -> None:
    assert read_provenance("no such model") == Provenance()
    assert not read_provenance("no such model")


@given(st.text(max_size=200))
def test_any_text_is_a_card(text: str) -> None:
    for block in read_card(text):
        assert block.text or block.rows or block.kind == "heading"
