"""Gradient updates through optax, dense: the whole table passes through the optimiser at every step.

Dense is what the paper's code does and what its numbers come from: under Adam with coupled L2 a row that is in no batch
still decays and still moves on old momentum. `rowwise` is the other method, whose cost does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from onebp_jax.ops.rows import to_float32
from onebp_jax.types import Array, Signal, Tree, Updater
from onebp_jax.updaters.rounding import to_storage


def gradient(tx: optax.GradientTransformation, penalty: Callable[[Array], Array] | None = None) -> Updater:
    """Any optax transformation over the dense gradient of the table (repeated ids are summed).

    Args:
      tx: an optax transformation; it sees `f32[rows, d]` gradients and the table as parameters.
      penalty: `penalty(table f32[rows, ..]) -> f32[]`, whose slope over the whole table is added to the gradient (see
        `onebp_jax.updaters.penalties`); None for none.

    Returns:
      An `Updater` that reads gradients only; its state is the optax state. All rows may change.
    """
    tx = optax.with_extra_args_support(tx)

    def init(table: Array) -> Tree:
        return tx.init(to_float32(table))

    def update(signal: Signal, state: Tree, table: Array, **extra) -> tuple[Array, Tree]:
        rows = to_float32(table)
        dense = jnp.zeros_like(rows).at[signal.ids].add(signal.grads.astype(rows.dtype), mode="drop")
        if penalty is not None:
            dense = dense + jax.grad(penalty)(rows)
        updates, state = tx.update(dense, state, rows, **extra)
        return to_storage(rows + updates, table.dtype, extra.get("key")), state

    return Updater(init, update, reads=("grads",))
