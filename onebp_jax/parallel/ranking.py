"""Top-k on many devices. Where tables are copied each device ranks some of the users; where they are in parts, its own items:

    users of a device, all items -> their lists -> gathered
    all users, items of a device -> its best k -> gathered, `devices x k` a user -> the best k of these

Equal scores rank the lower item id first, as on one device: parts are in the order of ids.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from onebp_jax.engine.collectives import over_devices
from onebp_jax.evaluation.ranking import Plan, rank_chunks
from onebp_jax.parallel.distribute import AXIS, Layout
from onebp_jax.types import Array

_WHOLE, _ROWS = PartitionSpec(), PartitionSpec(AXIS)


def spread_top_k(layout: Layout, users: np.ndarray) -> Callable[[Array, Array, Plan, int], tuple[Array, Array]]:
    """`top_k(user, item, plan, k)` as `onebp_jax.evaluation.ranking.top_k`, for tables that lie as a layout says.

    Args:
      layout: where they lie; tables in parts have rows of padding at their ends. users: `int[rows]`, the rows of `user` that
        are ranked.
    """
    ids = jnp.asarray(users, jnp.int32)

    def top_k(user: Array, item: Array, plan: Plan, k: int) -> tuple[Array, Array]:
        *seen, width = plan.seen
        sizes = plan._replace(seen=width)
        return _top_k(user, item, ids, *seen, layout=layout, k=min(k, plan.num_items), plan=sizes)

    return top_k


@partial(jax.jit, static_argnames=("layout", "k", "plan"))
def _top_k(user: Array, item: Array, *rest: Array, layout: Layout, k: int, plan: Plan) -> tuple[Array, Array]:
    """`rest`: ids of users, and rows, items and starts of what is hidden; the `seen` of this plan is its width alone."""
    ranked, spec = (_of_items, _ROWS) if layout.sharded else (_of_users, _WHOLE)
    return jax.shard_map(
        partial(ranked, layout, k=k, plan=plan),
        mesh=layout.mesh,
        in_specs=(spec, spec, *[_WHOLE] * len(rest)),
        out_specs=(_WHOLE, _WHOLE),
        check_vma=False,
    )(user, item, *rest)


def _of_users(layout: Layout, user, item, ids, rows, item_ids, starts, *, k: int, plan: Plan) -> tuple[Array, Array]:
    """Whole chunks of users a device, so that the shapes, and with them the scores, are those of one device."""
    collectives = over_devices(AXIS, jax.lax.axis_index(AXIS), layout.count)
    missing = -starts.shape[0] % layout.count
    # Chunks that are only there to be as many on each device rank the last user again, and are cut off.
    own_starts = collectives.local_shard(jnp.pad(starts, (0, missing), mode="edge"))
    chunks = own_starts.shape[0]
    first = jax.lax.axis_index(AXIS) * chunks * plan.chunk
    own = jnp.clip(first + jnp.arange(chunks * plan.chunk), 0, ids.shape[0] - 1)
    asked = {"k": k, "chunk": plan.chunk, "width": plan.seen}
    best, found = rank_chunks(user[ids[own]], item, rows - first, item_ids, own_starts, **asked)
    return tuple(collectives.all_gather(part)[: ids.shape[0]] for part in (best, found))


def _of_items(layout: Layout, user, item, ids, rows, item_ids, starts, *, k: int, plan: Plan) -> tuple[Array, Array]:
    collectives = over_devices(AXIS, jax.lax.axis_index(AXIS), layout.count, sharded=True)
    first, held = jax.lax.axis_index(AXIS) * item.shape[0], item.shape[0]
    here = (item_ids >= first) & (item_ids < first + held)
    seen = jnp.where(here, rows, -1), jnp.where(here, item_ids - first, 0), starts
    # Rows of padding may be among the best: so many more, and then they are no item.
    own = min(k + layout.count - 1, held)
    best, found = rank_chunks(
        collectives.take_replicated(user, ids), item, *seen, k=own, chunk=plan.chunk, width=plan.seen
    )
    found = jnp.where(best > -jnp.inf, found + first, plan.num_items)
    best = jnp.where(found < plan.num_items, best, -jnp.inf)
    best, place = jax.lax.top_k(collectives.all_gather(best, 1), k)
    found = jnp.take_along_axis(collectives.all_gather(found, 1), place, axis=1)
    return best, jnp.where(best > -jnp.inf, found, plan.num_items)
