"""What `fit` is given: learning rates and averages that can be checked by hand."""

import math

import keras
import numpy as np
import pytest

from asr.errors import TrainingError
from pipelines.fitting import AVERAGE_EVERY, WeightAverage, assign
from pipelines.optimizer import WarmUpDecay, build_optimizer
from pipelines.recipe import TrainingOptions

STOCK = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}


def rates(steps: list[int], *, total: int = 30, **options: object) -> list[float]:
    settings = {"learning_rate": 0.5, "warmup_steps": 10, "final_learning_rate": 0.2} | options
    schedule = WarmUpDecay(TrainingOptions(**settings), total_steps=total)  # type: ignore[arg-type]
    return [float(schedule(step)) for step in steps]


def test_the_rate_rises_in_a_straight_line() -> None:
    for schedule in ("constant", "linear", "cosine"):
        assert rates([0, 4, 9], schedule=schedule) == pytest.approx([0.05, 0.25, 0.5])


@pytest.mark.parametrize(
    ("schedule", "falls"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0, 0]),
        ("cosine", [1, (1 + math.sqrt(0.5)) / 2, 0.5, 0, 0]),
    ],
)
def test_the_rate_falls_to_what_is_to_be_left(schedule: str, falls: list[float]) -> None:
    floor = 1.0 if schedule == "constant" else 0.2
    expected = [0.5 * (floor + (1 - floor) * fall) for fall in falls]
    assert rates([10, 15, 20, 30, 99], schedule=schedule) == pytest.approx(expected)


def test_without_warm_up_the_rate_begins_at_its_highest() -> None:
    values = rates([0, 30], warmup_steps=0, schedule="linear", final_learning_rate=0.0)
    assert values == pytest.approx([0.5, 0.0])


def test_a_warm_up_longer_than_the_run_is_only_that() -> None:
    assert rates([0, 4], total=5) == pytest.approx([0.05, 0.25])


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_the_optimizer_is_the_recipes(kind: str) -> None:
    options = TrainingOptions(
        optimizer=kind,  # type: ignore[arg-type]
        learning_rate=0.5,
        warmup_steps=10,
        weight_decay=0.25,
        clip_norm=3.0,
    )
    optimizer = build_optimizer(options, total_steps=100)
    assert isinstance(optimizer, STOCK[kind])
    assert optimizer.global_clipnorm == 3.0
    assert optimizer.weight_decay == (0.25 if kind == "adamw" else None)
    assert float(optimizer.learning_rate) == pytest.approx(0.05)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_the_optimizer_updates_as_keras_does(kind: str, rng: np.random.Generator) -> None:
    options = TrainingOptions(
        optimizer=kind,  # type: ignore[arg-type]
        learning_rate=0.5,
        warmup_steps=3,
        weight_decay=0.25,
        clip_norm=0.7,
    )
    stock = STOCK[kind](WarmUpDecay(options, total_steps=9), global_clipnorm=0.7)
    stock.weight_decay = 0.25 if kind == "adamw" else None
    start = rng.normal(size=(3, 4)).astype(np.float32)
    gradients = rng.normal(size=(5, 3, 4)).astype(np.float32)
    results = []
    for optimizer in (build_optimizer(options, total_steps=9), stock):
        weight = keras.Variable(start)
        optimizer.build([weight])
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
        assert int(optimizer.iterations) == len(gradients)
        results.append(keras.ops.convert_to_numpy(weight))
    ours, theirs = results
    assert np.abs(ours - start).max() > 0.1
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.fixture
def model() -> keras.Model:
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])


def set_weight(model: keras.Model, value: float) -> None:
    model.set_weights([np.full((1, 1), value, np.float32)])


def weight(model: keras.Model) -> float:
    return float(model.get_weights()[0][0, 0])


def test_the_average_by_hand(model: keras.Model) -> None:
    average = WeightAverage(0.9)
    expected: float | None = None
    for step in range(1, 1001):
        set_weight(model, step)
        average.update(model, step)
        if step % 8 == 0:
            # 0.9 a step is 0.9^8 = 0.43 in eight; a young average keeps less of its past.
            momentum = min(0.9**8, step / (step + 80))
            expected = step if expected is None else momentum * expected + (1 - momentum) * step
        assert (float(average.weights[0][0, 0]) if average.weights else None) == (
            None if expected is None else pytest.approx(expected, rel=1e-5)
        )
    assert AVERAGE_EVERY == 8
    # In the long run it lags by 8 m / (1 - m) steps.
    assert expected == pytest.approx(1000 - 8 * 0.9**8 / (1 - 0.9**8), abs=0.01)


def test_the_average_takes_the_models_place_for_a_while(model: keras.Model) -> None:
    average = WeightAverage(0.5)
    for step, value in ((8, 1.0), (16, 5.0)):
        set_weight(model, value)
        average.update(model, step)
    undo = average.apply(model)
    momentum = 0.5**8
    assert weight(model) == pytest.approx(momentum * 1 + (1 - momentum) * 5, rel=1e-6)
    undo()
    assert weight(model) == 5.0


def test_momentum_zero_keeps_no_average(model: keras.Model) -> None:
    average = WeightAverage(0.0)
    set_weight(model, 3.0)
    average.update(model, 8)
    assert average.weights == []
    undo = average.apply(model)
    assert weight(model) == 3.0
    undo()
    assert weight(model) == 3.0


def test_weights_of_another_network_are_refused(model: keras.Model) -> None:
    for values in ([], [np.zeros((2, 1))], [np.zeros((1, 1))] * 2):
        with pytest.raises(TrainingError, match="belongs to another recipe"):
            assign(model.trainable_variables, values)
