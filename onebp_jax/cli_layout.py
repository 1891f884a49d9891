"""The flags of programs that run on several devices and in several processes."""

from __future__ import annotations

import jax
from absl import flags, logging

from onebp_jax.errors import UserError
from onebp_jax.parallel import DRIVERS, TABLES, Layout, make_layout, processes


def define_layout() -> None:
    """`--parallel`, `--num_devices`, `--tables`; `--coordinator`, `--num_processes`, `--process_id`."""
    default = "What drives a step on several devices; pmap, or shard_map on those of several processes, if not given."
    flags.DEFINE_enum("parallel", None, DRIVERS, default)
    flags.DEFINE_integer(
        "num_devices", 0, "Devices of all processes together; 0 = all. On a CPU so many are simulated."
    )
    flags.DEFINE_enum("tables", TABLES[0], TABLES, "Each device has all rows of the tables, or a part of them.")
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0 of several, or auto where a scheduler says all.")
    flags.DEFINE_integer("num_processes", 1, "Processes of this run.")
    flags.DEFINE_integer("process_id", 0, "Which of them this is, from 0.")


def layout() -> Layout | None:
    """The layout that the flags ask for, None for one device; raises `UserError` where there are fewer devices."""
    given = flags.FLAGS
    wanted, count = given.num_devices, given.num_processes
    if wanted < 0 or (wanted and wanted % max(1, count)):
        raise UserError(f"--num_devices={wanted}: expected a multiple of the number of processes, or 0 for all devices")
    if wanted > 1:
        # Before the first computation; of no effect elsewhere than on a CPU.
        jax.config.update("jax_num_cpu_devices", wanted // count)
    if given.coordinator:
        processes.join(given.coordinator, count, given.process_id)
    elif count > 1:
        raise UserError(f"--num_processes={count}: give --coordinator=HOST:PORT of process 0, the same to all of them")
    several, found = jax.process_count() > 1, jax.devices()
    how = given.parallel or ("shard_map" if several else "pmap")
    if several and how == "pmap":
        raise UserError("--parallel=pmap is for the devices of one process: use shard_map or jit")
    if wanted > len(found) or (several and wanted not in (0, len(found))):
        raise UserError(f"--num_devices={wanted}: there are {len(found)} ({found[0].device_kind})")
    if (wanted or len(found)) == 1:
        return None
    layout = make_layout(how, found[: wanted or None], given.tables)
    logging.info(
        "process %d of %d, devices %s of %s; a step is driven by %s, the tables are %s",
        *(jax.process_index(), jax.process_count(), [device.id for device in jax.local_devices()]),
        *(f"{layout.count} ({found[0].device_kind})", how, given.tables),
    )
    return layout
