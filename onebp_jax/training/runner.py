"""A run in memory: epochs as one compiled scan, and what is remembered between them. Nothing here touches a file.

    Run(state, best, progress) --advance--> Run --evaluate--> Run, metrics

A run is a function of its configuration and the data. Going on from a saved `Run` gives the same bits as a run that was
never interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.engine.batches import batch_at, batches_at
from onebp_jax.engine.collectives import SINGLE_DEVICE, Collectives
from onebp_jax.engine.left_out import leave_out, some_of
from onebp_jax.engine.step import Step, first_tables, make_step, prepare_data
from onebp_jax.errors import RunFailed
from onebp_jax.evaluation import evaluator, protocols
from onebp_jax.methods.build import user_error_context
from onebp_jax.ops.gpu import for_gpu
from onebp_jax.ops.rows import to_float32
from onebp_jax.parallel import Layout, check_layout, distribute, processes, spread_top_k
from onebp_jax.training.feed import Feed, make_feed
from onebp_jax.training.placement import place, vectors_of
from onebp_jax.training.run import Job, Progress, Run
from onebp_jax.training.run_folder import Trained
from onebp_jax.training.warm import first_rows
from onebp_jax.types import Array, Batch, Info, Interactions, Method, State, Tables


def make_scan(
    build: Callable[[Collectives], Step],
    batch_size: int,
    drop_last: bool,
    layout: Layout | None = None,
    unroll: int = 1,
):
    """`scan(state, data, length, batches) -> (state, Info[length])`: `length` steps as one compiled scan.

    The state is donated, the data are not. `batches` are those of the steps, `Batch[length, b]`; None makes each batch out of
    `data`.

    Args:
      build: `build(collectives) -> step`, see `onebp_jax.engine.collectives`. layout: the devices; None for one.
      unroll: how many steps stand in the loop of the compiled program.
    """

    @partial(jax.jit, static_argnames="length", donate_argnums=0)
    def scan(state: State, data: Interactions, length: int, batches: Batch | None = None) -> tuple[State, Info]:
        def steps(collectives: Collectives):
            step = build(collectives)

            def body(data: Interactions, state: State, batch: Batch | None) -> tuple[State, Info]:
                if batch is None:
                    batch = batch_at(state.key, state.step, data, batch_size, drop_last)
                return step(state, batch, data)

            def program(state: State, data: Interactions, batches: Batch | None) -> tuple[State, Info]:
                if batches is None and for_gpu():
                    batches = batches_at(state.key, state.step, length, data, batch_size, drop_last)
                return jax.lax.scan(partial(body, data), state, batches, length=length, unroll=unroll)

            return program

        return (distribute(steps, layout) if layout else steps(SINGLE_DEVICE))(state, data, batches)

    return scan


def prepare(
    config,
    method: Method,
    dataset: Dataset | StreamedDataset,
    layout: Layout | None = None,
    init: Trained | None = None,
) -> tuple[Job, Run]:
    """Splits, places data and tables on the devices; raises `UserError` if method, data, layout and `init` do not fit."""
    started = time.perf_counter()
    feed = make_feed(config, method.epoch_unit, dataset, layout)
    host_data = checked_data(config, method, feed.data, dataset.user_ids, layout)
    _say_left_out(host_data, dataset)
    with user_error_context(config):
        rows = first_rows(config, method, init, dataset, host_data) if init else None
        state, data = place(method, jax.random.key(config.seed), host_data, layout, rows)
        # Parts that do not fit each other say so here, before anything is compiled.
        batch = Batch(*(jnp.zeros(config.batch_size, jnp.int32) for _ in range(2)))
        after, _ = jax.eval_shape(make_step(method)[1], state, batch, data)
        _check_same_forms(state, after)
    vectors, rank = vectors_of(method, data, layout), partial(spread_top_k, layout) if layout else None
    measure = lambda user, item: {}
    if feed.watched:
        shape = dataset.num_users, dataset.num_items
        measure = evaluator(feed.seen, feed.held_out, shape, feed.popularity, rank=rank)
    scan = make_scan(lambda collectives: make_step(method, collectives)[1], config.batch_size, config.drop_last, layout)
    programs = _programs(scan, data, feed, method.encoder.refresh)
    run = Run(state, jax.block_until_ready(jax.tree.map(jnp.copy, vectors(state))), Progress(protocols.start()))
    run = _add_seconds(run, prepare=time.perf_counter() - started)
    fold = method.encoder.fold(host_data) if method.encoder.fold else None
    given = config, data, feed.watched, feed.epoch_steps, feed.call_steps
    return Job(*given, *programs, measure, vectors, rank, fold), run


def checked_data(
    config, method: Method, data: Interactions, user_ids: np.ndarray, layout: Layout | None
) -> Interactions:
    """The host data with what the method prepares; raises `UserError` if data or layout make it impossible. Makes no table."""
    with user_error_context(config):
        make_step(method)
        data = prepare_data(method, leave_out(method, data, user_ids))
        if layout:
            forms = jax.eval_shape(partial(first_tables, method), jax.random.key(config.seed), data)
            check_layout(method, layout, config.batch_size, forms)
    return data


def _say_left_out(data: Interactions, dataset: Dataset | StreamedDataset) -> None:
    if data.left_out is None:
        return
    users, lengths = np.flatnonzero(data.left_out), np.diff(data.row_starts)
    logging.warning(
        "%s: %d of %d users touched so many of the %d items that too few are left as negatives: %s; their %d of %d training "
        "pairs are not trained on; fewer negatives may help",
        *(dataset.name, len(users), np.count_nonzero(lengths), data.num_items),
        some_of(np.asarray(data.left_out), dataset.user_ids),
        *(lengths[users].sum(), lengths.sum()),
    )


def _check_same_forms(before: State, after: State) -> None:
    """Raises ValueError if a step changes shapes or types of the state."""
    for name, old, new in zip(State._fields, before, after, strict=True):
        forms = [jax.tree.map(lambda leaf: jax.typeof(leaf).str_short(), part) for part in (old, new)]
        if forms[0] != forms[1]:
            raise ValueError(f"a step makes {name} of {forms[0]} to {forms[1]}: shapes and types must stay")


def _programs(scan, data: Interactions, feed: Feed, refresh: Callable | None):
    """`(compile, advance)` over one scan. A program is compiled once per length; its time is counted apart."""
    compiled, refreshed = {}, {}

    def compile(run: Run, length: int) -> Run:
        if length in compiled:
            return run
        started = time.perf_counter()
        if refresh is not None and not compiled:
            refreshed["context"] = jax.jit(refresh).lower(run.state.tables, data).compile()
        compiled[length] = scan.lower(run.state, data, length=length, batches=feed.batch_form(length)).compile()
        return _add_seconds(run, compile=time.perf_counter() - started)

    def advance(run: Run, length: int) -> Run:
        run = compile(run, length)
        before, started, state = run.step, time.perf_counter(), run.state
        if before % feed.epoch_steps == 0:
            state = state._replace(**{name: made(state.tables, data) for name, made in refreshed.items()})
        state, info = compiled[length](state, data, batches=feed.batches(before, length))
        losses, examples = np.asarray(info.loss, np.float64), np.asarray(info.examples, np.int64)
        run = _add_seconds(run, train=time.perf_counter() - started)
        bad = np.flatnonzero(~np.isfinite(losses))
        if bad.size:
            at = before + int(bad[0])
            raise RunFailed(f"the loss is {losses[bad[0]]} at step {at} (epoch {at // feed.epoch_steps + 1})")
        total, count = run.progress.epoch_loss if before % feed.epoch_steps else (0.0, 0)
        loss = total + float(losses @ examples), count + int(examples.sum())
        return Run(state, run.best, run.progress._replace(epoch_loss=loss))

    return compile, advance


def _add_seconds(run: Run, **spent: float) -> Run:
    """The run with time added to its clocks."""
    clocks = run.progress.seconds
    clocks = clocks._replace(**{name: getattr(clocks, name) + seconds for name, seconds in spent.items()})
    return run._replace(progress=run.progress._replace(seconds=clocks))


def evaluate(job: Job, run: Run) -> tuple[Run, dict[str, float]]:
    """Measures the current vectors on the watched split. Keeps them if they are the best so far or there is no split."""
    started = time.perf_counter()
    vectors = job.vectors(run.state)
    metrics = processes.plain_from_lead(job.measure(*vectors))
    selection, better = protocols.record(run.progress.selection, run.step // job.epoch_steps, metrics)
    # A copy, because the next step gives the state's own buffers away.
    best = jax.tree.map(jnp.copy, vectors) if better else run.best
    run = Run(run.state, best, run.progress._replace(selection=selection))
    return _add_seconds(run, eval=time.perf_counter() - started), metrics


def mean_loss(run: Run) -> float:
    """Mean loss of the current epoch so far."""
    total, count = run.progress.epoch_loss
    return total / max(1, count)


def is_done(job: Job, run: Run) -> bool:
    """Whether all epochs are done or, under the honest protocol, patience has run out."""
    config, since = job.config, run.progress.selection.since
    tired = config.protocol == "honest" and config.patience and since >= config.patience
    return bool(tired) or run.step >= config.epochs * job.epoch_steps


def earliest_end(job: Job, run: Run) -> int | None:
    """The step at which patience runs out if no evaluation is better from here on; None without patience."""
    config = job.config
    if config.protocol != "honest" or not config.patience or not job.watched:
        return None
    cycle, left = config.eval_every * job.epoch_steps, config.patience - run.progress.selection.since
    return min(run.step // cycle * cycle + left * cycle, config.epochs * job.epoch_steps)


def next_length(job: Job, run: Run) -> int:
    """Steps of the next call: at most `call_steps`, never past the end of an epoch."""
    return min(job.epoch_steps - run.step % job.epoch_steps, job.call_steps)


@jax.jit
def _all_finite(tables: Tables) -> Array:
    return jnp.stack([jnp.isfinite(to_float32(table)).all() for table in jax.tree.leaves(tables)]).all()


def is_finite(run: Run) -> bool:
    """Whether the tables and the encoder's parameters hold finite numbers only."""
    return bool(_all_finite(run.state.tables))
