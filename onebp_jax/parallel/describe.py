"""Where the arrays of a state lie, in words for the start of a run, and in bytes."""

from __future__ import annotations

import math
from collections import Counter

import jax
import jax.numpy as jnp
from absl import logging
from jax.sharding import NamedSharding

from onebp_jax.ops.rows import NARROW
from onebp_jax.parallel import processes
from onebp_jax.types import Array, State, Tree

_PARTS = ("user", "item", "params", "user_opt", "item_opt", "params_opt", "pre_step")
_LISTED = 8  # devices whose rows are named one by one


def learned(state: State) -> Tree:
    """What grows with users, items and parameters: tables, and the states of updaters and optimisers."""
    return {name: getattr(state, name) for name in _PARTS}


def bytes_per_device(state: State) -> dict[int, int]:
    """Device id -> bytes of tables, parameters and updater states, for the devices of this process."""
    total = Counter()
    for leaf in jax.tree.leaves(learned(state)):
        for shard in leaf.addressable_shards:
            total[shard.device.id] += math.prod(shard.data.shape) * leaf.dtype.itemsize
    return dict(total)


def described(state: State) -> list[str]:
    """One line per array with rows: name, type, shape, bytes per device, and which rows lie where."""
    lines = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(learned(state)):
        if leaf.ndim and not jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
            name = path[0].key + jax.tree_util.keystr(path[1:])
            kind = "bfloat16" if leaf.dtype == NARROW else leaf.dtype
            held = math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
            lines.append(f"{name}: {kind}{list(leaf.shape)}, {held:,} bytes on a device, {_where(leaf)}")
    return lines


def _where(leaf: Array) -> str:
    places = sorted(leaf.sharding.devices_indices_map(leaf.shape).items(), key=lambda item: item[0].id)
    if leaf.sharding.is_fully_replicated:
        return "on one device" if len(places) == 1 else f"a copy on each of {len(places)}"
    if len(places) > _LISTED:
        return f"1/{len(places)} of the rows on each of {len(places)}"
    bounds = [(device.id, *index[0].indices(leaf.shape[0])[:2]) for device, index in places]
    return "rows " + ", ".join(f"{first}..{end - 1} on {device}" for device, first, end in bounds)


def log_placement(state: State) -> None:
    """Logs the mesh and `described(state)`: in the lead process, and only if there are several devices."""
    sharding = state.user.sharding
    if processes.is_lead() and isinstance(sharding, NamedSharding) and len(sharding.device_set) > 1:
        logging.info("mesh %s", ", ".join(f"{axis}={size}" for axis, size in sharding.mesh.shape.items()))
        for line in described(state):
            logging.info("%s", line)
