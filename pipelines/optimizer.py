"""A recipe's optimiser: its schedule, its clipping, and its update as one compiled program."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from pipelines.recipe import TrainingOptions


@keras.saving.register_keras_serializable(package="bilstm_asr")
class WarmUpDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises in a straight line and then falls.

    Args:
        options: Highest rate, warm-up, shape of the fall and what is left at its end.
        total_steps: Batches in the whole run.
    """

    def __init__(self, options: TrainingOptions, *, total_steps: int) -> None:
        super().__init__()
        self.options = options
        self.total_steps = total_steps

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate at a step (a scalar tensor)."""
        options = self.options
        step = keras.ops.cast(step, "float32")
        rise = keras.ops.minimum((step + 1) / max(options.warmup_steps, 1), 1.0)
        span = max(self.total_steps - options.warmup_steps, 1)
        gone = keras.ops.clip((step - options.warmup_steps) / span, 0.0, 1.0)
        falls = {
            "constant": lambda: keras.ops.ones_like(gone),
            "linear": lambda: 1.0 - gone,
            "cosine": lambda: 0.5 * (1.0 + keras.ops.cos(math.pi * gone)),
        }
        fall = falls[options.schedule]()
        floor = 1.0 if options.schedule == "constant" else options.final_learning_rate
        return options.learning_rate * rise * (floor + (1.0 - floor) * fall)

    def get_config(self) -> dict[str, Any]:
        """Refuses: a run is continued from its checkpoint, not from a saved optimiser."""
        raise NotImplementedError("WarmUpDecay is rebuilt from the recipe, never saved")


class _Compiled:
    """An optimiser that updates all weights in one program, where the backend has one to offer.

    Keras's update is a dozen passes over every weight and its moments. XLA makes a few of them, and
    compiles once, since the weights' shapes never change. On jax, Keras compiles by itself.
    """

    _program: Any = None

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Updates the weights the optimiser was built with, or those given the first time."""
        update = super().apply  # type: ignore[misc]
        if not _compiles():
            update(grads, trainable_variables)
            return
        if self._program is None:
            import tensorflow as tf

            # A Keras variable is no argument of a TensorFlow function: the program holds them.
            weights = None if trainable_variables is None else list(trainable_variables)
            self._program = tf.function(lambda given: update(given, weights), jit_compile=True)
        self._program(list(grads))


class CompiledAdam(_Compiled, keras.optimizers.Adam):
    """Adam (Kingma and Ba 2015)."""


class CompiledAdamW(_Compiled, keras.optimizers.AdamW):
    """Adam with weight decay of its own (Loshchilov and Hutter 2019)."""


def build_optimizer(options: TrainingOptions, *, total_steps: int) -> keras.optimizers.Optimizer:
    """Returns the recipe's optimiser with its schedule and gradient clipping."""
    schedule = WarmUpDecay(options, total_steps=total_steps)
    if options.optimizer == "adamw":
        return CompiledAdamW(
            schedule, weight_decay=options.weight_decay, global_clipnorm=options.clip_norm
        )
    return CompiledAdam(schedule, global_clipnorm=options.clip_norm)


def _compiles() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    from models.xla import has_xla

    return has_xla()
