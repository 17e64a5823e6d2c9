"""`asr lm`: what it reads and writes, what it refuses, what it says."""

import gzip
import io
import json
import lzma
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr.lm import NgramModel, open_model
from asr.lm.lstm_file import read_lstm
from pipelines.cli import main

TEXT = "The cat sat.\nThe cat ran!\nA dog sat\n\nthe dog ran\n"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def lm(*arguments: object) -> int:
    return main(["lm", *map(str, arguments)])


def opened(path: Path) -> NgramModel:
    model = open_model(path)
    assert isinstance(model, NgramModel)
    return model


def test_a_text_becomes_a_model(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lm(text, "--order", 3, "--prune", 0, "-o", tmp_path / "lm.ngram") == 0
    model = opened(tmp_path / "lm.ngram")
    assert list(model.words) == ["</s>", "<s>", "<unk>", "a", "cat", "dog", "ran", "sat", "the"]
    assert model.order == 3
    assert model.score("the cat sat") > model.score("sat cat the")
    shown = capsys.readouterr()
    assert shown.out == "", "without a held-out text there is no perplexity"
    assert "12 words in 4 sentences, 6 different words" in shown.err
    assert "the text is too small to estimate" in shown.err
    assert "bytes an n-gram" in shown.err


def test_all_forms_of_a_text_give_one_model(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm(text, "-o", tmp_path / "wanted.ngram")
    wanted = (tmp_path / "wanted.ngram").read_bytes()
    (tmp_path / "text.gz").write_bytes(gzip.compress(TEXT.encode()))
    (tmp_path / "text.xz").write_bytes(lzma.compress(TEXT.encode()))
    lines = [
        json.dumps({"audio_filepath": f"{n}.wav", "duration": 1, "text": line})
        for n, line in enumerate(TEXT.splitlines())
    ]
    (tmp_path / "text.jsonl").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    for source in ("text.gz", "text.xz", "text.jsonl"):
        assert lm(tmp_path / source, "-o", tmp_path / "lm.ngram", "--overwrite") == 0
        assert (tmp_path / "lm.ngram").read_bytes() == wanted, source
    assert lm("-", "-o", tmp_path / "lm.ngram", "--overwrite") == 0
    assert (tmp_path / "lm.ngram").read_bytes() == wanted


def test_several_texts_are_one(text: Path, tmp_path: Path) -> None:
    (tmp_path / "twice.txt").write_text(TEXT * 2, encoding="utf-8")
    lm(text, text, "-o", tmp_path / "a.ngram")
    lm(tmp_path / "twice.txt", "-o", tmp_path / "b.ngram")
    assert (tmp_path / "a.ngram").read_bytes() == (tmp_path / "b.ngram").read_bytes()


def test_the_heldout_text_is_scored(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heldout = tmp_path / "heldout.txt"
    heldout.write_text("The cat sat.\nA bird ran.\n", encoding="utf-8")
    assert lm(text, "-o", tmp_path / "lm.ngram", "--heldout", heldout) == 0
    model = opened(tmp_path / "lm.ngram")
    words = [["the", "cat", "sat", "</s>"], ["a", "bird", "ran", "</s>"]]
    log_prob = 0.0
    for sentence in words:
        state = model.begin_state
        for word in sentence:
            one, state = model.advance(state, word)
            log_prob += one if word != "bird" else 0.0
    shown = capsys.readouterr().out
    assert f"perplexity {math.exp(-log_prob / 7):.2f} over 6 words in 2 sentences" in shown
    assert "unknown words 1 (16.67%)" in shown
    assert lm("--from", tmp_path / "lm.ngram", "--heldout", heldout) == 0
    assert capsys.readouterr().out == shown


def test_the_packed_model_is_the_one_that_is_scored(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lm(text, "-o", tmp_path / "lm.ngram", "--bits", 4, "--heldout", text)
    shown = capsys.readouterr().out
    lm("--from", tmp_path / "lm.ngram", "--heldout", text)
    assert capsys.readouterr().out == shown


def test_arpa_is_written_and_read_again(text: Path, tmp_path: Path) -> None:
    lm(text, "-o", tmp_path / "lm.ngram", "--arpa", tmp_path / "lm.arpa.gz")
    lm("--from", tmp_path / "lm.arpa.gz", "-o", tmp_path / "again.ngram")
    ours, theirs = opened(tmp_path / "lm.ngram"), opened(tmp_path / "again.ngram")
    assert ours.num_ngrams == theirs.num_ngrams
    assert ours.score("a cat ran") == pytest.approx(theirs.score("a cat ran"), abs=1e-6)


def test_the_vocabulary_is_limited(text: Path, tmp_path: Path) -> None:
    lm(text, "-o", tmp_path / "lm.ngram", "--vocab-size", 2)
    assert list(opened(tmp_path / "lm.ngram").words) == ["</s>", "<s>", "<unk>", "cat", "the"]
    lm(text, "-o", tmp_path / "lm.ngram", "--min-count", 3, "--overwrite")
    assert list(opened(tmp_path / "lm.ngram").words) == ["</s>", "<s>", "<unk>", "the"]


def test_sequences_that_say_little_are_left_out(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lm(text, "--prune-entropy", 0, "-o", tmp_path / "all.ngram") == 0
    whole = opened(tmp_path / "all.ngram")
    assert f"of {whole.num_ngrams[3]}" in capsys.readouterr().err
    assert lm(text, "--prune", 0, "-o", tmp_path / "plain.ngram") == 0
    assert opened(tmp_path / "plain.ngram").num_ngrams == whole.num_ngrams
    assert lm(text, "--prune-entropy", 0.003, "-o", tmp_path / "small.ngram") == 0
    small = opened(tmp_path / "small.ngram")
    assert whole.num_ngrams[0] == small.num_ngrams[0]
    assert sum(small.num_ngrams) < sum(whole.num_ngrams)
    source = ("--from", tmp_path / "all.ngram", "--prune-entropy", 0.003)
    assert lm(*source, "-o", tmp_path / "again.ngram") == 0
    assert (tmp_path / "again.ngram").read_bytes() == (tmp_path / "small.ngram").read_bytes()


def test_the_text_is_normalised_as_it_is_told(text: Path, tmp_path: Path) -> None:
    lm(text, "-o", tmp_path / "lm.ngram", "--case", "keep", "--punctuation", "keep")
    assert {"The", "sat.", "ran!"} <= set(opened(tmp_path / "lm.ngram").words)


REFUSED: list[tuple[Callable[[Path], list[object]], str]] = [
    (lambda _: [], "expected texts, or a model by --from"),
    (lambda text: [text, "--from", text, "-o", "x"], "one of the two"),
    (lambda text: [text], "expected somewhere to write to"),
    (lambda text: [text, "-o", text], "is there already; --overwrite replaces it"),
    (lambda text: [text, "-o", "a/x", "--arpa", "a/x"], "expected two different files"),
    (lambda text: ["--from", text, "-o", "x", "--order", 3], "--order: a model that is there"),
    (lambda text: [text, "-o", "x", "--bits", 3], "expected --bits 4 to 16 and -o, received 3"),
    (lambda text: [text, "-o", "x", "--prune-entropy", -1], "--prune-entropy from 0 on"),
    (lambda text: [text, "-o", "x", "--prune-entropy", "nan"], "--prune-entropy from 0 on"),
    (lambda text: [text, "--arpa", "x", "--bits", 8], "expected --bits 4 to 16 and -o"),
]


@pytest.mark.parametrize(("arguments", "problem"), REFUSED)
def test_a_command_that_makes_no_sense_is_refused_before_any_work(
    text: Path,
    tmp_path: Path,
    arguments: Callable[[Path], list[object]],
    problem: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lm(*arguments(text)) == 2
    assert problem in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [text]
    assert text.read_text(encoding="utf-8") == TEXT


@pytest.mark.parametrize(
    ("content", "name", "problem"),
    [
        (b"", "empty.txt", "expected a text of at least one word"),
        (b"good\nb\xffd\n", "bad.txt", "bad.txt, line 2: expected UTF-8"),
        (
            gzip.compress(TEXT.encode(), mtime=0)[:-4],
            "cut.gz",
            "cut.gz: the compressed file is broken",
        ),
        (lzma.compress(TEXT.encode())[:-4], "cut.xz", "cut.xz: the compressed file is broken"),
        (b"{}\n", "bad.jsonl", "bad.jsonl"),
    ],
)
def test_a_text_that_cannot_be_read_is_a_failure_in_one_line(
    tmp_path: Path,
    content: bytes,
    name: str,
    problem: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / name).write_bytes(content)
    assert lm(tmp_path / name, "-o", tmp_path / "lm.ngram") == 1
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "lm.ngram").exists()


def test_a_broken_model_is_a_failure_in_one_line(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lm("--from", text, "-o", tmp_path / "lm.ngram") == 1
    assert "no ARPA file" in capsys.readouterr().err


def test_settings_out_of_range_are_named(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lm(text, "-o", tmp_path / "lm.ngram", "--order", 9) == 2
    assert "expected an order from 1 to 8, received 9" in capsys.readouterr().err


def sentences_of(folder: Path, *, count: int = 400) -> Path:
    """A text in which what follows hangs on what came two words before."""
    lines = [
        f"the {'cat' if n % 3 else 'dog'} then {'sat' if n % 3 else 'ran'}" for n in range(count)
    ]
    path = folder / "long.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_text_becomes_a_recurrent_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long, model = sentences_of(tmp_path, count=3000), tmp_path / "lm.lstm"
    small = ("--lstm", "--num-pieces", 16, "--units", 8, "--epochs", 1)
    assert lm(long, *small, "-o", model, "--heldout", long) == 0
    shown = capsys.readouterr()
    assert "12,000 words in 3,000 sentences" in shown.err
    assert "epoch 1: loss" in shown.err
    assert "perplexity" in shown.err
    assert [path.name for path in tmp_path.iterdir() if "checkpoint" in path.name] == []
    assert len(read_lstm(model).pieces) == 16
    assert lm("--from", model, "--heldout", long) == 0
    assert capsys.readouterr().out.startswith("perplexity ")


def test_a_recurrent_model_is_trained_further_on_a_text_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long, model = sentences_of(tmp_path, count=3000), tmp_path / "lm.lstm"
    small = ("--lstm", "--num-pieces", 16, "--units", 8, "--epochs", 1)
    assert lm(long, *small, "-o", model) == 0
    own, better = tmp_path / "own.txt", tmp_path / "own.lstm"
    own.write_text("the dog then sat\n" * 3000, encoding="utf-8")
    further = ("--lstm", "--from", model, "-o", better)
    assert lm(own, *further, "--epochs", 1, "--learning-rate", 0.01) == 0
    before, after = read_lstm(model), read_lstm(better)
    assert after.pieces.pieces == before.pieces.pieces
    assert after.weights.kernel.shape == before.weights.kernel.shape
    texts = ["the dog then sat", "the dog then ran"]
    assert np.diff(after.score(texts)) < np.diff(before.score(texts))
    capsys.readouterr()
    assert lm(own, *further, "--overwrite", "--units", 9) == 2
    assert "--units: a model that is there keeps its shape" in capsys.readouterr().err
    assert lm(own, "--lstm", "--from", "nonesuch", "-o", tmp_path / "x.lstm") == 1
    assert "no model 'nonesuch'" in capsys.readouterr().err
    assert lm(own, "--lstm", "--from", "en-commands", "-o", tmp_path / "x.lstm") == 2
    assert "en-commands: expected a model with a recurrent one" in capsys.readouterr().err
    assert lm(own, "--lstm", "--from", "en-read", "--units", 5, "-o", tmp_path / "x.lstm") == 2
    assert "keeps its shape" in capsys.readouterr().err
    assert lm(own, "--lstm", "--from", own, "-o", tmp_path / "x.lstm") == 2
    assert "own.txt: expected a recurrent model to train further" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--lstm",), "expected texts and -o with --lstm"),
        (("--lstm", "-o", "{}/lm.lstm", "--order", 3), "--order: for n-grams"),
        (("--lstm", "-o", "{}/lm.lstm", "--bits", 9), "--bits 4 to 8"),
        (("--lstm", "-o", "{}/text.txt"), "is there already"),
        (("--lstm", "-o", "{}/lm.lstm", "--resume"), "expected the checkpoint"),
        (("--lstm", "-o", "{}/lm.lstm", "--epochs", 0), "epochs of at least 1"),
        (("-o", "{}/lm.ngram", "--units", 5), "expected --lstm with --units"),
        (("-o", "{}/lm.ngram", "--resume"), "expected --lstm with --resume"),
    ],
)
def test_what_makes_no_sense_of_a_recurrent_model_is_refused(
    text: Path,
    tmp_path: Path,
    arguments: tuple[object, ...],
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [str(one).format(tmp_path) for one in arguments]
    read = [] if reason.startswith("expected texts") else [text]
    assert lm(*read, *given) == 2
    assert reason in capsys.readouterr().err


def test_too_short_a_text_is_no_recurrent_model(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lm(text, "--lstm", "--num-pieces", 15, "-o", tmp_path / "lm.lstm") == 1
    assert "expected a text of at least" in capsys.readouterr().err
    assert not (tmp_path / "lm.lstm").exists()


def test_a_recurrent_model_is_scored_and_not_rewritten(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "lm.lstm"
    model.write_bytes(b"PK\x03\x04 and no more")
    assert lm("--from", model, "-o", tmp_path / "lm.ngram") == 2
    assert "can be scored by --heldout" in capsys.readouterr().err
    assert lm("--from", model, "--heldout", text) == 1
    assert "expected a recurrent language model" in capsys.readouterr().err
