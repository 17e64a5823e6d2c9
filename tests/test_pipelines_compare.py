"""The comparison of several recognizers, and the trend of one."""

import argparse
import json
import random
from pathlib import Path
from types import ModuleType

import pytest

from asr.errors import OptionsError, ScoringError
from asr.manifest import Utterance, write_manifest
from asr.text import TextOptions
from pipelines import compare, trend
from pipelines.evaluate import evaluate
from pipelines.report import write_report


def run(program: ModuleType, *words: object) -> int:
    parser = argparse.ArgumentParser()
    program.add_arguments(parser)
    return int(program.run(parser.parse_args([str(word) for word in words])))


SAID = [f"one two three four {n % 5}" for n in range(60)]


def spoilt(rate: float, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join("x" if rng.random() < rate else w for w in text.split()) for text in SAID]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """References, and transcripts that are good, as good, and bad."""
    items = [
        Utterance(
            id=f"u{n}", audio=Path(f"{n}.wav"), duration_s=2.0, text=text, speaker=f"s{n % 8}"
        )
        for n, text in enumerate(SAID)
    ]
    write_manifest(tmp_path / "ref.jsonl", items)
    for name, rate, seed in (("good", 0.1, 1), ("alike", 0.1, 2), ("bad", 0.4, 3)):
        lines = [
            json.dumps({"id": f"u{n}", "pred_text": text})
            for n, text in enumerate(spoilt(rate, seed))
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_two_recognizers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (folder / "bad.jsonl", folder / "good.jsonl", "--ref", folder / "ref.jsonl")
    assert run(compare, *words) == 0
    out = capsys.readouterr().out
    assert out.index("\ngood ") < out.index("\nbad ")  # best first
    assert "good is better by " in out
    assert "p < 0.001" in out
    assert "NIST's matched pairs: p < 0.001" in out
    assert "paired bootstrap by speaker, 8" in out
    assert "Holm" not in out


def test_three_recognizers_are_adjusted_and_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = folder / "out.json"
    names = ("bad", "good", "alike")
    words = (*(folder / f"{name}.jsonl" for name in names), "--ref", folder / "ref.jsonl")
    assert run(compare, *words, "-o", output) == 0
    out = capsys.readouterr().out
    assert "p adjusted for 3 comparisons (Holm)" in out
    assert "cannot be told apart with this much speech" in out
    found = json.loads(output.read_text())
    wers = [system["wer"] for system in found["systems"]]
    assert wers == sorted(wers)
    assert found["systems"][-1]["name"] == "bad"
    assert all(one["interval"]["unit"] == "speaker" for one in found["systems"])
    assert [one["significant"] for one in found["comparisons"]].count(True) == 2
    with pytest.raises(OptionsError, match="--overwrite"):
        run(compare, *words, "-o", output)
    assert run(compare, *words, "-o", output, "--overwrite") == 0


def test_what_one_recognizer_lacks_is_counted_alike_for_all(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (folder / "good.jsonl").read_text().splitlines()
    (folder / "good.jsonl").write_text("\n".join(lines[:50]))
    words = (folder / "bad.jsonl", folder / "good.jsonl", "--ref", folder / "ref.jsonl")
    with pytest.raises(ScoringError, match="no hypothesis for u50"):
        run(compare, *words)
    for policy, num_words in (("skip", 250), ("empty", 300)):
        output = folder / f"{policy}.json"
        run(compare, *words, "--allow-missing", policy, "-o", output)
        systems = json.loads(output.read_text())["systems"]
        assert [one["words"]["num_reference"] for one in systems] == [num_words] * 2
    capsys.readouterr()


def test_names_tell_the_files_apart(folder: Path) -> None:
    ref = ("--ref", folder / "ref.jsonl")
    with pytest.raises(OptionsError, match="two recognizers at least"):
        run(compare, folder / "good.jsonl", *ref)
    with pytest.raises(OptionsError, match="same file twice"):
        run(compare, folder / "good.jsonl", folder / "good.jsonl", *ref)


def report(folder: Path, wrong: float, *, references: str = "test.jsonl") -> Path:
    items = [
        Utterance(id=f"u{n}", audio=Path(f"{n}.wav"), duration_s=2.0, text=text)
        for n, text in enumerate(SAID)
    ]
    heard = {f"u{n}": text for n, text in enumerate(spoilt(wrong, 7))}
    write_report(evaluate(items, heard, text=TextOptions(), reference_source=references), folder)
    return folder


def test_report_folders_are_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = report(folder / "a", 0.1), report(folder / "b", 0.5)
    run(compare, a, b, "--ref", folder / "ref.jsonl")
    assert "a is better by" in capsys.readouterr().out


def test_a_trend_is_a_table_and_a_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [report(tmp_path / name, wrong) for name, wrong in (("new", 0.1), ("old", 0.4))]
    for path, created in zip(paths, ("2026-02-01T00:00:00", "2026-01-01T00:00:00"), strict=True):
        figures = json.loads((path / "metrics.json").read_text())
        (path / "metrics.json").write_text(json.dumps({**figures, "created": created}))
    plot = tmp_path / "trend.png"
    assert run(trend, paths[0], paths[1] / "metrics.json", "-o", plot) == 0
    out = capsys.readouterr().out
    header, old, new, *_ = out.splitlines()
    assert header.split()[:3] == ["report", "made", "WER"]
    assert (old.split()[:2], new.split()[0]) == (["old", "2026-01-01T00:00:00"], "new")
    assert " to " in new
    assert plot.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OptionsError, match="--overwrite"):
        run(trend, *paths, "-o", plot)


def test_a_trend_over_different_speech_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(trend, report(tmp_path / "a", 0.1), report(tmp_path / "b", 0.1, references="other.jsonl"))
    assert "not all of the same references" in capsys.readouterr().out


def test_a_trend_takes_figures_without_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metrics.json").write_text('{"wer": 0.25}')
    assert run(trend, tmp_path, "-o", tmp_path / "t.svg") == 0
    assert "25.00 %" in capsys.readouterr().out
    with pytest.raises(OptionsError, match="format"):
        run(trend, tmp_path, "-o", tmp_path / "t.nonsense")
    with pytest.raises(OptionsError, match=r"expected the metrics\.json"):
        run(trend, tmp_path / "nowhere.json")
