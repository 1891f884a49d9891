"""Moving aggregation: each row moves towards its partner rows. This is the update of OneBP's user tower.

    u <- beta u + (1 - beta) v        for a user `u` and the new vector `v` of an item that the user touched

Source: Eq. 6 of "One Backpropagation in Two Tower Recommendation Models" (arXiv 2403.18227). The item vector is the
one *after* the item tower's own update. There is no gradient, no optimiser state and no weight decay.
"""

from __future__ import annotations

import jax.numpy as jnp

from onebp_jax.ops.checks import check_choice, check_share
from onebp_jax.ops.rows import take, to_float32
from onebp_jax.types import Array, Signal, Updater
from onebp_jax.updaters import duplicates as dup
from onebp_jax.updaters.rounding import to_storage


def moving_average(beta: float, duplicates: str = "expected") -> Updater:
    """Exponential moving average of `signal.targets`. Each row is written once per batch.

    Args:
      beta: share of the old row that is kept, in [0, 1]; 1 freezes the table.
      duplicates: the rule for a row that repeats in the batch: `expected` (the default; the order does not matter),
        `sequential`, `mean` or `last`; see `onebp_jax.updaters.duplicates`.

    Returns:
      An `Updater` that reads only targets. Its state is scratch space `i32[rows]`, to group equal ids without a sort.
      Rows outside the batch stay the same to the bit.

    Raises:
      ValueError: beta outside [0, 1] or an unknown rule.

    Example:
      >>> import jax.numpy as jnp
      >>> updater = moving_average(0.5)
      >>> table = jnp.ones((2, 1))
      >>> signal = Signal(jnp.array([0, 0, 0]), None, jnp.array([[0.0], [2.0], [4.0]]))
      >>> table, _ = updater.update(signal, updater.init(table), table)
      >>> table.tolist()
      [[1.875], [1.0]]
    """
    check_share("beta", beta)
    check_choice("duplicates", duplicates, dup.RULES)

    def init(table: Array) -> Array:
        return jnp.zeros(table.shape[0], jnp.int32)

    def update(signal: Signal, state: Array, table: Array, **extra) -> tuple[Array, Array]:
        assert signal.targets is not None
        targets = to_float32(signal.targets)
        if targets.shape[1:] != table.shape[1:]:
            raise ValueError(
                f"moving_average mixes rows with their partner rows, and rows of shape {table.shape[1:]} do not fit "
                f"partners of shape {targets.shape[1:]}; for several vectors per user use nearest_interest"
            )
        ids = signal.ids[: targets.shape[0]]
        groups, state = dup.group(ids, state)
        keep, weight = dup.weights(duplicates, beta, ids, groups, targets.dtype)
        keep, weight = (each.reshape(-1, *[1] * (targets.ndim - 1)) for each in (keep, weight))
        rows = keep * take(table, ids) + groups.sum(weight * targets)
        # Only leaders write, so that each row is written once.
        destination = jnp.where(groups.is_leader, ids, table.shape[0])
        return table.at[destination].set(to_storage(rows, table.dtype, extra.get("key")), mode="drop"), state

    return Updater(init, update, reads=("targets",))
