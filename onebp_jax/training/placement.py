"""Where a run lies: its data and its first state on one device or on those of a layout."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from onebp_jax.data.device import upload
from onebp_jax.engine.step import first_tables, with_samplers
from onebp_jax.parallel import Layout, gather_to_host, init_sharded, replicate
from onebp_jax.training.warm import FirstRows, begun_with
from onebp_jax.types import Array, Interactions, Method, State


def place(
    method: Method, key: Array, data: Interactions, layout: Layout | None, rows: FirstRows | None = None
) -> tuple[State, Interactions]:
    """The first state of a run and its data, on the devices of a layout, or on the default device without one.

    Args:
      key: of the run. data: prepared (`engine.step.prepare_data`), as NumPy arrays, which are uploaded here once.
      rows: of a warm start; None for first tables that the key alone decides.
    """

    def build(key: Array, data: Interactions, *rows: FirstRows) -> State:
        return first_tables(begun_with(method, *rows) if rows else method, key, data)

    given = () if rows is None else (rows,)
    if layout is None:
        on_device = upload(data)
        return with_samplers(method, build(key, on_device, *given), data, on_device), on_device
    on_device = replicate(data, layout)
    state = init_sharded(build, layout, key, on_device, *replicate(given, layout))
    state = with_samplers(method, state, data, on_device)
    state = state._replace(sampler=replicate(state.sampler, layout), pre_step=replicate(state.pre_step, layout))
    return state, on_device


def vectors_of(method: Method, data: Interactions, layout: Layout | None) -> Callable[[State], tuple[Array, Array]]:
    """`vectors(state) -> (user, item)`, to rank and to keep. Those of sharded tables are sharded too."""
    if layout is None:
        compute = jax.jit(method.encoder.vectors)
    else:
        compute = jax.jit(method.encoder.vectors, out_shardings=layout.rows if layout.sharded else layout.sharding())
    return lambda state: compute(state.tables, data)


def to_host(vectors: tuple[Array, Array], shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray] | None:
    """`(user [M, ...], item [N, ...])` in the lead's memory, without padding; None in other processes. All call it."""
    user, item = (gather_to_host(table, rows) for table, rows in zip(vectors, shape, strict=True))
    return None if user is None or item is None else (user, item)
