"""Whether TensorFlow can compile with XLA here."""

import functools
from typing import Any

import tensorflow as tf


@functools.cache
def has_xla() -> bool:
    """Compiles a trifle to see: on some platforms TensorFlow is built without XLA."""

    @tf.function(jit_compile=True)
    def double(x: Any) -> Any:
        return x + x

    try:
        with tf.init_scope():
            return bool(double(tf.constant(1.0)) == 2.0)
    except tf.errors.OpError:
        return False
