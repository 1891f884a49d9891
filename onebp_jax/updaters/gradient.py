"""Dense gradient updates with optax: the optimiser updates the whole table at every step.

The paper's code is dense, and so are its numbers: under Adam with coupled L2, a row outside the batch still decays, and
still moves by its old momentum. `rowwise` is another method; its cost does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from onebp_jax.ops.repeated import add_rows
from onebp_jax.ops.rows import to_float32
from onebp_jax.types import Array, Signal, Tree, Updater
from onebp_jax.updaters.rounding import to_storage


def gradient(tx: optax.GradientTransformation, penalty: Callable[[Array], Array] | None = None) -> Updater:
    """Any optax transformation over the dense gradient of the table (repeated ids are summed).

    Args:
      tx: an optax transformation. It gets gradients `f32[rows, d]`, and the table as parameters.
      penalty: `penalty(table f32[rows, ..]) -> f32[]`. Its gradient over the whole table is added (see
        `onebp_jax.updaters.penalties`). None for no penalty.

    Returns:
      An `Updater` that reads only gradients. Its state is the optax state. All rows may change.
    """
    tx = optax.with_extra_args_support(tx)
    # optax allows a tree of updates; here they are one array, as the table is.
    transform: Callable[..., Tree] = tx.update

    def init(table: Array) -> Tree:
        return tx.init(to_float32(table))

    def update(signal: Signal, state: Tree, table: Array, **extra) -> tuple[Array, Tree]:
        assert signal.grads is not None
        rows = to_float32(table)
        dense = add_rows(jnp.zeros_like(rows), signal.ids, signal.grads.astype(rows.dtype))
        if penalty is not None:
            dense = dense + jax.grad(penalty)(rows)
        updates, state = transform(dense, state, rows, **extra)
        return to_storage(rows + updates, table.dtype, extra.get("key")), state

    return Updater(init, update, reads=("grads",))
