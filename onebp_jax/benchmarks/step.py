"""How long a training step takes, and how near it is to only moving its data.

The floor is measured, not computed: a program reads and writes the same arrays as the step, as many rows of them, drawn in the
same way, and does no other work (`x + 1`). A dense optimiser passes whole tables; a row-wise optimiser and a moving average
pass the rows of the batch. `floor_fraction = floor / step` would be 1 for a step that costs nothing but its traffic. Only tables
and their optimiser slots are counted: an encoder that reads a graph or has parameters must move more than its floor says.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.benchmarks.kernels import count_kernels
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.device import for_epochs, on_host
from onebp_jax.engine.backward import view_of
from onebp_jax.engine.batches import steps_per_epoch
from onebp_jax.engine.step import make_step
from onebp_jax.errors import UserError
from onebp_jax.methods.build import build_method, user_error_context
from onebp_jax.training.runner import make_scan
from onebp_jax.types import Array, Batch, Interactions, Method, State, Updater

LONGEST = 100  # most steps in a timed call


def touched_rows(method: Method, config, state: State, data: Interactions) -> dict[str, int]:
    """Rows of each table that one step updates, repeats included; 0 for all rows (a dense optimiser or a graph)."""
    view = view_of(method.encoder, state.tables, data)
    batch = Batch(*(jnp.zeros(config.batch_size, jnp.int32) for _ in range(2)))
    drawn, _ = jax.eval_shape(lambda: method.sampler.sample(state.key, state.sampler, batch, data, view))
    negatives = drawn.ids.size

    def rows(updater: Updater, gradient_rows: int) -> int:
        if "grads" not in updater.reads:
            return config.batch_size
        return gradient_rows if config.optimizer == "rowwise" and not method.encoder.reads_all_rows else 0

    return {
        "user": rows(method.user_updater, config.batch_size),
        "item": rows(method.item_updater, config.batch_size + negatives),
    }


def _floor_arrays(state: State) -> dict[str, list[Array]]:
    """Per tower the table and its updater's arrays of as many rows, without the scratch of `group`."""
    found = {}
    for tower, table, opt in (("user", state.user, state.user_opt), ("item", state.item, state.item_opt)):
        slots = [leaf for leaf in jax.tree.leaves(opt) if leaf.shape[:1] == table.shape[:1] and leaf.dtype != jnp.int32]
        found[tower] = [table, *slots]
    return found


def bytes_per_step(arrays: dict[str, list[Array]], rows: dict[str, int]) -> int:
    """The least bytes that a step reads and writes: every updated row of every array, once each way."""
    total = 0
    for tower, group in arrays.items():
        for array in group:
            total += 2 * (array.nbytes * rows[tower] // array.shape[0] if rows[tower] else array.nbytes)
        if not rows[tower]:
            total += 2 * group[0].nbytes  # the dense gradient
    return total


def _draw_ids(data: Interactions, rows: dict[str, int], length: int) -> dict[str, Array]:
    """Per tower `i32[length, rows]`: users and items of random pairs, and uniform items for the negatives."""
    random = np.random.default_rng(0)
    users, items = np.asarray(data.user_ids), np.asarray(data.item_ids)
    pairs = random.integers(0, len(users), (length, min(rows.values()) or max(1, *rows.values())))
    ids = {"user": users[pairs], "item": items[pairs]}
    more = rows["item"] - pairs.shape[1]
    if more > 0:
        ids["item"] = np.concatenate([ids["item"], random.integers(0, data.num_items, (length, more))], axis=1)
    return {tower: jnp.asarray(ids[tower][:, : max(1, rows[tower])], jnp.int32) for tower in rows}


def floor_program(rows: dict[str, int]) -> Callable:
    """`touch(arrays, ids) -> arrays`: one pass over the arrays of a step, by rows or whole tables, as a scan over `ids`."""

    def body(arrays, ids):
        def touch(tower, array):
            if not rows[tower]:
                return array * 1.0000001
            return array.at[ids[tower]].set(array.at[ids[tower]].get(mode="promise_in_bounds") + 1, mode="drop")

        return {tower: [touch(tower, array) for array in group] for tower, group in arrays.items()}, None

    return jax.jit(lambda arrays, ids: jax.lax.scan(body, arrays, ids)[0], donate_argnums=0)


def median_seconds(calls: list[Callable], carries: list, repeats: int) -> list[float]:
    """The median seconds of `carry = call(carry)` for each call: once to warm up, then `repeats` times, all calls in turn."""
    carries = [jax.block_until_ready(call(carry)) for call, carry in zip(calls, carries, strict=True)]
    times = [[] for _ in calls]
    for _ in range(repeats):
        for number, call in enumerate(calls):
            started = time.perf_counter()
            carries[number] = jax.block_until_ready(call(carries[number]))
            times[number].append(time.perf_counter() - started)
    return [statistics.median(each) for each in times]


def prepared(config, dataset: Dataset) -> tuple[Method, Interactions, State]:
    """The method of a configuration, its data on the device, and its first state; raises `UserError` if they do not fit."""
    method = build_method(config)
    if not isinstance(method, Method):
        raise UserError(f"method={config.method!r} has no training step to time")
    with user_error_context(config):
        init, step = make_step(method)
        sides = dataset.user_features, dataset.item_features
        data = on_host(dataset.train, dataset.num_users, dataset.num_items, *sides)
        state, data = init(jax.random.key(config.seed), for_epochs(data, method.epoch_unit, config.batch_size))
        jax.eval_shape(step, state, Batch(*(jnp.zeros(config.batch_size, jnp.int32) for _ in range(2))), data)
    return method, data, state


def timed_steps(config, data: Interactions) -> tuple[int, int]:
    """`(epoch, length)`: steps in an epoch, and in one timed call."""
    epoch = steps_per_epoch(data.num_pairs, config.batch_size, config.drop_last)
    return epoch, min(epoch, LONGEST)


def benchmark_step(config, dataset: Dataset, repeats: int = 7, unroll: int = 1) -> dict[str, float]:
    """Times the compiled epoch of a configuration (at most 100 steps of it), compile time apart.

    Args:
      repeats: timed calls. unroll: steps in a turn of the compiled loop, as in `onebp_jax.training.runner.make_scan`; a call has
        whole turns.

    Returns:
      `ms_per_step` (median over `repeats`), `examples_per_s`, `epoch_s` (the whole epoch at that rate); `rows_per_s`, rows of
      tables and optimiser slots read, changed and written (in rows as wide as the table); `mbytes_per_step` for these;
      `floor_ms` and `floor_fraction` (see the module); `kernels` of a step (`benchmarks.kernels`); `flops` of a step, as the
      compiler counts them; `compile_s`; `peak_memory_mb`, what the program holds at most (tables, slots, interactions,
      temporaries); `state_bytes_per_user`.

    Raises:
      UserError: a call has no two turns of `unroll` steps, or the configuration and the data do not fit.
    """
    method, data, state = prepared(config, dataset)
    epoch, length = timed_steps(config, data)
    if 1 < unroll > length // 2:
        raise UserError(
            f"unroll={unroll}: expected at most {max(length // 2, 1)}, half of the {length} steps of a timed call"
        )
    length -= length % unroll
    rows, arrays = touched_rows(method, config, state, data), _floor_arrays(state)
    moved, width = bytes_per_step(arrays, rows), 2 * state.user.shape[1] * state.user.dtype.itemsize
    per_user = sum(array.nbytes for array in arrays["user"]) / data.num_users
    build = lambda collectives: make_step(method, collectives)[1]
    scan = make_scan(build, config.batch_size, config.drop_last, unroll=unroll)
    started = time.perf_counter()
    compiled = scan.lower(state, data, length=length).compile()
    compile_s = time.perf_counter() - started
    ids, touch = _draw_ids(data, rows, length), floor_program(rows)
    calls = [lambda state: compiled(state, data)[0], lambda arrays: touch(arrays, ids)]
    seconds, floor = median_seconds(calls, [state, jax.tree.map(jnp.copy, arrays)], repeats)
    costs, memory = compiled.cost_analysis() or {}, compiled.memory_analysis()
    seconds, floor = seconds / length, floor / length
    return {
        "ms_per_step": 1e3 * seconds,
        "examples_per_s": config.batch_size / seconds,
        "epoch_s": seconds * epoch,
        "rows_per_s": moved / width / seconds,
        "mbytes_per_step": moved / 1e6,
        "floor_ms": 1e3 * floor,
        "floor_fraction": floor / seconds,
        "kernels": count_kernels(compiled.as_text() or "") / unroll,
        "flops": float(costs.get("flops", 0.0)) / unroll,
        "compile_s": compile_s,
        "peak_memory_mb": (memory.argument_size_in_bytes + memory.temp_size_in_bytes) / 1e6 if memory else 0.0,
        "state_bytes_per_user": per_user,
    }
