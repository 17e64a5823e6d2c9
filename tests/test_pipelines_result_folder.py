"""What is done is left as it is, and what is somebody else's or out of date is not written over."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import listeners
import numpy as np
import numpy.typing as npt
import pytest

from asr import bundle
from asr.audio import SAMPLE_RATE, write_wav
from asr.bundle import write_settings
from asr.transcript import Transcript
from asr.vocabulary import Vocabulary
from pipelines import chunks, cli, ledger, network, result_folder

Samples = npt.NDArray[np.float32]
Command = Callable[..., int]


class Listener(listeners.Listener):
    """Hears how many samples a recording has."""

    def heard(self, num_samples: int, sure: float) -> Transcript:
        del sure
        return listeners.transcript(str(num_samples), str(num_samples), num_samples / SAMPLE_RATE)


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Listener:
    one = Listener()
    monkeypatch.setattr(network, "load_recognizer", lambda _, **__: one)
    return one


@pytest.fixture
def asr(listener: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs the command on `in` (three recordings in two folders); returns what the code was."""
    del listener
    monkeypatch.setenv("ASR_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    recipe = {"features": {}, "text": {"language": "en"}, "decoding": {"method": "beam"}}
    for name, letters in (("any", " ab"), ("other", " abc")):
        vocabulary = Vocabulary.from_characters(letters)
        write_settings(tmp_path / "models" / name, recipe=recipe, vocabulary=vocabulary, card="")
    for n in range(3):
        sound(Path(f"in/{'xy'[n % 2]}/{n}.wav"), 1_000 + n)

    def run(*words: str, model: str = "any", recordings: str = "in", output: str = "out") -> int:
        to = "-o" if output.endswith(".jsonl") else "--output-dir"
        command = ["transcribe", recordings, to, output, "--model", model, "--workers", "0"]
        return cli.main([*command, *words])

    return run


def sound(path: Path, num_samples: int, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-0.1, 0.1, num_samples)
    write_wav(path, noise.astype(np.float32))


def touched(path: Path) -> None:
    """The same bytes at another time, in another place of the disk."""
    shutil.copyfile(path, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)
    os.utime(path, ns=(1, 1))


def looks(pattern: str) -> dict[Path, tuple[int, int]]:
    """When each file of a kind was written, and which it is."""
    files = [path for path in Path("out").rglob(pattern) if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


OUTPUTS = ["out", "out/all.jsonl"]


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_is_done_is_not_done_again(
    asr: Command,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    output: str,
) -> None:
    assert asr(output=output) == 0
    assert listener.num_heard == 3
    assert "of 3 recordings: 3 transcribed" in capsys.readouterr().err

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the model was opened")

    monkeypatch.setattr(network, "load_recognizer", refuse)
    before = looks("*")
    for words in ([], ["--overwrite"], ["--quiet"]):
        assert asr(*words, output=output) == 0
    touched(Path("in/x/0.wav"))
    assert asr(output=output) == 0
    assert looks("*") == before
    assert "of 3 recordings: 3 done before" in capsys.readouterr().err


def test_the_same_recordings_may_be_named_from_elsewhere(
    asr: Command, listener: Listener, tmp_path: Path
) -> None:
    assert asr() == 0
    assert asr(recordings=str(tmp_path / "in")) == 0
    assert listener.num_heard == 3


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(
    ("words", "model", "spoil"),
    [
        ([], "other", None),
        (["--decoding", "greedy"], "any", None),
        (["--hotwords", "hot.txt"], "any", None),
        ([], "any", lambda: sound(Path("in/x/0.wav"), 1_000, seed=1)),
    ],
    ids=["model", "decoding", "hotwords", "audio"],
)
def test_what_is_out_of_date_is_refused_and_replaced_when_asked(
    asr: Command,
    listener: Listener,
    capsys: pytest.CaptureFixture[str],
    output: str,
    words: list[str],
    model: str,
    spoil: Callable[[], None] | None,
) -> None:
    Path("hot.txt").write_text("Ada\n")
    assert asr(output=output) == 0
    if spoil:
        spoil()
    capsys.readouterr()
    assert asr(*words, model=model, output=output) == 2
    message = capsys.readouterr().err
    assert "is there already" in message
    assert "not made of the same audio with the same model and settings" in message
    assert listener.num_heard == 3
    assert asr(*words, "--overwrite", model=model, output=output) == 0
    assert listener.num_heard == (4 if spoil else 6)
    assert asr(*words, model=model, output=output) == 0
    assert listener.num_heard == (4 if spoil else 6)


@pytest.mark.parametrize("output", ["out/x/0.txt", "out/all.jsonl"])
def test_what_somebody_changed_is_refused(asr: Command, output: str) -> None:
    to = output if output.endswith("l") else "out"
    assert asr(output=to) == 0
    whole = Path(output).read_bytes()
    Path(output).write_bytes(whole.replace(b"1", b"7"))
    assert asr(output=to) == 2
    assert asr("--overwrite", output=to) == 0
    assert Path(output).read_bytes() == whole


def test_after_a_loss_of_power_what_is_torn_is_made_again(
    asr: Command, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "boot", lambda: "before")
    assert asr() == 0
    look = looks("*.txt")[Path("out/x/0.txt")]
    for torn in (b"", b"\0" * 5, b"10\0\0\0"):
        Path("out/x/0.txt").write_bytes(torn)
        os.utime(Path("out/x/0.txt"), ns=(look[0], look[0]))  # nothing shows
        num_heard = listener.num_heard
        monkeypatch.setattr(ledger, "boot", f"after {torn.hex()}".__str__)
        assert asr() == 0
        assert listener.num_heard == num_heard + 1
        assert Path("out/x/0.txt").read_bytes() == b"1000\n"
    assert asr() == 0
    assert listener.num_heard == num_heard + 1
    Path("out/x/2.txt").write_bytes(b"1234\n")  # no disk does this
    assert asr() == 2


def test_where_no_start_of_the_machine_is_told_every_file_is_waited_for(
    asr: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def counted(handle: int) -> None:
        synced.append(handle)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", counted)
    assert asr() == 0
    few = len(synced)
    monkeypatch.setattr(result_folder, "boot", lambda: None)
    assert asr(output="out2") == 0
    assert len(synced) - few == few + 3


@pytest.mark.parametrize("output", ["out/x/0.txt", "out/all.jsonl"])
def test_what_was_removed_is_made_again(asr: Command, output: str) -> None:
    to = output if output.endswith("l") else "out"
    assert asr(output=to) == 0
    whole = Path(output).read_bytes()
    Path(output).unlink()
    assert asr(output=to) == 0
    assert Path(output).read_bytes() == whole


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_has_come_since_is_all_that_is_done(
    asr: Command, listener: Listener, output: str
) -> None:
    assert asr(output=output) == 0
    sound(Path("in/y/new.wav"), 2_000)
    assert asr(output=output) == 0
    assert listener.num_heard == 4
    if output == "out":
        assert Path("out/y/new.txt").read_text() == "2000\n"
    else:
        lines = [json.loads(line) for line in Path(output).read_text().splitlines()]
        assert [line["pred_text"] for line in lines] == ["1000", "1002", "1001", "2000"]
        Path("in/y/new.wav").unlink()
        assert asr(output=output) == 2  # it would lose a line


def test_another_format_joins_those_that_are_there(asr: Command, listener: Listener) -> None:
    assert asr() == 0
    before = looks("*.txt")
    assert asr("--output-format", "txt,srt,json") == 0
    assert looks("*.txt") == before
    assert len(list(Path("out").rglob("*.srt"))) == 3
    assert listener.num_heard == 6
    assert asr("--output-format", "json") == 0
    assert listener.num_heard == 6


def test_lines_that_say_more_now_are_written_anew(asr: Command) -> None:
    """A list's own words are in the result, which is out of date if they have changed."""
    for said in ("one", "two"):
        line = {"audio_filepath": "in/x/0.wav", "id": "u", "text": said}
        Path("m.jsonl").write_text(f"{json.dumps(line)}\n")
        words = ["--overwrite"] if said == "two" else []
        assert asr(*words, recordings="m.jsonl", output="out/all.jsonl") == 0
        assert json.loads(Path("out/all.jsonl").read_text())["text"] == said
        assert asr(recordings="m.jsonl") == 0  # of plain text they are no part
    Path("m.jsonl").write_text(json.dumps(line | {"text": "three"}) + "\n")
    assert asr(recordings="m.jsonl", output="out/all.jsonl") == 2


def test_the_error_rate_is_shown_of_what_was_done_before_too(
    asr: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "MAX_RECORDINGS", 1)
    lines = [{"audio_filepath": f"in/{n}.wav", "id": n[2:], "text": "1000"} for n in ("x/0", "x/2")]
    Path("m.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    for _ in range(2):
        for output in OUTPUTS:
            assert asr(recordings="m.jsonl", output=output) == 0
            assert "%WER 50.00 [ 1 / 2," in capsys.readouterr().err


def test_a_failure_is_tried_again_and_forgotten_when_it_is_none(
    asr: Command, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Path("in/x/0.wav").read_bytes()
    Path("in/x/0.wav").write_bytes(b"RIFF")
    for _ in range(2):
        assert asr() == 1
        err = capsys.readouterr().err
        assert "asr: 1 of 3 was not transcribed\n  in/x/0.wav: " in err
        (line,) = map(json.loads, Path("out/failures.jsonl").read_text().splitlines())
        assert (line["id"], line["audio_filepath"]) == ("in/x/0.wav", os.path.abspath("in/x/0.wav"))
        assert line["error"] in err
    size = Path("out/.asr/journal.jsonl").stat().st_size
    assert asr() == 1
    assert Path("out/.asr/journal.jsonl").stat().st_size == size  # no news
    Path("in/x/0.wav").write_bytes(whole)
    assert asr() == 0
    assert not Path("out/failures.jsonl").exists()
    assert listener.num_heard == 3


def test_a_recording_that_goes_while_it_is_heard_is_a_failure(
    asr: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hear = Listener.transcribe_batch

    def gone(self: Listener, recordings: Sequence[Samples]) -> list[Transcript]:
        Path("in/x/0.wav").unlink()
        return hear(self, recordings)

    monkeypatch.setattr(Listener, "transcribe_batch", gone)
    assert asr(recordings="in/x/0.wav") == 1
    assert capsys.readouterr().err.endswith("  in/x/0.wav: No such file or directory\n")


def test_a_list_of_failures_that_is_not_ours_is_kept(asr: Command) -> None:
    Path("out").mkdir()
    Path("out/failures.jsonl").write_text("mine")
    assert asr() == 2
    assert Path("out/failures.jsonl").read_text() == "mine"


def test_many_failures_are_counted_and_listed_in_the_file(
    asr: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(30):
        Path(f"in/{n}.wav").write_bytes(b"RIFF")
    assert asr("--quiet") == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 22
    assert err.endswith("  and 10 more; all are in out/failures.jsonl\n")
    assert len(Path("out/failures.jsonl").read_text().splitlines()) == 30


@pytest.mark.parametrize("form", ["ctm", "trn"])
def test_other_lists_hold_many_recordings_too(asr: Command, form: str) -> None:
    Path("in/broken.wav").write_bytes(b"RIFF")
    for _ in range(2):
        assert asr("-o", f"all.{form}", output="unused") == 2  # two places at once
        words = ["transcribe", "in", "-o", f"all.{form}", "--model", "any", "--workers", "0"]
        assert cli.main(words) == 1
        lines = Path(f"all.{form}").read_text().splitlines()
        assert len(lines) == 3
        assert all("in/" in line for line in lines)


# The model that is taken if none is named


def test_without_the_usual_model_those_that_are_there_are_named(
    asr: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    del asr
    monkeypatch.setattr(bundle, "model_folders", lambda: [Path("models")])
    assert cli.main(["transcribe", "in"]) == 1
    message = capsys.readouterr().err
    assert "the model en-read, which is taken if none is named, is not installed" in message
    assert "(installed are: any, other" in message
    assert "--model names one" in message
    shutil.copytree("models/any", "models/en-read")
    assert cli.main(["transcribe", "in", "--quiet", "--workers", "0"]) == 0
    shutil.move("models/en-read", "en-read")
    assert cli.main(["transcribe", "in", "--quiet", "--workers", "0"]) == 0
