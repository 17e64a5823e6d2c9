import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import ManifestError
from asr.manifest import KEYS, Utterance, read_manifest, to_json_line, write_manifest

SECONDS = st.floats(0, 1e6)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = TEXT.filter(bool)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
PATHS = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1)
    .map(str.strip)
    .filter(lambda part: part not in ("", ".", "..")),
    min_size=1,
    max_size=3,
).map(lambda parts: Path(*parts))
UTTERANCES = st.builds(
    Utterance,
    id=NAMES,
    audio=PATHS.map(lambda path: Path("/corpus") / path),
    duration_s=st.none() | SECONDS,
    text=st.none() | TEXT,
    offset_s=SECONDS,
    channel=st.none() | st.integers(0, 7),
    speaker=st.none() | NAMES,
    language=st.none() | NAMES,
    extra=st.dictionaries(TEXT.filter(lambda key: key not in KEYS), JSON, max_size=3),
)


def write(folder: Path, *lines: str | dict[str, object], name: str = "train.jsonl") -> Path:
    path = folder / name
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts), "utf-8")
    return path


def ids(path: Path) -> list[str]:
    return [utterance.id for utterance in read_manifest(path)]


def test_nemo_keys_are_read_under_our_names(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"audio_filepath": "a.wav", "duration": 2, "text": "hi", "offset": 1.5, "speaker": 7,
         "id": "u", "lang": "en", "pred_text": "ho", "beams": [[1]]},
    )  # fmt: skip
    (utterance,) = read_manifest(path)
    assert utterance == Utterance(
        id="u",
        audio=tmp_path / "a.wav",
        duration_s=2.0,
        text="hi",
        offset_s=1.5,
        speaker="7",
        language="en",
        extra={"pred_text": "ho", "beams": [[1]]},
    )
    assert utterance.line == 1


def test_what_is_not_known_is_none(tmp_path: Path) -> None:
    (utterance,) = read_manifest(write(tmp_path, {"audio_filepath": "a.wav", "text": None}))
    assert (utterance.duration_s, utterance.text, utterance.speaker) == (None, None, None)
    assert (utterance.offset_s, utterance.language, dict(utterance.extra)) == (0.0, None, {})


def test_line_has_nemos_keys_in_order() -> None:
    utterance = Utterance(
        id="u",
        audio=Path("a.wav"),
        duration_s=2.5,
        text="né",
        speaker="s",
        extra={"pred_text": "x"},
    )
    assert to_json_line(utterance) == (
        '{"audio_filepath": "a.wav", "duration": 2.5, "text": "né", "speaker": "s", "id": "u", '
        '"pred_text": "x"}'
    )


@given(st.lists(UTTERANCES))
def test_what_was_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, utterances: list[Utterance]
) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.jsonl"
    write_manifest(path, utterances)
    assert read_manifest(path) == utterances
    lines = path.read_bytes().splitlines()
    assert all(set(json.loads(line)) >= {"audio_filepath", "id"} for line in lines)


def test_audio_below_the_manifest_is_named_relative_other_absolute(tmp_path: Path) -> None:
    for audio, written in [
        (tmp_path / "clips" / "a.wav", "clips/a.wav"),
        (tmp_path / "x" / ".." / "a.wav", "a.wav"),
        (tmp_path.parent / "a.wav", str(tmp_path.parent / "a.wav")),
    ]:
        line = to_json_line(Utterance(id="u", audio=audio, duration_s=1.0), relative_to=tmp_path)
        assert json.loads(line)["audio_filepath"] == written


def test_a_relative_folder_moves_with_its_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    utterance = Utterance(id="u", audio=Path("data/clips/a.wav"), duration_s=None)
    write_manifest("data/train.jsonl", [utterance])
    Path("data").rename("moved")
    assert read_manifest("moved/train.jsonl")[0].audio == Path("moved/clips/a.wav")


def test_relative_paths_start_at_root_or_manifest_or_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "here.wav").touch()
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "lists", {"audio_filepath": "here.wav"}, {"audio_filepath": "no.wav"})
    assert [item.audio for item in read_manifest(path)] == [
        Path("here.wav"),
        tmp_path / "lists" / "no.wav",
    ]
    rooted = read_manifest(path, root="/elsewhere")
    assert [item.audio for item in rooted] == [
        Path("/elsewhere/here.wav"),
        Path("/elsewhere/no.wav"),
    ]
    (tmp_path / "lists" / "here.wav").touch()
    assert read_manifest(path)[0].audio == tmp_path / "lists" / "here.wav"


def test_every_bad_line_is_reported_at_once(tmp_path: Path) -> None:
    bad: dict[int, tuple[str, str]] = {
        2: ("{", "expected JSON: Expecting property name"),
        3: ("3", "expected a JSON object, received int"),
        4: ('{"duration": 1}', "audio_filepath: expected a path, received a line without"),
        5: ('{"audio_filepath": "a", "duration": -1, "text": 3}', "duration: .*; text: expected"),
        6: ('{"audio_filepath": "a", "duration": NaN}', "constant NaN"),
        7: ('{"audio_filepath": "a", "duration": "3.2"}', "received '3.2'"),
        8: ('{"audio_filepath": "a", "duration": true}', "received True"),
        9: (f'{{"audio_filepath": "a", "duration": 1{"0" * 400}}}', "duration: expected seconds"),
        10: ('{"audio_filepath": "a", "id": ""}', "id: expected a name, received ''"),
        11: ('{"audio_filepath": "a\\u0000b"}', "audio_filepath"),
        12: ('{"audio_filepath": "a", "text": "\\ud800"}', "text: expected text"),
        13: ('{"audio_filepath": "a", "id": "1", "id": "2"}', "repeated: id"),
        14: ("[" * 100_000, "expected JSON"),
        15: ('{"audio_filepath": "a", "offset": 1e999}', "offset: expected seconds"),
    }
    path = write(tmp_path, {"audio_filepath": "ok"}, *[line for line, _ in bad.values()], "", "  ")
    with path.open("ab") as file:
        file.write(b'{"audio_filepath": "caf\xe9"}\n')
    bad[18] = ("", "expected UTF-8, received byte 0xe9 at 23")
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    head, *listed = str(caught.value).splitlines()
    assert head == f"{path}: 15 lines cannot be understood"
    assert len(listed) == len(bad)
    for line, (number, (_, message)) in zip(listed, bad.items(), strict=True):
        assert line.startswith(f"  train.jsonl:{number}: ")
        assert re.search(message, line)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[\n{"audio_filepath": "a"}\n]', "received a JSON array"),
        ('{"audio_filepath": "a"}'.encode("utf-16"), "received UTF-16"),
    ],
)
def test_another_kind_of_file_is_named_as_such(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "m.json").write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path / "m.json")


def test_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"absent\.jsonl: expected a readable file: No such"):
        read_manifest(tmp_path / "absent.jsonl")
    with pytest.raises(ManifestError, match="Is a directory"):
        read_manifest(tmp_path)


def test_byte_order_mark_windows_ends_and_odd_separators_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    line = '{"audio_filepath": "a.wav", "text": "one\u2028two"}'
    path.write_bytes(f"\ufeff{line}\r\n\r\n{line}".encode())
    assert [(item.line, item.text) for item in read_manifest(path)] == [
        (1, "one\u2028two"),
        (3, "one\u2028two"),
    ]


def test_ids_derive_from_the_path_and_are_unique(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"audio_filepath": "clips/my file.wav"},
        {"audio_filepath": "clips/my file.wav", "offset": 12.5},
        {"audio_filepath": "clips/my file.flac"},
        {"audio_filepath": str(tmp_path / "clips" / "my file.mp3")},
        {"audio_filepath": "/far/away.wav"},
        {"audio_filepath": "b.wav"},
        {"audio_filepath": "c.wav", "id": "b"},
    )
    assert ids(path) == [
        "clips/my_file",
        "clips/my_file@12.5",
        "clips/my_file#2",
        "clips/my_file#3",
        "far/away",
        "b#2",
        "b",
    ]


@given(st.lists(st.sampled_from(["a.wav", "a.flac", "b.wav", "a#2.wav", "c d.wav"]), min_size=1))
def test_derived_ids_are_unique_and_do_not_depend_on_later_lines(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    lines: list[dict[str, object]] = [{"audio_filepath": name} for name in names]
    folder = tmp_path_factory.getbasetemp()
    derived = ids(write(folder, *lines))
    assert len(set(derived)) == len(names)
    assert ids(write(folder, *lines[:-1])) == derived[:-1]


def test_a_channel_is_part_of_an_id_counted_from_1(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"audio_filepath": "a.wav", "channel": 0},
        {"audio_filepath": "a.wav", "channel": 1, "offset": 2.5},
        {"audio_filepath": "a.wav", "channel": None},
    )
    assert [(item.id, item.channel) for item in read_manifest(path)] == [
        *(("a.1", 0), ("a.2@2.5", 1), ("a", None)),
    ]


@pytest.mark.parametrize("channel", ["left", "1", -1, 1.0, True, 1 << 40])
def test_other_channels_are_refused(tmp_path: Path, channel: object) -> None:
    path = write(tmp_path, {"audio_filepath": "a.wav", "channel": channel})
    with pytest.raises(ManifestError, match="channel: expected a channel's number, from 0 on"):
        read_manifest(path)


def test_given_ids_are_kept_even_when_repeated(tmp_path: Path) -> None:
    line: dict[str, object] = {"audio_filepath": "a.wav", "id": "u"}
    assert ids(write(tmp_path, line, line)) == ["u", "u"]


def test_file_name_that_is_not_utf8_round_trips(tmp_path: Path) -> None:
    audio = tmp_path / "caf\udce9.wav"
    write_manifest(tmp_path / "m.jsonl", [Utterance(id="ü", audio=audio, duration_s=1.0)])
    assert read_manifest(tmp_path / "m.jsonl")[0].audio == audio


@pytest.mark.parametrize("extra", [{"duration": 3.0}, {"text": "x", "id": "y"}])
def test_extra_keys_cannot_shadow_known_ones(extra: dict[str, object]) -> None:
    with pytest.raises(ManifestError, match=", ".join(sorted(extra))):
        Utterance(id="u", audio=Path("a"), duration_s=None, extra=extra)


@pytest.mark.parametrize("value", [float("nan"), Path("x")])
def test_what_json_cannot_hold_is_refused_and_no_file_is_left(
    tmp_path: Path, value: object
) -> None:
    bad = Utterance(id="u7", audio=Path("a"), duration_s=None, extra={"x": value})
    with pytest.raises(ManifestError, match="u7"):
        write_manifest(tmp_path / "m.jsonl", [bad])
    assert list(tmp_path.iterdir()) == []
