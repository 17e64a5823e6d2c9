"""`asr validate`: problems with line numbers, and an exit code a script can use."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.errors import AsrError
from asr.pronunciations import Pronunciations
from asr.vocabulary import Vocabulary
from pipelines.validate import add_arguments, run


def command(*words: str | Path) -> int:
    parser = argparse.ArgumentParser(prog="asr validate")
    add_arguments(parser)
    return run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 8000)
    for name in ("one", "two"):
        soundfile.write(tmp_path / f"{name}.wav", noise, 16000)
    path = tmp_path / "m.jsonl"
    path.write_text(
        '{"audio_filepath": "one.wav", "duration": 0.5, "text": "One"}\n'
        '{"audio_filepath": "two.wav", "duration": 0.5, "text": "two"}\n'
    )
    return path


def test_sound_manifest_passes(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(manifest) == 0
    assert "2 of 2 utterances are usable" in capsys.readouterr().out


def test_problems_are_listed_with_their_lines(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with manifest.open("a") as file:
        file.write('{"audio_filepath": "gone.wav", "duration": 1, "text": ""}\nbroken\n')
    assert command(manifest) == 1
    told = capsys.readouterr().out
    assert "m.jsonl:3: missing file" in told
    assert "m.jsonl:3: empty text" in told
    assert "m.jsonl:4: broken line" in told
    assert "2 of 3 utterances are usable" in told


def test_recordings_need_not_be_opened(manifest: Path) -> None:
    (manifest.parent / "two.wav").unlink()
    assert command(manifest) == 1
    assert command(manifest, "--no-audio") == 0


def test_root_is_where_audio_paths_begin(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = manifest.rename(tmp_path / "elsewhere/m.jsonl")
    assert command(moved) == 1
    assert command(moved, "--root", tmp_path) == 0


def test_vocabulary_must_spell_the_texts_as_they_stand(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = manifest.parent / "vocabulary.json"
    Vocabulary.from_characters("enotw").save(path)
    assert command(manifest, "--vocabulary", path) == 1
    told = capsys.readouterr().out
    assert "m.jsonl:1: unknown characters" in told
    assert "'O'" in told
    assert "m.jsonl:2" not in told


def test_words_must_have_a_pronunciation(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = manifest.parent / "vocabulary.json"
    Vocabulary.learn_sounds(["two"], Pronunciations.of({"two": [["t", "u"]]})).save(path)
    assert command(manifest, "--vocabulary", path) == 1
    told = capsys.readouterr().out
    assert "m.jsonl:1: unknown words: one: 'One' × 1" in told
    assert "'One' has no token, in 1 of 2 utterances" in told
    assert "m.jsonl:2" not in told


def test_text_too_long_for_ctc_is_found(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "o" * 30  # 30 labels and 29 blanks between them: 59 steps; half a second gives 51
    manifest.write_text(f'{{"audio_filepath": "one.wav", "duration": 0.5, "text": "{text}"}}\n')
    path = manifest.parent / "vocabulary.json"
    Vocabulary.from_characters("o").save(path)
    assert command(manifest) == 0
    assert command(manifest, "--vocabulary", path) == 1
    assert "needs 59 steps" in capsys.readouterr().out


def test_model_brings_its_text_rules_and_alphabet(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = manifest.parent / "model"
    folder.mkdir()
    (folder / "recipe.toml").write_text('[text]\nlanguage = "en"\n[features]\nstack = 20\n')
    Vocabulary.from_characters("enotw").save(folder / "vocabulary.json")
    assert command(manifest, "--model", folder) == 0  # "One" is written "one" by its rules
    (folder / "recipe.toml").write_text('[text]\nlanguage = "en"\n[features]\nstack = 30\n')
    assert command(manifest, "--model", folder) == 1
    assert "infeasible for CTC" in capsys.readouterr().out
    with pytest.raises(AsrError, match="no model 'nothing'"):
        command(manifest, "--model", "nothing")


def test_missing_manifest_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match="gone"):
        command(tmp_path / "gone.jsonl")


def test_names_cannot_command_the_terminal(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = '{"audio_filepath": "\\u001b[2Jgone\\r.wav", "duration": 1, "id": "\\u009b1m"}\n'
    manifest.write_text(line)
    assert command(manifest) == 1
    out = capsys.readouterr().out
    assert "gone" in out
    assert all(one.isprintable() or one in "\n\t" for one in out)
