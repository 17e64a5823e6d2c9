"""The figure of a layer: whole files, everything said, nothing of the recording obeyed."""

import io
import struct
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from asr.audio import SAMPLE_RATE
from asr.transcript import Character, Word
from models.bilstm import CELLS, BiLSTMOptions, build_bilstm
from models.traces import Trace, trace_network
from pipelines.trace_figure import draw, html_page
from pipelines.trace_view import CAPTIONS, View, most_varying, row_order

NUM_STEPS, STEP_S = 40, 0.03


def gates(rng: np.random.Generator, *names: str, units: int = 5) -> dict[str, Any]:
    return {name: rng.uniform(size=(NUM_STEPS, units)) for name in names}


def trace(rng: np.random.Generator, *names: str, **changes: Any) -> Trace:
    opened = gates(rng, *(names or ("forget", "input", "output")))
    fields: dict[str, Any] = {
        "layer": 2,
        "direction": "forward",
        "cell": "lstm",
        "gates": opened,
        "kept": opened.get("forget"),
        "memory": rng.normal(size=(NUM_STEPS, 5)),
        "output": rng.normal(size=(NUM_STEPS, 5)),
        "deviation": 0.0,
    }
    return Trace(**fields | changes)


def view(of: Trace, rng: np.random.Generator, *, texts: tuple[str, ...] = (), **more: Any) -> View:
    """Words of a tenth of a second, each beginning with the last."""
    words = []
    for number, text in enumerate(texts):
        start_s, end_s = 0.1 * number, 0.1 * number + 0.1
        letters = tuple(Character(text=one, start_s=start_s, end_s=end_s) for one in text)
        words.append(Word(text=text, start_s=start_s, end_s=end_s, characters=letters))
    fields: dict[str, Any] = {
        "title": "talk.wav: layer 2",
        "samples": rng.uniform(-0.3, 0.3, int(1.2 * SAMPLE_RATE)).astype(np.float32),
        "start_s": 3.0,
        "words": words,
        "edges_s": STEP_S * np.arange(NUM_STEPS + 1) - 0.005,
        "trace": of,
        "units": (1, 4),
    }
    return View(**fields | more)


def texts_of(svg: bytes) -> list[str]:
    root = ET.parse(io.BytesIO(svg)).getroot()
    return [
        "".join(one.itertext()).strip() for one in root.iter("{http://www.w3.org/2000/svg}text")
    ]


def test_everything_is_said(rng: np.random.Generator) -> None:
    said = texts_of(draw(view(trace(rng), rng, texts=("hello", "you")), ".svg"))
    assert {"talk.wav: layer 2", "hello", "you", "seconds", "forget", "input", "output"} <= {*said}
    joined = "\n".join(said)
    for name in ("forget", "input", "output"):
        assert f"{name.capitalize()} gate: {CAPTIONS[name]}." in joined
    assert "Each row is a unit, sorted by its mean forget gate." in joined
    assert "Unit 2, whose forget gate varies most" in joined
    assert "Unit 5, the next:" in joined
    assert {"3.0", "4.0"} <= {*said}, "time is that of the file"


@pytest.mark.parametrize(
    "name", ["a $x_1$ \\frac", "<script>&amp;", "语音 ישלום", "x" * 300, "\x1b[2J\x00"]
)
def test_names_and_words_may_hold_anything(name: str, rng: np.random.Generator) -> None:
    shown = view(trace(rng), rng, texts=(name, "b"), title=name)
    said = texts_of(draw(shown, ".svg"))
    harmless = "".join(one if one.isprintable() else "?" for one in name)
    assert said.count(harmless) == 2
    page = html_page(shown, [name])
    assert "<script" not in page
    assert not {"\x1b", "\x00"} & {*page}


def test_one_view_is_one_file(rng: np.random.Generator) -> None:
    shown = view(trace(rng), rng, texts=("a",))
    assert draw(shown, ".svg") == draw(shown, ".svg")


def test_a_png_is_as_wide_as_a_page(rng: np.random.Generator) -> None:
    data = draw(view(trace(rng), rng, texts=("a", "b")), ".png")
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    assert width == 1100
    assert 600 < height < 2000


@pytest.mark.parametrize("cell", CELLS)
def test_any_cell_is_drawn(cell: Any, rng: np.random.Generator) -> None:
    model = build_bilstm(
        BiLSTMOptions(cell=cell, units=4, num_layers=2), num_features=3, vocab_size=3
    )
    features = rng.normal(size=(1, NUM_STEPS, 3)).astype(np.float32)
    (found,) = trace_network(model, features, np.array([NUM_STEPS], np.int32))
    for one in found.layers[-2:]:
        shown = view(one, rng, texts=("a",), units=most_varying(one, 2))
        said = "\n".join(texts_of(draw(shown, ".svg")))
        for name in one.gates:
            assert CAPTIONS[name] in said
        assert f"Unit {shown.units[0] + 1}, whose " in said


def test_without_words_or_units_it_is_drawn(rng: np.random.Generator) -> None:
    said = texts_of(draw(view(trace(rng), rng, units=()), ".svg"))
    assert not any(text.startswith("Unit") for text in said)


def test_rows_and_units_are_ordered_by_what_is_kept(rng: np.random.Generator) -> None:
    found = trace(rng)
    assert found.kept is not None
    means, spreads = found.kept.mean(axis=0), found.kept.std(axis=0)
    assert means[row_order(found)].tolist() == sorted(means, reverse=True)
    assert spreads[most_varying(found, 3)].tolist() == sorted(spreads, reverse=True)[:3]
    always = trace(rng, "input", "output", kept=np.ones((NUM_STEPS, 5)))
    assert row_order(always) == np.argsort(-always.gates["input"].mean(axis=0)).tolist()
    ungated = trace(rng, gates={}, kept=None, memory=None)
    assert row_order(ungated) == np.argsort(-ungated.output.mean(axis=0)).tolist()
