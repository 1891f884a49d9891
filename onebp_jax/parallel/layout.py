"""What runs where: the driver, the devices, and whether tables are sharded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "data"
DRIVERS = ("pmap", "shard_map", "jit")
TABLES = ("replicated", "sharded")
# Specifications of arrays: a copy on each device; sharded by rows.
WHOLE, ROWS = PartitionSpec(), PartitionSpec(AXIS)


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
        return self.sharding(ROWS)

    def sharding(self, spec: PartitionSpec = WHOLE) -> NamedSharding:
        """The sharding of an array by a specification; by default a copy on each device."""
        return NamedSharding(self.mesh, spec)


def make_layout(driver: str = "pmap", devices: Sequence[Any] | None = None, tables: str = "replicated") -> Layout:
    """A layout over `devices` (`jax.Device`), by default all of them.

    Raises:
      ValueError: an unknown driver, another value of `tables` than those of `TABLES`, or something else than devices.
    """
    for name, value, known in (("driver", driver, DRIVERS), ("tables", tables, TABLES)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    given = jax.devices() if devices is None else devices
    chosen = list(given) if isinstance(given, Iterable) else []
    if not chosen or not all(isinstance(one, jax.Device) for one in chosen):
        raise ValueError(f"devices={devices!r:.80}: expected one or more devices, as jax.devices() gives them")
    return Layout(driver, Mesh(np.array(chosen), (AXIS,)), tables == "sharded")
