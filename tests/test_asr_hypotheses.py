"""Transcripts of other recognizers: read back as written, or refused by line."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr.confidences import of_whisper
from asr.errors import ManifestError, ScoringError
from asr.hypotheses import by_reference_id, read_hypotheses, read_transcripts
from asr.manifest import Utterance


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def write_json(path: Path, *records: object) -> Path:
    return write(path, "".join(json.dumps(record) + "\n" for record in records))


WORDS = st.lists(st.text("abcé'日-", min_size=1, max_size=5), max_size=5)
IDS = st.text("abc012_-/.", min_size=1, max_size=8).filter(lambda name: name.strip("./"))
TEXTS = st.dictionaries(IDS, WORDS.map(" ".join), min_size=1, max_size=5)


def as_trn(texts: dict[str, str]) -> str:
    return "".join(f"{text} ({key})\n" for key, text in texts.items())


def as_text(texts: dict[str, str]) -> str:
    return "".join(f"{key} {text}\n" for key, text in texts.items())


def as_json_lines(texts: dict[str, str]) -> str:
    return "".join(json.dumps({"id": k, "pred_text": text}) + "\n" for k, text in texts.items())


def as_ctm(texts: dict[str, str]) -> str:
    lines = [
        f"{key} 1 {n * 0.5:.2f} 0.40 {word} 0.99\n"
        for key, text in texts.items()
        for n, word in enumerate(text.split())
    ]
    return ";; by a test\n" + "".join(reversed(lines))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("h.trn", as_trn),
        ("h.txt", as_text),
        ("text", as_text),
        ("h.jsonl", as_json_lines),
        ("h.json", as_json_lines),
        ("h.ctm", as_ctm),
    ],
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(texts=TEXTS)
def test_what_is_written_is_read(
    name: str, written: object, texts: dict[str, str], tmp_path: Path
) -> None:
    assert callable(written)
    found = read_hypotheses(write(tmp_path / name, written(texts)))
    if name == "h.ctm":  # which has no line for silence
        texts = {key: text for key, text in texts.items() if text}
    assert found == texts


def test_whisper_files_are_named_by_their_file(tmp_path: Path) -> None:
    path = write_json(tmp_path / "talk.json", {"text": " hello there ", "segments": []})
    assert read_hypotheses(path) == {"talk": "hello there"}
    segments = {"segments": [{"text": " one"}, {"text": "two "}], "language": "en"}
    assert read_hypotheses(write_json(tmp_path / "x.json", segments)) == {"x": "one two"}


def test_a_folder_of_whisper_files(tmp_path: Path) -> None:
    write_json(tmp_path / "out" / "a.json", {"text": "one"})
    write_json(tmp_path / "out" / "sub" / "b.json", {"text": ""})
    assert read_hypotheses(tmp_path / "out") == {"a": "one", "sub/b": ""}
    write_json(tmp_path / "out" / "c.json", {"words": 3})
    with pytest.raises(ManifestError, match=r"c\.json: expected whisper's JSON"):
        read_hypotheses(tmp_path / "out")


def test_an_empty_folder_is_no_transcript(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="found neither"):
        read_hypotheses(tmp_path)


def test_predictions_go_before_references(tmp_path: Path) -> None:
    path = write_json(
        tmp_path / "result.jsonl",
        {"id": "a", "audio_filepath": "a.wav", "text": "said", "pred_text": "heard"},
        {"audio_filepath": "sub/b.wav", "pred_text": ""},
    )
    assert read_hypotheses(path) == {"a": "heard", "sub/b": ""}


def test_lines_without_a_transcript_are_named(tmp_path: Path) -> None:
    path = write_json(
        tmp_path / "h.jsonl",
        {"id": "a", "pred_text": "yes"},
        {"id": "b", "text": "no"},
        {"id": "c", "pred_text": 3},
    )
    with pytest.raises(ScoringError, match="pred_text for every utterance; none for b, c"):
        read_hypotheses(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("h.ctm", "a 1 0.0 x word\n", r"h\.ctm:1: expected start and duration in seconds"),
        ("h.ctm", ";; c\na 1 0.0\n", r"h\.ctm:2: expected file channel start duration word"),
        ("h.ctm", "a 1 0 1 x\na 2 0 1 y\n", r"h\.ctm:2: expected one channel of a"),
        ("h.ctm", "a 1 * * <ALT_BEGIN>\n", r"h\.ctm:1: .*alternatives"),
        ("h.trn", "one two\n", r"h\.trn:1: expected words \(id\)"),
        ("h.trn", "{ a / b } c (u)\n", r"h\.trn:1: .*alternatives"),
        ("h.trn", "a (u)\nb (v)\nc (u)\n", r"h\.trn:3: expected every id once, received u"),
        ("h.txt", "u a\nu b\n", r"h\.txt:2: expected every id once"),
        ("h.json", "nonsense", r"h\.json:1: expected JSON"),
        ("h.jsonl", '{"text": "x"}', r"h\.jsonl:1: .*audio_filepath"),
    ],
)
def test_what_cannot_be_understood_is_named_by_line(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError, match=message):
        read_hypotheses(write(tmp_path / name, content))


@pytest.mark.parametrize("name", ["h.ctm", "h.trn", "h.json", "h.jsonl"])
def test_files_that_are_not_there_or_not_text(name: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=name):
        read_hypotheses(tmp_path / name)
    (tmp_path / name).write_bytes(b"a 1 0 1 caf\xe9 (u)\n")
    with pytest.raises(ManifestError, match=name):
        read_hypotheses(tmp_path / name)


# Confidences


@pytest.mark.parametrize("field", ["probability", "score"])
@pytest.mark.parametrize("blank", ["", " "])
def test_whispers_words_say_how_sure_they_are(field: str, blank: str, tmp_path: Path) -> None:
    words = [("Hello,", 0.9), ("there", 0.5)], [("again.", 1)]
    segments = [
        {
            "text": " ".join(word for word, _ in part),
            "words": [
                {"word": blank + word, field: sure, "start": 0, "end": 1} for word, sure in part
            ],
        }
        for part in words
    ]
    record = {"text": " Hello, there again.", "segments": segments}
    found = read_transcripts(write_json(tmp_path / "talk.json", record))
    assert found.texts == {"talk": "Hello, there again."}
    assert found.confidences == {"talk": (0.9, 0.5, 1.0)}
    write_json(tmp_path / "more" / "a.json", record)
    write_json(tmp_path / "more" / "b.json", {"text": "no words", "segments": segments})
    assert read_transcripts(tmp_path / "more").confidences == {"a": (0.9, 0.5, 1.0)}


def test_a_piece_without_a_blank_belongs_to_the_word_before(tmp_path: Path) -> None:
    pieces = [(" twenty", 0.9), ("-one", 0.4), (" two words", 0.8)]
    words = [{"word": word, "probability": sure} for word, sure in pieces]
    record = {"text": "twenty-one two words", "segments": [{"text": "", "words": words}]}
    found = read_transcripts(write_json(tmp_path / "x.json", record))
    assert found.confidences == {"x": (0.4, 0.8, 0.8)}


@pytest.mark.parametrize(
    "words",
    [
        None,
        "one two",
        [],
        [{"word": " one", "probability": 0.5}],
        [{"word": " one", "probability": 0.5}, {"word": " two"}],
        [{"word": " one", "probability": 0.5}, {"word": " two", "probability": 1.5}],
        [{"word": " one", "probability": 0.5}, {"word": " three", "probability": 0.5}],
        [{"word": 1}, 2],
    ],
)
def test_words_that_are_not_all_sure_of_themselves_are_passed_over(
    words: object, tmp_path: Path
) -> None:
    record = {"text": "one two", "segments": [{"text": "one two", "words": words}]}
    found = read_transcripts(write_json(tmp_path / "x.json", record))
    assert (found.texts, found.confidences) == ({"x": "one two"}, {})


def test_a_ctms_sixth_field_is_a_confidence(tmp_path: Path) -> None:
    content = "a 1 1.0 0.5 two 0.25\na 1 0.0 0.5 one 1\nb 1 0 1 x NA\nc 1 0 1 y\nd 1 0 1 z 87\n"
    found = read_transcripts(write(tmp_path / "h.ctm", content))
    assert found.texts == {"a": "one two", "b": "x", "c": "y", "d": "z"}
    assert found.confidences == {"a": (1.0, 0.25)}


def test_a_line_of_json_has_nemos_word_confidence(tmp_path: Path) -> None:
    path = write_json(
        tmp_path / "h.jsonl",
        {"id": "a", "pred_text": "one two", "word_confidence": [0.5, 1]},
        {"id": "b", "pred_text": "one two", "word_confidence": [0.5]},
        {"id": "c", "pred_text": "", "word_confidence": []},
        {"id": "d", "pred_text": "x", "word_confidence": [True]},
        {"id": "e", "pred_text": "x", "word_confidence": "1"},
    )
    assert read_transcripts(path).confidences == {"a": (0.5, 1.0)}


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", " a", " b", "a ", " ", " a b "]), st.floats(0, 1))
    )
)
def test_pieces_make_the_words_of_their_text(pieces: list[tuple[str, float]]) -> None:
    text = "".join(piece for piece, _ in pieces)
    record = {"segments": [{"words": [{"word": p, "probability": c} for p, c in pieces]}]}
    found = of_whisper(record, text)
    if text.split():
        assert found is not None
        assert len(found) == len(text.split())
        spoken = [sure for piece, sure in pieces if piece.strip()]
        assert min(found) == min(spoken)
        assert set(found) <= set(spoken)
    else:
        assert found is None


def utterance(key: str, audio: str) -> Utterance:
    return Utterance(id=key, audio=Path(audio), duration_s=None)


def test_ids_are_found_by_the_name_of_the_audio() -> None:
    references = [utterance("u1", "clips/0001.wav"), utterance("u2", "clips/0002.wav")]
    for first, second in (("0001", "0002.wav"), ("clips/0001", "clips/0002.wav")):
        found = by_reference_id({first: "one", second: "two"}, references)
        assert found == {"u1": "one", "u2": "two"}


def test_an_id_is_not_guessed_where_two_recordings_have_the_name() -> None:
    references = [utterance("u1", "a/x.wav"), utterance("u2", "b/x.wav"), utterance("x", "y.wav")]
    assert by_reference_id({"x": "one"}, references) == {"x": "one"}
    assert by_reference_id({"x": "one"}, references[:2]) == {"x": "one"}
    assert by_reference_id({"stranger": "one"}, references) == {"stranger": "one"}


def test_one_reference_has_one_transcript() -> None:
    references = [utterance("u1", "x.wav")]
    assert by_reference_id({"u1": "one", "x": "two"}, references) == {"u1": "one", "x": "two"}
    with pytest.raises(ScoringError, match=r"one transcript of u1, received another as x\.wav"):
        by_reference_id({"x": "one", "x.wav": "two"}, references)
