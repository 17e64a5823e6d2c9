"""Recordings and results at addresses: the same results as of files, and errors that name them."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import folder_store
import fsspec
import numpy as np
import numpy.typing as npt
import pytest
from folder_store import objects, put_tree
from hypothesis import given, settings
from hypothesis import strategies as st
from listeners import Listener

from asr.addresses import is_address, joined, without_scheme
from asr.audio import SAMPLE_RATE, write_wav
from asr.bundle import write_settings
from asr.errors import MissingExtraError
from asr.manifest import read_manifest, to_json_line
from asr.vocabulary import Vocabulary
from pipelines import chunks, cli, network, remote
from pipelines.inputs import Recording, gather
from pipelines.usage import UsageError

ROOT = Path(__file__).resolve().parent.parent

Samples = npt.NDArray[np.float32]
Command = Callable[..., int]


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Listener:
    one = Listener()
    monkeypatch.setattr(network, "load_recognizer", lambda _, **__: one)
    return one


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_settings(
        folder / "any",
        recipe={"features": {}, "text": {"language": "en"}},
        vocabulary=Vocabulary.from_characters(" ab"),
        card="",
    )
    return folder


@pytest.fixture
def asr(
    listener: Listener, models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Command]:
    """Runs the command in tmp_path and this process; whatever it fetches is gone in the end."""
    del listener
    fsspec.register_implementation("store", folder_store.FolderStore, clobber=True)
    monkeypatch.setenv("ASR_MODELS", str(models))
    monkeypatch.setenv("STORE", str(tmp_path / "store"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(chunks, "MAX_RECORDINGS", 3)
    monkeypatch.chdir(tmp_path)
    Path("tmp").mkdir()

    def run(*words: str) -> int:
        return cli.main(["transcribe", "--model", "any", "--workers", "0", *words])

    yield run
    assert list(Path("tmp").glob("asr-fetched-*")) == []


def sound(path: Path, tenths: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(tenths).uniform(-0.1, 0.1, SAMPLE_RATE * tenths // 10)
    write_wav(path, noise.astype(np.float32))


def tree() -> None:
    """Nine recordings, a broken one and something else, here and in the store."""
    for n, tenths in enumerate([1, 2, 3, 9, 4, 5, 6, 7, 1]):
        sound(Path(f"in/{'ab'[n % 2]}/{n}.wav"), tenths)
    Path("in/a/broken.wav").write_bytes(b"RIFF")
    Path("in/notes.txt").write_text("no recording")
    put_tree(Path("in"), "bucket/in")


def content(folder: str) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file() and ".asr" not in path.parts
    }


def names(found: list[Recording]) -> dict[str, str]:
    return {one.utterance.id: one.name for one in found}


# What an address is


@pytest.mark.parametrize("text", ["s3://b/x", "gs://b", "memory://x", "a+b.c://x", "https://h/x"])
def test_addresses(text: str) -> None:
    assert is_address(text)
    assert without_scheme(text) == text


@pytest.mark.parametrize(
    ("text", "path"),
    [("a/b.wav", "a/b.wav"), ("file:///a/b", "/a/b"), ("FILE://a", "a"), ("C://x", "C://x")],
)
def test_paths_are_none(text: str, path: str) -> None:
    assert not is_address(text)
    assert without_scheme(text) == path


@pytest.mark.parametrize(
    ("relative", "address"),
    [
        ("x.wav", "s3://b/lists/x.wav"),
        ("./c/x.wav", "s3://b/lists/c/x.wav"),
        ("../c/x.wav", "s3://b/c/x.wav"),
        ("../../../x.wav", "s3://b/x.wav"),
        ("c//x.wav", "s3://b/lists/c//x.wav"),
    ],
)
def test_relative_paths_stay_in_their_bucket(relative: str, address: str) -> None:
    assert joined("s3://b/lists", relative) == joined("s3://b/lists/", relative) == address


def test_manifests_keep_addresses_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        {"audio_filepath": "s3://b//c/x y.wav", "channel": 1},
        {"audio_filepath": "s3://b/x.wav", "id": "u", "duration": 1.5},
        {"audio_filepath": "file:///c/z.wav"},
    ]
    path = tmp_path / "m.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    found = read_manifest(path)
    assert [one.address for one in found] == ["s3://b//c/x y.wav", "s3://b/x.wav", None]
    assert [one.id for one in found] == ["b/c/x_y.2", "u", "c/z"]
    assert found[2].audio == Path("/c/z.wav")
    monkeypatch.chdir(tmp_path)
    assert read_manifest("m.jsonl") == found  # from wherever it is read
    again = [json.loads(to_json_line(one, relative_to=tmp_path)) for one in found]
    assert [one["audio_filepath"] for one in again] == [
        *("s3://b//c/x y.wav", "s3://b/x.wav", "/c/z.wav"),
    ]
    (rooted,) = [one for one in read_manifest(path, root="gs://far") if one.id == "c/z"]
    assert rooted.address is None
    path.write_text('{"audio_filepath": "c/x.wav"}\n')
    (rooted,) = read_manifest(path, root="gs://far/lists")
    assert (rooted.address, rooted.id) == ("gs://far/lists/c/x.wav", "c/x")


# What an address on the command line means


def stored(*keys: str) -> None:
    for key in keys:
        folder_store._put(f"b/{key}", b"x")


@pytest.mark.usefixtures("asr")
def test_names_begin_below_all_that_was_given() -> None:
    stored("calls/monday/1.wav", "calls/monday/late/2.flac", "calls/3.WAV", "mail/1.wav")
    calls = {
        "store://b/calls/3.WAV": "3",
        "store://b/calls/monday/1.wav": "monday/1",
        "store://b/calls/monday/late/2.flac": "monday/late/2",
    }
    assert names(gather(["store://b/calls"])) == calls
    assert names(gather(["store://b/calls/"])) == calls
    assert names(gather(["store://b/mail", "store://b/calls/monday"])) == {
        "store://b/mail/1.wav": "mail/1",
        "store://b/calls/monday/1.wav": "calls/monday/1",
        "store://b/calls/monday/late/2.flac": "calls/monday/late/2",
    }
    assert names(gather(["store://b/calls/3.WAV"])) == {"store://b/calls/3.WAV": "3"}
    sound(Path("calls/1.wav"), 1)
    mixed = names(gather(["store://b/calls/3.WAV", "calls"]))
    assert mixed["store://b/calls/3.WAV"] == "store/b/calls/3"
    assert mixed["calls/1.wav"].endswith("/calls/1")


@pytest.mark.usefixtures("asr")
def test_hidden_and_other_objects_are_left_out() -> None:
    stored("d/.hidden.wav", "d/.trash/1.wav", "d/notes.txt", "d/wav", "d/x.mp3", "d/.asr/y.wav")
    assert [one.name for one in gather(["store://b/d"])] == ["x"]
    assert [one.name for one in gather(["store://b/d/*.wav", "store://b/d/x.mp3"])] == [
        *("*", "x"),
    ]


@pytest.mark.usefixtures("asr")
def test_patterns() -> None:
    stored("c/a/1.wav", "c/b/2.wav", "c/3.flac", "c/.d/4.wav", "c/[5].wav", "c/6/1.wav/7.wav")
    assert [one.name for one in gather(["store://b/c/**/*.wav"])] == [
        "6/1.wav/7",
        "[5]",
        "a/1",
        "b/2",
    ]
    assert [one.name for one in gather(["store://b/c/?"])] == ["6/1.wav/7", "a/1", "b/2"]
    assert [one.name for one in gather(["store://b/c/a/*.wav"])] == ["1"]
    assert [one.name for one in gather(["store://b/c/[5].wav"])] == ["[5]"]
    assert [one.name for one in gather(["store://b/*/3.flac"])] == ["c/3"]


@pytest.mark.usefixtures("asr")
def test_names_of_objects_lead_nowhere_else() -> None:
    stored("d/../../x.wav", "d/..", "d//y.wav", "d/y.wav", "d/./y.wav", "d/a::z.wav", "d/é\n.wav")
    found = gather(["store://b/d"])
    assert {one.utterance.address for one in found} == {
        *("store://b/d/../../x.wav", "store://b/d//y.wav", "store://b/d/y.wav"),
        *("store://b/d/./y.wav", "store://b/d/a::z.wav", "store://b/d/é\n.wav"),
    }
    assert sorted(one.name for one in found) == [
        *("__/__/x", "a::z", "y.wav", "y.wav#2", "y.wav#3", "é_"),
    ]


@pytest.mark.usefixtures("asr")
def test_each_object_is_there_once() -> None:
    stored("d/1.wav", "d/2.wav")
    found = gather(["store://b/d/2.wav", "store://b/d/", "store://b/d/1.wav"])
    assert [one.utterance.id for one in found] == ["store://b/d/2.wav", "store://b/d/1.wav"]


@pytest.mark.usefixtures("asr")
def test_names_from_another_program_may_be_addresses() -> None:
    stored("1.wav", "*.wav")
    sound(Path("x.wav"), 1)
    Path("names").write_bytes(b"store://b/*.wav\0x.wav\0store://b/no.wav\0file://x.wav")
    found = gather([], files0_from="names")
    assert [one.utterance.id for one in found] == [
        *("store://b/*.wav", "x.wav", "store://b/no.wav"),
    ]
    assert [one.seen is None for one in found] == [False, True, True]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("store://b/no.wav", "no such file: store://b/no.wav"),
        ("store://b/no/*.wav", r"no such file: store://b/no/\*\.wav"),
        ("store://b/no/", "found no recordings in store://b/no/; looked for"),
        ("store://b/forbidden", r"store://b/forbidden: no permission \(AccessDenied\)"),
        ("store://b/forbidden/", r"store://b/forbidden/: no permission \(AccessDenied\)"),
        ("store://b/unreachable/", "store://b/unreachable/: TimeoutError"),
        ("store://b/odd/", "store://b/odd/: RuntimeError: the store is closed"),
        ("store://b/no.jsonl", "store://b/no.jsonl: no such object or folder"),
        ("nowhere://b/x", "nowhere://b: no file system is known by nowhere://"),
    ],
)
@pytest.mark.usefixtures("asr")
def test_what_cannot_be_looked_at_is_one_line(given: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        gather([given])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("abfs", "adlfs")]
)
def test_a_package_that_is_missing_is_named(
    scheme: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote._file_system.cache_clear()

    def missing(_: str) -> None:
        raise ImportError

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    message = f"{scheme}:// needs the package {package}: pip install {package}"
    with pytest.raises(MissingExtraError, match=message):
        gather([f"{scheme}://b/x.wav"])


# The same results as of files


def test_a_tree_gives_the_same_files(asr: Command) -> None:
    tree()
    words = ("--output-format", "txt,json,srt", "--output-dir")
    assert asr("in", *words, "out") == 1
    expected = content("out")
    failures = expected.pop("failures.jsonl")
    assert len(expected) == 3 * 8
    for source, to in [
        ("store://bucket/in", "store://bucket/out"),
        ("store://bucket/in/", "there"),
        ("in", "store://bucket/here/"),
    ]:
        assert asr(source, *words, to) == 1
        found = content(to) if to == "there" else objects(to.removeprefix("store://").rstrip("/"))
        lines = [json.loads(line) for line in found.pop("failures.jsonl").splitlines()]
        assert found == expected
        for line, local in zip(lines, map(json.loads, failures.splitlines()), strict=True):
            for key in ("id", "audio_filepath", "error"):
                said = local[key].replace(f"{Path.cwd()}/", "")
                if source != "in" and key != "error":
                    said = f"store://bucket/{said}"
                elif source != "in":
                    said = said.replace("in/", "store://bucket/in/")
                assert line[key].replace(f"{Path.cwd()}/", "") == said


PARTS = st.sampled_from(["a", "A", "b c", "é", "x.1", "#2", "~", "a.txt", "[1]", "*"])
PATHS = st.lists(
    st.tuples(st.lists(PARTS, max_size=2), PARTS, st.sampled_from([".wav", ".WAV", ".mp3"])),
    min_size=1,
    max_size=7,
)


@settings(max_examples=25)
@given(paths=PATHS, tenths=st.lists(st.integers(1, 9), min_size=7, max_size=7))
def test_any_tree_gives_the_same_files(
    paths: list[tuple[list[str], str, str]],
    tenths: list[int],
    models: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    system = fsspec.filesystem("memory")
    words = ("--model", "any", "--workers", "0", "--quiet", "--output-format", "txt,json,vtt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "load_recognizer", lambda _, **__: Listener())
        patch.setattr(chunks, "MAX_RECORDINGS", 2)
        patch.setenv("ASR_MODELS", str(models))
        patch.chdir(folder)
        for (parts, stem, suffix), length in zip(paths, tenths, strict=False):
            path = Path("in", *parts, stem + suffix)
            if not any(parent.is_file() for parent in path.parents) and not path.is_dir():
                sound(path, length)
        for path in Path("in").rglob("*"):
            if path.is_file():
                system.pipe_file(f"/{folder.name}/{path.as_posix()}", path.read_bytes())
        there = f"memory://{folder.name}"
        expected_code = cli.main(["transcribe", "in", "--output-dir", "out", *words])
        code = cli.main(["transcribe", f"{there}/in", "--output-dir", f"{there}/out", *words])
        expected = content("out")
    start = f"/{folder.name}/out/"
    found = {
        key.removeprefix(start): system.cat_file(key)
        for key in system.find(start)
        if "/.asr/" not in key
    }
    assert code == expected_code
    assert found.pop("failures.jsonl", b"").count(b"\n") == expected.pop(
        "failures.jsonl", b""
    ).count(b"\n")
    assert found == expected


def test_lists_at_addresses(asr: Command, capsys: pytest.CaptureFixture[str]) -> None:
    tree()
    lines = [
        {"audio_filepath": f"in/{'ab'[n % 2]}/{n}.wav", "text": f"word {n + 1}"} for n in (0, 1, 2)
    ]
    Path("m.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    folder_store._put("bucket/m.jsonl", Path("m.jsonl").read_bytes())
    assert asr("m.jsonl", "-o", "here.jsonl") == 0
    rate = capsys.readouterr().err.splitlines()[-1]
    assert "%WER 0.00" in rate
    expected = [json.loads(line) for line in Path("here.jsonl").read_text().splitlines()]
    for one in expected:
        one["audio_filepath"] = f"store://bucket/{one['audio_filepath']}"
    for source in (["store://bucket/m.jsonl"], ["m.jsonl", "--root", "store://bucket"]):
        assert asr(*source, "-o", "store://bucket/heard.jsonl", "--overwrite") == 0
        assert capsys.readouterr().err.splitlines()[-1] == rate
        heard = objects("bucket")["heard.jsonl"].decode()
        assert [json.loads(line) for line in heard.splitlines()] == expected
    # Local recordings are named from the root there: nothing else would find them.
    assert asr("m.jsonl", "-o", "store://bucket/local.jsonl") == 0
    first = json.loads(objects("bucket")["local.jsonl"].decode().splitlines()[0])
    assert first["audio_filepath"] == str(Path.cwd() / "in/a/0.wav")


def test_one_recording_to_the_screen_and_to_one_object(
    asr: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    tree()
    assert asr("store://bucket/in/a/0.wav") == 0
    assert capsys.readouterr().out == "word 1\n"
    for code in (0, 2):
        assert asr("store://bucket/in/a/0.wav", "-o", "store://bucket/0.txt") == code
    assert "store://bucket/0.txt is there already" in capsys.readouterr().err
    assert objects("bucket")["0.txt"] == b"word 1\n"
    assert asr("store://bucket/in/a/0.wav", "-o", "store://bucket/in/a/0.wav") == 2


def test_the_channels_of_objects(asr: Command) -> None:
    import soundfile

    soundfile.write("s.wav", np.full((1600, 2), 0.1, np.float32), SAMPLE_RATE)
    sound(Path("d/m.wav"), 1)
    Path("s.wav").rename("d/s.wav")
    put_tree(Path("d"), "bucket/d")
    found = gather(["store://bucket/d", "store://bucket/no.wav"], channels="each")
    assert [(one.name, one.channel) for one in found] == [
        *(("d/m", None), ("d/s.1", 0), ("d/s.2", 1), ("no", None)),
    ]
    assert asr("store://bucket/d", "--channels", "each", "--output-dir", "out") == 0
    assert sorted(content("out")) == ["m.txt", "s.1.txt", "s.2.txt"]


# What is done is known


@pytest.mark.parametrize("to", ["store://bucket/out", "store://bucket/out.jsonl", "out"])
@pytest.mark.parametrize("no_md5", [False, True])
def test_what_is_done_is_not_done_again(
    asr: Command,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    to: str,
    no_md5: bool,
) -> None:
    tree()
    if no_md5:
        monkeypatch.setenv("NO_MD5", "")
    folder = "-o" if to.endswith("l") else "--output-dir"
    assert asr("store://bucket/in", folder, to) == 1
    before = objects("bucket")
    num_heard = listener.num_heard
    for words in ([], ["--overwrite"]):
        assert asr("store://bucket/in", folder, to, *words) == 1
        assert "8 done before" in capsys.readouterr().err
    # The same bytes at another time, and other ones.
    put_tree(Path("in"), "bucket/in")
    assert asr("store://bucket/in", folder, to) == 1
    assert listener.num_heard == num_heard
    assert objects("bucket") == before
    sound(Path("in/a/0.wav"), 2)
    put_tree(Path("in"), "bucket/in")
    assert asr("store://bucket/in", folder, to) == 2
    assert "not made of the same audio" in capsys.readouterr().err
    assert asr("store://bucket/in", folder, to, "--overwrite") == 1
    assert listener.num_heard == num_heard + 1
    assert objects("bucket") != before or to == "out"


@pytest.mark.parametrize("no_md5", [False, True])
def test_what_somebody_else_put_is_refused(
    asr: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_md5: bool,
) -> None:
    tree()
    if no_md5:
        monkeypatch.setenv("NO_MD5", "")
    words = ("store://bucket/in", "--output-dir", "store://bucket/out")
    folder_store._put("bucket/out/a/0.txt", b"mine\n")
    assert asr(*words) == 2
    assert "store://bucket/out/a/0.txt is there already" in capsys.readouterr().err
    assert objects("bucket/out") == {"a/0.txt": b"mine\n"}
    assert asr(*words, "--overwrite") == 1
    whole = objects("bucket/out")
    assert whole["a/0.txt"] == b"word 1\n"
    folder_store._put("bucket/out/a/0.txt", b"word 7\n")  # of the same size
    assert asr(*words) == 2
    folder_store._put("bucket/out/failures.jsonl", b"mine")
    folder_store._put("bucket/out/a/0.txt", b"word 1\n")
    assert asr(*words) == 2
    assert "store://bucket/out/failures.jsonl is there already" in capsys.readouterr().err
    assert asr(*words, "--overwrite") == 1
    assert objects("bucket/out") == whole


def test_what_was_removed_is_made_again(asr: Command, listener: Listener) -> None:
    tree()
    words = ("store://bucket/in", "--output-dir", "store://bucket/out")
    assert asr(*words) == 1
    whole = objects("bucket/out")
    num_heard = listener.num_heard
    folder_store._file("bucket/out/a/0.txt").unlink()
    assert asr(*words) == 1
    assert objects("bucket/out") == whole
    assert listener.num_heard == num_heard + 1


# Failures


def test_an_object_that_cannot_be_read_fails_alone(
    asr: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    tree()
    for name in ("forbidden", "unreachable", "odd/1"):
        folder_store._file(f"bucket/in/c/{name}.wav").write_bytes(b"x")
    gone = {"audio_filepath": "store://bucket/in/gone.wav", "id": "g"}
    none = {"audio_filepath": "dir://x/y.wav", "id": "h"}  # of which fsspec makes nothing
    Path("m.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in (gone, none)))
    to = ("--output-dir", "store://bucket/out")
    assert asr("store://bucket/in", "m.jsonl", *to) == 1
    lines = map(json.loads, objects("bucket/out").pop("failures.jsonl").splitlines())
    errors = {line["id"].removeprefix("store://bucket/in/"): line["error"] for line in lines}
    assert errors.pop("a/broken.wav").startswith("store://bucket/in/a/broken.wav: ")
    there = "store://bucket/in"
    assert errors.pop("h").startswith("dir://x: ")
    assert errors == {
        "b/3.wav": "too much",
        "c/forbidden.wav": f"{there}/c/forbidden.wav: no permission (AccessDenied)",
        "c/odd/1.wav": f"{there}/c/odd/1.wav: RuntimeError: the store is closed",
        "c/unreachable.wav": f"{there}/c/unreachable.wav: TimeoutError",
        "g": f"{there}/gone.wav: no such object or folder",
    }
    assert len(objects("bucket/out")) == 8 + 1
    assert "all are in store://bucket/out/failures.jsonl" not in capsys.readouterr().err
    for name in ("c/forbidden", "c/unreachable", "c/odd/1", "b/3", "a/broken"):
        folder_store._file(f"bucket/in/{name}.wav").unlink()
    assert asr("store://bucket/in", *to) == 0
    assert "failures.jsonl" not in objects("bucket/out")


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("store://bucket/forbidden", "store://bucket/forbidden/.asr/journal: no permission"),
        ("store://bucket/unreachable", "store://bucket/unreachable/.asr/journal: TimeoutError"),
        ("nowhere://x", "nowhere://x: no file system is known"),
        ("store://bucket/forbidden/x.jsonl", "store://bucket/forbidden/.asr/x.jsonl.journal: no"),
    ],
)
def test_an_output_that_cannot_be_written_is_one_line(
    asr: Command, capsys: pytest.CaptureFixture[str], to: str, message: str
) -> None:
    tree()
    assert asr("in", "-o", to, "--quiet") in (1, 2)
    err = capsys.readouterr().err
    assert err.startswith(f"asr: {message}")
    assert len(err.splitlines()) == 1


def test_a_store_that_fails_midway_loses_nothing(
    asr: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree()
    words = ("store://bucket/in", "--output-format", "txt,json", "--output-dir")
    assert asr(*words, "store://bucket/whole") == 1
    put, hints = folder_store._put, list[str]()
    capsys.readouterr()
    for after in range(1, 30):
        left = iter(range(after, -1, -1))

        def failing(key: str, data: bytes, left: Iterator[int] = left) -> None:
            if next(left, 0) == 0:
                raise ConnectionError("the line is dead")
            put(key, data)

        with monkeypatch.context() as patch:
            patch.setattr(folder_store, "_put", failing)
            code = asr(*words, "store://bucket/out", "--quiet")
        assert code == 1
        *hint, message = capsys.readouterr().err.splitlines()
        if "the line is dead" not in message:
            break
        assert message.startswith("asr: store://bucket/out/")
        hints += hint
    else:
        pytest.fail("it gets nowhere")
    assert after > 5
    start = "asr: what was done is kept; to go on: asr transcribe"
    assert len(hints) > 3
    assert all(one.startswith(start) for one in hints)
    assert objects("bucket/out") == objects("bucket/whole")


def test_the_word_file_is_no_file_system(asr: Command) -> None:
    tree()
    assert asr(f"file://{Path.cwd()}/in", "--output-dir", f"file://{Path.cwd()}/out") == 1
    assert (Path("out") / ".asr" / "journal.jsonl").exists()
    assert len(content("out")) == 8 + 1


def test_folders_of_killed_processes_are_removed(asr: Command, tmp_path: Path) -> None:
    tree()
    left = tmp_path / "tmp" / "asr-fetched-left"
    left.mkdir()
    (left / "0.wav").write_bytes(b"private")
    (left / "in-use").touch()
    assert asr("store://bucket/in/a/0.wav") == 0
    assert not left.exists()
    assert os.listdir(tmp_path / "tmp") == []


def test_nothing_of_it_is_imported_for_files(tmp_path: Path) -> None:
    sound(tmp_path / "x.wav", 1)
    program = (
        "import sys\nfrom pipelines.inputs import gather\n"
        f"gather([{str(tmp_path)!r}])\nprint('fsspec' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.stdout == "False\n"
