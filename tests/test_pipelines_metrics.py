"""metrics.json: what its schema says, checked by a reader of schemas small enough to be read."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asr.hypotheses import read_transcripts
from asr.manifest import Utterance
from asr.text import TextOptions
from asr.vocabulary import Vocabulary
from pipelines.baseline import read_baseline
from pipelines.evaluate import evaluate
from pipelines.evaluation import Evaluation
from pipelines.gates import value_of
from pipelines.machine import peak_memory_bytes, this_machine, versions
from pipelines.metrics import VERSION, metrics, metrics_schema
from pipelines.report import markdown, write_report
from pipelines.summary import summary

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def faults(value: Any, schema: dict[str, Any], root: dict[str, Any], place: str) -> Iterator[str]:
    """The part of JSON schema that ours uses; a keyword it does not know is a fault."""
    if "$ref" in schema:
        yield from faults(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, place)
    if "anyOf" in schema:
        tries = [list(faults(value, option, root, place)) for option in schema["anyOf"]]
        yield from () if [] in tries else tries[0]
    kinds = schema.get("type", [])
    names = [kinds] if isinstance(kinds, str) else kinds
    fits = [isinstance(value, TYPES[name]) for name in names]
    if names and (not any(fits) or (isinstance(value, bool) and "boolean" not in names)):
        yield f"{place}: {value!r} is no {kinds}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: {value!r} is none of {schema['enum']}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        if not low <= value <= high:
            yield f"{place}: {value} is out of range"
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        yield from (f"{place}: no {key}" for key in schema.get("required", []) if key not in value)
        for key, item in value.items():
            rest = schema.get("additionalProperties", True)
            if key in properties or isinstance(rest, dict):
                yield from faults(item, properties.get(key, rest), root, f"{place}.{key}")
            elif not rest:
                yield f"{place}: unknown {key}"
    if isinstance(value, list):
        for n, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), root, f"{place}[{n}]")


def keywords(schema: Any) -> set[str]:
    """Every keyword in a schema, names of properties not among them."""
    if not isinstance(schema, dict):
        return set()
    nested = [
        *(schema[key] for key in ("items", "additionalProperties") if key in schema),
        *schema.get("anyOf", []),
        *schema.get("properties", {}).values(),
        *schema.get("$defs", {}).values(),
    ]
    return set(schema) | {key for one in nested for key in keywords(one)}


def utterance(n: int, text: str, **more: Any) -> Utterance:
    fields = {"audio": Path(f"{n}.wav"), "duration_s": 1.0 + n % 7, **more}
    return Utterance(id=f"u{n}", text=text, **fields)


def full() -> Evaluation:
    """An evaluation in which every part has something to say."""
    texts = ["one two three four five", "six seven eight nine ten é", "yes no yes no maybe"]
    heard = ["one too three five", "six seven eight eight nine ten", "yes no yes no maybe"]
    items = [
        utterance(
            n, texts[n % 3], speaker=f"s{n % 9}", language="en", extra={"gender": "fm"[n % 2]}
        )
        for n in range(90)
    ]
    return evaluate(
        [*items, utterance(90, "gone", audio=Path("0.wav"), duration_s=1.0)],
        {**{f"u{n}": heard[n % 3] for n in range(90)}, "stranger": "hello"},
        text=TextOptions(),
        failures={"u2": "no such file"},
        source="model",
        reference_source="test.jsonl",
        audio_s=100.0,
        compute_s=5.0,
        allow_missing="empty",
        model="model",
        snr_db={f"u{n}": float(n) for n in range(90)},
        vocabulary=Vocabulary.from_characters(" abcdefghijklmnopqrstuvwxyz"),
        word_frequencies={"one": 100, "six": 3},
        confidences={
            f"u{n}": [0.9 - 0.01 * k for k in range(len(heard[n % 3].split()))] for n in range(90)
        },
    )


def check(figures: Any) -> None:
    schema = metrics_schema()
    assert list(faults(json.loads(json.dumps(figures)), schema, schema, "metrics")) == []


def test_every_figure_is_as_the_schema_says(tmp_path: Path) -> None:
    found = full()
    figures = metrics(found)
    check(figures)
    write_report(found, tmp_path / "report")
    baseline = read_baseline(tmp_path / "report")
    again = evaluate(
        found.utterances.values(), found.hypotheses, text=found.text, baseline=baseline
    )
    check(metrics(again))
    assert metrics(again)["change"]["paired"] is True


def test_a_single_utterance_is_as_the_schema_says() -> None:
    found = evaluate([utterance(0, "a b")], {"u0": "a"}, text=TextOptions())
    check(metrics(found))
    assert metrics(found)["intervals"]["wer"] is None
    assert "no interval of the WER" in summary(found, num_rows=1)


def test_the_reader_of_schemas_sees_faults() -> None:
    schema = metrics_schema()
    known = {"$ref", "anyOf", "type", "enum", "minimum", "maximum", "properties", "required"}
    known |= {"additionalProperties", "items", "description", "$defs", "$schema", "title"}
    assert keywords(schema) <= known
    figures = metrics(full())
    for key, value in (
        ("wer", "high"),
        ("wer", -1),
        ("mer", 1.5),
        ("version", 0),
        ("intervals", {}),
        ("num_utterances", True),
        ("extra", 1),
        ("slices", {"speaker": [{"label": "a"}]}),
    ):
        assert list(faults({**figures, key: value}, schema, schema, "metrics")), key
    del figures["cer"]
    assert list(faults(figures, schema, schema, "metrics")) == ["metrics: no cer"]


def test_every_key_is_documented() -> None:
    text = DOCUMENT.read_text("utf-8")
    schema = metrics_schema()
    undocumented = [key for key in schema["properties"] if f"`{key}`" not in text]
    assert undocumented == []
    assert schema["properties"]["version"]["enum"] == [VERSION]


def test_the_figures_are_the_scores() -> None:
    found = full()
    figures = metrics(found)
    assert figures["wer"] == found.score.wer
    assert figures["real_time_factor"] == 0.05
    assert (
        figures["intervals"]["wer"]["low"] < found.score.wer < figures["intervals"]["wer"]["high"]
    )
    assert figures["intervals"]["wer"]["unit"] == "speaker"
    assert figures["missing"] == {
        "counted": "empty",
        "without_hypothesis": 1,
        "without_reference": 1,
    }
    assert set(figures["slices"]) == {
        *("speaker", "duration", "speaking rate", "signal-to-noise ratio", "gender"),
        "vocabulary",
    }
    genders = figures["slices"]["gender"]
    assert {part["label"] for part in genders} == {"f", "m"}
    assert sum(part["num_utterances"] for part in genders) == 90
    assert figures["mistakes"]["confusions"][0] == {
        "reference": "two",
        "hypothesis": "too",
        "count": 30,
    }
    assert figures["unknown_characters"]["é"]["num_utterances"] == 30
    assert {"value": "0.wav", "num_utterances": 2, "ids": ["u0", "u90"]} in figures[
        "duplicate_audio"
    ]
    assert figures["duplicate_texts"][0]["num_utterances"] == 30


def test_confidences_are_figures_that_a_gate_can_hold() -> None:
    found = full()
    figures = metrics(found)
    calibration = figures["calibration"]
    assert calibration["num_bins"] == 10
    assert calibration["num_words"] == sum(map(len, found.confidences.values())) == 30 * 15
    off = sum(b["num_words"] * abs(b["confidence"] - b["correct"]) for b in calibration["bins"])
    assert calibration["expected_calibration_error"] == pytest.approx(off / (30 * 15))
    assert value_of("calibration.expected_calibration_error", figures) < 0.3
    # Of three kinds of transcripts one is right, and those with many words are less sure.
    for one in figures["acceptance"]:
        assert one["wer"] <= one["wer_limit"]
        assert 0 < one["share"] < 1
    assert (
        metrics(evaluate([utterance(0, "a")], {"u0": "a"}, text=TextOptions()))["calibration"]
        is None
    )
    for text in (summary(found, num_rows=1), markdown(found)):
        assert "expected calibration error" in " ".join(text.split())


def test_a_report_can_be_scored_again_with_its_confidences(tmp_path: Path) -> None:
    found = full()
    write_report(found, tmp_path / "report")
    again = read_transcripts(tmp_path / "report")
    assert again.texts == found.hypotheses
    assert again.confidences.keys() == {f"u{n}" for n in range(90)}
    for key, values in again.confidences.items():
        assert values == pytest.approx(found.word_confidences[key], abs=1e-4)
    lines = (tmp_path / "report" / "utterances.jsonl").read_text("utf-8").splitlines()
    records = {record["id"]: record for record in map(json.loads, lines)}
    assert records["u0"]["confidence"] == pytest.approx(0.885, abs=1e-4)
    assert "confidence" not in records["stranger"]


def test_slices_are_cut_off_where_there_are_thousands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.analysis.MAX_SLICES", 4)
    assert len(metrics(full())["slices"]["speaker"]) == 4


def test_a_report_of_a_report_is_not_cut_by_its_results(tmp_path: Path) -> None:
    from asr.interchange import read_utterances

    write_report(full(), tmp_path / "report")
    items = read_utterances(tmp_path / "report" / "utterances.jsonl")
    again = evaluate(items, {item.id: item.text or "" for item in items}, text=TextOptions())
    assert set(metrics(again)["slices"]) == {"speaker", "duration", "speaking rate"}


def test_the_pull_request_shows_interval_slices_and_errors() -> None:
    text = markdown(full())
    assert re.search(r"\| WER \| [\d.]+ % \| [\d.]+ to [\d.]+ % \|", text)
    assert "## Where it is worst" in text
    assert "| vocabulary | out of vocabulary |" in text
    assert "- Taken for another: two → too (30)" in text
    assert "- Missed: four (30), é (30)" in text or "- Missed: four (30)" in text
    assert "without a transcript (u90)" in text
    assert f"on {this_machine()}".split(",")[0] in text.replace("\\", "")


def test_the_machine_and_its_versions_are_named() -> None:
    machine = this_machine()
    assert machine.num_cores >= 1
    assert str(machine).startswith(f"{machine.processor}, ")
    peak = peak_memory_bytes()
    assert peak is None or 10**7 < peak < 10**12
    assert {"asr", "python", "numpy", "jiwer"} <= versions().keys()
