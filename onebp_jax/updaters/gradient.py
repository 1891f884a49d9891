"""Gradient updates through optax, dense: the whole table passes through the optimiser at every step.

Dense is what the paper's code does and what its numbers come from: under Adam with coupled L2 a row that is in no batch
still decays and still moves on old momentum.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import optax

from onebp_jax.types import Array, Signal, Tree, Updater


def gradient(tx: optax.GradientTransformation) -> Updater:
    """Any optax transformation over the dense gradient of the table (repeated ids are summed).

    Args:
      tx: an optax transformation; it sees `f32[rows, d]` gradients and the table as parameters.

    Returns:
      An `Updater` that reads gradients only; its state is the optax state. All rows may change.
    """
    tx = optax.with_extra_args_support(tx)

    def update(signal: Signal, state: Tree, table: Array, **extra) -> tuple[Array, Tree]:
        dense = jnp.zeros_like(table).at[signal.ids].add(signal.grads.astype(table.dtype), mode="drop")
        updates, state = tx.update(dense, state, table, **extra)
        return optax.apply_updates(table, updates), state

    return Updater(tx.init, update, reads=("grads",))


def adam(learning_rate: float, l2: float = 0.0) -> optax.GradientTransformation:
    """Adam with *coupled* L2: the decay joins the gradient before the moments (PyTorch's `weight_decay`).

    Args:
      learning_rate: step size, > 0.
      l2: coefficient of the decay, >= 0. `optax.adamw` decays after the moments and is another method.

    Raises:
      ValueError: a coefficient that is negative or not finite.
    """
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ValueError(f"learning_rate must be a positive number, got {learning_rate}")
    if not (math.isfinite(l2) and l2 >= 0):
        raise ValueError(f"l2 must be zero or a positive number, got {l2}")
    decay = [optax.add_decayed_weights(l2)] if l2 else []
    return optax.chain(*decay, optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8), optax.scale(-learning_rate))
