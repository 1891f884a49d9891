"""A table whose rows hold a vector and a copy that follows it slowly (the target network of BUIR)."""

from __future__ import annotations

import jax.numpy as jnp

from onebp_jax.ops.checks import check_share
from onebp_jax.types import Array, Signal, Tree, Updater


def with_target(updater: Updater, rho: float = 0.995) -> Updater:
    """Applies `updater` to slot 0 of a table `[rows, 2, d]`, then `slot 1 <- rho slot 1 + (1 - rho) slot 0` in every row.

    Args:
      updater: updates a table `[rows, d]`. It gets the gradients and targets of slot 0 only.
      rho: share of the old copy that is kept, in [0, 1]; 1 freezes the copies.

    Returns:
      An `Updater` with the same state and the same `reads` as the given one. Copies change in rows outside the batch too.

    Raises:
      ValueError: rho outside [0, 1]; from `init`, a table of another shape.

    Source: BUIR (Lee et al. 2021); the momentum encoder of BYOL and MoCo.
    """
    check_share("rho", rho)

    def init(table: Array) -> Tree:
        if table.ndim != 3 or table.shape[1] != 2:
            raise ValueError(
                f"with_target is for tables of [rows, 2, d], a vector and its slow copy, but this table is {table.shape}"
            )
        return updater.init(table[:, 0])

    def update(signal: Signal, state: Tree, table: Array, **extra) -> tuple[Array, Tree]:
        first = lambda values: None if values is None else values[:, 0]
        own = Signal(signal.ids, first(signal.grads), first(signal.targets))
        online, state = updater.update(own, state, table[:, 0], **extra)
        slow = rho * table[:, 1] + (1 - rho) * online
        return jnp.stack([online, slow], 1), state

    return Updater(init, update, updater.reads)
