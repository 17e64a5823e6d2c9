"""`asr transcribe`: what goes where, what is refused, and what a failure costs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import listeners
import numpy as np
import numpy.typing as npt
import pytest

from asr.audio import SAMPLE_RATE, write_wav
from asr.bundle import write_settings
from asr.hypotheses import read_hypotheses
from asr.manifest import read_manifest
from asr.transcript import Alternative, Character, Transcript, Word
from asr.vocabulary import Vocabulary
from pipelines import cli, network
from pipelines.choices import AS_IT_IS, Choices

Samples = npt.NDArray[np.float32]
Command = Callable[..., int]

WORDS = {1: "one", 2: "two", 3: "three", 4: "", 5: "né d'oc"}


class Listener(listeners.Listener):
    """Hears the length of a recording, in tenths of a second; 9 of them are too much for it."""

    def heard(self, num_samples: int, sure: float) -> Transcript:
        del sure
        tenths = round(10 * num_samples / SAMPLE_RATE)
        return listeners.transcript(WORDS[tenths], WORDS[tenths], tenths / 10)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, `any`, whose network nobody will ask for."""
    folder = tmp_path_factory.mktemp("models")
    recipe = {"features": {}, "text": {"language": "en"}, "decoding": {"method": "beam"}}
    write_settings(
        folder / "any", recipe=recipe, vocabulary=Vocabulary.from_characters(" ab"), card=""
    )
    return folder


@pytest.fixture
def asr(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, models: Path) -> Command:
    """Runs the command in tmp_path and this process, with the listener as its model."""
    monkeypatch.setattr(network, "load_recognizer", lambda _, **__: Listener())
    monkeypatch.setenv("ASR_MODELS", str(models))
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> int:
        return cli.main(["transcribe", "--model", "any", "--workers", "0", *map(str, words)])

    return run


@pytest.fixture
def refusing(asr: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, failing if it opens the model: what is refused is refused before."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the model was opened")

    monkeypatch.setattr(network, "load_recognizer", refuse)
    return asr


def spoken(path: Path | str, tenths: int) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(tenths).uniform(-0.1, 0.1, SAMPLE_RATE * tenths // 10)
    write_wav(path, noise.astype(np.float32))
    return path


def manifest(path: Path | str, *records: Mapping[str, object]) -> Path:
    path = Path(path)
    path.write_text("".join(f"{json.dumps(dict(record))}\n" for record in records), "utf-8")
    return path


def records(path: Path | str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def tree(folder: Path) -> list[str]:
    """The files that are there for a person: what the program keeps for itself is left out."""
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in names if ".asr/" not in name)


# To the screen


def test_one_recording_is_its_text(asr: Command, capsys: pytest.CaptureFixture[str]) -> None:
    spoken("a.wav", 1)
    assert asr("a.wav") == 0
    out, err = capsys.readouterr()
    assert out == "one\n"
    assert "1 recordings" in err
    assert asr("a.wav", "--quiet") == 0
    assert capsys.readouterr() == ("one\n", "")


def test_several_recordings_are_named_in_the_order_asked_for(
    asr: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, tenths in (("b/x.wav", 3), ("a/x.wav", 1), ("silent.wav", 4)):
        spoken(name, tenths)
    assert asr("b/x.wav", "a/x.wav", "silent.wav", "b/x.wav") == 0
    assert capsys.readouterr().out == ("b/x.wav: three\na/x.wav: one\nsilent.wav: \n")


def test_a_bad_recording_costs_itself(asr: Command, capsys: pytest.CaptureFixture[str]) -> None:
    spoken("a.wav", 1)
    spoken("long.wav", 9)
    spoken("b.wav", 2)
    Path("broken.wav").write_bytes(b"RIFF")
    assert asr("a.wav", "broken.wav", "gone.wav", "long.wav", "b.wav", "--quiet") == 1
    out, err = capsys.readouterr()
    assert out == "a.wav: one\nb.wav: two\n"
    title, *lines = err.splitlines()
    assert title == "asr: 3 of 5 were not transcribed"
    assert [line.split(":")[0] for line in lines] == ["  broken.wav", "  gone.wav", "  long.wav"]
    assert lines[2] == "  long.wav: too much"


def test_json_lines_on_the_screen(asr: Command, capsys: pytest.CaptureFixture[str]) -> None:
    spoken("a.wav", 5)
    spoken("b.wav", 1)
    assert asr("a.wav", "--output-format", "json") == 0
    alone = json.loads(capsys.readouterr().out)
    assert (alone["text"], "id" in alone) == ("né d'oc", False)
    assert asr("a.wav", "b.wav", "--output-format", "json") == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {"id": "a.wav", **alone}
    assert second["id"] == "b.wav"


def test_a_manifest_shows_ids_and_its_error_rate(
    asr: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in (1, 2):
        spoken(f"{n}.wav", n)
    manifest(
        "m.jsonl",
        {"audio_filepath": "1.wav", "duration": 0.1, "text": "One.", "id": "x\ny"},
        {"audio_filepath": "2.wav", "duration": 0.2, "text": "too"},
    )
    assert asr("m.jsonl") == 0
    out, err = capsys.readouterr()
    assert out == "x?y: one\n2: two\n"
    assert err.splitlines()[-1].startswith("%WER 50.00 [ 1 / 2, 0 ins, 0 del, 1 sub ] (NFKC")


@pytest.mark.parametrize("text", [None, ""])
def test_the_error_rate_needs_every_text(
    asr: Command, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    spoken("1.wav", 1)
    missing = {} if text is None else {"text": text}
    manifest(
        "m.jsonl", {"audio_filepath": "1.wav", "text": "one"}, {"audio_filepath": "1.wav"} | missing
    )
    assert asr("m.jsonl") == 0
    assert ("%WER" in capsys.readouterr().err) == (text is not None)


def test_text_comes_as_it_is_recognised(tmp_path: Path, models: Path) -> None:
    """Through a pipe too: the first line is there while the second recording is still read."""
    spoken(tmp_path / "a.wav", 1)
    program = (
        "import sys, test_pipelines_transcribe as t, pipelines.chunks as c\n"
        "from pipelines import cli, network, speech\n"
        "network.load_recognizer = lambda _, **__: t.Listener()\n"
        "c.MAX_RECORDINGS = 1\n"
        "load = speech.load_audio\n"
        "def slow(path, **more):\n"
        "    if path.name == 'b.wav': sys.stdin.readline()\n"
        "    return load(path, **more)\n"
        "speech.load_audio = slow\n"
        "sys.exit(cli.main(['transcribe', '--quiet', '--model', 'any', 'a.wav', 'b.wav']))"
    )
    spoken(tmp_path / "b.wav", 2)
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "ASR_MODELS": str(models)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == "a.wav: one\n"
        process.stdin.write("go on\n")
        process.stdin.close()
        assert process.stdout.read() == "b.wav: two\n"
    assert process.returncode == 0


# To files


@pytest.mark.parametrize(("form", "options"), [("txt", []), ("json", ["--output-format", "json"])])
def test_a_folder_gets_a_file_for_each(
    asr: Command, capsys: pytest.CaptureFixture[str], form: str, options: list[str]
) -> None:
    spoken("in/a.wav", 1)
    spoken("in/b.c.wav", 5)
    assert asr("in/a.wav", "in/b.c.wav", "gone.wav", "-o", "deep/out", *options) == 1
    assert capsys.readouterr().out == ""
    assert tree(Path("deep/out")) == ["failures.jsonl", f"in/a.{form}", f"in/b.c.{form}"]
    content = Path(f"deep/out/in/b.c.{form}").read_text("utf-8")
    assert content.endswith("\n")
    if form == "txt":
        assert content == "né d'oc\n"
    else:
        assert "né" in content
        assert json.loads(content)["segments"][0]["words"] == [
            {"word": "né d'oc", "start": 0.0, "end": 0.5}
        ]


@pytest.mark.parametrize("name", ["talk.txt", "talk.json"])
def test_one_recording_may_name_its_file(
    asr: Command, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    spoken("a.wav", 1)
    assert asr("a.wav", "-o", name) == 0
    content = Path(name).read_text()
    assert (content == "one\n") if name == "talk.txt" else json.loads(content)["text"] == "one"
    spoken("b.wav", 2)
    assert asr("a.wav", "b.wav", "-o", name, "--overwrite") == 2
    assert "expected a folder or a .jsonl file for 2 recordings" in capsys.readouterr().err


def test_files_of_a_manifest_are_named_by_their_ids(asr: Command) -> None:
    for n in (1, 2):
        spoken(f"clips/{n}.wav", n)
    manifest(
        "m.jsonl",
        {"audio_filepath": "clips/1.wav"},
        {"audio_filepath": "clips/2.wav", "id": "two.0"},
        {"audio_filepath": "clips/2.wav", "offset": 0.1, "duration": 0.1},
    )
    assert asr("m.jsonl", "-o", "out") == 0
    assert tree(Path("out")) == ["clips/1.txt", "clips/2@0.1.txt", "two.0.txt"]
    assert Path("out/clips/2@0.1.txt").read_text() == "one\n"


def test_names_of_others_stay_in_the_folder(asr: Command, tmp_path: Path) -> None:
    spoken("1.wav", 1)
    keys = ["../x", "/x", "a/../../x", "a\nb", ".asr/journal"]
    manifest("m.jsonl", *({"audio_filepath": "1.wav", "id": key} for key in keys))
    before = set(tmp_path.rglob("*"))
    assert asr("m.jsonl", "-o", "out", "--quiet") == 0
    assert len(tree(Path("out"))) == len(keys)
    assert all(
        Path("out") in path.relative_to(tmp_path).parents or path.name == "out"
        for path in set(tmp_path.rglob("*")) - before
    )
    assert (Path("out/.asr/journal.jsonl")).read_text().startswith('{"journal":1}')


# As a manifest


def test_results_are_the_same_lines_with_what_was_heard(
    asr: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for n in (1, 2, 9):
        spoken(f"data/{n}.wav", n)
    path = manifest(
        "data/m.jsonl",
        {"audio_filepath": "1.wav", "duration": 0.1, "text": "one", "note": [1], "speaker": "s"},
        {"audio_filepath": "2.wav", "text": "two two", "pred_text": "old", "error": "old"},
        {"audio_filepath": "9.wav", "duration": 0.9, "text": "nine"},
    )
    assert asr(path, "-o", "out/result.jsonl") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert records("out/result.jsonl") == [
        {
            **{"audio_filepath": str(tmp_path / "data/1.wav"), "duration": 0.1, "text": "one"},
            **{"speaker": "s", "id": "1", "note": [1], "pred_text": "one"},
        },
        {
            **{"audio_filepath": str(tmp_path / "data/2.wav"), "duration": 0.2},
            **{"text": "two two", "id": "2", "pred_text": "two"},
        },
        {
            **{"audio_filepath": str(tmp_path / "data/9.wav"), "duration": 0.9},
            **{"text": "nine", "id": "9", "pred_text": "", "error": "too much"},
        },
    ]
    assert "%WER 50.00 [ 2 / 4, 0 ins, 2 del, 0 sub ]" in err
    assert "asr: 1 of 3 was not transcribed\n  9: too much\n" in err
    # And it is what the other programs read.
    assert read_hypotheses(Path("out/result.jsonl")) == {"1": "one", "2": "two", "9": ""}
    assert [item.audio.exists() for item in read_manifest("out/result.jsonl")] == [True] * 3


def test_recordings_can_become_a_manifest(asr: Command) -> None:
    spoken("data/a.wav", 1)
    assert asr("data/a.wav", "-o", "data/result.jsonl") == 0
    (line,) = records("data/result.jsonl")
    assert line == {
        **{"audio_filepath": "a.wav", "duration": 0.1, "id": "data/a.wav", "pred_text": "one"}
    }


def test_other_lists_are_read_too(asr: Command, capsys: pytest.CaptureFixture[str]) -> None:
    spoken("data/1.wav", 1)
    Path("data/list.csv").write_text("wav_filename,wav_filesize,transcript\n1.wav,1,one\n")
    assert asr("data/list.csv", "--quiet") == 0
    Path("kaldi").mkdir()
    Path("kaldi/wav.scp").write_text("utt data/1.wav\n")
    assert asr("kaldi", "--root", ".", "--quiet") == 0
    out, err = capsys.readouterr()
    assert out == "one\none\n"
    assert err.count("%WER 0.00") == 1


# Refused before anything is computed


@pytest.mark.parametrize("output", ["out", "out/a.txt", "out/result.jsonl"])
def test_nothing_is_overwritten_unasked(
    refusing: Command, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    spoken("a.wav", 1)
    Path("out").mkdir()
    for name in ("a.txt", "result.jsonl"):
        Path("out", name).write_text("mine")
    assert refusing("a.wav", "-o", output) == 2
    message = capsys.readouterr().err
    assert "is there already" in message
    assert "--overwrite replaces it" in message
    assert {Path("out", name).read_text() for name in ("a.txt", "result.jsonl")} == {"mine"}
    assert not Path("out/.asr").exists()


def test_what_is_there_is_replaced_when_asked(asr: Command) -> None:
    spoken("a.wav", 1)
    for path, expected in (("out", "out/a.txt"), ("x.jsonl", "x.jsonl"), ("x.txt", "x.txt")):
        Path(expected).parent.mkdir(exist_ok=True)
        Path(expected).write_text("mine")
        for _ in range(2):
            assert asr("a.wav", "-o", path, "--overwrite", "--quiet") == 0
        assert "one" in Path(expected).read_text()


def test_of_many_files_in_the_way_one_is_named_and_all_are_counted(
    refusing: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(3):
        spoken(f"in/{n}.wav", 1)
    Path("out").mkdir()
    for n in range(3):
        Path(f"out/{n}.srt").touch()
    assert refusing("in", "--output-dir", "out", "--output-format", "txt,srt") == 2
    assert "out/0.srt is there already (and 2 more)" in capsys.readouterr().err


def test_files_of_one_name_go_to_their_own_folders(asr: Command) -> None:
    for n, name in enumerate(("a/x.wav", "b/x.wav"), start=1):
        spoken(name, n)
    assert asr("a/x.wav", "b/x.wav", "-o", "out") == 0
    assert tree(Path("out")) == ["a/x.txt", "b/x.txt"]
    assert Path("out/b/x.txt").read_text() == "two\n"


def test_what_is_transcribed_is_not_written_over(
    refusing: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    spoken("a.wav", 1)
    manifest("m.jsonl", {"audio_filepath": "a.wav"})
    assert refusing("m.jsonl", "-o", "./m.jsonl", "--overwrite") == 2
    assert "is what is to be transcribed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["gone.wav"], 2, "no such file: gone.wav"),
        (["gone.wav", "also.wav"], 2, "no such file: gone.wav, also.wav"),
        (["gone.jsonl"], 1, "gone.jsonl: expected a readable file"),
        (["empty.jsonl"], 1, "empty.jsonl: expected at least one recording"),
        (["bad.jsonl"], 1, "bad.jsonl: 1 line cannot be understood"),
        (["plain"], 2, "found no recordings in plain"),
        (["a.wav", "-o", "a.wav"], 2, "a.wav is what is to be transcribed"),
        (["a.wav", "--output-dir", "bad.jsonl"], 2, "expected a folder to write to"),
        (["a.wav", "-o", "x", "--output-dir", "y"], 2, "-o or --output-dir, received both"),
        (["a.wav", "-o", "x.txt", "--output-format", "json"], 2, "expected txt"),
        (["a.wav", "--output-format", "txt,doc"], 2, "received 'doc'"),
        (["a.wav", "--output-format", "txt,json"], 2, "expected --output-dir for 2 formats"),
        (["a.wav", "b.wav", "--output-format", "srt"], 2, "the srt of several recordings"),
        (["a.wav", "--workers", "-1"], 2, "--workers: expected a number from 0 on"),
        (["a.wav", "--channels", "top"], 2, "--channels"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    refusing: Command,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    message: str,
) -> None:
    spoken("a.wav", 1)
    manifest("empty.jsonl")
    manifest("bad.jsonl", {"text": "no audio"})
    Path("plain").mkdir()
    assert refusing(*words) == code
    out, err = capsys.readouterr()
    assert (out, err.startswith("asr: ")) == ("", True)
    assert message in err
    assert not list(Path().rglob(".asr"))


@pytest.mark.parametrize("output", ["file/out", "file/result.jsonl"])
def test_a_place_that_cannot_be_written_to_is_one_line(
    asr: Command, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    spoken("a.wav", 1)
    Path("file").write_text("in the way")
    assert asr("a.wav", "-o", output) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("asr: file")
    assert "recordings in" not in err  # nothing was transcribed for nothing


# What computes it


def test_engine_and_threads_are_handed_on(
    asr: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[dict[str, object]] = []

    def load(_: object, **options: object) -> Listener:
        given.append(options)
        return Listener()

    monkeypatch.setattr(network, "load_recognizer", load)
    spoken("a.wav", 1)
    assert asr("a.wav") == 0
    assert asr("a.wav", "--engine", "onnx", "--threads", "3") == 0
    assert given == [
        {"engine": "auto", "threads": None, "choices": AS_IT_IS},
        {"engine": "onnx", "threads": 3, "choices": AS_IT_IS},
    ]
    assert asr("a.wav", "--threads", "0") == 2
    assert "--threads: expected a number from 1 on, received 0" in capsys.readouterr().err


def test_what_is_said_about_decoding_is_handed_on(
    asr: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def load(_: object, *, choices: object, **__: object) -> Listener:
        given.append(choices)
        return Listener()

    monkeypatch.setattr(network, "load_recognizer", load)
    spoken("a.wav", 1)
    Path("names.txt").write_text("Ada\t7\n")
    words = ("--hotwords", "names.txt", "--n-best", "3", "--output-format", "json")
    assert asr("a.wav", *words) == 0
    assert asr("a.wav", "--lm", "l.ngram", "--alpha", "0.7", "--beta", "2") == 0
    assert given == [
        Choices(hotwords={"Ada": 7.0}, num_texts=3),
        Choices(language_model=Path("l.ngram"), alpha=0.7, beta=2.0),
    ]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--character-times",), "--output-format json"),
        (("--character-times", "-o", "all.jsonl"), "--output-format json"),
        (("--n-best", "2", "-o", "a.txt"), "JSON"),
        (("--n-best", "0"), "from 1 on"),
        (("--decoding", "greedy", "--alpha", "1"), "--decoding beam with --alpha"),
        (("--hotwords", "nowhere.txt"), "nowhere.txt"),
    ],
)
def test_what_could_not_be_shown_or_done_is_refused(
    refusing: Command, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], named: str
) -> None:
    spoken("a.wav", 1)
    assert refusing("a.wav", *words) in (1, 2)
    assert named in capsys.readouterr().err


def test_alternatives_and_characters_are_in_the_json(
    asr: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    best = Alternative(text="a", score=-1.0, log_probability=-2.0, lm_log_probability=-3.0)
    heard = Transcript(
        text="a",
        words=(
            Word(
                text="a",
                start_s=0.0,
                end_s=0.1,
                characters=(Character(text="a", start_s=0.0, end_s=0.1),),
            ),
        ),
        duration_s=0.1,
        language="en",
        log_probability=-2.0,
        alternatives=(best,),
    )
    monkeypatch.setattr(Listener, "transcribe_batch", lambda _, batch: [heard] * len(batch))
    spoken("a.wav", 1)
    assert asr("a.wav", "--output-format", "json", "--character-times", "--quiet") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["alternatives"] == [best.to_json()]
    (word,) = shown["segments"][0]["words"]
    assert word["characters"] == [{"character": "a", "start": 0.0, "end": 0.1}]
    assert asr("a.wav", "-o", "a.jsonl", "--quiet") == 0
    assert records("a.jsonl")[0]["alternatives"] == [best.to_json()]
