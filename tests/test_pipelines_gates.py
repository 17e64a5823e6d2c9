"""Conditions that fail an evaluation, and what changed since an earlier report."""

import argparse
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import OptionsError, ScoringError
from asr.manifest import Utterance, write_manifest
from asr.text import TextOptions
from pipelines import evaluate as program
from pipelines.baseline import change_since, read_baseline
from pipelines.evaluate import evaluate
from pipelines.evaluation import Evaluation
from pipelines.gates import parse_gate
from pipelines.report import write_report

FIGURES = {
    "wer": 0.13,
    "cer": 0.04,
    "num_failed": 2,
    "real_time_factor": None,
    "kaldi": "%WER",
    "intervals": {"wer": {"high": 0.2}},
}


@pytest.mark.parametrize(
    ("condition", "fails"),
    [
        ("wer > 0.12", True),
        ("wer>12%", True),
        ("wer > 0.13", False),
        ("wer >= .13", True),
        ("wer < 1.3e-1", False),
        ("wer <= 13 %", True),
        ("num_failed == 2", True),
        ("num_failed != 2", False),
        ("intervals.wer.high > 0.19", True),
        ("wer > 0.12 and cer > 0.05", False),
        ("wer > 0.12 or cer > 0.05", True),
        ("cer > 0.05 and wer > 0.12 or num_failed > 1", True),
        ("num_failed > 1 or cer > 0.05 and wer > 0.12", True),
        ("num_failed > 2 or cer > 0.03 and wer > 0.14", False),
    ],
)
def test_conditions(condition: str, fails: bool) -> None:
    assert (parse_gate(condition).reason(FIGURES) is not None) == fails


def test_the_reason_names_the_figures() -> None:
    reason = parse_gate(" wer > 0.12 and cer > 3% ").reason(FIGURES)
    assert reason == "wer > 0.12 and cer > 3% (wer is 0.13, cer is 0.04)"


@pytest.mark.parametrize("name", ["real_time_factor", "kaldi", "wers", "intervals", "intervals.x"])
def test_figures_that_are_not_there_are_refused(name: str) -> None:
    for condition in (f"{name} > 1", f"wer > 0 or {name} > 1", f"wer > 1 and {name} > 1"):
        with pytest.raises(OptionsError, match=rf"received {name}; these: cer, num_failed, wer"):
            parse_gate(condition).reason(FIGURES)


@pytest.mark.parametrize(
    "condition",
    [
        *("", "wer", "wer > ", "> 0.1", "wer > cer", "wer > 0.1 and", "wer = 0.1", "worse than "),
        *("wer > 0.1, cer > 0.1", "not wer > 1", "(wer > 1)", "__import__('os')", "wer > 1e", "🙂"),
    ],
)
def test_anything_else_is_refused(condition: str) -> None:
    with pytest.raises(OptionsError, match="expected a condition such as"):
        parse_gate(condition)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        gate = parse_gate(text)
    except OptionsError:
        return
    assert gate.alternatives or gate.baseline


def evaluation(wrong: int, *, size: int = 40, **more: object) -> Evaluation:
    """Utterances of five words; in the first ones, so many words are wrong."""
    said = ["a b c d e"] * size
    words = ["a", "b", "c", "d", "e"]
    spoilt = [min(5, max(0, wrong - 5 * n)) for n in range(size)]
    heard = [" ".join(["x"] * count + words[count:]) for count in spoilt]
    items = [
        Utterance(id=f"u{n}", audio=Path(f"{n}.wav"), duration_s=2.0, text=text)
        for n, text in enumerate(said)
    ]
    hypotheses = {f"u{n}": text for n, text in enumerate(heard)}
    return evaluate(items, hypotheses, text=TextOptions(), **more)  # type: ignore[arg-type]


def report(found: Evaluation, folder: Path) -> Path:
    write_report(found, folder)
    return folder


@pytest.mark.parametrize(
    ("before", "now", "worse"), [(10, 80, True), (10, 11, False), (80, 10, False)]
)
def test_rows_are_compared_in_pairs(before: int, now: int, worse: bool, tmp_path: Path) -> None:
    folder = report(evaluation(before), tmp_path / "before")
    for path in (folder, folder / "metrics.json"):
        change = evaluation(now, baseline=read_baseline(path)).change
        assert change is not None
        assert (change.paired, change.num_utterances) == (True, 40)
        assert (change.wer_before, change.wer_now) == (before / 200, now / 200)
        assert change.significantly_worse == worse
        assert change.sentence().startswith(
            "no change beyond luck" if now == 11 else "worse" if worse else "better"
        )
        assert len(change.worse) == (14 if worse else now == 11)
        assert len(change.better) == (14 if before > now else 0)


def test_without_rows_the_intervals_decide(tmp_path: Path) -> None:
    folder = report(evaluation(10), tmp_path / "before")
    (folder / "utterances.jsonl").unlink()
    baseline = read_baseline(folder)
    for now, worse in ((80, True), (11, False)):
        change = evaluation(now, baseline=baseline).change
        assert change is not None
        assert (change.paired, change.significantly_worse) == (False, worse)
    figures = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**figures, "intervals": {}}))
    with pytest.raises(OptionsError, match="nothing tells a change from luck"):
        evaluation(11, baseline=read_baseline(folder))


def test_only_common_utterances_are_compared(tmp_path: Path) -> None:
    baseline = read_baseline(report(evaluation(10, size=30), tmp_path / "before"))
    change = evaluation(10, baseline=baseline).change
    assert change is not None
    assert (change.num_utterances, change.p, change.wer_before) == (30, 1, 10 / 150)
    assert "10 only now and 0 only before left out" in change.sentence()
    other = evaluate(
        [Utterance(id="v", audio=Path("v.wav"), duration_s=1.0, text="a")],
        {"v": "a"},
        text=TextOptions(),
    )
    with pytest.raises(OptionsError, match="none of them"):
        change_since(baseline, other.score, text=other.text, interval=None, speakers={})


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"wer": "low"}', '{"wer": true}'])
def test_a_baseline_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(OptionsError, match=r"expected the metrics\.json of a report"):
        read_baseline(tmp_path)
    with pytest.raises(OptionsError, match=r"nowhere.*metrics\.json"):
        read_baseline(tmp_path / "nowhere" / "metrics.json")


# The program


def run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    program.add_arguments(parser)
    return program.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Forty references, and transcripts with 40 of 200 words wrong."""
    found = evaluation(40)
    write_manifest(tmp_path / "ref.jsonl", found.utterances.values())
    lines = [json.dumps({"id": key, "pred_text": text}) for key, text in found.hypotheses.items()]
    (tmp_path / "hyp.jsonl").write_text("\n".join(lines))
    return tmp_path / "hyp.jsonl", tmp_path / "ref.jsonl"


def test_conditions_decide_the_exit_code(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--hyp", files[0], "--ref", files[1])
    assert run(*words, "--fail-if", "wer > 0.2", "--fail-if", "cer > 90%") == 0
    assert capsys.readouterr().err == ""
    assert run(*words, "--fail-if", "wer >= 0.2", "--fail-if", "num_failed > 0") == 1
    assert capsys.readouterr().err == "asr: failed: wer >= 0.2 (wer is 0.2)\n"
    better, worse = report(evaluation(0), tmp_path / "b"), report(evaluation(90), tmp_path / "w")
    assert run(*words, "--fail-if", f"worse than {worse}") == 0
    assert run(*words, "--fail-if", f"worse than {better}", "--baseline", worse) == 1
    out, err = capsys.readouterr()
    assert f"asr: failed: worse than {better} (worse: WER 20.00 % after 0.00 %" in err
    assert "better: WER 20.00 % after 45.00 %" in " ".join(out.split())


def test_a_condition_is_understood_before_anything_is_done(files: tuple[Path, Path]) -> None:
    for condition, message in (("wer is bad", "condition"), ("worse than nowhere", "nowhere")):
        with pytest.raises(OptionsError, match=message):
            run("--hyp", files[0], "--ref", "missing.jsonl", "--fail-if", condition)


def test_missing_ids_are_an_error_unless_counted(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = files[0].read_text().splitlines()
    stranger = json.dumps({"id": "stranger", "pred_text": "hello you"})
    files[0].write_text("\n".join([*lines[:-1], stranger]))
    words = ("--hyp", files[0], "--ref", files[1])
    with pytest.raises(ScoringError, match=r"for u39; no reference for stranger\. --allow"):
        run(*words)
    run(*words, "--allow-missing", "skip")
    out = capsys.readouterr().out
    assert "[ 40 / 195, 0 ins, 0 del, 40 sub ]" in out
    assert "left out: 1 without a transcript (u39)" in out
    run(*words, "--allow-missing", "empty")
    out = capsys.readouterr().out
    assert "[ 47 / 200, 2 ins, 5 del, 40 sub ]" in out
    assert "taken for empty" in out


def test_training_text_and_noise_make_slices(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.txt").write_text("A b.\nc!\n" * 10)
    words = ("--hyp", files[0], "--ref", files[1], "--train-text", tmp_path / "train.txt")
    assert run(*words, "--snr", "-o", tmp_path / "out") == 0
    slices = json.loads((tmp_path / "out" / "metrics.json").read_text())["slices"]
    assert [part["label"] for part in slices["vocabulary"]][:1] != []
    assert {part["label"]: part["words"]["num_reference"] for part in slices["vocabulary"]} == {
        "out of vocabulary": 80,
        "frequent": 120,
    }
    assert "signal-to-noise ratio" not in slices  # the recordings are not there
    assert "listening for noise" in capsys.readouterr().err
