"""Moving aggregation with several vectors per user: each positive moves the nearest of them (OneBP-K).

    k* = argmax_k <u_k, v_old> - c log(1 + n_k),      u_{k*} <- beta u_{k*} + (1 - beta) v_new

This is online k-means of the items that a user touched: each centre is a moving average, and the centres that are not chosen
stay the same. All choices of a batch are made with the vectors before the step, so the order in the batch does not matter. If a
batch chooses one vector several times, the rule of the inner updater applies. This is our own proposal, not from a paper.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.ops.checks import check_cosine_margin, check_not_negative
from onebp_jax.ops.geometry import unit
from onebp_jax.ops.repeated import add_rows
from onebp_jax.ops.rows import take
from onebp_jax.types import Array, Signal, Tree, Updater
from onebp_jax.updaters.rounding import to_storage

_EXACT = jax.lax.Precision.HIGHEST


def nearest_interest(
    updater: Updater, usage_bonus: float = 0.0, repel: float = 0.0, margin: float = 0.0, cosine: bool = False
) -> Updater:
    """Applies `updater` to the vector `k*` of each row of a table `[rows, K, d]`. With `K = 1` it equals `updater` to the bit.

    Args:
      updater: reads only targets, such as `moving_average(beta)`. It works on the table in the shape `[rows K, d]`.
      usage_bonus: `c`; the larger it is, the less often a vector is chosen that was chosen often before (`n_k` times). 0 keeps
        no counts.
      repel: step size of a gradient step that then pushes the vectors of each touched row apart. It lowers the `sum over pairs
        of max(0, cos - margin)^2 / 2`. Make it proportional to `1 - beta` for a strength that does not depend on beta.
      margin: two vectors repel each other only above this cosine, in [-1, 1).
      cosine: whether to choose by the cosine, so that long vectors are not preferred.

    Returns:
      An `Updater` that reads targets, and also `old_targets` (the same rows before their update) for the choice. Its state is
      `(inner state, f32[rows, K] counts or ())`. Rows outside the batch stay the same to the bit.

    Raises:
      ValueError: an updater that reads gradients, or numbers out of range.
    """
    if updater.reads != ("targets",):
        raise ValueError(
            f"nearest_interest works on an updater that reads targets only, but this one reads {updater.reads}"
        )
    check_not_negative("usage_bonus", usage_bonus)
    check_not_negative("repel", repel)
    check_cosine_margin("margin", margin)

    def init(table: Array) -> Tree:
        counts = jnp.zeros(table.shape[:2], jnp.float32) if usage_bonus else ()
        return updater.init(_flat(table)), counts

    def choose(own: Array, partners: Array, counts: Tree, ids: Array) -> Array:
        """`i32[m]`: for each row, which vector of `own [m, K, d]` is nearest to its partner in `partners [m, d]`."""
        score = jnp.einsum("mkd,md->mk", unit(own) if cosine else own, partners, precision=_EXACT)
        if usage_bonus:
            score -= usage_bonus * jnp.log1p(counts.at[ids].get(mode="clip"))
        return jnp.argmax(score, 1).astype(jnp.int32)

    def update(signal: Signal, state: Tree, table: Array, **extra) -> tuple[Array, Tree]:
        assert signal.targets is not None
        if table.ndim != 3 or signal.targets.ndim != 2:
            raise ValueError(
                "nearest_interest is for several vectors per row and one per partner, [rows, K, d] and [n, d], but the table "
                f"is {table.shape} and the partners are {signal.targets.shape}"
            )
        inner, counts = state
        rows, several = table.shape[:2]
        ids = signal.ids[: signal.targets.shape[0]]
        partners = extra.get("old_targets")
        partners = signal.targets if partners is None else partners
        chosen = choose(take(table, ids), partners, counts, ids)
        flat_ids = jnp.where(ids < rows, ids * several + chosen, rows * several)
        flat, inner = updater.update(Signal(flat_ids, None, signal.targets), inner, _flat(table), **extra)
        table = flat.reshape(table.shape)
        if usage_bonus:
            counts = add_rows(counts.reshape(-1), flat_ids, jnp.ones(flat_ids.shape, counts.dtype)).reshape(
                counts.shape
            )
        if repel and several > 1:
            moved = take(table, ids)
            moved -= repel * jax.grad(_crowding)(moved, margin)
            # A repeated row is written several times, each time with the same bits (in a bfloat16 table, which
            # the config refuses here, they may be rounded otherwise).
            table = table.at[ids].set(to_storage(moved, table.dtype, extra.get("key")), mode="drop")
        return table, (inner, counts)

    return Updater(init, update, reads=("targets",))


def _flat(table: Array) -> Array:
    return table.reshape(-1, *table.shape[2:])


def _crowding(vectors: Array, margin: float) -> Array:
    """`f32[]`: the sum of `max(0, cos - margin)^2 / 2` over the pairs of vectors of each row `[m, K, d]`."""
    several = vectors.shape[1]
    vectors = unit(vectors)
    cosines = jnp.einsum("mkd,mld->klm", vectors, vectors, precision=_EXACT)
    excess = jax.nn.relu(cosines.at[np.triu_indices(several, 1)].get(unique_indices=True) - margin)
    return jnp.sum(excess**2) / 2
