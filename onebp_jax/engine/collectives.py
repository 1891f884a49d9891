"""How a step is spread over devices: which rows of the batch a device computes, and which rows of a table it holds.

A step is one program that every device runs. The batch and its negatives are known to all of them (they are drawn from the seed
and the step, so nothing is sent); each computes the loss of its own rows; their gradients are gathered in the order of the batch;
then every device makes the same sparse update of its copy of the tables, or, where tables are sharded, of the rows that it holds:

    ids, negatives  -> own rows -> vectors, loss, gradients -> all gradients -> update
    the same on all    local_shard -> take                  all_gather, all_sum  local_row_ids

So what is sent grows with the batch, not with the tables; where a user is a moving average, nothing of his is sent at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from onebp_jax.ops.rows import take
from onebp_jax.types import Array


class Collectives(NamedTuple):
    """The operations in which a step on several devices differs from one on a single one.

    Attributes:
      local_shard: `local_shard(x, axis) -> x'`, a device's own part of what lies in batch order along an axis.
      all_gather: `all_gather(x', axis) -> x`, the parts of all devices together again.
      all_sum: `all_sum(x) -> x`, the sum over devices.
      take: `take(table, ids) -> rows`, each device's own `ids`. take_replicated: the same for ids that all devices ask for.
      local_row_ids: `local_row_ids(ids, table, num_rows) -> ids`, where a device has these rows in its part of the table;
        the number of rows of that part for a row that lies elsewhere (padding, to an updater).
      is_single: whether there is only one device.
    """

    local_shard: Callable[[Array, int], Array]
    all_gather: Callable[[Array, int], Array]
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
      count: of devices; what lies in batch order must be a multiple of it.
      sharded: whether a device holds a part of the rows of each table, all parts of one size, or all rows.
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
        """The rows that lie here, zeros in place of the others."""
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
