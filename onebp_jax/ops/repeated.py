"""Reads and sums of rows whose ids repeat: to the same bits in each run, on a GPU too.

A CPU adds repeated rows one after another. A GPU adds them by atomic operations in the order in which its threads arrive, which
differs from run to run, and so does the rounded sum. So on a GPU ids are sorted, equal ones in the order of the batch; their rows
are summed in blocks, and each row of a table has one writer.

`--xla_gpu_deterministic_ops=true` is no substitute: by its version, XLA sorts anew for each scatter or applies one update after
another, and it does so to harmless scatters too. One sort here serves counts and sums, and can be tested on a CPU.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from onebp_jax.ops.gpu import for_gpu
from onebp_jax.types import Array

# How many neighbours in the order of ids are summed at a time. Each power of it takes two kernels.
_BLOCK = 16


class Runs(NamedTuple):
    """Ids in ascending order, in which equal ids form a run.

    Attributes:
      order: `i32[n]`, the positions of the ids in this order; equal ids keep their order.
      ids: `i32[n]`, ascending. first, last: `i32[n]`, for each *position*, where its run begins and ends in this order; 0 for
        padding.
    """

    order: Array
    ids: Array
    first: Array
    last: Array

    def sum(self, values: Array) -> Array:
        """`[n, ...]`: for each position, the sum of `values [n, ...]` over the positions with its id."""
        return _running_sums(self.ids, _at_distinct(values, self.order)).at[self.last].get(mode="clip")


def runs(ids: Array, slots: Array) -> tuple[Runs, Array]:
    """Sorts `ids i32[n]`, rows of the scratch space `slots i32[rows]` or padding. The old content of `slots` is never read."""
    order = jnp.argsort(ids, stable=True).astype(jnp.int32)
    ordered = _at_distinct(ids, order)
    places, edge = jnp.arange(len(ids), dtype=jnp.int32), ordered[1:] != ordered[:-1]
    ends = []
    for is_end in (jnp.append(True, edge), jnp.append(edge, True)):
        slots = slots.at[_one_writer(ordered, is_end, len(slots))].set(places, mode="drop", unique_indices=True)
        ends.append(slots.at[ids].get(mode="fill", fill_value=0))
    return Runs(order, ordered, *ends), slots


def _one_writer(ids: Array, writes: Array, rows: int) -> Array:
    """The ids that write, and distinct places past the end for all others and for padding."""
    return jnp.where(writes & (ids < rows), ids, rows + jnp.arange(len(ids), dtype=ids.dtype))


def add_rows(table: Array, ids: Array, values: Array, indices_are_sorted: bool = False) -> Array:
    """`table` with `values [n, ...]` added to its rows `ids i32[n]`, in the type of the table; differentiable by `jax.grad`.

    An id is 0 or more; one past the end adds nothing. On a GPU, ids below 0 give wrong sums, and `jax.jvp` raises TypeError.
    """
    values = values.astype(table.dtype)
    if for_gpu() and ids.shape[0]:
        return _add_in_order(table, ids, values, indices_are_sorted)
    return table.at[ids].add(values, mode="drop", indices_are_sorted=indices_are_sorted)


def rows_at(table: Array, ids: Array, mode: str = "clip") -> Array:
    """`ids.shape + [...]`: the rows `ids`, differentiable by `jax.grad`; ids as in `add_rows`.

    For ids past the end, mode "clip" reads the last row, "fill" zeros.
    """
    if for_gpu() and ids.size:
        return _read(table, ids, mode)
    return _plain_read(table, ids, mode)


def _plain_read(table: Array, ids: Array, mode: str) -> Array:
    return table.at[ids].get(mode=mode, fill_value=0 if mode == "fill" else None)


_read = jax.custom_vjp(_plain_read, nondiff_argnums=(2,))


def _read_forward(table: Array, ids: Array, mode: str):
    # Of the table, its number of rows and its type are kept.
    return _plain_read(table, ids, mode), (jnp.zeros((table.shape[0], 0), table.dtype), ids)


def _read_backward(mode: str, kept: tuple, grads: Array):
    like, ids = kept
    flat, row = ids.reshape(-1), grads.shape[ids.ndim :]
    if mode == "clip":
        flat = jnp.clip(flat, 0, like.shape[0] - 1)
    return _add_in_order(
        jnp.zeros((like.shape[0], *row), like.dtype), flat, grads.reshape(*flat.shape, *row), False
    ), None


_read.defvjp(_read_forward, _read_backward)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _add_in_order(table: Array, ids: Array, values: Array, indices_are_sorted: bool) -> Array:
    if not indices_are_sorted:
        order = jnp.argsort(ids, stable=True)
        ids, values = _at_distinct(ids, order), _at_distinct(values, order)
    sums = _running_sums(ids, values)
    # The sum of a run stands at its end.
    to = _one_writer(ids, jnp.append(ids[1:] != ids[:-1], True), table.shape[0])
    return table.at[to].add(sums, mode="drop", unique_indices=True)


def _add_forward(table: Array, ids: Array, values: Array, indices_are_sorted: bool):
    return _add_in_order(table, ids, values, indices_are_sorted), ids


def _add_backward(indices_are_sorted: bool, ids: Array, grads: Array):
    return grads, None, rows_at(grads, ids, "fill")


_add_in_order.defvjp(_add_forward, _add_backward)


def _at_distinct(values: Array, order: Array) -> Array:
    """`values[order]`, for a permutation."""
    # JAX may hand an array of NumPy to a gradient as it is.
    return jnp.asarray(values).at[order].get(mode="promise_in_bounds", unique_indices=True)


def _running_sums(ids: Array, values: Array) -> Array:
    """`[n, ...]`: for each place, the sum of `values [n, ...]` from the beginning of its run to this place, for ascending ids.

    It sums within blocks; the sums at the ends of the blocks are a smaller problem of the same kind.
    """
    count = ids.shape[0]
    if count < 2:
        return values
    # Blocks of one size, so that padding at the end changes no bit.
    size, padding = _BLOCK, -count % _BLOCK
    blocks, row = (count + padding) // size, values.shape[1:]
    ids = jnp.pad(ids, (0, padding), mode="edge").reshape(blocks, size)
    values = jnp.pad(values, [(0, padding)] + [(0, 0)] * len(row)).reshape(blocks, size, *row)
    wide = lambda mask: mask.reshape(*mask.shape, *[1] * len(row))
    earlier = (ids[:, :, None] == ids[:, None, :]) & jnp.tri(size, dtype=bool)
    sums = jnp.sum(jnp.where(wide(earlier), values[:, None], 0), 2, dtype=values.dtype)
    if blocks > 1:
        before = _running_sums(ids[:, -1], sums[:, -1])[:-1]
        goes_on = ids[1:] == ids[:-1, -1:]
        carried = jnp.where(wide(goes_on), before[:, None], 0)
        sums += jnp.pad(carried, [(1, 0)] + [(0, 0)] * (carried.ndim - 1))
    return sums.reshape(blocks * size, *row)[:count]
