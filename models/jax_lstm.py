"""A bidirectional LSTM over rows of different lengths on JAX, with its gradient written out.

The same equations and the same economy as `models.fast_lstm`: the input product of all frames is
one large product before the loop, and so are the weight gradients after it. JAX compiles the whole
step for each shape of batch, so both directions run in one `lax.scan`, side by side, and nothing is
cut into blocks.
"""

from typing import Any

import jax
import jax.numpy as jnp

from models.reversal import reverse_by_length

Weights = tuple[Any, Any, Any]
"""W [F, 4 * units], U [units, 4 * units] and b [4 * units]."""


def bidirectional_lstm(
    sequences: Any, lengths: Any, forward: Weights, backward: Weights, *, product_dtype: str
) -> Any:
    """Runs an LSTM over every row in both directions, from zero states.

    Args:
        sequences: Float array [B, T, F], right-padded.
        lengths: Integer array [B], each in 0..T.
        forward: Weights of the direction from the first frame to the last.
        backward: Weights of the direction from the last to the first.
        product_dtype: Type of the large matrix products' factors and results; within a product, and
            in gates and states, sums are float32.

    Returns:
        Hidden states, [B, T, 2 * units] of the type of `sequences`; padding frames hold something
        finite.
    """
    kernel, recurrent_kernel, bias = (
        jnp.stack([jnp.asarray(each, jnp.float32) for each in pair])
        for pair in zip(forward, backward, strict=True)
    )
    both = jnp.stack([sequences, reverse_by_length(sequences, lengths)])  # [2, B, T, F]
    time_major = both.transpose(2, 0, 1, 3).astype(product_dtype)  # [T, 2, B, F]
    projected = _product("tdbf,dfg->tdbg", time_major, kernel.astype(product_dtype))
    hidden = _recurrence(projected + bias[:, None, :], recurrent_kernel, product_dtype)
    ahead, behind = hidden.transpose(1, 2, 0, 3)  # [B, T, units] each
    outputs = jnp.concatenate([ahead, reverse_by_length(behind, lengths)], axis=-1)
    return outputs.astype(sequences.dtype)


def _product(equation: str, left: Any, right: Any) -> Any:
    return jnp.einsum(equation, left, right).astype(jnp.float32)


def _recurrence(projected: Any, recurrent_kernel: Any, product_dtype: str) -> Any:
    """Returns h [T, 2, B, units] for x·W + b [T, 2, B, 4 * units]."""

    @jax.custom_vjp
    def run(projected: Any, recurrent_kernel: Any) -> Any:
        return _forward_loop(projected, recurrent_kernel)[0]

    def ahead(projected: Any, recurrent_kernel: Any) -> Any:
        hidden, gates, cells = _forward_loop(projected, recurrent_kernel)
        return hidden, (hidden, gates, cells, recurrent_kernel)

    def back(saved: Any, upstream: Any) -> tuple[Any, Any]:
        hidden, gates, cells, recurrent_kernel = saved
        gate_gradients = _backward_loop(upstream, gates, cells, recurrent_kernel)
        recurrent_gradient = _product(
            "tdbu,tdbg->dug",
            _previous(hidden).astype(product_dtype),
            gate_gradients.astype(product_dtype),
        )
        return gate_gradients, recurrent_gradient

    run.defvjp(ahead, back)
    return run(projected, recurrent_kernel)


def _forward_loop(projected: Any, recurrent_kernel: Any) -> tuple[Any, Any, Any]:
    """Returns h [T, 2, B, units], gates [T, 2, B, 4 * units] and c [T, 2, B, units]."""
    units = recurrent_kernel.shape[1]
    zero = jnp.zeros((*projected.shape[1:3], units), projected.dtype)

    def step(states: Any, z: Any) -> tuple[Any, Any]:
        h, c = states
        z_i, z_f, z_g, z_o = jnp.split(z + h @ recurrent_kernel, 4, axis=-1)
        i, f, o = jax.nn.sigmoid(z_i), jax.nn.sigmoid(z_f), jax.nn.sigmoid(z_o)
        g = jnp.tanh(z_g)
        c = f * c + i * g
        h = o * jnp.tanh(c)
        return (h, c), (h, jnp.concatenate([i, f, g, o], axis=-1), c)

    _, traces = jax.lax.scan(step, (zero, zero), projected)
    hidden, gates, cells = traces
    return hidden, gates, cells


def _backward_loop(upstream: Any, gates: Any, cells: Any, recurrent_kernel: Any) -> Any:
    """Returns ∂/∂z [T, 2, B, 4 * units], going from the last frame to the first."""
    transposed_kernel = recurrent_kernel.transpose(0, 2, 1)
    zero = jnp.zeros(upstream.shape[1:], upstream.dtype)

    def step(gradients: Any, at: Any) -> tuple[Any, Any]:
        dh, dc = gradients
        upstream, gates, c, c_before = at
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        tanh_c = jnp.tanh(c)
        dh = dh + upstream
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        parts = [
            dc * g * i * (1 - i),
            dc * c_before * f * (1 - f),
            dc * i * (1 - g * g),
            dh * tanh_c * o * (1 - o),
        ]
        dz = jnp.concatenate(parts, axis=-1)
        return (dz @ transposed_kernel, dc * f), dz

    over = (upstream, gates, cells, _previous(cells))
    return jax.lax.scan(step, (zero, zero), over, reverse=True)[1]


def _previous(states: Any) -> Any:
    """Shifts [T, ...] one frame later, with the zero state first."""
    return jnp.concatenate([jnp.zeros_like(states[:1]), states[:-1]])
