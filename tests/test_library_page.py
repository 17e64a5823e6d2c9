"""docs/library.md: what it shows works as it stands there."""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import asr
from asr.audio import write_wav
from asr.decoding import DecodingOptions
from asr.features import FeatureOptions
from asr.text import TextOptions
from asr.vocabulary import Vocabulary

PAGE = Path(__file__).resolve().parent.parent / "docs" / "library.md"
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


def network(features: Floats, lengths: Ints) -> tuple[Floats, Ints]:
    weights = np.random.default_rng(5).normal(size=(features.shape[-1], 6))
    return (features @ weights).astype(np.float32), lengths


def test_the_pages_programs_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recognizer = asr.Recognizer(
        features=FeatureOptions(),
        text=TextOptions(),
        vocabulary=Vocabulary.from_characters(" abcd"),
        decoding=DecodingOptions(),
        network=network,
    )
    monkeypatch.setattr(asr, "load", {"runs/mine": recognizer}.__getitem__)
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 16_000)
    (tmp_path / "calls" / "monday").mkdir(parents=True)
    for path in ("talk.wav", "calls/1.wav", "calls/monday/2.wav"):
        write_wav(path, noise)
    Path("calls/broken.wav").write_bytes(b"x")

    programs = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(programs) == 3
    names: dict[str, object] = {}
    shown = []
    for program in programs:
        exec(program, names)
        shown.append(capsys.readouterr().out)
    transcript = recognizer.transcribe("talk.wav")
    text, *words = shown[0].splitlines()
    assert text == transcript.text
    assert len(words) == len(transcript.words) > 0
    heard = dict(line.split(": ", 1) for line in shown[1].splitlines())
    assert heard.keys() == {"calls/1.wav", "calls/monday/2.wav", "calls/broken.wav"}
    assert heard["calls/1.wav"] == heard["calls/monday/2.wav"] == transcript.text
    assert "cannot be read as sound" in heard["calls/broken.wav"]
    captioned = [line for line in shown[2].splitlines() if re.search("[a-d]", line)]
    assert " ".join(captioned).split() == transcript.text.split()
