"""One program, three drivers: `pmap`, `shard_map`, and `jit` with the partitioning left to the compiler.

    build(collectives) -> program(state, *rest) -> (state, info)        the same body for each driver
    distribute(build, layout) -> program                                jit it, lower it, donate to it as you like

Under `pmap` and `shard_map` each device runs the body, and the body says what is sent. Since jax 0.8 `pmap` is a wrapper over
`shard_map`. Under `jit` the body is the program of one device, and the compiler decides what is sent.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from onebp_jax.engine.collectives import SINGLE_DEVICE, Collectives, over_devices
from onebp_jax.ops.rows import NARROW
from onebp_jax.parallel.layout import AXIS, ROWS, WHOLE, Layout
from onebp_jax.parallel.sharding import map_state
from onebp_jax.types import Array, Method, Signal, State, Updater


def check_layout(method: Method, layout: Layout, batch_size: int, state: State) -> None:
    """Raises ValueError, with the reason, if a method cannot be spread in this way.

    Args:
      state: the first state of the method, or its shapes and types.
    """
    if batch_size % layout.num_devices:
        raise ValueError(f"batch_size={batch_size}: expected a multiple of the {layout.num_devices} devices")
    if layout.driver != "jit" and getattr(method.loss, "across_rows", False):
        raise ValueError(
            f"the loss {_name(method.loss)} compares the rows of a batch with one another, and under {layout.driver} a device "
            "has its own rows only: use driver=jit"
        )
    encoder = method.encoder
    if layout.sharded and (encoder.reads_all_rows or encoder.refresh is not None or encoder.partner is not None):
        raise ValueError(
            "tables can be sharded only if a vector depends on its own row alone; the encoder "
            f"{_name(method.encoder.encode)} reads other rows as well: use tables=replicated"
        )
    if layout.sharded:
        _check_rows_apart(method.user_updater, "user", state.user, state.item.shape[1:])
        _check_rows_apart(method.item_updater, "item", state.item, state.user.shape[1:])


def _name(function: Callable) -> str:
    """The name of a part: that of the function that made this one."""
    return getattr(function, "__qualname__", type(function).__qualname__).partition(".")[0]


def _check_rows_apart(updater: Updater, tower: str, table: Array, partner: tuple[int, ...]) -> None:
    """Raises ValueError unless an updater treats rows separately.

    Four rows are updated at once and in two halves; the results must be equal.
    """
    numbers = lambda seed, *shape: jax.random.normal(jax.random.key(seed), shape)
    small = numbers(0, 4, *table.shape[1:])
    if table.dtype == NARROW:
        small = jax.lax.bitcast_convert_type(small.astype(jnp.bfloat16), NARROW)
    ids, grads, targets = jnp.array([0, 3, 1, 3, 2]), numbers(1, 5, *table.shape[1:]), numbers(2, 5, *partner)

    @jax.jit
    def two_steps(table: Array, ids: Array) -> Array:
        state = updater.init(table)
        for _ in range(2):
            table, state = updater.update(Signal(ids, grads, targets), state, table, old_targets=targets)
        return table

    halves = [two_steps(small[at : at + 2], jnp.where((ids >= at) & (ids < at + 2), ids - at, 2)) for at in (0, 2)]
    if not np.allclose(two_steps(small, ids), np.concatenate(halves), rtol=1e-5, atol=1e-6):
        raise ValueError(
            f"{tower} rows cannot be sharded: their updater looks at the whole table (a penalty on it, or a transformation that "
            "mixes rows); use tables=replicated"
        )


def distribute(build: Callable[[Collectives], Callable], layout: Layout) -> Callable:
    """`program(state, *rest) -> (state, info)` on the devices of a layout.

    Args:
      build: `build(collectives)` makes the body. It gets `state` as `shard_state` lays it out, and the whole `rest` on every
        device; `info` must be the same on all devices.
    """
    count, mesh = layout.num_devices, layout.mesh

    def by_compiler(state: State, *rest):
        new, info = build(_automatic(layout))(state, *rest)
        lie = lambda leaf, tower: jax.lax.with_sharding_constraint(leaf, layout.sharding(ROWS if tower else WHOLE))
        return map_state(lie, new, layout), info

    def by_shard_map(state: State, *rest):
        specs = map_state(lambda _, tower: ROWS if tower else WHOLE, state, layout)
        body = lambda *given: build(over_devices(AXIS, jax.lax.axis_index(AXIS), count, layout.sharded))(*given)
        # Every device writes the same rows of its copy. JAX cannot infer that the copies stay equal.
        return jax.shard_map(
            body, mesh=mesh, in_specs=(specs, *[WHOLE] * len(rest)), out_specs=(specs, WHOLE), check_vma=False
        )(state, *rest)

    def by_pmap(state: State, *rest):
        axes = map_state(lambda _, tower: 0 if tower else None, state, layout)
        body = lambda index, *given: build(over_devices(AXIS, index, count, layout.sharded))(*given)
        mapped = jax.pmap(
            body,
            axis_name=AXIS,
            in_axes=(0, axes, *[None] * len(rest)),
            out_axes=(axes, None),
            devices=list(mesh.devices.flat),
        )
        stack = lambda x, tower: x.reshape(count, -1, *x.shape[1:]) if tower else x
        merge = lambda x, tower: x.reshape(-1, *x.shape[2:]) if tower else x
        new, info = mapped(jnp.arange(count), map_state(stack, state, layout), *rest)
        return map_state(merge, new, layout, like=state), info

    return {"jit": by_compiler, "shard_map": by_shard_map, "pmap": by_pmap}[layout.driver]


def _automatic(layout: Layout) -> Collectives:
    """The operations of one device, with constraints on where arrays lie."""
    put = lambda x, *spec: jax.lax.with_sharding_constraint(x, layout.sharding(PartitionSpec(*spec)))
    mine = lambda x, along=0: put(x, *[None] * along, AXIS)
    return SINGLE_DEVICE._replace(local_shard=mine, all_gather=lambda x, along=0: put(x))
