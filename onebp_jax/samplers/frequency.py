"""How likely an item is to be in a batch: known from the training pairs, or estimated from the batches.

    static      q_j = count_j / P                                   the share of the training pairs
    streaming   on step t, for every item y of the batch:  B[y] <- (1 - a) B[y] + a (t - A[y]);  A[y] <- t;  q_y = 1 / B[y]

`A` is the last step whose batch held the item, and `B` is the moving average of the steps between two such batches (Yi et al.
2019, but with one cell per item instead of several hashed ones). The two estimates differ by a constant factor, the batch size,
which a softmax cancels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from onebp_jax.ops.checks import check_choice, check_share
from onebp_jax.ops.csr import item_counts
from onebp_jax.types import Array, Interactions, Tree

# The initial value of Yi et al.
_FIRST_INTERVAL = 100.0


class Streaming(NamedTuple):
    """State of the estimate: `interval f32[N]` (B), `seen i32[N]` (A), and the number of batches so far, `step i32[]`."""

    interval: Array
    seen: Array
    step: Array


class Frequency(NamedTuple):
    """`init(data) -> state`; `read(state, ids i32[b], data) -> (log_q f32[b] or None, state)`, where padding has the log 0."""

    init: Callable[[Interactions], Tree]
    read: Callable[[Tree, Array, Interactions], tuple[Array | None, Tree]]


def log_share(data: Interactions) -> Array:
    """`f32[N]`: the logarithm of each item's share of the training pairs; 0 for an item without pairs (in no batch)."""
    counts = item_counts(data)
    return jnp.asarray(np.where(counts > 0, np.log(np.maximum(counts, 1) / counts.sum()), 0), jnp.float32)


def frequency(correction: str, rate: float = 0.01) -> Frequency:
    """The estimate that `correction` names: "static", "streaming" (a moving average with `rate`), or "none".

    Raises:
      ValueError: another name, or a rate that is not above 0 and at most 1.
    """
    check_choice("correction", correction, ("static", "streaming", "none"))
    check_share("rate", rate, zero=False)
    if correction == "none":
        return Frequency(lambda data: (), lambda state, ids, data: (None, state))
    if correction == "static":
        return Frequency(log_share, lambda state, ids, data: (at_items(state, ids, data), state))

    def init(data: Interactions) -> Streaming:
        interval = jnp.full(data.num_items, _FIRST_INTERVAL, jnp.float32)
        return Streaming(interval, jnp.zeros(data.num_items, jnp.int32), jnp.int32(0))

    def read(state: Streaming, ids: Array, data: Interactions) -> tuple[Array, Streaming]:
        step = state.step + 1
        waited = step - state.seen.at[ids].get(mode="clip")
        # If an item is twice in a batch, the same number is written twice.
        interval = (1 - rate) * state.interval.at[ids].get(mode="clip") + rate * waited
        log_q = jnp.where(ids < data.num_items, -jnp.log(interval), 0)
        # Always true, but the compiler does not know it. So it reads before it writes, and makes no copy of `seen`.
        written = jnp.where(waited > 0, ids, data.num_items)
        new = state.interval.at[ids].set(interval, mode="drop"), state.seen.at[written].set(step, mode="drop")
        return log_q, Streaming(*new, step)

    return Frequency(init, read)


def at_items(values: Array, ids: Array, data: Interactions) -> Array:
    """`f32[b]`: the `values f32[N]` of these items, 0 for padding."""
    return jnp.where(ids < data.num_items, values.at[ids].get(mode="clip"), 0)
