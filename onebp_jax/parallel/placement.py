"""Where a run lies: its interactions, its state while it computes and while it is saved, its vectors, who ranks them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from onebp_jax.parallel.distribute import Layout, lay_out, lay_out_rows, on_host, replicate, take_up
from onebp_jax.parallel.ranking import sharded_top_k
from onebp_jax.types import Array, Encoder, Interactions, State, Tree


class Placement(NamedTuple):
    """How a run is kept, see `place`.

    Attributes:
      data: the interactions where steps are computed.
      vectors: `vectors(state) -> (user, item)`, for ranking and to keep; those of sharded tables are sharded, too.
      gathered: `gathered(state, vectors) -> (state, vectors)` as one device has them, to be saved; spread_out: back again.
      rank: what makes the `top_k` of such vectors, see `evaluator`; None for that of one device.
    """

    data: Interactions
    vectors: Callable[[State], tuple[Array, Array]]
    gathered: Callable[[State, Tree], tuple[State, Tree]]
    spread_out: Callable[[State, Tree], tuple[State, Tree]]
    rank: Callable | None = None


def place(encoder: Encoder, data: Interactions, layout: Layout | None) -> Placement:
    """The placement of a run whose interactions (on one device) are given; on that device without a layout."""
    vectors, shape = jax.jit(encoder.vectors), (data.num_users, data.num_items)
    if layout is None:
        as_it_is = lambda state, kept: (state, kept)
        back = lambda state, kept: jax.tree.map(jnp.asarray, (state, kept))
        return Placement(data, lambda state: vectors(state.tables, data), as_it_is, back)
    everywhere = replicate(data, layout)
    if not layout.sharded:
        here = lambda tables: jax.tree.map(lambda leaf: leaf.addressable_data(0), tables)
        return Placement(
            everywhere,
            lambda state: vectors(here(state.tables), data),
            lambda state, kept: (take_up(state, layout, *shape), kept),
            lambda state, kept: (lay_out(state, layout), jax.tree.map(jnp.asarray, kept)),
        )
    in_rows = jax.jit(encoder.vectors, out_shardings=layout.rows)
    whole = lambda kept: tuple(on_host(table)[:rows] for table, rows in zip(kept, shape, strict=True))
    return Placement(
        everywhere,
        lambda state: in_rows(state.tables, everywhere),
        lambda state, kept: (take_up(state, layout, *shape), whole(kept)),
        lambda state, kept: (lay_out(state, layout), tuple(lay_out_rows(table, layout) for table in kept)),
        partial(sharded_top_k, layout),
    )
