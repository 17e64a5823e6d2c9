"""What a command line means as recordings, and what they are called."""

import atexit
import io
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import SUFFIXES
from asr.errors import ManifestError
from pipelines import spool
from pipelines.inputs import Recording, gather
from pipelines.usage import UsageError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*paths: str) -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def stereo(path: str, num_channels: int = 2) -> None:
    soundfile.write(path, np.full((800, num_channels), 0.1, np.float32), 16_000)


def manifest(path: str, *records: Mapping[str, object]) -> None:
    Path(path).write_text("".join(f"{json.dumps(dict(record))}\n" for record in records), "utf-8")


def names(found: list[Recording]) -> dict[str, str]:
    """Names by what the user knows the recordings by."""
    return {one.utterance.id: one.name for one in found}


@pytest.mark.usefixtures("here")
def test_names_begin_below_all_that_was_given() -> None:
    make("calls/monday/1.wav", "calls/monday/late/2.flac", "calls/3.WAV", "mail/1.wav", "x.wav")
    assert names(gather(["calls"])) == {
        "calls/3.WAV": "3",
        "calls/monday/1.wav": "monday/1",
        "calls/monday/late/2.flac": "monday/late/2",
    }
    assert names(gather(["mail", "calls/monday/"])) == {
        "mail/1.wav": "mail/1",
        "calls/monday/1.wav": "calls/monday/1",
        "calls/monday/late/2.flac": "calls/monday/late/2",
    }
    assert names(gather(["x.wav"])) == {"x.wav": "x"}
    assert names(gather(["mail/1.wav", "calls/3.WAV"])) == {
        "mail/1.wav": "mail/1",
        "calls/3.WAV": "calls/3",
    }
    assert names(gather(["calls/monday/1.wav", "calls/monday/late/../no.wav"])) == {
        "calls/monday/1.wav": "1",
        "calls/monday/late/../no.wav": "no",
    }


@pytest.mark.usefixtures("here")
def test_a_recording_is_known_by_its_path_and_read_from_there() -> None:
    make("calls/1.wav")
    (one,) = gather(["calls"])
    assert one.utterance.audio == Path("calls/1.wav")
    assert (one.utterance.duration_s, one.utterance.text, one.channel) == (None, None, None)


@pytest.mark.usefixtures("here")
def test_the_same_name_with_two_suffixes_keeps_them() -> None:
    make("a/x.wav", "a/x.flac", "a/y.wav", "a/X.ogg")
    assert names(gather(["a"])) == {
        "a/X.ogg": "X.ogg",
        "a/x.flac": "x.flac",
        "a/x.wav": "x.wav",
        "a/y.wav": "y",
    }


@pytest.mark.usefixtures("here")
def test_only_the_suffix_of_a_recording_is_left_out() -> None:
    make("talk.2024.wav", "talk.raw", "talk")
    assert [one.name for one in gather(["talk.2024.wav", "talk.raw", "talk"])] == [
        *("talk.2024", "talk.raw", "talk"),
    ]


@pytest.mark.usefixtures("here")
def test_a_folder_gives_recordings_in_order_and_nothing_hidden() -> None:
    kinds = sorted(SUFFIXES)
    make(*(f"d/{n}{kind}" for n, kind in enumerate(kinds)))
    make("d/notes.txt", "d/.hidden.wav", "d/.trash/1.wav", "d/._5.mp3", "d/list.jsonl", "d/wav")
    paths = [one.utterance.id for one in gather(["d"])]
    assert paths == sorted(f"d/{n}{kind}" for n, kind in enumerate(kinds))


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
@pytest.mark.usefixtures("here")
def test_links_are_followed_but_not_in_circles() -> None:
    make("d/a/1.wav", "elsewhere/2.wav")
    os.symlink("../../elsewhere", "d/a/more")
    os.symlink("..", "d/a/back")
    assert [one.name for one in gather(["d"])] == ["a/1", "a/more/2"]


@pytest.mark.usefixtures("here")
def test_patterns_that_no_shell_has_expanded() -> None:
    make("calls/a/1.wav", "calls/b/2.wav", "calls/3.flac", "calls/.c/4.wav", "calls/[5].wav")
    assert [one.name for one in gather(["calls/**/*.wav"])] == ["[5]", "a/1", "b/2"]
    assert [one.name for one in gather(["calls/?"])] == ["a/1", "b/2"]
    assert [one.name for one in gather(["calls/a/*.wav"])] == ["1"]
    assert [one.name for one in gather(["calls/[5].wav"])] == ["[5]"], "a file of that name"
    assert [one.name for one in gather([str(Path.cwd() / "calls" / "*.flac")])] == ["3"]
    # What finds nothing is a file that is not there; so is what means nothing as a pattern.
    assert names(gather(["calls/3.flac", "*.ogg", "**wav"])) == {
        "calls/3.flac": "calls/3",
        "*.ogg": "*",
        "**wav": "**wav",
    }


@pytest.mark.usefixtures("here")
def test_each_file_is_there_once_and_where_it_came_first() -> None:
    make("d/1.wav", "d/2.wav")
    assert [one.utterance.id for one in gather(["d/2.wav", "d", "./d/1.wav"])] == [
        *("d/2.wav", "d/1.wav"),
    ]


@pytest.mark.usefixtures("here")
def test_what_is_missing_among_others_is_left_to_fail() -> None:
    make("a.wav")
    assert names(gather(["a.wav", "no.wav", "no*.wav"])) == {
        **{"a.wav": "a", "no.wav": "no", "no*.wav": "no*"},
    }
    for missing in (["no.wav"], ["no.wav", "nor.wav"], ["no*.wav"]):
        with pytest.raises(UsageError, match=r"no such file: no"):
            gather(missing)


@pytest.mark.usefixtures("here")
def test_nothing_at_all_says_what_was_looked_for() -> None:
    make("d/notes.txt")
    with pytest.raises(UsageError, match=r"found no recordings in d; looked for .*\.flac.*\.wav"):
        gather(["d"])
    with pytest.raises(UsageError, match="expected recordings, folders"):
        gather([])


@pytest.mark.usefixtures("here")
def test_lists_are_named_by_their_ids() -> None:
    make("x.wav")
    manifest("a.jsonl", {"audio_filepath": "x.wav", "id": "clips/1"}, {"audio_filepath": "x.wav"})
    Path("b.csv").write_text("wav_filename,transcript\nx.wav,hello\n", "utf-8")
    Path("kaldi").mkdir()
    Path("kaldi/wav.scp").write_text("u1 x.wav\n", "utf-8")
    found = gather(["a.jsonl", "b.csv", "kaldi", "x.wav"])
    assert [one.name for one in found] == ["clips/1", "x", "x#2", "u1", "x.wav"]
    assert found[2].utterance.text == "hello"
    assert {str(one.utterance.audio) for one in found} == {"x.wav"}
    (rooted, _) = gather(["a.jsonl"], root=Path("/far"))
    assert rooted.utterance.audio == Path("/far/x.wav")


@pytest.mark.usefixtures("here")
def test_a_list_that_is_empty_or_broken_is_refused() -> None:
    make("x.wav")
    manifest("empty.jsonl")
    with pytest.raises(ManifestError, match=r"empty\.jsonl: expected at least one recording"):
        gather(["x.wav", "empty.jsonl"])
    with pytest.raises(ManifestError, match=r"no\.jsonl: expected a readable file"):
        gather(["no.jsonl"])


# Standard input


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def give(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give


@pytest.mark.usefixtures("here")
def test_audio_on_standard_input_is_kept_privately_until_the_end(
    stdin: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_exit: list[Callable[[], object]] = []
    monkeypatch.setattr(
        atexit, "register", lambda call, *given: at_exit.append(lambda: call(*given))
    )
    stdin(b"sound")
    (one,) = gather(["-"])
    path = one.utterance.audio
    assert (one.name, one.utterance.id, path.read_bytes()) == ("stdin", "stdin", b"sound")
    if os.name == "posix":
        assert path.parent.stat().st_mode & 0o077 == 0
    for call in at_exit:
        call()
    assert not path.parent.exists()


def test_a_copy_of_the_process_leaves_the_file_to_the_first(tmp_path: Path) -> None:
    spool._remove(tmp_path, os.getpid() + 1)
    assert tmp_path.exists()


def test_a_terminal_is_no_recording(
    stdin: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(b"")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    with pytest.raises(UsageError, match="received a terminal"):
        gather(["-"])


@pytest.mark.usefixtures("here")
def test_names_ended_by_nul(stdin: Callable[[bytes], None]) -> None:
    odd = ["./a/new\nline.wav", "b/*.wav", "-", "b/list.jsonl", "a/caf\udce9.wav"]
    make(*odd)
    stdin(b"\0".join(map(os.fsencode, odd)) + b"\0")
    found = gather([], files0_from="-")
    assert [one.utterance.audio for one in found] == list(map(Path, odd))
    assert [one.utterance.id for one in found] == [
        *("a/new\nline.wav", "b/*.wav", "-", "b/list.jsonl", "a/caf?.wav"),
    ]
    assert [one.name for one in found] == ["a/new_line", "b/*", "-", "b/list.jsonl", "a/caf_"]
    Path("names").write_bytes(b"b/*.wav\0-")
    assert [one.utterance.id for one in gather([], files0_from="names")] == ["b/*.wav", "-"]


def test_names_that_cannot_be_read_are_refused(here: Path, stdin: Callable[[bytes], None]) -> None:
    make("x.wav")
    (here / "names").write_bytes(b"x.wav\0\0x.wav")
    for source, message in [
        ("names", "received an empty one"),
        ("absent", "--files0-from absent: No such file"),
    ]:
        with pytest.raises(UsageError, match=message):
            gather([], files0_from=source)
    stdin(b"")
    with pytest.raises(UsageError, match="found no recordings in the list of names"):
        gather([], files0_from="-")
    with pytest.raises(UsageError, match="not both"):
        gather(["-"], files0_from="-")


# Channels


@pytest.mark.usefixtures("here")
def test_channels_are_mixed_chosen_or_taken_apart() -> None:
    stereo("s.wav")
    stereo("m.wav", 1)
    make("broken.wav")
    given = ["s.wav", "m.wav", "broken.wav"]

    def channels(choice: str) -> list[tuple[str, int | None]]:
        return [(one.name, one.channel) for one in gather(given, channels=choice)]

    assert channels("mix") == [("s", None), ("m", None), ("broken", None)]
    assert channels("left") == [("s", 0), ("m", 0), ("broken", 0)]
    assert channels("right") == channels("2") == [("s", 1), ("m", 1), ("broken", 1)]
    assert channels("each") == [("s.1", 0), ("s.2", 1), ("m", None), ("broken", None)]
    ids = [one.utterance.id for one in gather(given, channels="each")]
    assert ids == ["s.wav.1", "s.wav.2", "m.wav", "broken.wav"]


@pytest.mark.usefixtures("here")
def test_a_line_that_says_its_channel_is_taken_at_its_word() -> None:
    stereo("s.wav", 3)
    manifest(
        "a.jsonl",
        {"audio_filepath": "s.wav", "id": "u", "channel": 2},
        {"audio_filepath": "s.wav", "id": "v", "text": "hello"},
    )
    for choice, expected in [
        ("mix", {"u": 2, "v": None}),
        ("left", {"u": 2, "v": 0}),
        ("each", {"u": 2, "v.1": 0, "v.2": 1, "v.3": 2}),
    ]:
        found = gather(["a.jsonl"], channels=choice)
        assert {one.name: one.channel for one in found} == expected
        assert {one.utterance.id for one in found} == expected.keys()


@pytest.mark.parametrize("choice", ["0", "-1", "both", "1.5", "", "²", "99999999999"])
@pytest.mark.usefixtures("here")
def test_other_channels_are_refused(choice: str) -> None:
    make("x.wav")
    with pytest.raises(UsageError, match="--channels: expected mix, left, right, each or a number"):
        gather(["x.wav"], channels=choice)


# Names, whatever the files are called

PARTS = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda part: part not in (".", ".."))
ODD = st.sampled_from(
    ["-", "*", "a", "A", "a.txt", "a.wav", "a b", "é", "e\u0301", "x.1", "~", "\n", "..a", "#2"]
)
PATHS = st.lists(
    st.tuples(st.lists(ODD | PARTS, max_size=2), ODD | PARTS, st.sampled_from(sorted(SUFFIXES))),
    min_size=1,
    max_size=12,
)


@given(PATHS)
def test_names_of_files_are_unique_inside_and_the_same_each_time(
    tmp_path_factory: pytest.TempPathFactory,
    paths: list[tuple[list[str], str, str]],
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    for parts, stem, suffix in paths:
        path = folder.joinpath(*parts, stem + suffix)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        except OSError:
            continue  # a folder of one where the file of another is
    there = [path for path in folder.rglob("*") if path.is_file()]
    assert there
    raw = b"\0".join(os.fsencode(path) for path in sorted(there))
    (folder / "names").write_bytes(raw)
    found = gather([], files0_from=str(folder / "names"))
    assert [one.utterance.audio for one in found] == sorted(there)
    assert_fit([one.name for one in found])
    assert gather([], files0_from=str(folder / "names")) == found


@given(st.lists(ODD | st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=12))
def test_ids_become_names_that_are_unique_and_inside(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "ids.jsonl"
    records: list[dict[str, object]] = [{"audio_filepath": "x", "id": id_} for id_ in [*ids, "z"]]
    manifest(str(path), *records)
    found = gather([str(path)])
    assert [one.utterance.id for one in found] == [*ids, "z"]
    assert_fit([one.name for one in found])


def assert_fit(given: list[str]) -> None:
    """Every name a file below a folder, none the same as another's or in its way."""
    files = [f"{name}.{form}".casefold() for name in given for form in ("txt", "json", "srt")]
    assert len(set(files)) == len(files)
    folders = {str(parent) for file in files for parent in PurePosixPath(file).parents}
    assert not folders & set(files)
    for name in given:
        path = PurePosixPath(name)
        assert str(path) == name
        assert not path.is_absolute()
        assert not any(part.startswith(".") or len(part.encode()) > 200 for part in path.parts)
        assert not any(character in name for character in "\n\r\0\x1b\x7f\u2028\\")


@pytest.mark.parametrize(
    ("id_", "name"),
    [
        ("../../etc/passwd", "__/__/etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        (".asr/journal", "_asr/journal"),
        ("a//b/./c", "a/b/c"),
        ("..\\..\\x", "___.._x"),
        ("/", "_"),
        ("failures", "failures#2"),
        ("नमस्ते दुनिया", "नमस्ते दुनिया"),
    ],
)
@pytest.mark.usefixtures("here")
def test_names_that_would_lead_elsewhere(id_: str, name: str) -> None:
    manifest("a.jsonl", {"audio_filepath": "x", "id": id_})
    assert [one.name for one in gather(["a.jsonl"])] == [name]


@pytest.mark.usefixtures("here")
def test_long_names_are_cut_and_still_differ() -> None:
    ids = ["é" * 300 + tail for tail in "ab"] + ["a/" * 3_000 + tail for tail in "ab"]
    manifest("a.jsonl", *({"audio_filepath": "x", "id": id_} for id_ in ids))
    found = [one.name for one in gather(["a.jsonl"])]
    assert_fit(found)
    assert all(len(name.encode()) <= 1_000 for name in found)
    assert found[0][:50] == "é" * 50
    assert not any("#" in name for name in found), "each differs by a digest of its own"
