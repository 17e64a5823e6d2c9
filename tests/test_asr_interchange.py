from pathlib import Path

import pytest

from asr.errors import ManifestError
from asr.interchange import read_utterances
from asr.manifest import Utterance


def kaldi(folder: Path, **files: str) -> Path:
    """A data directory: `wav_scp="…"` becomes the file wav.scp."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("wav_scp", "wav.scp")).write_text(content, "utf-8")
    return folder


def faults(path: Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read_utterances(path)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_kaldi_directory_without_segments(tmp_path: Path) -> None:
    folder = kaldi(
        tmp_path / "data",
        wav_scp="s1-a a.wav\ns1-b /far/b c.flac\n",
        text="s1-a hello  world\ns1-b\n",
        utt2spk="s1-a s1\ns1-b s1\n",
        utt2dur="s1-a 1.25\n",
    )
    assert read_utterances(folder) == [
        Utterance(
            id="s1-a", audio=folder / "a.wav", duration_s=1.25, text="hello  world", speaker="s1"
        ),
        Utterance(id="s1-b", audio=Path("/far/b c.flac"), duration_s=None, text="", speaker="s1"),
    ]
    assert [item.line for item in read_utterances(folder)] == [1, 2]
    assert read_utterances(folder, root="/root")[0].audio == Path("/root/a.wav")


def test_kaldi_directory_with_segments(tmp_path: Path) -> None:
    folder = kaldi(
        tmp_path,
        wav_scp="r1 a.wav\nr2\tb.wav\n",
        segments="r1-1 r1 1.2 1.3\nr1-2 r1 1.30 -1\nr2-1  r2  0 4\n",
        text="r1-1 eins\nr2-1 zwei\n",
    )
    audio = (folder / "a.wav", folder / "b.wav")
    assert read_utterances(folder) == [
        Utterance(id="r1-1", audio=audio[0], offset_s=1.2, duration_s=0.1, text="eins"),
        Utterance(id="r1-2", audio=audio[0], offset_s=1.3, duration_s=None),
        Utterance(id="r2-1", audio=audio[1], offset_s=0.0, duration_s=4.0, text="zwei"),
    ]


def test_commands_are_refused_with_their_line_and_never_run(tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    folder = kaldi(
        tmp_path / "data",
        wav_scp=f"a a.wav\nb touch {proof} |\nc | touch {proof}\nd raw.ark:17\n",
        text="a x\nb y\n",
    )
    listed = faults(folder)
    assert [line.partition(": expected")[0] for line in listed] == [
        "wav.scp:2: b",
        "wav.scp:3: c",
        "wav.scp:4: d",
    ]
    assert "received a command, which is not run" in listed[0]
    assert not proof.exists()


def test_all_faults_of_all_tables_are_listed(tmp_path: Path) -> None:
    folder = kaldi(
        tmp_path,
        wav_scp="r1 a.wav\nr1 b.wav\nr2\n",
        segments="u1 r1 3 2\nu2 r9 0 1\nu3 r1 0\nu4 r1 x 1\nu5 r1 0 nan\n"
        "u6 r1 0 1\nu6 r1 0 1\nu7 r2 0 1\n",
        text="u9 who\nu1 known\n",
        utt2spk="u8 s\n",
        utt2dur="u6 -1\n",
    )
    assert [line.split(" expected")[0].split(" received")[0] for line in faults(folder)] == [
        "wav.scp:2: r1 stands on line 1 already",
        "segments:7: u6 stands on line 6 already",
        "wav.scp:3: r2:",
        "segments:1: u1:",
        "segments:2: u2: recording r9 is not in wav.scp",
        "segments:3: u3:",
        "segments:4: u4:",
        "segments:5: u5:",
        "text:1: u9 is no utterance of this folder",
        "utt2spk:1: u8 is no utterance of this folder",
        "utt2dur:1: u6:",
    ]


def test_a_folder_without_wav_scp_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"expected a Kaldi data directory with wav\.scp"):
        read_utterances(tmp_path)


def test_coqui_csv(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text(
        "wav_filename,wav_filesize,transcript,speaker,duration,client\n"
        'clips/a.wav,3200,"hello, ""you""",s1,1.5,x\n'
        "\n"
        'clips/b.wav,1,"two\nlines",,,\n'
        "clips/c.wav,,,,,\n",
        "utf-8",
    )
    assert read_utterances(path) == [
        Utterance(
            id="clips/a",
            audio=tmp_path / "clips/a.wav",
            duration_s=1.5,
            text='hello, "you"',
            speaker="s1",
            extra={"client": "x"},
        ),
        Utterance(id="clips/b", audio=tmp_path / "clips/b.wav", duration_s=None, text="two\nlines"),
        Utterance(id="clips/c", audio=tmp_path / "clips/c.wav", duration_s=None, text=""),
    ]
    assert [item.line for item in read_utterances(path)] == [2, 4, 6]


def test_every_bad_row_is_listed_with_the_line_it_starts_on(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(
        b"wav_filename,transcript,duration\n"
        b"a.wav,x\n"
        b",x,1\n"
        b"a.wav,x,long\n"
        b'a.wav,"x\ny",1,2\n'
        b"a.wav,caf\xe9,1\n"
        b'a.wav,"never closed,1\n'
    )
    listed = faults(path)
    starts = ["expected 3 columns, received 2", "audio_filepath", "expected seconds"]
    starts += ["expected 3 columns, received 4", "text: expected text", "expected 3 columns"]
    assert [line.split(": ")[0] for line in listed] == [
        f"train.csv:{number}" for number in (2, 3, 4, 5, 7, 8)
    ]
    assert all(start in line for start, line in zip(starts, listed, strict=True))
    assert "broken CSV" in listed[-1]


@pytest.mark.parametrize(
    "header",
    ["", "path,sentence", "wav_filename,wav_filesize", "wav_filename,transcript,transcript"],
)
def test_csv_with_other_columns_is_refused(tmp_path: Path, header: str) -> None:
    (tmp_path / "x.CSV").write_text(f"{header}\na,b\n")
    with pytest.raises(ManifestError, match="expected columns wav_filename, transcript once each"):
        read_utterances(tmp_path / "x.CSV")


@pytest.mark.parametrize("name", ["m.jsonl", "m.json", "manifest"])
def test_other_files_are_nemo_manifests(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"audio_filepath": "a.wav", "text": "x"}\n')
    (utterance,) = read_utterances(tmp_path / name)
    assert (utterance.id, utterance.text) == ("a", "x")


def test_a_channel_in_csv_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("wav_filename,transcript,channel\na.wav,hi,1\na.wav,ho,\n", "utf-8")
    assert [item.channel for item in read_utterances(path)] == [1, None]
    path.write_text("wav_filename,transcript,channel\na.wav,hi,left\n", "utf-8")
    assert faults(path) == [
        "train.csv:2: channel: expected a channel's number, from 0 on, received 'left'"
    ]
