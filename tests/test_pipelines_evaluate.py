"""The evaluation program: from lists of utterances to figures, a table and a page."""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from asr.audio import SAMPLE_RATE, write_wav
from asr.errors import AsrError, AudioError, ManifestError, OptionsError, ScoringError
from asr.hypotheses import read_hypotheses
from asr.manifest import Utterance, write_manifest
from asr.text import TextOptions
from asr.transcript import Transcript
from pipelines import evaluate as program
from pipelines.evaluate import evaluate
from pipelines.evaluation import Evaluation
from pipelines.metrics import metrics
from pipelines.progress import num_columns
from pipelines.recognition import recognise
from pipelines.report import markdown, write_report
from pipelines.summary import summary

Samples = npt.NDArray[np.float32]
SCRIPT = "<script>alert('x')</script>"


class FakeRecognizer:
    """Hears the length of a recording: `one`, `two` … for 1, 2 … tenths of a second."""

    WORDS = ("nothing", "one", "two", "three", "four")

    def __init__(self, *, refuses: int | None = None) -> None:
        self.text = TextOptions(case="upper")
        self.refuses = refuses
        self.sizes: list[int] = []

    def transcribe_batch(self, recordings: Sequence[Samples]) -> list[Transcript]:
        tenths = [round(len(samples) / SAMPLE_RATE * 10) for samples in recordings]
        self.sizes.append(len(tenths))
        if self.refuses in tenths:
            raise AudioError(f"refused {self.refuses}")
        return [
            Transcript(
                text=self.WORDS[n], words=(), duration_s=n / 10, language="en", log_probability=-1.0
            )
            for n in tenths
        ]

    def transcribe_blocks(self, blocks: Iterable[Samples]) -> Transcript:
        return self.transcribe_batch([np.concatenate(list(blocks))])[0]


def utterance(key: str, text: str | None, **more: object) -> Utterance:
    fields = {"audio": Path(f"{key}.wav"), "duration_s": 1.5, **more}
    return Utterance(id=key, text=text, **fields)  # type: ignore[arg-type]


def evaluation(*pairs: tuple[str, str, str], **more: object) -> Evaluation:
    references = [utterance(key, reference) for key, reference, _ in pairs]
    hypotheses = {key: hypothesis for key, _, hypothesis in pairs}
    return evaluate(references, hypotheses, text=TextOptions(), **more)  # type: ignore[arg-type]


def spoken(folder: Path, *tenths: int) -> list[Utterance]:
    """Writes recordings of 1, 2 … tenths of a second, each to be heard as its number."""
    rng = np.random.default_rng(0)
    utterances = []
    for n in tenths:
        path = folder / f"u{n}.wav"
        samples = rng.normal(0, 0.1, SAMPLE_RATE * n // 10)
        write_wav(path, samples.clip(-1, 1).astype(np.float32))
        text = FakeRecognizer.WORDS[n]
        utterances.append(Utterance(id=path.stem, audio=path, duration_s=n / 10, text=text))
    return utterances


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    program.add_arguments(parser)
    return parser.parse_args(words)


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_lines(path: Path, *records: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


# Scoring


def test_evaluation_scores_texts_by_id() -> None:
    found = evaluation(("a", "One two.", "one too"), ("b", "three", "three"))
    assert found.score.kaldi_line() == "%WER 33.33 [ 1 / 3, 0 ins, 0 del, 1 sub ]"
    assert [row.id for row in found.worst_first()] == ["a", "b"]
    assert (found.num_wrong, found.real_time_factor) == (1, None)


def test_worst_first_goes_by_rate_then_errors_then_id() -> None:
    found = evaluation(("d", "x y", "x"), ("c", "x", ""), ("b", "x y", ""), ("a", "x", ""))
    assert [row.id for row in found.worst_first()] == ["b", "a", "c", "d"]


def test_references_without_text_are_named() -> None:
    references = [utterance("a", "yes"), utterance("b", None), utterance("c", None)]
    with pytest.raises(ScoringError, match="expected a text for every utterance; none for b, c"):
        evaluate(references, {}, text=TextOptions())


def test_double_ids_are_refused() -> None:
    references = [utterance("a", "yes"), utterance("a", "no")]
    with pytest.raises(ScoringError, match="expected every id once, received a again"):
        evaluate(references, {"a": ""}, text=TextOptions())


# Recognition


def test_every_recording_is_transcribed(tmp_path: Path) -> None:
    utterances = spoken(tmp_path, 1, 3, 2)
    result = recognise(FakeRecognizer(), utterances, quiet=True)
    assert result.hypotheses == {"u1": "one", "u2": "two", "u3": "three"}
    assert result.audio_s == pytest.approx(0.6)
    assert result.compute_s > 0
    assert not result.failures


def test_offset_and_duration_choose_the_part(tmp_path: Path) -> None:
    (whole,) = spoken(tmp_path, 4)
    part = Utterance(id="part", audio=whole.audio, duration_s=0.2, offset_s=0.1)
    rest = Utterance(id="rest", audio=whole.audio, duration_s=None, offset_s=0.1)
    result = recognise(FakeRecognizer(), [part, rest], quiet=True)
    assert result.hypotheses == {"part": "two", "rest": "three"}


def test_recordings_go_in_groups_of_bounded_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asr.transcriptions._GROUP_S", 0.45)
    recognizer = FakeRecognizer()
    result = recognise(recognizer, spoken(tmp_path, 1, 2, 3, 4), quiet=True)
    assert recognizer.sizes == [2, 2]  # 0.4 + 0.3, then 0.2 + 0.1: full or finished
    assert len(result.hypotheses) == 4


def test_bad_recordings_fail_alone(tmp_path: Path) -> None:
    utterances = spoken(tmp_path, 1, 2, 3)
    utterances[0].audio.write_bytes(b"RIFF, or so it says")
    utterances.append(utterance("gone", "x", audio=tmp_path / "gone.wav", duration_s=None))
    recognizer = FakeRecognizer(refuses=2)
    result = recognise(recognizer, utterances, quiet=True)
    assert result.hypotheses == {"u1": "", "u2": "", "u3": "three", "gone": ""}
    assert set(result.failures) == {"u1", "u2", "gone"}
    assert result.failures["u2"] == "refused 2"
    assert "gone.wav" in result.failures["gone"]
    assert result.audio_s == pytest.approx(0.3)


def test_progress_is_shown_unless_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    utterances = spoken(tmp_path, 1, 2)
    recognise(FakeRecognizer(), utterances, quiet=True)
    assert capsys.readouterr().err == ""
    recognise(FakeRecognizer(), utterances)
    assert "transcribing" in capsys.readouterr().err


# Finished transcripts


def test_hypotheses_are_read_from_pred_text(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "result.jsonl",
        {"id": "a", "audio_filepath": "a.wav", "text": "said", "pred_text": "heard"},
        {"audio_filepath": "sub/b.wav", "pred_text": ""},
    )
    assert read_hypotheses(path) == {"a": "heard", "sub/b": ""}


@pytest.mark.parametrize("key", ["text", "pred_text"])
def test_hypotheses_need_no_audio(tmp_path: Path, key: str) -> None:
    path = write_lines(tmp_path / "h.jsonl", {"id": "a", key: "yes"}, {"id": 7, key: "no"})
    assert read_hypotheses(path) == {"a": "yes", "7": "no"}


def test_lines_without_a_transcript_are_named(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "h.jsonl",
        {"id": "a", "pred_text": "yes"},
        {"id": "b", "text": "no"},
        {"id": "c", "pred_text": 3},
    )
    with pytest.raises(ScoringError, match="a string as pred_text for every utterance; none for b"):
        read_hypotheses(path)


@pytest.mark.parametrize("content", ["nonsense", '{"id": "a", "text": 3}', '{"text": "x"}'])
def test_broken_hypotheses_name_the_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text(content)
    with pytest.raises(ManifestError, match=r"broken\.jsonl"):
        read_hypotheses(path)


# The screen


def test_summary_says_all_figures() -> None:
    text = summary(
        evaluation(("a", "one two", "one too"), ("b", "", "oh"), audio_s=20.0, compute_s=2.0),
        num_rows=5,
    )
    assert text.splitlines()[0] == "%WER 100.00 [ 2 / 2, 1 ins, 0 del, 1 sub ]"
    assert "WER  100.00 %   S 1  D 0  I 1  N 2 words" in text
    assert "N 7 characters" in text
    assert "2 of 2 utterances" in text
    assert "MER 66.67 %" in text
    assert "real_time_factor 0.1 (10x real time)" in text
    assert "lower case" in text
    assert "one two→too" in text
    assert "+oh" in text


def test_summary_shows_so_many_wrong_utterances() -> None:
    pairs = [(f"wrong{n}", "x", "y") for n in range(5)] + [("right", "x", "x")]
    for num_rows, shown in ((0, 0), (-1, 0), (3, 3), (50, 5)):
        text = summary(evaluation(*pairs), num_rows=num_rows)
        assert text.count("x→y") == shown
        assert "right" not in text


def test_summary_starts_a_long_line_at_its_first_error() -> None:
    said = " ".join(f"w{n}" for n in range(30))
    text = summary(evaluation(("a", said, said.replace("w25", "xx"))), num_rows=1)
    assert "… w24 w25→xx" in text


def test_summary_keeps_to_80_columns() -> None:
    pairs = [
        ("long/" * 30, "word " * 50, ""),
        ("日本語" * 20, "漢字 " * 60, "漢 " * 60),
        ("tab\tand\x1b[31mred\nline", "a", "b"),
    ]
    failures = {pairs[0][0]: "a reason " * 30}
    text = summary(evaluation(*pairs, failures=failures), num_rows=10)
    assert max(map(num_columns, text.split("\n"))) <= 80
    assert "\x1b" not in text
    assert "red line" in text
    assert text.count("reason") == 30  # wrapped, since a reason cut short is no reason


# The folder


def test_report_folder_holds_figures_utterances_and_page(tmp_path: Path) -> None:
    found = evaluation(
        ("a", "One two.", "one too"),
        ("b", "three", ""),
        failures={"b": "no such file"},
        source="model",
        reference_source="test.jsonl",
        audio_s=3.0,
        compute_s=1.5,
    )
    page = write_report(found, tmp_path / "report")
    assert page == tmp_path / "report" / "index.html"
    figures = json.loads((tmp_path / "report/metrics.json").read_text("utf-8"))
    assert figures == metrics(found)
    assert figures["wer"] == 2 / 3
    assert figures["real_time_factor"] == 0.5
    assert figures["words"] == {
        "num_reference": 3,
        "hits": 1,
        "substitutions": 1,
        "deletions": 1,
        "insertions": 0,
    }
    assert figures["failed"] == [{"id": "b", "reason": "no such file"}]
    first, second = lines_of(tmp_path / "report/utterances.jsonl")
    assert (first["id"], first["failed"], first["wer"]) == ("b", "no such file", 1)
    assert (second["text"], second["pred_text"]) == ("One two.", "one too")
    assert second["alignment"] == [["equal", "one", "one"], ["substitute", "two", "too"]]
    assert "no such file" in (tmp_path / "report/report.md").read_text("utf-8")


def test_report_can_be_scored_again(tmp_path: Path) -> None:
    found = evaluation(("a", "One two.", "one too"), ("b", "three", ""))
    write_report(found, tmp_path / "report")
    again = read_hypotheses(tmp_path / "report/utterances.jsonl")
    assert again == {"a": "one too", "b": ""}


def test_report_is_not_overwritten_unasked(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    write_report(evaluation(("a", "x", "x")), folder)
    other = evaluation(("a", "x", "y"))
    with pytest.raises(OptionsError, match="not empty; --overwrite replaces it"):
        write_report(other, folder)
    assert json.loads((folder / "metrics.json").read_text())["wer"] == 0
    write_report(other, folder, overwrite=True)
    assert json.loads((folder / "metrics.json").read_text())["wer"] == 1


def test_a_file_is_no_report_folder(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_text("mine")
    with pytest.raises(OptionsError, match="expected a folder for the report"):
        write_report(evaluation(("a", "x", "x")), path, overwrite=True)
    assert path.read_text() == "mine"


def test_markdown_shows_texts_as_they_are() -> None:
    found = evaluation((f"a|b {SCRIPT}", "*one* `two`", "x_y\n# z"))
    text = markdown(found)
    assert "<script" not in text
    row = text.splitlines()[-1]
    assert "a\\|b &lt;script&gt;" in row
    assert row.replace("\\|", "").count("|") == 5


def test_what_utf8_cannot_hold_does_not_stop_the_report(tmp_path: Path) -> None:
    found = evaluation(("a", "x", "y"), failures={"a": "caf\udce9.wav: no such file"})
    page = write_report(found, tmp_path / "report")
    assert "caf?.wav" in page.read_text("utf-8")
    figures = json.loads((tmp_path / "report/metrics.json").read_text("utf-8"))
    assert figures["failed"][0]["reason"] == "caf\udce9.wav: no such file"


# The program


@pytest.fixture
def fake_model(monkeypatch: pytest.MonkeyPatch) -> FakeRecognizer:
    recognizer = FakeRecognizer()
    monkeypatch.setattr("pipelines.network.load_recognizer", lambda _, **__: recognizer)
    return recognizer


@pytest.mark.usefixtures("fake_model")
def test_a_model_is_evaluated_on_a_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "test.jsonl"
    write_manifest(manifest, spoken(tmp_path, 1, 2, 3))
    report = tmp_path / "report"
    words = ("--model", "some-model", str(manifest), "-o", str(report), "--quiet")
    assert program.run(arguments(*words)) == 0
    out, err = capsys.readouterr()
    assert out.startswith("%WER 0.00 [ 0 / 3, 0 ins, 0 del, 0 sub ]\n")
    assert "upper case" in out  # the model's own normalisation
    assert f"report: {report / 'index.html'}" in out
    assert err == ""
    figures = json.loads((report / "metrics.json").read_text())
    assert (figures["source"], figures["references"]) == ("some-model", str(manifest))
    assert figures["audio_s"] == pytest.approx(0.6)
    assert figures["real_time_factor"] > 0


@pytest.mark.usefixtures("fake_model")
def test_a_bad_recording_makes_the_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    utterances = spoken(tmp_path, 1, 2)
    utterances[0].audio.unlink()
    write_manifest(tmp_path / "test.jsonl", utterances)
    assert program.run(arguments("--model", "m", str(tmp_path / "test.jsonl"), "--quiet")) == 1
    out = capsys.readouterr().out
    assert "%WER 50.00 [ 1 / 2, 0 ins, 1 del, 0 sub ]" in out
    assert "1 not transcribed, counted as empty:" in out


def test_finished_transcripts_are_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ref = tmp_path / "ref.jsonl"
    write_manifest(ref, [utterance("a", "Ja, gern!"), utterance("b", "nein")])
    hyp = write_lines(
        tmp_path / "hyp.jsonl", {"id": "b", "text": "nein"}, {"id": "a", "text": "ja"}
    )
    assert program.run(arguments("--hyp", str(hyp), "--ref", str(ref), "--language", "de")) == 0
    out = capsys.readouterr().out
    assert out.startswith("%WER 33.33 [ 1 / 3, 0 ins, 1 del, 0 sub ]")
    assert "rules: de" in out
    strict = ("--hyp", str(hyp), "--ref", str(ref), "--case", "keep", "--punctuation", "keep")
    program.run(arguments(*strict))
    assert capsys.readouterr().out.startswith("%WER 66.67 [ 2 / 3, 0 ins, 1 del, 1 sub ]")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["test.jsonl"],
        ["--model", "m"],
        ["--hyp", "h.jsonl"],
        ["--ref", "r.jsonl"],
        ["--model", "m", "test.jsonl", "--ref", "r.jsonl"],
        ["--hyp", "h.jsonl", "--ref", "r.jsonl", "test.jsonl"],
    ],
)
def test_half_a_command_says_what_is_missing(words: list[str]) -> None:
    with pytest.raises(OptionsError, match="expected either --model MODEL MANIFEST, or --hyp"):
        program.run(arguments(*words))


def test_nothing_is_transcribed_for_a_report_that_cannot_be_written(
    tmp_path: Path, fake_model: FakeRecognizer
) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "notes.txt").write_text("mine")
    write_manifest(tmp_path / "test.jsonl", spoken(tmp_path, 1))
    words = ("--model", "m", str(tmp_path / "test.jsonl"), "-o", str(tmp_path / "report"))
    with pytest.raises(OptionsError, match="not empty"):
        program.run(arguments(*words))
    assert fake_model.sizes == []
    assert program.run(arguments(*words, "--overwrite", "--quiet")) == 0
    assert (tmp_path / "report" / "notes.txt").read_text() == "mine"


def test_nothing_is_transcribed_that_cannot_be_scored(
    tmp_path: Path, fake_model: FakeRecognizer
) -> None:
    (spoken_one,) = spoken(tmp_path, 1)
    textless = Utterance(id="a", audio=spoken_one.audio, duration_s=0.1)
    write_manifest(tmp_path / "test.jsonl", [textless])
    with pytest.raises(AsrError, match="none for a"):
        program.run(arguments("--model", "m", str(tmp_path / "test.jsonl")))
    write_manifest(tmp_path / "test.jsonl", [spoken_one])
    with pytest.raises(OptionsError, match="a language tag"):
        program.run(arguments("--model", "m", str(tmp_path / "test.jsonl"), "--language", "?"))
    assert fake_model.sizes == []


def test_confidences_of_another_recognizer_are_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ref = tmp_path / "ref.jsonl"
    write_manifest(ref, [utterance("talk", "One two three."), utterance("b", "four")])
    words = [(" One", 0.9), (" too", 0.4), (" three.", 0.8)]
    segment = {
        "text": " One too three.",
        "words": [{"word": word, "probability": sure} for word, sure in words],
    }
    whisper = tmp_path / "whisper"
    whisper.mkdir()
    (whisper / "talk.json").write_text(
        json.dumps({"text": " One too three.", "segments": [segment]})
    )
    (whisper / "b.json").write_text(json.dumps({"text": " four", "segments": []}))
    report = tmp_path / "report"
    words_of = ("--hyp", str(whisper), "--ref", str(ref), "-o", str(report), "--quiet")
    assert program.run(arguments(*words_of)) == 0
    assert "66.67 % of 3 words right" in " ".join(capsys.readouterr().out.split())
    figures = json.loads((report / "metrics.json").read_text())
    assert figures["calibration"]["num_words"] == 3
    assert figures["calibration"]["confidence"] == pytest.approx(0.7)
    assert '<section id="confidence">' in (report / "index.html").read_text("utf-8")
    first, second = sorted(lines_of(report / "utterances.jsonl"), key=lambda line: -len(line))
    assert (first["confidence"], first["word_confidence"]) == (0.7, [0.9, 0.4, 0.8])
    assert "confidence" not in second


def test_confidences_follow_their_transcript_to_its_reference(tmp_path: Path) -> None:
    ref = tmp_path / "ref.jsonl"
    write_manifest(ref, [utterance("u1", "x", audio=tmp_path / "0001.wav"), utterance("u2", "y")])
    hyp = write_lines(
        tmp_path / "h.jsonl",
        {"id": "0001", "pred_text": "x", "word_confidence": [0.25]},
        {"id": "stranger", "pred_text": "z", "word_confidence": [0.75]},
    )
    for policy, known in (("skip", {"u1"}), ("empty", {"u1", "stranger"})):
        report = tmp_path / policy
        words = ("--hyp", str(hyp), "--ref", str(ref), "--allow-missing", policy)
        program.run(arguments(*words, "-o", str(report), "--quiet"))
        lines = lines_of(report / "utterances.jsonl")
        assert {line["id"] for line in lines if "confidence" in line} == known


def test_copies_of_a_recording_are_found_in_finished_transcripts(tmp_path: Path) -> None:
    items = spoken(tmp_path, 1, 2)
    copy = tmp_path / "copy.wav"
    copy.write_bytes(items[0].audio.read_bytes())
    items.append(Utterance(id="copy", audio=copy, duration_s=0.1, text="one"))
    ref, report = tmp_path / "ref.jsonl", tmp_path / "report"
    write_manifest(ref, items)
    words = ("--hyp", str(ref), "--ref", str(ref), "-o", str(report), "--quiet")
    assert program.run(arguments(*words)) == 0
    (same,) = json.loads((report / "metrics.json").read_text())["duplicate_audio"]
    assert same["ids"] == ["u1", "copy"]
