"""Copies of recordings, found by what their files hold."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.manifest import Utterance
from asr.mistakes import duplicate_audio
from pipelines import recordings
from pipelines.recordings import file_digests


def utterance(key: str, audio: Path, offset_s: float = 0.0) -> Utterance:
    return Utterance(id=key, audio=audio, duration_s=1.0, offset_s=offset_s)


@given(st.lists(st.binary(max_size=3), max_size=8))
def test_copies_and_only_copies_share_a_digest(contents: list[bytes]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        items = []
        for n, content in enumerate(contents):
            path = Path(name) / str(n)
            path.write_bytes(content * 3_000)
            items.append(utterance(str(n), path))
        found = file_digests(items)
    for n, content in enumerate(contents):
        copies = {str(k) for k, other in enumerate(contents) if other == content}
        alike = {key for key, one in found.items() if one == found.get(str(n))}
        assert alike == (copies if len(copies) > 1 else set())


def test_where_a_stretch_starts_tells_it_from_others(tmp_path: Path) -> None:
    first, copy, other = (tmp_path / name for name in "abc")
    first.write_bytes(bytes(10_000))
    copy.write_bytes(bytes(10_000))
    other.write_bytes(bytes(9_999) + b"x")
    items = [
        *(utterance("a0", first), utterance("a5", first, 5.0), utterance("b5", copy, 5.0)),
        *(utterance("c5", other, 5.0), utterance("gone", tmp_path / "gone")),
    ]
    (same,) = duplicate_audio(items, file_digests(items))
    assert same.value == f"{first} from 5 s"
    assert same.ids == ("a5", "b5")


def test_only_what_may_be_a_copy_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"a": 20_000, "b": 20_000, "c": 20_000, "d": 30_000}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes((b"x" if name == "c" else b"y") * size)
    read: dict[str, list[str]] = {"_middle": [], "_digest": []}

    def spy(name: str) -> None:
        real = getattr(recordings, name)

        def spied(path: Path) -> bytes:
            read[name].append(path.name)
            return bytes(real(path))

        monkeypatch.setattr(recordings, name, spied)

    for name in read:
        spy(name)
    found = file_digests([utterance(name, tmp_path / name) for name in sizes])
    assert read == {"_middle": ["a", "b", "c"], "_digest": ["a", "b"]}
    assert found.keys() == {"a", "b"}


def test_links_and_folders_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"sound")
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder2").mkdir()
    (tmp_path / "broken").symlink_to(tmp_path / "gone")
    names = ("a", "b", "folder", "folder2", "broken")
    found = file_digests([utterance(name, tmp_path / name) for name in names])
    assert found.keys() == {"a", "b"}


def test_channels_of_a_recording_are_different_sounds(tmp_path: Path) -> None:
    first, copy = tmp_path / "a", tmp_path / "b"
    for path in (first, copy):
        path.write_bytes(bytes(10_000))
    items = [
        Utterance(id=f"{path.name}{channel}", audio=path, duration_s=1.0, channel=channel)
        for path in (first, copy)
        for channel in (None, 0, 1)
    ]
    found = file_digests(items)
    assert [found[f"a{n}"] for n in (None, 0, 1)] == [found[f"b{n}"] for n in (None, 0, 1)]
    assert len(set(found.values())) == 3
    assert duplicate_audio(items[:3]) == []
