"""One program, three drivers: `pmap`, `shard_map`, and `jit` with the partitioning left to the compiler.

    build(collectives) -> program(state, *rest) -> (state, info)        the same body for each driver
    distribute(build, layout) -> program                                jit it, lower it, donate to it as you like

Under `pmap` and `shard_map` each device runs the body, and the body says what is sent. Since jax 0.8 `pmap` is a wrapper over
`shard_map`. Under `jit` the body is the program of one device, and the compiler decides what is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from onebp_jax.engine.collectives import SINGLE_DEVICE, Collectives, over_devices
from onebp_jax.ops.rows import NARROW
from onebp_jax.parallel import processes
from onebp_jax.types import Array, Method, Signal, State, Tree, Updater

AXIS = "data"
DRIVERS = ("pmap", "shard_map", "jit")
TABLES = ("replicated", "sharded")
_WHOLE, _ROWS = PartitionSpec(), PartitionSpec(AXIS)


class Layout(NamedTuple):
    """What runs where.

    Attributes:
      driver: a name of `DRIVERS`. mesh: the devices.
      sharded: whether each device holds a part of the rows of the tables, or all rows.
    """

    driver: str
    mesh: Mesh
    sharded: bool = False

    @property
    def num_devices(self) -> int:
        """The number of devices."""
        return self.mesh.size

    @property
    def rows(self) -> NamedSharding:
        """The sharding of a table whose rows are in parts."""
        return self.sharding(_ROWS)

    def sharding(self, spec: PartitionSpec = _WHOLE) -> NamedSharding:
        """The sharding of an array by a specification; by default a copy on each device."""
        return NamedSharding(self.mesh, spec)


def make_layout(driver: str = "pmap", devices: Sequence[Any] | None = None, tables: str = "replicated") -> Layout:
    """A layout over `devices` (`jax.Device`), by default all of them.

    Raises:
      ValueError: an unknown driver, or another value of `tables` than those of `TABLES`.
    """
    for name, value, known in (("driver", driver, DRIVERS), ("tables", tables, TABLES)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    chosen = jax.devices() if devices is None else devices
    return Layout(driver, Mesh(np.array(chosen), (AXIS,)), tables == "sharded")


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
    if layout.sharded and (method.encoder.reads_all_rows or method.encoder.partner is not None):
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
        lie = lambda leaf, tower: jax.lax.with_sharding_constraint(leaf, layout.sharding(_ROWS if tower else _WHOLE))
        return _map(lie, new, layout), info

    def by_shard_map(state: State, *rest):
        specs = _map(lambda _, tower: _ROWS if tower else _WHOLE, state, layout)
        body = lambda *given: build(over_devices(AXIS, jax.lax.axis_index(AXIS), count, layout.sharded))(*given)
        # Every device writes the same rows of its copy. JAX cannot infer that the copies stay equal.
        return jax.shard_map(
            body, mesh=mesh, in_specs=(specs, *[_WHOLE] * len(rest)), out_specs=(specs, _WHOLE), check_vma=False
        )(state, *rest)

    def by_pmap(state: State, *rest):
        axes = _map(lambda _, tower: 0 if tower else None, state, layout)
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
        new, info = mapped(jnp.arange(count), _map(stack, state, layout), *rest)
        return _map(merge, new, layout, like=state), info

    return {"jit": by_compiler, "shard_map": by_shard_map, "pmap": by_pmap}[layout.driver]


def _automatic(layout: Layout) -> Collectives:
    """The operations of one device, with constraints on where arrays lie."""
    put = lambda x, *spec: jax.lax.with_sharding_constraint(x, layout.sharding(PartitionSpec(*spec)))
    mine = lambda x, along=0: put(x, *[None] * along, AXIS)
    return SINGLE_DEVICE._replace(local_shard=mine, all_gather=lambda x, along=0: put(x))


def _map(function: Callable, state: State, layout: Layout, like: State | None = None) -> State:
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
    laid = jax.jit(lambda *given: _map(padded, build(*given), layout), out_shardings=_map(place, forms, layout))
    return laid(*given)


def shard_state(state: State, layout: Layout) -> State:
    """A state of one device, moved to the devices of a layout.

    Sharded tables get rows of zeros up to a multiple of the devices.
    """
    put = lambda leaf, tower: shard_rows(leaf, layout) if tower else _put(leaf, layout.sharding())
    return _map(put, state, layout)


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
