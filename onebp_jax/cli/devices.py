"""The flags of programs that run on several devices and in several processes."""

from __future__ import annotations

import os
import sys
from collections import Counter

import jax
from absl import flags, logging

from onebp_jax.errors import UserError
from onebp_jax.parallel import DRIVERS, TABLES, Layout, make_layout, processes

# Of these each process may have its own.
_OWN = ("process_id", "workdir", "data_dir", "out")


def define_layout(several_processes: bool = True) -> None:
    """`--parallel`, `--num_devices`, `--tables`; `--coordinator`, `--num_processes`, `--process_id`."""
    default = "What drives a step on several devices; pmap, or shard_map on those of several processes, if not given."
    flags.DEFINE_enum("parallel", None, DRIVERS, default)
    flags.DEFINE_integer(
        "num_devices", 0, "Devices of all processes together; 0 = all. On a CPU so many are simulated."
    )
    flags.DEFINE_enum("tables", TABLES[0], TABLES, "Each device has all rows of the tables, or a part of them.")
    if several_processes:
        flags.DEFINE_string(
            "coordinator", None, "HOST:PORT of process 0 of several, or auto where a scheduler says all."
        )
        flags.DEFINE_integer("num_processes", 1, "Processes of this run.")
        flags.DEFINE_integer("process_id", 0, "Which of them this is, from 0.")


def layout() -> Layout | None:
    """The layout that the flags ask for, None for one device; raises `UserError` where there are fewer devices."""
    given = {name: flags.FLAGS[name].value for name in _defined()}
    coordinator, count = given.get("coordinator"), given.get("num_processes", 1)
    wanted, asked = given["num_devices"], given["parallel"]
    if wanted < 0 or (wanted and wanted % max(1, count)):
        raise UserError(f"--num_devices={wanted}: expected a multiple of the number of processes, or 0 for all devices")
    if (count > 1 or given.get("process_id")) and not coordinator:
        given_ids = f"--num_processes={count} --process_id={given['process_id']}"
        raise UserError(f"{given_ids}: give --coordinator=HOST:PORT of process 0, the same to all of them")
    if coordinator not in (None, "auto") and not flags.FLAGS["num_processes"].present:
        raise UserError(f"--coordinator={coordinator}: give --num_processes and --process_id too")
    if count > 1:
        _check_driver(asked)
    if wanted > 1:
        # Before the first computation; of no effect elsewhere than on a CPU.
        jax.config.update("jax_num_cpu_devices", wanted // count)
    if coordinator:
        _keep_output_clean()
        processes.join(coordinator, count, given["process_id"])
        counts = Counter(device.process_index for device in jax.devices())
        if len(set(counts.values())) > 1:
            found = ", ".join(str(counts[process]) for process in sorted(counts))
            raise UserError(f"the processes of this run have {found} devices: give all of them the same --num_devices")
        processes.check_same({f"--{name}": given[name] for name in given if name not in _OWN})
    several, found = jax.process_count() > 1, jax.devices()
    how = asked or ("shard_map" if several else "pmap")
    if several:
        _check_driver(how)
    if wanted > len(found) or (several and wanted not in (0, len(found))):
        raise UserError(f"--num_devices={wanted}: there are {len(found)} ({found[0].device_kind})")
    if (wanted or len(found)) == 1:
        if asked or given["tables"] != TABLES[0]:
            logging.warning("--parallel and --tables are without effect on one device")
        return None
    layout = make_layout(how, found[: wanted or None], given["tables"])
    logging.info(
        "process %d of %d, devices %s of %s, driver %s, tables %s",
        *(jax.process_index(), jax.process_count(), [device.id for device in jax.local_devices()]),
        *(f"{layout.count} ({found[0].device_kind})", how, given["tables"]),
    )
    return layout


def _check_driver(how: str | None) -> None:
    if how == "pmap":
        raise UserError("--parallel=pmap is for the devices of one process: use shard_map or jit")


def _defined() -> list[str]:
    """The flags that the program and this module define."""
    by_module = flags.FLAGS.flags_by_module_dict()
    return sorted(flag.name for module in ("__main__", sys.argv[0], __name__) for flag in by_module.get(module, []))


def _keep_output_clean() -> None:
    """What libraries print while processes talk to each other goes to standard error: a program's output may be data."""
    sys.stdout.flush()
    sys.stdout = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
