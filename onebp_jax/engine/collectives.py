"""How a step is spread over devices: which rows of the batch a device computes, and which rows of a table it holds.

Every device runs the same program. All devices know the batch and its negatives, because both are functions of the seed and
the step; nothing is sent for them. Each device computes the loss of its own rows of the batch. The gradients are gathered in
the order of the batch. Then every device makes the same sparse update of its copy of the tables, or of the rows that it holds
where tables are sharded:

    ids, negatives  -> own rows     -> vectors, loss, gradients -> all gradients        -> update
    on every device    local_shard     take                        all_gather, all_sum     local_row_ids

So the traffic grows with the batch, not with the tables. A user that is a moving average sends nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from onebp_jax.ops.rows import take
from onebp_jax.types import Array


class Collectives(NamedTuple):
    """The operations that differ between a step on one device and a step on several.

    Attributes:
      local_shard: `local_shard(x, axis) -> x'`, this device's part of an array that is in batch order along an axis.
      all_gather: `all_gather(x', axis) -> x`, the parts of all devices, joined.
      all_sum: `all_sum(x) -> x`, the sum over devices.
      take: `take(table, ids) -> rows`, for the ids that this device asks for.
      take_replicated: the same for ids that all devices ask for.
      local_row_ids: `local_row_ids(ids, table, num_rows) -> ids`: where this device holds these rows in its part of the table.
        A row that lies elsewhere gets the number of rows of the part, which an updater takes for padding.
      is_single: whether there is only one device.
    """

    local_shard: Callable[..., Array]
    all_gather: Callable[..., Array]
    all_sum: Callable[[Array], Array]
    take: Callable[[Array, Array], Array]
    take_replicated: Callable[[Array, Array], Array]
    local_row_ids: Callable[[Array, Array, int], Array]
    is_single: bool = False


_same = lambda x, *_: x
SINGLE_DEVICE = Collectives(_same, _same, _same, take, take, _same, is_single=True)


def over_devices(axis: str, index: Array, count: int, sharded: bool = False) -> Collectives:
    """The operations inside a program that runs on `count` devices.

    Args:
      axis: the name of the mapped axis. index: `i32[]`, the number of this device.
      count: the number of devices; the batch size must be a multiple of it.
      sharded: whether a device holds a part of the rows of each table, with parts of equal size, or all rows.
    """

    def local_shard(x: Array, along: int = 0) -> Array:
        size = x.shape[along] // count
        return jax.lax.dynamic_slice_in_dim(x, index * size, size, along)

    def all_gather(x: Array, along: int = 0) -> Array:
        return jax.lax.all_gather(x, axis, axis=along, tiled=True)

    def all_sum(x: Array) -> Array:
        return jax.lax.psum(x, axis)

    if not sharded:
        return Collectives(local_shard, all_gather, all_sum, take, take, _same)

    def rows_here(table: Array, ids: Array) -> Array:
        """The rows that this device holds, zeros in place of the others."""
        place = ids - index * table.shape[0]
        here = (place >= 0) & (place < table.shape[0])
        rows = take(table, jnp.where(here, place, 0))
        return jnp.where(here.reshape(-1, *[1] * (rows.ndim - 1)), rows, 0)

    def take_own(table: Array, ids: Array) -> Array:
        rows = rows_here(table, all_gather(ids))
        return jax.lax.psum_scatter(rows, axis, scatter_dimension=0, tiled=True)

    def local_row_ids(ids: Array, table: Array, num_rows: int) -> Array:
        place = ids - index * table.shape[0]
        return jnp.where((place >= 0) & (place < table.shape[0]) & (ids < num_rows), place, table.shape[0])

    return Collectives(
        local_shard, all_gather, all_sum, take_own, lambda table, ids: all_sum(rows_here(table, ids)), local_row_ids
    )
