"""How long a training step takes, and how far that is from the memory traffic it cannot avoid.

    floor = bytes that the step must move / rate at which this machine streams arrays of that size
    share = floor / measured time of a step            (1 would be a step that does nothing but move its data)

Bytes that must move, float32, `b` rows a batch, `k` negatives, width `d`:

    forward and backward   gather b + b(1 + k) rows; write and read the row gradients of each tower that has them
    gradient(tx), dense    the table and every table-sized slot read and written; a gradient table written and read
    moving_average         b rows of the partner read, b rows of the table read and written
"""

from __future__ import annotations

import statistics
import time

import jax
import jax.numpy as jnp

from onebp_jax import methods
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.device import steps_per_epoch, to_device
from onebp_jax.errors import UserError
from onebp_jax.runner import make_scan
from onebp_jax.step import make_step
from onebp_jax.types import Method, State

_FLOAT = 4


def bytes_per_step(method: Method, state: State, batch_size: int, num_negatives: int) -> int:
    """Bytes that one step cannot avoid to move (see the module's table)."""
    width = state.user.shape[1] * _FLOAT
    towers = (
        (method.user_updater, state.user, state.user_opt, batch_size),
        (method.item_updater, state.item, state.item_opt, batch_size * (1 + num_negatives)),
    )
    total = 0
    for updater, table, opt, rows in towers:
        total += rows * width
        if "grads" in updater.reads:
            slots = [leaf for leaf in jax.tree.leaves(opt) if leaf.shape == table.shape]
            total += 2 * rows * width + table.nbytes * (2 * (1 + len(slots)) + 2)
        if "targets" in updater.reads:
            total += 3 * batch_size * width
    return total


def stream_rate(size: int, repeats: int = 5) -> float:
    """Bytes a second at which this machine reads and writes an array of about `size` bytes over and over (median)."""
    array = jnp.ones(max(1024, size // _FLOAT), jnp.float32)
    passes = max(2, int(2e8 // array.nbytes))
    touch = jax.jit(lambda x: jax.lax.scan(lambda x, _: (x * 1.0000001, None), x, length=passes)[0], donate_argnums=0)
    array = jax.block_until_ready(touch(array))
    rates = []
    for _ in range(repeats):
        started = time.perf_counter()
        array = jax.block_until_ready(touch(array))
        rates.append(2 * passes * array.nbytes / (time.perf_counter() - started))
    return statistics.median(rates)


def benchmark_step(config, dataset: Dataset, repeats: int = 7) -> dict[str, float]:
    """Times the compiled epoch of a configuration (at most 100 steps of it), compile time apart.

    Returns:
      `ms_per_step` (median over `repeats`), `examples_per_s`, `epoch_ms` (for the whole epoch at that rate), `compile_s`,
      `mbytes_per_step`, `stream_gb_per_s`, `floor_ms`, `floor_share`, `flops_per_step` (as the compiler counts them).
    """
    method = methods.build(config)
    if not isinstance(method, Method):
        raise UserError(f"method={config.method!r} has no training step to time")
    try:
        init, step = make_step(method)
        data = to_device(dataset.train, dataset.num_users, dataset.num_items)
        state = init(jax.random.key(config.seed), data)._replace(data=None)
    except ValueError as error:
        raise UserError(str(error)) from error
    epoch = steps_per_epoch(data.num_pairs, config.batch_size, config.drop_last)
    length = min(epoch, 100)
    moved = bytes_per_step(method, state, config.batch_size, config.num_negatives)
    held = sum(leaf.nbytes for leaf in (state.user, state.item, *jax.tree.leaves((state.user_opt, state.item_opt))))
    scan = make_scan(step, config.batch_size, config.drop_last)
    started = time.perf_counter()
    compiled = scan.lower(state, data, length=length).compile()
    compile_s = time.perf_counter() - started
    state, _ = jax.block_until_ready(compiled(state, data))
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        state, _ = jax.block_until_ready(compiled(state, data))
        times.append((time.perf_counter() - started) / length)
    seconds, rate = statistics.median(times), stream_rate(held)
    costs = compiled.cost_analysis() or {}
    return {
        "ms_per_step": 1e3 * seconds,
        "examples_per_s": config.batch_size / seconds,
        "epoch_ms": 1e3 * seconds * epoch,
        "compile_s": compile_s,
        "mbytes_per_step": moved / 1e6,
        "stream_gb_per_s": rate / 1e9,
        "floor_ms": 1e3 * moved / rate,
        "floor_share": moved / rate / seconds,
        "flops_per_step": float(costs.get("flops", 0.0)),
    }
