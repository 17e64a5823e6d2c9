"""Importers on small corpora in their own layouts, splits by speaker, and joined utterances."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import load_audio
from asr.errors import AsrError, ManifestError, OptionsError
from asr.manifest import Utterance, read_manifest
from pipelines.augment import narrow_band
from pipelines.prepare import add_arguments, find_corpus, run
from pipelines.prepare.corpora import CORPORA
from pipelines.prepare.corpus import Fault, Side, files_below
from pipelines.prepare.join import JoinOptions, join, plan
from pipelines.prepare.preparation import PrepareOptions, prepare
from pipelines.prepare.splits import SplitOptions, deal, split, split_by_speaker

RATE = 8000


def tone(path: Path, duration_s: float = 0.2, *, hertz: float = 300.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    time_s = np.arange(round(duration_s * RATE)) / RATE
    samples = 0.3 * np.sin(2 * np.pi * hertz * time_s)
    # libsndfile does not go by the ending .sph.
    container = {".sph": "NIST", ".opus": "OGG"}.get(path.suffix)
    subtype = "OPUS" if path.suffix == ".opus" else None
    soundfile.write(path, samples, RATE, format=container, subtype=subtype)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def read(name: str, source: Path, *parts: str) -> tuple[list[Utterance], list[str]]:
    entries = list(find_corpus(name).read(source, parts))
    faults = [str(entry) for entry in entries if isinstance(entry, Fault)]
    return [entry for entry in entries if isinstance(entry, Utterance)], faults


def shown(utterances: list[Utterance]) -> list[tuple[str, str | None, str | None]]:
    return [(u.id, u.speaker, u.text) for u in utterances]


def make_librispeech(root: Path, *subsets: str) -> Path:
    for place, subset in enumerate(subsets):
        speaker = str(100 + place)
        chapter = root / subset / speaker / "7"
        tone(chapter / f"{speaker}-7-0000.flac", 0.3)
        tone(chapter / f"{speaker}-7-0001.opus", 0.2)
        write(
            chapter / f"{speaker}-7.trans.txt",
            f"{speaker}-7-0000 MISTER O'NEIL\n{speaker}-7-0001 GOES\n",
        )
    write(
        root / "SPEAKERS.TXT", ";ID | SEX | ...\n100 | F | dev-clean | 8.1 | A | B\n101|M|x|1|C\n"
    )
    return root


def test_librispeech_is_read_with_subset_and_sex(tmp_path: Path) -> None:
    root = make_librispeech(tmp_path / "LibriSpeech", "dev-clean", "train-clean-100")
    utterances, faults = read("librispeech", root)
    assert faults == []
    assert shown(utterances) == [
        ("100-7-0000", "100", "MISTER O'NEIL"),
        ("100-7-0001", "100", "GOES"),
        ("101-7-0000", "101", "MISTER O'NEIL"),
        ("101-7-0001", "101", "GOES"),
    ]
    assert utterances[0].extra == {"subset": "dev-clean", "sex": "F"}
    assert utterances[3].extra == {"subset": "train-clean-100", "sex": "M"}
    assert utterances[1].audio == root / "dev-clean/100/7/100-7-0001.opus"
    # The same from one folder above, and from a subset alone.
    assert read("librispeech", tmp_path)[0] == utterances
    assert read("librispeech", root / "dev-clean")[0] == utterances[:2]
    assert read("librispeech", root, "train-clean-100")[0] == utterances[2:]


def test_librispeech_names_what_does_not_pair(tmp_path: Path) -> None:
    root = make_librispeech(tmp_path, "dev-clean", "dev-other")
    (root / "dev-clean/100/7/100-7-0000.flac").unlink()
    tone(root / "dev-clean/100/7/100-7-0002.flac")
    (root / "dev-other/101/7/101-7.trans.txt").write_bytes(b"101-7-0000 CAF\xe9\n")
    utterances, faults = read("librispeech", root)
    assert [u.id for u in utterances] == ["100-7-0001"]
    assert len(faults) == 3
    assert faults[0].endswith("100-7.trans.txt:1: no audio named 100-7-0000 beside it")
    assert faults[1].endswith("100-7-0002.flac: no transcript of it in 100-7.trans.txt")
    assert "expected UTF-8 text" in faults[2]
    with pytest.raises(OptionsError, match="no subset dev-dirty in the corpus; found: dev-clean"):
        read("librispeech", root, "dev-dirty")


def test_ljspeech_takes_the_normalised_column(tmp_path: Path) -> None:
    tone(tmp_path / "wavs/LJ001-0001.opus")
    tone(tmp_path / "wavs/LJ001-0002.wav")
    write(
        tmp_path / "metadata.csv",
        'LJ001-0001|In 1790, "he|In seventeen ninety, "he\n'
        "LJ001-0002|only text\nLJ001-0003|a|b\nx\n",
    )
    utterances, faults = read("ljspeech", tmp_path)
    assert shown(utterances) == [
        ("LJ001-0001", "LJ", 'In seventeen ninety, "he'),
        ("LJ001-0002", "LJ", "only text"),
    ]
    assert faults[0].endswith("metadata.csv:3: no audio named LJ001-0003 in wavs/")
    assert "metadata.csv:4: expected id|text|normalised text" in faults[1]


def test_arctic_reads_voices_and_keeps_their_ids_apart(tmp_path: Path) -> None:
    for voice in ("bdl", "slt"):
        root = tmp_path / f"cmu_us_{voice}_arctic"
        tone(root / "wav/arctic_a0001.wav")
        write(
            root / "etc/txt.done.data",
            '( arctic_a0001 "Author of the danger trail, etc." )\n( arctic_a0002 "Not" )\nbroken\n',
        )
    utterances, faults = read("arctic", tmp_path)
    assert shown(utterances) == [
        (f"{voice}_arctic_a0001", voice, "Author of the danger trail, etc.")
        for voice in ("bdl", "slt")
    ]
    assert len(faults) == 4
    assert "txt.done.data:2: no audio named arctic_a0002" in faults[0]
    assert read("arctic", tmp_path / "cmu_us_slt_arctic")[0] == utterances[1:]
    assert read("arctic", tmp_path, "slt")[0] == utterances[1:]


def make_fsdd(root: Path, *speakers: str, digits: str = "01234", takes: int = 2) -> Path:
    for speaker in speakers:
        for digit in digits:
            for take in range(takes):
                path = root / f"recordings/{digit}_{speaker}_{take}.wav"
                tone(path, 0.1 + 0.01 * int(digit), hertz=200 + 100 * int(digit))
    return root


def test_fsdd_names_become_words(tmp_path: Path) -> None:
    tone(tmp_path / "recordings/7_anna_maria_12.flac")
    tone(tmp_path / "recordings/seven.wav")
    utterances, faults = read("fsdd", tmp_path)
    assert shown(utterances) == [("7_anna_maria_12", "anna_maria", "seven")]
    assert faults[0].endswith("seven.wav: expected a name of the form digit_speaker_index")


def make_speech_commands(root: Path) -> Path:
    for word in ("yes", "no"):
        for speaker in ("aa", "bb", "cc"):
            tone(root / word / f"{speaker}_nohash_0.opus")
    tone(root / "_background_noise_/pink.wav")
    write(root / "testing_list.txt", "yes/aa_nohash_0.wav\nno/aa_nohash_0.wav\n")
    write(root / "validation_list.txt", "yes/bb_nohash_0.wav\nno/bb_nohash_0.wav\n")
    return root


def test_speech_commands_keeps_its_lists(tmp_path: Path) -> None:
    root = make_speech_commands(tmp_path / "v0.02")
    utterances, faults = read("speech_commands", tmp_path)
    assert faults == []
    assert [(u.id, u.text, u.extra["subset"]) for u in utterances] == [
        (f"{word}-{speaker}_nohash_0", word, subset)
        for word in ("no", "yes")
        for speaker, subset in (("aa", "testing"), ("bb", "validation"), ("cc", "training"))
    ]
    assert {u.text for u in read("speech-commands", root, "yes")[0]} == {"yes"}
    (root / "testing_list.txt").unlink()
    with pytest.raises(ManifestError, match=r"expected both .* received validation_list\.txt"):
        read("speech_commands", root)
    (root / "validation_list.txt").unlink()
    assert all("subset" not in u.extra for u in read("speech_commands", root)[0])


def make_common_voice(root: Path) -> Path:
    header = "client_id\tpath\tsentence\tage\tgender\taccents\tlocale\n"
    for number, name in enumerate(("train", "dev", "test")):
        tone(root / f"clips/common_voice_cy_{number}.ogg")
        write(
            root / f"{name}.tsv",
            f"{header}speaker{number}\tcommon_voice_cy_{number}.mp3"
            "\t\"Dw i'n mynd.\t\tfemale\t\tcy\n",
        )
    write(root / "validated.tsv", f"{header}speaker9\tcommon_voice_cy_0\tie\n")
    write(root / "reported.tsv", "whatever\n")
    return root


def test_common_voice_keeps_who_speaks_and_quotes(tmp_path: Path) -> None:
    make_common_voice(tmp_path / "cv-corpus-17.0/cy")
    utterances, faults = read("common_voice", tmp_path)
    assert faults == []
    assert sorted(shown(utterances)) == [
        (f"common_voice_cy_{n}", f"speaker{n}", "\"Dw i'n mynd.") for n in range(3)
    ]
    assert {str(u.extra["subset"]) for u in utterances} == {"train", "dev", "test"}
    assert utterances[0].extra["gender"] == "female"
    assert "age" not in utterances[0].extra
    assert utterances[0].language == "cy"
    (validated,), _ = read("common_voice", tmp_path, "validated")
    assert validated.speaker == "speaker9"


def test_common_voice_says_what_is_missing(tmp_path: Path) -> None:
    root = make_common_voice(tmp_path / "cy")
    (root / "clips/common_voice_cy_1.ogg").unlink()
    write(root / "test.tsv", "client_id\tpath\tsentence\na\tb\n")
    _, faults = read("common_voice", tmp_path)
    assert "dev.tsv:2: no audio named common_voice_cy_1 in clips/" in faults[0]
    assert "test.tsv:2: the line is cut short" in faults[1]
    write(root / "test.tsv", "client_id\ttext\n")
    with pytest.raises(ManifestError, match="no path, sentence"):
        read("common_voice", tmp_path, "test")
    make_common_voice(tmp_path / "br")
    with pytest.raises(OptionsError, match="several languages"):
        read("common_voice", tmp_path)


def make_an4(root: Path, *, suffix: str = ".sph") -> Path:
    for subset, speaker in (("train", "fash"), ("train", "mjwl"), ("test", "fcaw")):
        name = f"an1-{speaker}-b"
        path = root / f"an4/wav/an4_clstk/{speaker}/{name}{suffix}"
        if suffix == ".raw":
            write(path, "raw")
        else:
            tone(path)
        with write(root / "an4/etc/x", "").with_name(f"an4_{subset}.fileids").open("a") as file:
            file.write(f"an4_clstk/{speaker}/{name}\n")
        with (root / f"an4/etc/an4_{subset}.transcription").open("a") as file:
            file.write(f"<s> RUBOUT G M </s> ({name})\n")
    return root


def test_an4_reads_sphere_and_strips_its_marks(tmp_path: Path) -> None:
    make_an4(tmp_path)
    with (tmp_path / "an4/etc/an4_test.transcription").open("a") as file:
        file.write("YES (an2-fcaw-b)\nbroken\n")
    utterances, faults = read("an4", tmp_path)
    assert sorted(shown(utterances)) == [
        (f"an1-{speaker}-b", speaker, "RUBOUT G M") for speaker in ("fash", "fcaw", "mjwl")
    ]
    assert utterances[0].extra == {"subset": "test", "sex": "F"}
    assert ["is not in the .fileids" in faults[0], "expected <s> TEXT </s>" in faults[1]] == [
        True
    ] * 2


def test_an4_takes_dev_from_train_and_keeps_test(tmp_path: Path) -> None:
    prepared = prepare("an4", make_an4(tmp_path / "in"), tmp_path / "out", quiet_options())
    assert [u.speaker for u in prepared.sides["test"]] == ["fcaw"]
    assert len(prepared.sides["train"]) == len(prepared.sides["dev"]) == 1
    assert "taken from train" in prepared.summary()
    exact = quiet_options(split=SplitOptions(by="official"))
    prepared = prepare("an4", tmp_path / "in", tmp_path / "exact", exact)
    assert sorted(prepared.manifests) == ["test", "train"]


def test_an4_says_once_that_raw_samples_cannot_be_read(tmp_path: Path) -> None:
    make_an4(tmp_path, suffix=".raw")
    with pytest.raises(ManifestError, match=r"headerless \.raw samples.*SPHERE"):
        read("an4", tmp_path)


def test_folder_pairs_audio_with_text_and_names_speakers(tmp_path: Path) -> None:
    tone(tmp_path / "anna/day one/walk.wav")
    write(tmp_path / "anna/day one/walk.txt", "\ufeffwalk  on\nplease\n")
    tone(tmp_path / "anna/day one/walk.mp3")  # the lossless one is taken
    tone(tmp_path / "stop.flac")
    write(tmp_path / "stop.txt", "stop")
    write(tmp_path / "README.txt", "how this was recorded")
    write(tmp_path / ".hidden/x.txt", "not ours")
    tone(tmp_path / "ben/alone.wav")
    write(tmp_path / "ben/lost.txt", "lost")
    (tmp_path / "ben/odd.txt").write_bytes(b"\xff\xfe")
    tone(tmp_path / "ben/odd.wav")
    utterances, faults = read("folder", tmp_path)
    assert sorted(shown(utterances)) == [
        ("anna/day_one/walk", "anna", "walk  on please"),
        ("stop", None, "stop"),
    ]
    assert {u.audio.suffix for u in utterances} == {".wav", ".flac"}
    assert faults[0].endswith("ben/alone.wav: no transcript alone.txt beside it")
    assert "odd.txt: expected UTF-8" in faults[1]
    assert faults[2].endswith("ben/lost.txt: no audio named lost beside it")


def test_folder_links_are_followed_without_going_round(tmp_path: Path) -> None:
    tone(tmp_path / "real/a.wav")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/linked").symlink_to(tmp_path / "real")
    (tmp_path / "real/round").symlink_to(tmp_path / "in")
    assert [path.name for path in files_below(tmp_path / "in")] == ["a.wav"]
    with pytest.raises(ManifestError, match="expected a folder"):
        list(files_below(tmp_path / "nowhere"))


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_table_finds_its_columns_and_keeps_the_rest(tmp_path: Path, delimiter: str) -> None:
    tone(tmp_path / "a/1.wav", 1.0)
    rows = [
        ["File Name", "Transcript", "Client-ID", "mood", "Split"],
        ["a/1.wav", '"one\u2028two"', "ann", "glad", "Valid"],
        ["a/2.wav", "two", "ann", "", "train"],
        ["a/1.wav", "short"],
    ]
    table = write(tmp_path / "t.csv", "\n".join(delimiter.join(row) for row in rows) + "\n")
    (utterance,), faults = read("table", table)
    assert (utterance.id, utterance.speaker) == ("a/1", "ann")
    assert utterance.text == "one\u2028two"
    assert utterance.extra == {"mood": "glad", "subset": "valid"}
    assert "t.csv:3: no such audio file" in faults[0]
    assert "t.csv:4: expected as many columns" in faults[1]


def test_table_reads_stretches_of_a_longer_file(tmp_path: Path) -> None:
    tone(tmp_path / "talk.wav", 2.0)
    lines = ["talk.wav,one,0,0.5", "talk.wav,two,0.5,1", "talk.wav,late,1.5,9", "talk.wav,bad,x,1"]
    table = write(tmp_path / "t.csv", "\n".join(["path,text,start,duration", *lines]))
    options = quiet_options(split=SplitOptions(shares=(1, 0, 0)))
    prepared = prepare("table", table, tmp_path / "out", options)
    written = read_manifest(prepared.manifests["train"])
    assert [(u.id, u.offset_s, u.duration_s) for u in written] == [
        ("talk", 0.0, 0.5),
        ("talk@0.5", 0.5, 1.0),
    ]
    assert [str(fault).rpartition("/")[2] for fault in prepared.faults] == [
        "t.csv:5: could not convert string to float: 'x'",
        "talk.wav is 2 s long",
    ]


def test_table_tells_the_channels_of_a_file_apart(tmp_path: Path) -> None:
    tone(tmp_path / "call.wav", 1.0)
    lines = ["call.wav,one,0", "call.wav,two,1", "call.wav,both,", "call.wav,bad,left"]
    table = write(tmp_path / "t.csv", "\n".join(["path,text,channel", *lines]))
    found, faults = read("table", table)
    assert [(u.id, u.channel) for u in found] == [("call.1", 0), ("call.2", 1), ("call", None)]
    assert "t.csv:5: expected a channel's number, from 0 on, received left" in faults[0]


def test_table_with_an_unclear_header_says_what_it_takes(tmp_path: Path) -> None:
    for header, received in (("sound,text", "sound, text"), ("path,file,text", "path, file")):
        with pytest.raises(ManifestError, match=f"one column for audio .*received.* {received}"):
            read("table", write(tmp_path / "t.csv", f"{header}\nx,y\n"))
    (tmp_path / "t.csv").write_bytes(b"path,text\na,\xe9\n")
    with pytest.raises(ManifestError, match="expected UTF-8"):
        read("table", tmp_path / "t.csv")
    with pytest.raises(ManifestError, match="expected a CSV or TSV file"):
        read("table", tmp_path)


def test_unknown_corpus_lists_the_known() -> None:
    with pytest.raises(OptionsError, match=r"did you mean librispeech\?.*known: .*common_voice"):
        find_corpus("librispech")
    assert find_corpus("Speech-Commands") is CORPORA["speech_commands"]


# Splits


def clips(hours: dict[str, list[float]]) -> list[Utterance]:
    return [
        Utterance(id=f"{speaker}-{n}", audio=Path("a.wav"), duration_s=h * 3600, speaker=speaker)
        for speaker, lengths in hours.items()
        for n, h in enumerate(lengths)
    ]


lengths = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4),
    st.lists(st.floats(0.01, 5.0), min_size=1, max_size=4),
    min_size=3,
    max_size=30,
)


@given(lengths, st.integers(0, 5))
def test_no_speaker_is_on_two_sides_and_nothing_is_lost(
    hours: dict[str, list[float]], seed: int
) -> None:
    utterances = clips(hours)
    sides, _ = split(utterances, {}, SplitOptions(seed=seed))
    speakers = [{u.speaker for u in sides[side]} for side in ("train", "dev", "test")]
    assert all(speakers)
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == len(hours)
    assert sorted(u.id for side in sides.values() for u in side) == sorted(u.id for u in utterances)


@given(
    st.lists(st.floats(0.01, 1.0), min_size=60, max_size=120),
    st.tuples(st.floats(0.2, 0.8), st.floats(0.1, 0.3), st.floats(0.1, 0.3)),
)
def test_shares_are_met_to_one_speaker(
    hours: list[float], shares: tuple[float, float, float]
) -> None:
    wanted: dict[Side, float] = dict(zip(("train", "dev", "test"), shares, strict=True))
    of = {str(n): h for n, h in enumerate(hours)}
    side_of = deal(of, wanted, seed=0)
    for side, share in wanted.items():
        got = sum(h for name, h in of.items() if side_of[name] == side)
        assert abs(got - share / sum(shares) * sum(hours)) <= max(hours) + 1e-9


def test_short_things_are_not_kept_for_the_test() -> None:
    """By length alone the shortest of 2000 would all end in dev and test."""
    of = {str(n): 1.0 + n / 1000 for n in range(2000)}
    side_of = deal(of, {"train": 0.8, "dev": 0.1, "test": 0.1}, seed=0)
    means = [
        np.mean([of[name] for name in of if side_of[name] == side])
        for side in ("train", "dev", "test")
    ]
    assert means == pytest.approx([2.0, 2.0, 2.0], abs=0.15)


def test_seed_decides_and_repeats() -> None:
    of = {str(n): 1.0 for n in range(40)}
    shares: dict[Side, float] = {"train": 0.5, "test": 0.5}
    assert deal(of, shares, seed=1) == deal(of, shares, seed=1)
    assert deal(of, shares, seed=1) != deal(of, shares, seed=2)


def test_named_speakers_go_where_they_are_put() -> None:
    utterances = clips({name: [1.0] for name in "abcdef"})
    options = SplitOptions(dev_speakers=("c",), test_speakers=("a", "b"))
    sides = split_by_speaker(utterances, options)
    assert {side: {u.speaker for u in on} for side, on in sides.items()} == {
        "train": {"d", "e", "f"},
        "dev": {"c"},
        "test": {"a", "b"},
    }
    only_test = split_by_speaker(utterances, SplitOptions(test_speakers=("a",)))
    assert [len(only_test[side]) for side in ("train", "dev", "test")] == [4, 1, 1]
    with pytest.raises(OptionsError, match="no speaker x in the corpus; it has a, b"):
        split_by_speaker(utterances, SplitOptions(test_speakers=("x",)))
    with pytest.raises(OptionsError, match="in both dev and test: a"):
        SplitOptions(dev_speakers=("a",), test_speakers=("a", "b"))


def test_a_named_speaker_stays_apart_when_the_others_are_split_by_utterance() -> None:
    utterances = clips({speaker: [1.0] * 10 for speaker in "abc"})
    options = SplitOptions(by="utterance", shares=(0.8, 0.2, 0), test_speakers=("b",))
    sides, note = split(utterances, {}, options)
    assert [u.speaker for u in sides["test"]] == ["b"] * 10
    assert {u.speaker for u in sides["train"]} == {u.speaker for u in sides["dev"]} == {"a", "c"}
    assert len(sides["train"]) == 16
    assert note.endswith("but for b: heard on one side alone")


def test_one_speaker_is_split_by_utterance_only_when_asked() -> None:
    utterances = clips({"LJ": [1.0] * 10})
    with pytest.raises(OptionsError, match=r"one speaker \(LJ\).*--split-utterances"):
        split(utterances, {}, SplitOptions())
    sides, note = split(utterances, {}, SplitOptions(by="utterance"))
    assert [len(sides[side]) for side in ("train", "dev", "test")] == [8, 1, 1]
    assert "same speakers are on all sides" in note
    everything, _ = split(utterances, {}, SplitOptions(shares=(1, 0, 0)))
    assert len(everything["train"]) == 10
    with pytest.raises(OptionsError, match="2 utterances cannot fill train, dev and test"):
        split(utterances[:2], {}, SplitOptions(by="utterance"))


@pytest.mark.parametrize("shares", [(0, 0, 0), (-1, 1, 1), (math.nan, 1, 1), (math.inf, 0, 0)])
def test_shares_that_are_none_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(OptionsError, match="share"):
        SplitOptions(shares=shares)


# The whole


def quiet_options(**settings: Any) -> PrepareOptions:
    return PrepareOptions(quiet=True, **settings)


def test_official_split_is_kept_with_true_durations(tmp_path: Path) -> None:
    source = make_librispeech(tmp_path / "in", "train-clean-100", "dev-other", "test-clean")
    prepared = prepare("librispeech", source, tmp_path / "out", quiet_options())
    for side, speaker in (("train", "100"), ("dev", "101"), ("test", "102")):
        written = read_manifest(tmp_path / f"out/{side}.jsonl")
        assert shown(written) == [
            (f"{speaker}-7-0000", speaker, "MISTER O'NEIL"),
            (f"{speaker}-7-0001", speaker, "GOES"),
        ]
        assert [u.duration_s for u in written] == pytest.approx([0.3, 0.2], abs=1e-3)
    assert written[0].extra["subset"] == "test-clean"
    assert prepared.faults == []
    assert "Official split kept." in prepared.summary()


def test_stated_split_overrules_the_official_one(tmp_path: Path) -> None:
    source = make_librispeech(tmp_path / "in", "dev-clean", "dev-other")
    options = quiet_options(split=SplitOptions(by="speaker", shares=(1, 1, 0)))
    prepared = prepare("librispeech", source, tmp_path / "out", options)
    assert [len(prepared.sides[side]) for side in ("train", "dev", "test")] == [2, 2, 0]
    fsdd = make_fsdd(tmp_path / "fsdd", "a", "b", "c")
    with pytest.raises(OptionsError, match="no official split"):
        prepare("fsdd", fsdd, tmp_path / "x", quiet_options(split=SplitOptions(by="official")))


def test_texts_are_kept_unless_a_language_is_given(tmp_path: Path) -> None:
    source = make_librispeech(tmp_path / "in", "dev-clean")
    write(source / "dev-clean/100/7/100-7.trans.txt", "100-7-0000 Mister O'Neil!\n100-7-0001 ?\n")
    kept = prepare("librispeech", source, tmp_path / "kept", quiet_options())
    assert [u.text for u in kept.sides["dev"]] == ["Mister O'Neil!", "?"]
    normalised = prepare("librispeech", source, tmp_path / "en", quiet_options(language="en"))
    assert [u.text for u in normalised.sides["dev"]] == ["mister o'neil"]
    assert [str(fault) for fault in normalised.faults] == ["100-7-0001: has an empty text"]


def test_bad_files_are_listed_and_stop_nothing(tmp_path: Path) -> None:
    source = make_fsdd(tmp_path / "in", "a", "b", "c")
    (source / "recordings/0_a_0.wav").write_bytes(b"RIFF")
    (source / "recordings/1_a_0.wav").write_bytes(b"")
    tone(source / "again/2_a_0.wav")
    prepared = prepare("fsdd", source, tmp_path / "out", quiet_options())
    assert sum(map(len, prepared.sides.values())) == 28
    listed = (tmp_path / "out/faults.txt").read_text().splitlines()
    assert listed == [str(fault) for fault in prepared.faults]
    assert "has the id 2_a_0 that" in listed[0]
    assert ["0_a_0.wav" in listed[1], "1_a_0.wav" in listed[2]] == [True, True]
    assert "Left out 3:" in prepared.summary()


def test_manifests_are_replaced_only_when_asked(tmp_path: Path) -> None:
    source = make_fsdd(tmp_path / "in", "a", "b", "c", takes=1)
    prepare("fsdd", source, tmp_path / "out", quiet_options())
    before = (tmp_path / "out/train.jsonl").read_bytes()
    with pytest.raises(OptionsError, match=r"holds train\.jsonl, dev\.jsonl, test\.jsonl; --overw"):
        prepare("fsdd", source, tmp_path / "out", quiet_options())
    assert (tmp_path / "out/train.jsonl").read_bytes() == before
    options = quiet_options(overwrite=True, split=SplitOptions(shares=(1, 0, 0)))
    prepare("fsdd", source, tmp_path / "out", options)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train.jsonl"]


def test_nothing_found_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"Free Spoken Digit Dataset: recordings/"):
        prepare("fsdd", tmp_path, tmp_path / "out", quiet_options())
    with pytest.raises(OptionsError, match="fsdd has no parts, received x"):
        prepare("fsdd", tmp_path, tmp_path / "out", quiet_options(parts=("x",)))
    tone(tmp_path / "in/a.wav")
    with pytest.raises(ManifestError, match=r"no transcript a\.txt beside it"):
        prepare("folder", tmp_path / "in", tmp_path / "out", quiet_options())
    write(tmp_path / "file", "")
    with pytest.raises(OptionsError, match="cannot be made"):
        prepare("fsdd", tmp_path, tmp_path / "file", quiet_options())


# Connected utterances


@given(st.integers(2, 4), st.integers(1, 3), st.integers(4, 11), st.integers(0, 3))
def test_plan_uses_every_clip_and_stays_with_its_speaker(
    count: int, repeats: int, num_clips: int, seed: int
) -> None:
    options = JoinOptions(count=count, repeats=repeats, seed=seed)
    utterances = clips({"a": [1.0] * num_clips, "b": [1.0] * 4})
    planned = [item for item in plan(utterances, options, side="dev") if isinstance(item, tuple)]
    groups = [group for name, group in planned if name.startswith("a-dev-")]
    assert len(groups) == repeats * -(-num_clips // count)
    assert {clip.id for group in groups for clip in group} == {f"a-{n}" for n in range(num_clips)}
    assert all(len({clip.speaker for clip in group}) == 1 for _, group in planned)
    assert all(len(group) == count == len({clip.id for clip in group}) for _, group in planned)
    assert planned == list(plan(utterances, options, side="dev"))


def test_joined_clips_are_the_clips_with_pauses_between() -> None:
    clip = np.full(1600, 0.5, np.float32)
    clip[:320] = 0.01  # the quietest fifth
    options = JoinOptions(count=3, pause_s=(0.1, 0.2))
    joined = join([clip, clip * 2, clip], options, np.random.default_rng(0))
    num_pauses = len(joined) - 3 * 1600
    assert 2 * 1600 <= num_pauses <= 2 * 3200
    np.testing.assert_array_equal(joined[:1600], clip)
    np.testing.assert_array_equal(joined[-1600:], clip)
    assert np.std(joined[1600:3200]) == pytest.approx(0.01, rel=0.1)  # as faint as the clip's own
    assert joined.dtype == np.float32
    loud = join([clip, clip * 4], options, np.random.default_rng(0))
    assert np.max(np.abs(loud)) == 1.0


def test_pauses_have_the_colour_of_what_is_quiet_in_the_clip() -> None:
    """A clip of a telephone's band: there is nothing above it in the pauses either."""
    rng = np.random.default_rng(4)
    clip = narrow_band(rng.normal(0, 0.1, 16000).astype(np.float32))
    clip[4000:8000] *= 0.02
    joined = join([clip, clip], JoinOptions(count=2, pause_s=(0.5, 0.5)), rng)
    pause, quiet = joined[16000:24000], clip[4000:8000]
    assert np.std(pause) == pytest.approx(np.std(quiet), rel=0.2)
    for samples in (pause, clip):
        power = np.abs(np.fft.rfft(samples)) ** 2
        above = power[len(power) * 9 // 16 :].sum() / power.sum()  # 4.5 kHz and more
        assert above < 0.02
    silent = join([np.zeros(800, np.float32)] * 2, JoinOptions(count=2), rng)
    assert not silent.any()


def test_connected_digits_are_written_and_no_clip_is_on_two_sides(tmp_path: Path) -> None:
    source = make_fsdd(tmp_path / "in", "a", "b", "c")
    options = quiet_options(
        split=SplitOptions(test_speakers=("a",), dev_speakers=("b",)),
        join=JoinOptions(count=3, pause_s=(0.05, 0.1), seed=3),
    )
    prepared = prepare("fsdd", source, tmp_path / "one", options)
    used = [
        {name for u in prepared.sides[side] for name in u.extra["joined"]}  # type: ignore[attr-defined]
        for side in ("train", "dev", "test")
    ]
    assert [len(names) for names in used] == [10, 10, 10]
    assert len(set.union(*used)) == 30
    written = read_manifest(prepared.manifests["test"])
    assert len(written) == 4
    words = {"0": "zero", "1": "one", "2": "two", "3": "three", "4": "four"}
    for utterance in written:
        names = utterance.extra["joined"]
        assert isinstance(names, list)
        assert utterance.text == " ".join(words[name[0]] for name in names)
        info = soundfile.info(utterance.audio)
        assert (info.samplerate, info.subtype, info.channels) == (16000, "PCM_16", 1)
        assert info.frames / 16000 == utterance.duration_s
        spoken_s = sum(0.1 + 0.01 * int(name[0]) for name in names)
        assert spoken_s + 0.1 - 1e-3 <= info.frames / 16000 <= spoken_s + 0.2 + 1e-3
    again = prepare("fsdd", source, tmp_path / "two", options)
    for first, second in zip(prepared.sides["test"], again.sides["test"], strict=True):
        np.testing.assert_array_equal(load_audio(first.audio), load_audio(second.audio))


def test_joining_again_leaves_no_old_recordings(tmp_path: Path) -> None:
    source = make_fsdd(tmp_path / "in", "a", "b", "c")
    for count, number in ((2, 5), (5, 2)):
        options = quiet_options(join=JoinOptions(count=count), overwrite=True)
        prepare("fsdd", source, tmp_path / "out", options)
        wavs = sorted((tmp_path / "out/joined/test").iterdir())
        assert len(wavs) == len(read_manifest(tmp_path / "out/test.jsonl")) == number


def test_speaker_with_too_few_clips_to_join_is_named(tmp_path: Path) -> None:
    source = make_fsdd(tmp_path / "in", "a", "b", "c", digits="01", takes=1)
    tone(source / "recordings/2_c_0.wav")
    options = quiet_options(
        split=SplitOptions(test_speakers=("a",), dev_speakers=("b",)), join=JoinOptions(count=3)
    )
    prepared = prepare("fsdd", source, tmp_path / "out", options)
    assert list(prepared.manifests) == ["train"]
    assert [str(fault) for fault in prepared.faults] == [
        "speaker b: 2 recordings in dev, too few to join 3",
        "speaker a: 2 recordings in test, too few to join 3",
    ]
    assert all(fault.is_error for fault in prepared.faults)  # two sides are lost by it


def test_some_speakers_with_too_few_clips_to_join_are_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_fsdd(tmp_path / "in", "a", "b", digits="01", takes=1)
    tone(source / "recordings/2_a_0.wav")
    words = ("fsdd", source, "-o", tmp_path / "out", "--split", "1,0,0", "--join", "3", "--quiet")
    assert command(*words) == 0
    assert "speaker b: 2 recordings in train, too few to join 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    "settings",
    [{"count": 1}, {"count": 3, "pause_s": (0.5, 0.1)}, {"count": 3, "repeats": 0}],
)
def test_joining_that_cannot_be_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match="expected"):
        JoinOptions(**settings)


# The command line


def command(*words: str | Path) -> int:
    parser = argparse.ArgumentParser(prog="asr prepare")
    add_arguments(parser)
    return run(parser.parse_args([str(word) for word in words]))


def test_command_prepares_and_says_what_it_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_fsdd(tmp_path / "in", "a", "b", "c", takes=1)
    out = tmp_path / "out"
    words: list[str | Path] = [
        "fsdd",
        source,
        "-o",
        out,
        "--quiet",
        "--test-speakers",
        "b",
        "--split",
        "0.9,0.1,0",
    ]
    assert command(*words) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert f"{out / 'test.jsonl'}" in told.out
    assert "5 utterances" in told.out
    test = [json.loads(line) for line in (out / "test.jsonl").read_text().splitlines()]
    assert {record["speaker"] for record in test} == {"b"}
    (source / "recordings/0_a_0.wav").write_bytes(b"")
    assert command(*words, "--overwrite") == 1
    assert "Left out 1:" in capsys.readouterr().out


def test_command_joins_with_pauses(tmp_path: Path) -> None:
    source = make_fsdd(tmp_path / "in", "a", "b", "c", takes=1)
    words: list[str | Path] = [
        "fsdd",
        source,
        "-o",
        tmp_path / "out",
        "--quiet",
        "--join",
        "5",
        "--pause",
        "1,1",
    ]
    assert command(*words, "--join-repeats", "2") == 0
    written = read_manifest(tmp_path / "out/train.jsonl")
    assert len(written) == 2
    assert written[0].duration_s == pytest.approx(0.6 + 4.0, abs=0.01)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "0.8,0.2"], "three shares"),
        (["--split", "official", "--split-utterances"], "exclude each other"),
        (["--split", "official", "--test-speakers", "a"], "contradict the official split"),
        (["--join", "1"], "at least 2 recordings"),
    ],
)
def test_command_refuses_what_contradicts_itself(
    words: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(AsrError, match=message):
        command("fsdd", tmp_path, "-o", tmp_path / "out", *words)


def test_help_shows_examples_and_every_corpus(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command("--help")
    told = capsys.readouterr().out
    assert "asr prepare fsdd FSDD -o data/connected --join 3" in told
    assert all(name in told for name in CORPORA)
