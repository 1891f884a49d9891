"""Moving aggregation with several vectors a user: each positive moves the vector that it is nearest to (OneBP-K).

    k* = argmax_k <u_k, v_old> - c log(1 + n_k),      u_{k*} <- beta u_{k*} + (1 - beta) v_new

That is online k-means of the items a user touched, with a moving average for each centre; the others stay where they are. The
assignment is that before the step, for the whole batch, so it is free of order; repeats of one vector in a batch follow the
rule of the inner updater. Our own proposal: no paper has it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.ops.checks import check_cosine_margin, check_not_negative
from onebp_jax.ops.geometry import unit
from onebp_jax.ops.rows import take
from onebp_jax.types import Array, Signal, Tree, Updater
from onebp_jax.updaters.rounding import to_storage

_EXACT = jax.lax.Precision.HIGHEST


def nearest_interest(
    updater: Updater, usage_bonus: float = 0.0, repel: float = 0.0, margin: float = 0.0, cosine: bool = False
) -> Updater:
    """`updater` on the vector `k*` of each row, in a table `[rows, K, d]`; with `K = 1` it is the given updater, to the bit.

    Args:
      updater: reads targets only, such as `moving_average(beta)`; it works on the table seen as `[rows K, d]`.
      usage_bonus: `c`, how much a vector that was often chosen (`n_k` times) is held back; 0 keeps no counts.
      repel: step size by which the vectors of a touched row are then driven apart, down the slope of `sum over pairs of
        max(0, cos - margin)^2 / 2`; for a strength independent of beta make it proportional to `1 - beta`.
      margin: cosine up to which two vectors are left alone, in [-1, 1).
      cosine: whether to choose by the cosine, so that a long vector does not take all.

    Returns:
      An `Updater` that reads targets (and `old_targets`, the same rows before their update, to choose by). Its state is
      `(inner state, f32[rows, K] counts or ())`. Rows outside the batch are bit-identical afterwards.

    Raises:
      ValueError: an updater that reads gradients, numbers out of range.
    """
    if updater.reads != ("targets",):
        raise ValueError(
            f"nearest_interest works on an updater that reads targets only, this one reads {updater.reads}"
        )
    check_not_negative("usage_bonus", usage_bonus)
    check_not_negative("repel", repel)
    check_cosine_margin("margin", margin)

    def init(table: Array) -> Tree:
        counts = jnp.zeros(table.shape[:2], jnp.float32) if usage_bonus else ()
        return updater.init(_flat(table)), counts

    def choose(own: Array, partners: Array, counts: Array | tuple, ids: Array) -> Array:
        """`i32[m]`: the vector of `own [m, K, d]` that is nearest to each of `partners [m, d]`."""
        score = jnp.einsum("mkd,md->mk", unit(own) if cosine else own, partners, precision=_EXACT)
        if usage_bonus:
            score -= usage_bonus * jnp.log1p(counts.at[ids].get(mode="clip"))
        return jnp.argmax(score, 1).astype(jnp.int32)

    def update(signal: Signal, state: Tree, table: Array, **extra) -> tuple[Array, Tree]:
        if table.ndim != 3 or signal.targets.ndim != 2:
            raise ValueError(
                f"nearest_interest is for several vectors a row and one a partner, [rows, K, d] and [n, d], and here the table "
                f"is {table.shape} and the partners {signal.targets.shape}"
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
            counts = counts.at[ids, chosen].add(1, mode="drop")
        if repel and several > 1:
            moved = take(table, ids)
            moved -= repel * jax.grad(_crowding)(moved, margin)
            # A repeated row is written with the same bits each time.
            table = table.at[ids].set(to_storage(moved, table.dtype, extra.get("key")), mode="drop")
        return table, (inner, counts)

    return Updater(init, update, reads=("targets",))


def _flat(table: Array) -> Array:
    return table.reshape(-1, *table.shape[2:])


def _crowding(vectors: Array, margin: float) -> Array:
    """`f32[]`: half the sum of the squares of how much the cosines of the pairs of each row `[m, K, d]` exceed the margin."""
    several = vectors.shape[1]
    vectors = unit(vectors)
    cosines = jnp.einsum("mkd,mld->klm", vectors, vectors, precision=_EXACT)
    excess = jax.nn.relu(cosines[jnp.triu_indices(several, 1)] - margin)
    return jnp.sum(excess**2) / 2
