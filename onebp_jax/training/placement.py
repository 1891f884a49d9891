"""Where a run lies: its interactions and its state, its vectors, who ranks them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax

from onebp_jax.engine.step import first_tables, with_samplers
from onebp_jax.parallel.distribute import Layout, gather_to_host, init_sharded, replicate
from onebp_jax.parallel.ranking import spread_top_k
from onebp_jax.types import Array, Interactions, Method, State


class Placement(NamedTuple):
    """How a run is kept, see `place`.

    Attributes:
      data: the interactions where steps are computed.
      vectors: `vectors(state) -> (user, item)`, for ranking and to keep; those of sharded tables are sharded, too.
      on_host: `on_host(vectors) -> (user, item)` without padding in host memory; None but in the lead, see `gather_to_host`.
      rank: what makes the `top_k` of such vectors, see `evaluator`; None for that of one device.
    """

    data: Interactions
    vectors: Callable[[State], tuple[Array, Array]]
    on_host: Callable
    rank: Callable | None = None


def place(method: Method, key: Array, data: Interactions, layout: Layout | None) -> tuple[Placement, State]:
    """A run on the devices of a layout, on the first one without, and the state that it begins with.

    Args:
      key: of the run. data: `ready` interactions on one device.
    """
    rows = data.num_users, data.num_items
    on_host = lambda vectors: tuple(gather_to_host(*each) for each in zip(vectors, rows, strict=True))
    if layout is None:
        vectors = jax.jit(method.encoder.vectors)
        state = with_samplers(method, first_tables(method, key, data), data)
        return Placement(data, lambda state: vectors(state.tables, data), on_host), state
    everywhere = replicate(data, layout)
    state = with_samplers(method, init_sharded(partial(first_tables, method), layout, key, everywhere), data)
    state = state._replace(sampler=replicate(state.sampler, layout), pre_step=replicate(state.pre_step, layout))
    vectors = jax.jit(method.encoder.vectors, out_shardings=layout.rows if layout.sharded else layout.sharding())
    rank = partial(spread_top_k, layout)
    return Placement(everywhere, lambda state: vectors(state.tables, everywhere), on_host, rank), state
