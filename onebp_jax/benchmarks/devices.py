"""The same step on more and more devices: its time, what it sends, and what a device holds.

Simulated devices (`jax_num_cpu_devices`) share the cores of one CPU. Their times say what the distribution costs, never how much
faster several machines would be. The bytes that are sent and held are those of real devices.
"""

from __future__ import annotations

import time

from onebp_jax.benchmarks.step import median_seconds, prepared, timed_steps
from onebp_jax.data.dataset import Dataset
from onebp_jax.engine.step import make_step
from onebp_jax.errors import UserError
from onebp_jax.parallel import Layout, bytes_per_device, check_layout, exchanged, replicate, shard_state
from onebp_jax.training.runner import make_scan


def benchmark_devices(config, dataset: Dataset, layout: Layout, repeats: int = 7) -> dict[str, float]:
    """Times the compiled epoch of a configuration (at most 100 steps of it) on the devices of a layout.

    Returns:
      `devices`; `ms_per_step` (median over `repeats`), `examples_per_s`; `sent_mb_per_step`, what a device sends in a step
      (`onebp_jax.parallel.exchanged`); `state_mb_per_device`, tables, parameters and what updaters keep, on the device that has
      most of it; `compile_s`.
    """
    method, data, state = prepared(config, dataset)
    try:
        check_layout(method, layout, config.batch_size, state)
    except ValueError as error:
        raise UserError(str(error)) from error
    _, length = timed_steps(config, data)
    several = layout if layout.num_devices > 1 else None
    scan = make_scan(
        lambda collectives: make_step(method, collectives)[1], config.batch_size, config.drop_last, several
    )
    if several:
        state, data = shard_state(state, layout), replicate(data, layout)
    held = max(bytes_per_device(state).values())
    started = time.perf_counter()
    compiled = scan.lower(state, data, length=length).compile()
    compile_s = time.perf_counter() - started
    (seconds,) = median_seconds([lambda state: compiled(state, data)[0]], [state], repeats)
    return {
        "devices": layout.num_devices,
        "ms_per_step": 1e3 * seconds / length,
        "examples_per_s": config.batch_size * length / seconds,
        "sent_mb_per_step": sum(exchanged(compiled, length).values()) / 1e6,
        "state_mb_per_device": held / 1e6,
        "compile_s": compile_s,
    }


def with_scaling(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """The rows with `scaling`: examples per second, divided by those of the first row."""
    return [row | {"scaling": row["examples_per_s"] / rows[0]["examples_per_s"]} for row in rows]


def shared_cores(devices: list) -> bool:
    """Whether these are several devices simulated by one CPU."""
    return len(devices) > 1 and all(device.platform == "cpu" for device in devices)
