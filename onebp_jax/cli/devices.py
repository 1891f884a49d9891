"""The flags of programs that run on several devices and in several processes."""

from __future__ import annotations

import os
import sys
from collections import Counter
from importlib.metadata import entry_points
from typing import Any, NamedTuple

import jax
from absl import flags, logging

from onebp_jax.cli.messages import own_flags
from onebp_jax.errors import UserError
from onebp_jax.parallel import DRIVERS, TABLES, Layout, make_layout, processes

_TIMED = "xla_gpu_autotune_level"
# Each process may have its own values of these flags.
_OWN = ("process_id", "workdir", "data_dir", "out")


class Asked(NamedTuple):
    """The values of the flags that `define_layout` defines."""

    parallel: str | None
    num_devices: int
    tables: str
    coordinator: str | None = None
    num_processes: int = 1
    process_id: int = 0


def define_layout(several_processes: bool = True) -> None:
    """`--parallel`, `--num_devices`, `--tables`; `--coordinator`, `--num_processes`, `--process_id`."""
    default = "What drives a step on several devices; if not given, pmap, or shard_map for several processes."
    flags.DEFINE_enum("parallel", None, DRIVERS, default)
    flags.DEFINE_integer(
        "num_devices", 0, "Devices of all processes together; 0 = all. A CPU simulates this number of devices."
    )
    flags.DEFINE_enum("tables", TABLES[0], TABLES, "Each device has all rows of the tables, or a part of them.")
    if several_processes:
        flags.DEFINE_string(
            "coordinator", None, "HOST:PORT of process 0, for several processes; auto where a scheduler knows all."
        )
        flags.DEFINE_integer("num_processes", 1, "Processes of this run.")
        flags.DEFINE_integer("process_id", 0, "The number of this process, from 0.")


def layout() -> Layout | None:
    """The layout that the flags ask for, None for one device; raises `UserError` if there are fewer devices."""
    given: dict[str, Any] = {name: flag.value for name, flag in own_flags(__name__).items()}
    asked = Asked(**{name: given[name] for name in Asked._fields if name in given})
    _check(asked)
    _choose_products()
    if asked.num_devices > 1:
        # Must come before the first computation. It affects only a CPU.
        jax.config.update("jax_num_cpu_devices", asked.num_devices // asked.num_processes)
    if asked.coordinator:
        _join(asked)
        processes.check_same({f"--{name}": given[name] for name in given if name not in _OWN})
    found = jax.devices()
    driver = asked.parallel or ("shard_map" if jax.process_count() > 1 else "pmap")
    _check_found(asked, driver, len(found), found[0].device_kind)
    if (asked.num_devices or len(found)) == 1:
        if asked.parallel or asked.tables != TABLES[0]:
            logging.warning("--parallel and --tables have no effect on one device")
        return None
    layout = make_layout(driver, found[: asked.num_devices or None], asked.tables)
    logging.info(
        "process %d of %d, devices %s of %s, driver %s, tables %s",
        *(jax.process_index(), jax.process_count(), [device.id for device in jax.local_devices()]),
        *(f"{layout.num_devices} ({found[0].device_kind})", driver, asked.tables),
    )
    return layout


def _choose_products() -> None:
    """Where JAX may use a GPU, XLA would time matrix products, and in the next process another one may win, with other bits.

    Must come before the first computation. A value that the user has set stays.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if any("cuda" in plugin.name for plugin in entry_points(group="jax_plugins")) and _TIMED not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{_TIMED}=0".strip()


def _check(asked: Asked) -> None:
    """Raises `UserError` for flags that do not fit each other."""
    wanted, count = asked.num_devices, asked.num_processes
    if count < 1:
        raise UserError(f"--num_processes={count}: expected at least 1")
    if wanted < 0 or (wanted and wanted % count):
        raise UserError(f"--num_devices={wanted}: expected a multiple of the number of processes, or 0 for all devices")
    if (count > 1 or asked.process_id) and not asked.coordinator:
        given = f"--num_processes={count} --process_id={asked.process_id}"
        raise UserError(f"{given}: give --coordinator=HOST:PORT of process 0, the same to all of them")
    if asked.coordinator not in (None, "auto") and not flags.FLAGS["num_processes"].present:
        raise UserError(f"--coordinator={asked.coordinator}: give --num_processes and --process_id too")
    if count > 1:
        _check_driver(asked.parallel)


def _check_driver(driver: str | None) -> None:
    if driver == "pmap":
        raise UserError("--parallel=pmap is for the devices of one process: use shard_map or jit")


def _join(asked: Asked) -> None:
    """Connects this process with the others; raises `UserError` unless all of them have as many devices."""
    assert asked.coordinator
    _keep_output_clean()
    processes.join(asked.coordinator, asked.num_processes, asked.process_id)
    counts = Counter(device.process_index for device in jax.devices())
    if len(set(counts.values())) > 1:
        found = ", ".join(str(counts[process]) for process in sorted(counts))
        raise UserError(f"the processes of this run have {found} devices: give all of them the same --num_devices")


def _check_found(asked: Asked, driver: str, count: int, kind: str) -> None:
    """Raises `UserError` if the devices that were found are not those that the flags ask for."""
    several, wanted = jax.process_count() > 1, asked.num_devices
    if several:
        _check_driver(driver)
    if wanted > count or (several and wanted not in (0, count)):
        raise UserError(f"--num_devices={wanted}: there are {count} ({kind})")


def _keep_output_clean() -> None:
    """Sends what libraries print while processes connect to standard error: a program's output may be data."""
    sys.stdout.flush()
    sys.stdout = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", errors="surrogateescape")
    os.dup2(2, 1)
