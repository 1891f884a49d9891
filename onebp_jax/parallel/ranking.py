"""Top-k on several devices. With replicated tables each device ranks some of the users; with sharded tables, its own items:

    replicated   some users, all items -> their lists -> gathered
    sharded      all users, some items -> best k per device -> gathered, `devices x k` per user -> the best k of these

Equal scores rank the lower item id first, as on one device, because shards are in the order of ids.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.engine.collectives import over_devices
from onebp_jax.evaluation.ranking import Plan, rank_chunks
from onebp_jax.parallel.layout import AXIS, ROWS, WHOLE, Layout
from onebp_jax.types import Array


def spread_top_k(layout: Layout, users: np.ndarray) -> Callable[[Array, Array, Plan, int], tuple[Array, Array]]:
    """`top_k(user, item, plan, k)` like `onebp_jax.evaluation.ranking.top_k`, for tables on the devices of a layout.

    Args:
      layout: the devices; sharded tables have rows of padding at their ends.
      users: `int[rows]`, the rows of `user` that are ranked.
    """
    ids = jnp.asarray(users, jnp.int32)

    def top_k(user: Array, item: Array, plan: Plan, k: int) -> tuple[Array, Array]:
        *seen, width = plan.seen
        sizes = _Sizes(min(k, plan.num_items), plan.num_items, plan.chunk, width)
        return _top_k(user, item, ids, *seen, layout=layout, sizes=sizes)

    return top_k


class _Sizes(NamedTuple):
    """Length of the lists, items of the catalogue, users per chunk, and most pairs to leave out of one chunk."""

    k: int
    num_items: int
    chunk: int
    width: int


@partial(jax.jit, static_argnames=("layout", "sizes"))
def _top_k(user: Array, item: Array, *rest: Array, layout: Layout, sizes: _Sizes) -> tuple[Array, Array]:
    """`rest`: ids of users; rows, items and starts of the pairs to leave out."""
    ranked, spec = (_of_items, ROWS) if layout.sharded else (_of_users, WHOLE)
    return jax.shard_map(
        partial(ranked, layout, sizes),
        mesh=layout.mesh,
        in_specs=(spec, spec, *[WHOLE] * len(rest)),
        out_specs=(WHOLE, WHOLE),
        check_vma=False,
    )(user, item, *rest)


def _of_users(layout: Layout, sizes: _Sizes, user, item, ids, rows, item_ids, starts) -> tuple[Array, Array]:
    """Each device ranks whole chunks of users, so that shapes, and with them scores, are those of one device."""
    collectives = over_devices(AXIS, jax.lax.axis_index(AXIS), layout.num_devices)
    missing = -starts.shape[0] % layout.num_devices
    # Each device needs as many chunks. The extra ones rank the last user again and are cut off.
    own_starts = collectives.local_shard(jnp.pad(starts, (0, missing), mode="edge"))
    chunks = own_starts.shape[0]
    first = jax.lax.axis_index(AXIS) * chunks * sizes.chunk
    own = jnp.clip(first + jnp.arange(chunks * sizes.chunk), 0, ids.shape[0] - 1)
    asked = {"k": sizes.k, "chunk": sizes.chunk, "width": sizes.width}
    best, found = rank_chunks(user[ids[own]], item, rows - first, item_ids, own_starts, **asked)
    best, found = (collectives.all_gather(part)[: ids.shape[0]] for part in (best, found))
    return best, found


def _of_items(layout: Layout, sizes: _Sizes, user, item, ids, rows, item_ids, starts) -> tuple[Array, Array]:
    collectives = over_devices(AXIS, jax.lax.axis_index(AXIS), layout.num_devices, sharded=True)
    first, held = jax.lax.axis_index(AXIS) * item.shape[0], item.shape[0]
    here = (item_ids >= first) & (item_ids < first + held)
    seen = jnp.where(here, rows, -1), jnp.where(here, item_ids - first, 0), starts
    # Rows of padding may be among the best: take as many more, and drop them.
    own = min(sizes.k + layout.num_devices - 1, held)
    best, found = rank_chunks(
        collectives.take_replicated(user, ids), item, *seen, k=own, chunk=sizes.chunk, width=sizes.width
    )
    found = jnp.where(best > -jnp.inf, found + first, sizes.num_items)
    best = jnp.where(found < sizes.num_items, best, -jnp.inf)
    best, place = jax.lax.top_k(collectives.all_gather(best, 1), sizes.k)
    found = jnp.take_along_axis(collectives.all_gather(found, 1), place, axis=1)
    return best, jnp.where(best > -jnp.inf, found, sizes.num_items)
