"""Text from outside on a terminal: nothing is left in it that a terminal would obey."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import cli
from pipelines.terminal import harmless

EVIL = "\x1b]0;owned\x07\x9b2J\u202e"


@given(st.text())
def test_nothing_is_left_that_is_obeyed_and_nothing_else_is_lost(text: str) -> None:
    shown = harmless(text)
    assert len(shown) == len(text)
    assert all(one.isprintable() or one in "\n\t" for one in shown)
    assert all(a == b for a, b in zip(shown, text, strict=True) if b.isprintable() or b in "\n\t")
    assert harmless(shown) == shown


def test_a_report_shows_names_and_texts_and_obeys_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        {"audio_filepath": "a.wav", "id": f"a{EVIL}", "text": "one", "pred_text": f"two{EVIL}"},
        {"audio_filepath": "b.wav", "id": "b", "text": f"three {EVIL}", "pred_text": "three"},
    ]
    path = tmp_path / "heard.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    cli.main(["evaluate", "--ref", str(path), "--hyp", str(path)])
    out, err = capsys.readouterr()
    assert "WER" in out
    assert all(one.isprintable() or one in "\n\t" for one in out + err)


def test_an_importer_shows_names_and_obeys_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    name = EVIL.replace("]0;", "")
    (corpus / f"a{name}.wav").write_bytes(b"no sound")
    (corpus / f"a{name}.txt").write_text("one")
    cli.main(["prepare", "folder", str(corpus), "-o", str(tmp_path / "data")])
    out, err = capsys.readouterr()
    assert "owned" in out + err
    assert all(one.isprintable() or one in "\n\t\r" for one in out + err)
