"""The measurements of cells: tasks, equal sizes, probes and pages are what they say."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cells import gradients, lags, program, recognition, speech
from benchmarks.cells.networks import CELLS, TOLERANCE, count_parameters, fitted
from benchmarks.cells.page import write_page
from benchmarks.cells.probe import state_gradients
from benchmarks.cells.sequence_model import BATCH_SIZE, bias_by_lag, build, options_of
from benchmarks.cells.speech import Group, Item, Speech
from benchmarks.cells.store import Results
from benchmarks.cells.tables import TABLES
from benchmarks.cells.tasks import ADDING, NUM_SYMBOLS, TASKS, adding, recall
from models.bilstm import BiLSTMOptions, build_bilstm

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.integers(4, 120))
def test_the_answer_to_adding_is_the_sum_of_the_two_marked(seed: int, lag: int) -> None:
    rows, sums = adding(np.random.default_rng(seed), batch_size=7, lag=lag)
    assert rows.shape == (7, lag, 2)
    for row, answer in zip(rows, sums, strict=True):
        marked = np.flatnonzero(row[:, 1])
        assert len(marked) == 2
        assert marked[0] < 10
        assert marked[1] < lag / 2, "the last mark is half a row before the answer"
        assert answer[0] == np.float32(row[marked[0], 0] + row[marked[1], 0])


@given(SEEDS, st.integers(1, 120))
def test_the_answer_to_recall_is_the_first_symbol(seed: int, lag: int) -> None:
    rows, symbols = recall(np.random.default_rng(seed), batch_size=7, lag=lag)
    assert rows.shape == (7, lag + 1, NUM_SYMBOLS + 1)
    np.testing.assert_array_equal(rows[:, 0].argmax(axis=1), symbols)
    assert rows[:, 1:lag].sum() == 0
    assert (rows[:, lag].argmax(axis=1) == NUM_SYMBOLS).all()
    assert (rows.sum(axis=(1, 2)) == 2).all()


@pytest.mark.parametrize("task", TASKS.values(), ids=str)
def test_who_knows_no_more_than_the_distribution_has_the_loss_of_chance(task: Any) -> None:
    _, answers = task.batch(np.random.default_rng(0), batch_size=4000, lag=20)
    if task.num_outputs == 1:
        loss = np.square(answers - answers.mean()).mean()
    else:
        shares = np.bincount(answers) / len(answers)
        loss = -np.log(shares[answers]).mean()
    assert loss == pytest.approx(task.chance, rel=0.05)
    assert task.solved_below < 0.1 * task.chance


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_parameters_are_counted_as_they_are_made(cell: Any, bidirectional: bool) -> None:
    options = BiLSTMOptions(cell=cell, bidirectional=bidirectional, units=8, num_layers=2)
    network = build_bilstm(options, num_features=5, vocab_size=7)
    assert count_parameters(options, num_features=5, vocab_size=7) == network.count_params()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("num_parameters", [4_600, 100_000])
def test_all_cells_have_about_as_many_parameters(cell: Any, num_parameters: int) -> None:
    shape = {"num_features": 78, "vocab_size": 29} if num_parameters > 5_000 else {
        "num_features": 2, "vocab_size": 1
    }  # fmt: skip
    options = BiLSTMOptions(
        cell=cell, bidirectional=num_parameters > 5_000, num_layers=1, num_heads=2
    )
    found = fitted(options, num_parameters=num_parameters, **shape)
    count = count_parameters(found, **shape)
    assert abs(count - num_parameters) <= TOLERANCE * num_parameters


@pytest.mark.parametrize("name", ["lstm, one way", "lstm, 4 layers", "lstm, 4 layers, residual"])
def test_another_form_of_the_lstm_is_as_large(name: str) -> None:
    options = recognition.options_of(name)
    shape = {"num_features": 78, "vocab_size": 29}
    network = build_bilstm(options, **shape)
    assert network.count_params() == count_parameters(options, **shape)
    wanted = recognition.NUM_PARAMETERS
    assert abs(network.count_params() - wanted) <= TOLERANCE * wanted
    sums = [layer.name for layer in network.layers if layer.name.startswith("residual")]
    assert len(sums) == (options.num_layers - 1 if options.residual else 0)


def test_a_width_that_cannot_be_is_refused() -> None:
    options = BiLSTMOptions(cell="clockwork", num_modules=8, num_layers=1)
    with pytest.raises(ValueError, match="some 10 parameters"):
        fitted(options, num_parameters=10, num_features=3, vocab_size=3)


def tiny(cell: Any) -> Any:
    """A network of a few units for the adding problem."""
    options = BiLSTMOptions(
        cell=cell, bidirectional=False, num_layers=1, units=4, num_modules=2, num_heads=2
    )
    return build(options, ADDING, seed=3)


def outputs_of(model: Any, rows: Any) -> Any:
    lengths = np.full(len(rows), rows.shape[1], np.int32)
    return np.asarray(model.predict_on_batch({"features": rows, "feature_lengths": lengths}))


@pytest.mark.parametrize("cell", CELLS)
def test_a_states_gradient_is_that_of_the_network(cell: Any) -> None:
    """By the chain rule it gives the gradient of the first frame's kernel, found by differences."""
    rng = np.random.default_rng(5)
    rows, sums = adding(rng, batch_size=3, lag=5)
    model = tiny(cell)
    found = state_gradients(model, rows, sums)
    assert found["output"].shape[:2] == rows.shape[:2]
    # The last output is read by the head alone: there it is known without any differentiation.
    weight = np.asarray(model.get_layer("logits").kernel)[:, 0]
    error = outputs_of(model, rows) - sums
    if cell not in ("grid", "attention"):
        np.testing.assert_allclose(found["output"][:, -1], 2 * error * weight, rtol=1e-4, atol=1e-6)
    elif cell == "grid":  # what goes on after the last frame goes nowhere
        assert not found["output"][:, -1].any()


@pytest.mark.parametrize("cell", CELLS)
def test_a_states_gradient_equals_finite_differences(
    cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.cells import probe

    rows, sums = adding(np.random.default_rng(6), batch_size=2, lag=6)
    model = tiny(cell)
    asked: list[Any] = []

    def watched(function: Any, at: Any) -> Any:
        asked.append(function)
        return gradient(function, at)

    gradient = probe.gradient
    monkeypatch.setattr(probe, "gradient", watched)
    found = state_gradients(model, rows, sums)
    (loss,) = asked
    names = list(found)
    width = found["output"].shape[2]
    first = width * (2 if cell == "grid" else 0)
    zeros = np.zeros((*rows.shape[:2], (4 if cell == "grid" else len(names)) * width), np.float32)
    at_rest = float(loss(zeros))
    squares = np.square(outputs_of(model, rows) - sums).sum()
    assert at_rest == pytest.approx(float(squares), rel=1e-4), "the probe is the network itself"
    for row, frame, place in ((0, 1, 0), (1, 3, 2), (0, 4, 1), (1, 0, 3)):
        moved = zeros.copy()
        moved[row, frame, first + place] = 1e-2
        higher = float(loss(moved))
        lower = float(loss(-moved))
        expected = found[names[0]][row, frame, place]
        assert (higher - lower) / 2e-2 == pytest.approx(expected, rel=2e-2, abs=2e-4)


def test_norms_go_back_from_the_last_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "LAG", 8)
    found = gradients.norms(tiny("lstm-1997"), seed=0)
    assert set(found) == {"output", "memory"}
    assert len(found["output"]) == 8
    assert found["memory"][0] == 0, "the last memory has been read already"
    assert all(norm > 0 for norm in found["memory"][1:])


def test_biases_by_lag_are_of_the_lag() -> None:
    options = options_of("lstm", ADDING)
    model = build(options, ADDING, seed=0)
    bias_by_lag(model, 1000, seed=0)
    bias = model.get_layer("unidirectional_0").forward_layer.cell.bias
    i, f, g, o = np.split(np.asarray(bias), 4)
    np.testing.assert_array_equal(i, -f)
    assert (f >= 0).all()
    assert (f <= np.log(999)).all()
    assert np.median(f) > 5, "half of the memories last for hundreds of frames"
    assert not g.any()
    assert not o.any()


def test_a_measurement_with_a_record_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, int, int]] = []

    class Pupil:
        def __init__(self, task: str, entry: lags.Entry, lag: int, *, quick: bool) -> None:
            del task, quick
            self.name, self.lag = entry.name, lag

        def learn(self, seed: int) -> Any:
            made.append((self.name, self.lag, seed))
            solved = self.lag < 100 or (self.lag == 100 and seed != 1)
            return {"solved": solved, "steps": 25, "loss": 0.0, "seconds": 0.0}

    monkeypatch.setattr(lags, "Pupil", Pupil)
    arguments = Namespace(quick=False, tasks=("recall",), cells=("rnn", "gru"), seeds=3)
    results = Results(tmp_path / "results.json")
    lags.measure(results, arguments)
    # Two of three decide, and nobody is asked for more than the first lag it fails at.
    places = [(50, 0), (50, 1), (100, 0), (100, 1), (100, 2), (200, 0), (200, 1)]
    assert made == [(name, *place) for name in ("rnn", "gru") for place in places]
    made.clear()
    lags.measure(Results(tmp_path / "results.json"), arguments)
    assert not made
    kept = json.loads((tmp_path / "results.json").read_text())
    del kept["lags"]["recall/gru/100/1"]
    (tmp_path / "results.json").write_text(json.dumps(kept))
    lags.measure(Results(tmp_path / "results.json"), arguments)
    assert made == [("gru", 100, 1)], "the one that is missing, and nothing else"


def test_records_of_two_writers_are_kept(tmp_path: Path) -> None:
    one, other = (Results(tmp_path / "results.json") for _ in range(2))
    one.add("lags", "a", {"x": 1})
    other.add("cost", "b", {"y": [1.5, None]})
    one.add("lags", "c", {"x": 2})
    assert other.part("lags") == {"a": {"x": 1}, "c": {"x": 2}}
    assert one.part("cost") == {"b": {"y": [1.5, None]}}
    assert one.has("lags", "c")
    assert not one.has("lags", "b")


@pytest.mark.parametrize("content", ["{", "[1]", '{"lags": 3}'])
def test_a_file_that_is_not_of_results_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(SystemExit, match=r"results\.json: expected"):
        Results(path).part("lags")


def some_speech() -> Speech:
    rng = np.random.default_rng(0)

    def group(name: str, *lengths: int) -> Group:
        items = (
            Item(f"{name}-{n}", rng.standard_normal((length, 3)).astype(np.float32), "a" * (n + 1))
            for n, length in enumerate(lengths)
        )
        return Group(name, tuple(items))

    return Speech((group("digits", 4, 2), group("read", 5)), (group("asked", 3, 1, 2),))


def test_speech_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    told = some_speech()
    told.save(tmp_path / "speech.npz")
    heard = Speech.load(tmp_path / "speech.npz")
    assert [group.name for group in heard.train] == ["digits", "read"]
    for a, b in zip((*told.train, *told.test), (*heard.train, *heard.test), strict=True):
        assert [(item.id, item.text) for item in a.items] == [(i.id, i.text) for i in b.items]
        for one, other in zip(a.items, b.items, strict=True):
            np.testing.assert_array_equal(one.features, other.features)


def test_batches_of_a_group_have_one_shape_and_everybody() -> None:
    (group,) = some_speech().test
    (places,) = group.batches()
    assert len(places) == speech.BATCH_SIZE == BATCH_SIZE
    assert set(places) == {0, 1, 2}
    x, y = group.batch([1, 0])
    assert x["features"].shape == (2, 3, 3)
    assert x["feature_lengths"].tolist() == [1, 3]
    assert y["labels"].shape == (2, 3)
    assert y["label_lengths"].tolist() == [2, 1]


def test_without_speech_recognition_says_what_it_needs(tmp_path: Path) -> None:
    arguments = ["recognition", "--results", str(tmp_path / "results.json")]
    with pytest.raises(SystemExit, match="--digits FOLDER"):
        program.main(arguments)


def test_digits_of_one_speaker_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="received speakers: none"):
        speech.load(tmp_path, "jackson", None, None)


@pytest.mark.parametrize("arguments", [["lag"], ["lags", "--cells", "elman"]])
def test_what_there_is_not_is_answered_with_what_there_is(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        program.main(arguments)
    assert "there are: " in capsys.readouterr().err


def small_results(path: Path) -> Results:
    results = Results(path)
    state = {"output": [0.5**k for k in range(100)], "memory": [0.9**k for k in range(100)]}
    versions = {"keras": "3", "tensorflow": "2"}
    about = {"machine": "a machine", "date": "2026-01-01", "backend": "tensorflow"}
    results.add("about", "lags", about | {"versions": versions})
    for seed in range(2):
        solved = {"steps": 50 + 50 * seed, "loss": 0.001, "seconds": 1.0, "units": 32}
        results.add("lags", f"recall/lstm/50/{seed}", {"solved": True, **solved})
        results.add("lags", f"recall/lstm/100/{seed}", {"solved": seed == 0, **solved})
        results.add("lags", f"recall/lstm/200/{seed}", {"solved": False, **solved})
        spent = solved | {"steps": lags.max_steps("adding", 50)}
        results.add("lags", f"adding/rnn/50/{seed}", {"solved": False, **spent})
    for seed, fading in enumerate((0.5, 0.8, 0.9)):
        other = state | {"output": [fading**k for k in range(100)]}
        results.add("gradients", f"lstm/{seed}", {"before": state, "after": other})
    results.add(
        "gradients", "rnn/0", {when: {"output": state["output"]} for when in ("before", "after")}
    )
    results.add("clipping", "1.6", {"before": state, "free": [1e13, None], "clipped": [1.0, 0.5]})
    for length in (100, 200):
        record = {"use_s": 0.1, "train_s": 0.3 * length, "bytes": 2**20 * length}
        results.add("cost", f"lstm/{length}", record)
    results.add("speech", "sets", {"test": {name: {"seconds": 10.0} for name in GROUPS}})
    for cell, wrong in (("lstm", 1), ("gru", 2), ("lstm, one way", 5)):
        for seed in range(2):
            results.add("recognition", f"{cell}/{seed}", recognised(wrong + seed))
    return results


GROUPS = ("digits, new speaker", "3 digits, new speaker", "6 digits, new speaker", "read")


def recognised(wrong: int) -> dict[str, Any]:
    one = {
        "errors": [wrong, max(0, wrong - 4), max(1, wrong - 4)],
        "words": [4, 4, 2],
        "character_errors": [wrong, 0, 3],
        "characters": [20, 20, 10],
        "loss": 1.0,
        "use_s": 0.5,
    }
    same = {"units": 8, "parameters": 1234, "epochs": 1, "losses": [1.0], "epoch_s": 2.0}
    return same | {"bytes": 2**30, "test": dict.fromkeys(GROUPS, one)}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    places = "\n".join(f"about {name}\n<!-- {name} -->\nold\n<!-- end -->" for name in TABLES)
    (tmp_path / "cells.md").write_text(f"# Cells\n{places}\nlast line\n")
    return tmp_path


def test_a_page_holds_what_was_measured(page: Path) -> None:
    write_page(small_results(page / "mine.json"), page)
    text = (page / "cells.md").read_text()
    assert "old" not in text
    assert text.endswith("last line\n")
    assert "| lstm | 32 | 75 | out of time at 100 (1 of 2) | out of time at 100 |  |  |" in text
    assert "| rnn | 32 | no |  |  |  |  |" in text
    # lstm: 2 and 3 errors of 10 words; gru: 3 and 4. The same utterances err one more time.
    assert "| lstm | 8 | 1,234 | 25.0 % (" in text
    assert "); 20.0 to 30.0 | " in text
    assert "| gru | +10.0 (" in text, "by a seed's luck, perhaps: the best gru is as good"
    assert "| lstm, one way | **+60.0 (" in text, "its best is behind the LSTM's worst"
    # 0.8 to the power of 49 and of 98, between those of 0.5 and of 0.9.
    assert "| 2·10⁻⁵ (2·10⁻¹⁵ to 0.006) | 3·10⁻¹⁰ (3·10⁻³⁰ to 3·10⁻⁵) |" in text
    assert "| rnn | 2·10⁻¹⁵ | 3·10⁻³⁰ | 2·10⁻¹⁵ | 3·10⁻³⁰ |" in text
    assert "| lstm | 2.0 s | 20 | 1,024 MiB |" in text
    assert "| 200 | 100 ms, 60 s, 200 MiB |" in text
    drawn = {path.name for path in (page / "cells").iterdir()}
    assert drawn == {
        *("recognition.svg", "longer.svg", "lags.svg", "gradients.svg", "clipping.svg"),
        *("cost.svg", "results.json"),
    }
    assert "1e+13" in (page / "cells" / "clipping.svg").read_text(), "out of bounds, with its value"
    kept = json.loads((page / "cells" / "results.json").read_text())
    assert kept == json.loads((page / "mine.json").read_text())
    write_page(Results(page / "mine.json"), page)
    assert (page / "cells.md").read_text() == text, "made twice, it is the same"


def test_what_was_not_measured_stays_as_it_is(page: Path) -> None:
    results = Results(page / "mine.json")
    results.add("cost", "lstm/100", {"use_s": 0.1, "train_s": 0.3, "bytes": 2**20})
    write_page(results, page)
    text = (page / "cells.md").read_text()
    assert text.count("old") == len(TABLES) - 1
    assert [path.name for path in (page / "cells").glob("*.svg")] == ["cost.svg"]


def test_a_page_without_a_place_for_a_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cells.md").write_text("nothing")
    with pytest.raises(SystemExit, match="<!-- recognition -->"):
        write_page(small_results(tmp_path / "mine.json"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "attention"])
def test_a_short_lag_is_learnt(cell: Any) -> None:
    (entry,) = (one for one in lags.ENTRIES if one.name == cell)
    pupil = lags.Pupil("recall", entry, 5, quick=True)
    first, second = pupil.learn(0), pupil.learn(0)
    assert first["solved"]
    assert second["losses"] == pytest.approx(first["losses"], rel=0.02), "it begins anew"
