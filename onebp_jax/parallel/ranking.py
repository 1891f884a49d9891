"""Top-k over a catalogue that is in parts: every device ranks the items that it holds, and the short lists are merged.

    item rows of a device -> its best k -> gathered, `devices x k` a user -> the best k of these

Equal scores rank the lower item id first, as on one device: parts are in the order of ids.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from onebp_jax.evaluation.ranking import Plan, rank_chunks
from onebp_jax.parallel.distribute import AXIS, Layout
from onebp_jax.spread import over_devices
from onebp_jax.types import Array

_WHOLE, _ROWS = PartitionSpec(), PartitionSpec(AXIS)


def sharded_top_k(layout: Layout, users: np.ndarray) -> Callable[[Array, Array, Plan, int], tuple[Array, Array]]:
    """`top_k(user, item, plan, k)` as `onebp_jax.evaluation.ranking.top_k`, for tables that are in parts.

    Args:
      layout: where they lie, with rows of padding at their ends. users: `int[rows]`, the rows of `user` that are ranked; their
        vectors are brought to every device.
    """
    ids = jnp.asarray(users, jnp.int32)
    specs = (_ROWS, _ROWS, *[_WHOLE] * 4)

    @partial(jax.jit, static_argnames=("k", "num_items", "chunk", "width"))
    def merged(user: Array, item: Array, *seen: Array, k: int, num_items: int, chunk: int, width: int):
        def part(user: Array, item: Array, ids: Array, rows: Array, item_ids: Array, starts: Array):
            index = jax.lax.axis_index(AXIS)
            spread = over_devices(AXIS, index, layout.count, sharded=True)
            first, held = index * item.shape[0], item.shape[0]
            here = (item_ids >= first) & (item_ids < first + held)
            seen = jnp.where(here, rows, -1), jnp.where(here, item_ids - first, 0), starts
            # Rows of padding may be among the best: so many more, and then they are no item.
            own = min(k + layout.count - 1, held)
            best, found = rank_chunks(spread.take_same(user, ids), item, *seen, k=own, chunk=chunk, width=width)
            found = jnp.where(best > -jnp.inf, found + first, num_items)
            best = jnp.where(found < num_items, best, -jnp.inf)
            best, place = jax.lax.top_k(spread.gather(best, 1), k)
            found = jnp.take_along_axis(spread.gather(found, 1), place, axis=1)
            return best, jnp.where(best > -jnp.inf, found, num_items)

        mapped = jax.shard_map(part, mesh=layout.mesh, in_specs=specs, out_specs=(_WHOLE, _WHOLE), check_vma=False)
        return mapped(user, item, ids, *seen)

    def top_k(user: Array, item: Array, plan: Plan, k: int) -> tuple[Array, Array]:
        seen, k = plan.seen, min(k, plan.num_items)
        arrays = seen.rows, seen.item_ids, seen.starts
        found = merged(user, item, *arrays, k=k, num_items=plan.num_items, chunk=plan.chunk, width=seen.width)
        return tuple(part.addressable_data(0) for part in found)

    return top_k
