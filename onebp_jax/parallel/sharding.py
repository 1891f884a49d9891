"""States and tables on the devices of a layout: made there, moved there, and gathered again."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding

from onebp_jax.parallel import processes
from onebp_jax.parallel.layout import Layout
from onebp_jax.types import Array, State, Tree


def map_state(function: Callable, state: State, layout: Layout, like: State | None = None) -> State:
    """`function(leaf, tower)` over a state.

    `tower` names the sharded table that the leaf has one entry per row of; it is None for other leaves, and everywhere if
    tables are replicated.
    """
    like = like or state
    parts = {}
    for name in State._fields:
        tower = name.removesuffix("_opt") if layout.sharded else None
        rows = getattr(like, tower).shape[0] if tower in ("user", "item") else None
        in_rows = [leaf.ndim > 0 and leaf.shape[0] == rows for leaf in jax.tree.leaves(getattr(like, name))]
        leaves, tree = jax.tree.flatten(getattr(state, name))
        found = [function(leaf, tower if each else None) for leaf, each in zip(leaves, in_rows, strict=True)]
        parts[name] = jax.tree.unflatten(tree, found)
    return State(**parts)


def init_sharded(build: Callable[..., State], layout: Layout, *given: Tree) -> State:
    """The state `build(*given)`, laid out as by `shard_state`; each device computes the rows that it holds."""
    place = lambda leaf, tower: layout.rows if tower else layout.sharding()
    padded = lambda leaf, tower: _padded(leaf, layout, jnp.pad) if tower else leaf
    forms = jax.eval_shape(build, *given)
    laid = jax.jit(
        lambda *given: map_state(padded, build(*given), layout), out_shardings=map_state(place, forms, layout)
    )
    return laid(*given)


def shard_state(state: State, layout: Layout) -> State:
    """A state of one device, moved to the devices of a layout.

    Sharded tables get rows of zeros up to a multiple of the devices.
    """
    put = lambda leaf, tower: shard_rows(leaf, layout) if tower else _put(leaf, layout.sharding())
    return map_state(put, state, layout)


def shard_rows(table: Array | np.ndarray, layout: Layout) -> Array:
    """A table `[rows, ..]`, sharded by rows, with rows of zeros up to a multiple of the devices."""
    return _put(_padded(np.asarray(table), layout, np.pad), layout.rows)


def shard_tables(layout: Layout | None, *tables: Array | np.ndarray) -> list[Array]:
    """Tables as a layout says: sharded by rows, or a copy on each device; on the first device without a layout."""
    if layout is None:
        return [jnp.asarray(table) for table in tables]
    return [shard_rows(table, layout) if layout.sharded else replicate(table, layout) for table in tables]


def _padded(table, layout: Layout, pad: Callable):
    missing = -table.shape[0] % layout.num_devices
    return pad(table, [(0, missing)] + [(0, 0)] * (table.ndim - 1)) if missing else table


def process_slice(layout: Layout) -> tuple[int, int]:
    """`(part, parts)`: which part of a batch the devices of this process have, and how many processes have a part."""
    owners = [device.process_index for device in layout.mesh.devices.flat]
    mine = owners.count(jax.process_index())
    return owners.index(jax.process_index()) // mine, layout.num_devices // mine


def replicate(tree: Tree, layout: Layout) -> Tree:
    """Copies on all devices of arrays that every process has."""
    return jax.tree.map(lambda leaf: _put(leaf, layout.sharding()), tree)


def _put(leaf: Array | np.ndarray, sharding: NamedSharding) -> Array:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        # Typed keys cannot be put on devices of other processes as they are.
        return jax.random.wrap_key_data(_put(jax.random.key_data(leaf), sharding), impl=jax.random.key_impl(leaf))
    # With several processes only host arrays can be put on all devices.
    return jax.device_put(leaf if jax.process_count() == 1 else np.asarray(leaf), sharding)


def gather_to_host(table: Array, rows: int) -> np.ndarray | None:
    """The first `rows` of a table, in the host memory of the lead process; None in the other processes.

    All processes must call it. No device ever holds more than its part.
    """
    if table.is_fully_replicated:
        return np.asarray(table.addressable_data(0))[:rows] if processes.is_lead() else None
    if table.is_fully_addressable:
        return np.asarray(table)[:rows]
    here, parts = {shard.index[0].start or 0: shard for shard in table.addressable_shards}, []
    for first in range(0, table.shape[0], table.sharding.shard_shape(table.shape)[0]):
        mine = here.get(first, table.addressable_shards[0])
        sent = multihost_utils.broadcast_one_to_all(np.asarray(mine.data), is_source=first in here)
        if processes.is_lead():
            parts.append(np.asarray(sent))
    return np.concatenate(parts)[:rows] if parts else None
