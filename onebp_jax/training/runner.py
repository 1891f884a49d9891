"""A run in memory: epochs as one compiled scan, and what is remembered between them. Nothing here touches a file.

    Run(state, best, progress) --advance--> Run --evaluate--> Run, metrics

A run is a function of its configuration and the data; going on from a saved `Run` gives bit for bit what an uninterrupted
run gives.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.device import batch_at
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.engine.collectives import SINGLE_DEVICE, Collectives
from onebp_jax.engine.step import Step, first_tables, make_step, ready
from onebp_jax.errors import RunFailed
from onebp_jax.evaluation import evaluator, protocols
from onebp_jax.methods.build import user_error_context
from onebp_jax.ops.rows import to_float32
from onebp_jax.parallel import Layout, check_layout, distribute, processes
from onebp_jax.training import feed
from onebp_jax.training.placement import Placement, place
from onebp_jax.types import Array, Batch, Info, Interactions, Method, State, Tables


class Run(NamedTuple):
    """All that a run has come to: `state` (its `data` is None here), the `best` vectors so far, and plain numbers."""

    state: State
    best: tuple[Array, Array]
    progress: dict

    @property
    def step(self) -> int:
        return int(self.state.step)


class Job(NamedTuple):
    """What stays the same in a run.

    Attributes:
      config: the configuration.
      watched: the split that evaluations read, "validation" or "test"; empty for none, then the last epoch counts.
      epoch_steps: steps in an epoch. call_steps: of a call, at most.
      compile, advance: `compile(run, length) -> run` makes the program of that many steps, `advance(run, length) -> run`
        runs it (and makes it first if need be).
      measure: `measure(user, item) -> metrics` on the watched split; none without one.
      placed: where all this lies.
    """

    config: object
    watched: str
    epoch_steps: int
    call_steps: int
    compile: Callable[[Run, int], Run]
    advance: Callable[[Run, int], Run]
    measure: Callable[[Array, Array], dict[str, float]]
    placed: Placement


def make_scan(build: Callable[[Collectives], Step], batch_size: int, drop_last: bool, layout: Layout | None = None):
    """`scan(state, data, length, batches) -> (state, Info[length])`: `length` steps as one compiled scan, the state donated.

    `batches` are those of the steps, `Batch[length, b]`; where they are None, each is made out of `data`.

    Args:
      build: `build(collectives) -> step`, see `onebp_jax.engine.collectives`. layout: the devices it runs on; None for one.

    `state.data` is None outside the scan, so that donating the state leaves the interactions alone.
    """

    @partial(jax.jit, static_argnames="length", donate_argnums=0)
    def scan(state: State, data: Interactions, length: int, batches: Batch | None = None) -> tuple[State, Info]:
        def steps(collectives: Collectives):
            step = build(collectives)

            def body(data: Interactions, state: State, batch: Batch | None) -> tuple[State, Info]:
                if batch is None:
                    batch = batch_at(state.key, state.step, data, batch_size, drop_last)
                state, info = step(state._replace(data=data), batch)
                return state._replace(data=None), info

            return lambda state, data, batches: jax.lax.scan(partial(body, data), state, batches, length=length)

        return (distribute(steps, layout) if layout else steps(SINGLE_DEVICE))(state, data, batches)

    return scan


def prepare(
    config, method: Method, dataset: Dataset | StreamedDataset, layout: Layout | None = None
) -> tuple[Job, Run]:
    """Splits, places data and tables on the devices; raises `UserError` where method, data and layout do not fit."""
    shape = dataset.num_users, dataset.num_items
    source = feed.source(config, method.epoch_unit, dataset, layout)
    data = checked(config, method, source.data, layout)
    with user_error_context(config):
        placed, state = place(method, jax.random.key(config.seed), data, layout)
        # Parts that do not fit each other say so here, before anything is compiled.
        batch = Batch(*(jnp.zeros(config.batch_size, jnp.int32) for _ in range(2)))
        after, _ = jax.eval_shape(make_step(method)[1], state._replace(data=data), batch)
        _check_same(state, after._replace(data=None))
    measure = lambda user, item: {}
    if source.watched:
        measure = evaluator(source.seen, source.held_out, shape, source.popularity, rank=placed.rank)
    scan = make_scan(lambda collectives: make_step(method, collectives)[1], config.batch_size, config.drop_last, layout)
    programs = _advance(scan, placed.data, source.feed, source.epoch_steps)
    progress = {
        "selection": protocols.start(),
        "epoch_loss": [0.0, 0],
        "seconds": {"train": 0.0, "eval": 0.0, "compile": 0.0},
    }
    run = Run(state, jax.tree.map(jnp.copy, placed.vectors(state)), progress)
    return Job(config, source.watched, source.epoch_steps, source.call_steps, *programs, measure, placed), run


def checked(config, method: Method, data: Interactions, layout: Layout | None) -> Interactions:
    """The data with what the method prepares; raises `UserError` where data or layout make it impossible. No table is made."""
    with user_error_context(config):
        make_step(method)
        data = ready(method, data)
        if layout:
            forms = jax.eval_shape(partial(first_tables, method), jax.random.key(config.seed), data)
            check_layout(method, layout, config.batch_size, forms)
    return data


def _check_same(before: State, after: State) -> None:
    """Raises ValueError for a step whose new state is of another form than the old one."""
    for name, old, new in zip(State._fields, before, after, strict=True):
        forms = [jax.tree.map(lambda leaf: jax.typeof(leaf).str_short(), part) for part in (old, new)]
        if forms[0] != forms[1]:
            raise ValueError(f"a step makes {name} of {forms[0]} to {forms[1]}: shapes and types must stay")


def _advance(scan, data: Interactions, feed: feed.Feed, epoch_steps: int):
    """`(compile, advance)` over one scan: a program is compiled once per length, and its time counted apart."""
    compiled = {}

    def compile(run: Run, length: int) -> Run:
        if length in compiled:
            return run
        started = time.perf_counter()
        compiled[length] = scan.lower(run.state, data, length=length, batches=feed.shape(length)).compile()
        return _count(run, "compile", time.perf_counter() - started)

    def advance(run: Run, length: int) -> Run:
        run = compile(run, length)
        before, started = run.step, time.perf_counter()
        state, info = compiled[length](run.state, data, batches=feed.batches(before, length))
        losses, examples = np.asarray(info.loss, np.float64), np.asarray(info.examples, np.int64)
        run = _count(run, "train", time.perf_counter() - started)
        bad = np.flatnonzero(~np.isfinite(losses))
        if bad.size:
            at = before + int(bad[0])
            raise RunFailed(f"the loss is {losses[bad[0]]} at step {at} (epoch {at // epoch_steps + 1})")
        total, count = run.progress["epoch_loss"] if before % epoch_steps else (0.0, 0)
        loss = [total + float(losses @ examples), count + int(examples.sum())]
        return Run(state, run.best, run.progress | {"epoch_loss": loss})

    return compile, advance


def _count(run: Run, what: str, seconds: float) -> Run:
    """The run with time added to one of its clocks."""
    clocks = run.progress["seconds"]
    return run._replace(progress=run.progress | {"seconds": clocks | {what: clocks[what] + seconds}})


def evaluate(job: Job, run: Run) -> tuple[Run, dict[str, float]]:
    """Measures the current vectors on the watched split, and keeps them if they are the best so far (or there is no split)."""
    started = time.perf_counter()
    vectors = job.placed.vectors(run.state)
    metrics = processes.plain_from_lead(job.measure(*vectors))
    selection, better = protocols.record(run.progress["selection"], run.step // job.epoch_steps, metrics)
    # A copy, because the next step gives the state's own buffers away.
    best = jax.tree.map(jnp.copy, vectors) if better else run.best
    run = Run(run.state, best, run.progress | {"selection": selection})
    return _count(run, "eval", time.perf_counter() - started), metrics


def mean_loss(run: Run) -> float:
    """Mean loss of the current epoch so far."""
    total, count = run.progress["epoch_loss"]
    return total / max(1, count)


def is_done(job: Job, run: Run) -> bool:
    """Whether all epochs are done or, under the honest protocol, patience has run out."""
    config, since = job.config, run.progress["selection"]["since"]
    tired = config.protocol == "honest" and config.patience and since >= config.patience
    return bool(tired) or run.step >= config.epochs * job.epoch_steps


def next_length(job: Job, run: Run) -> int:
    """Steps of the next call: at most `call_steps`, never past the end of an epoch."""
    return min(job.epoch_steps - run.step % job.epoch_steps, job.call_steps)


@jax.jit
def _all_finite(tables: Tables) -> Array:
    return jnp.stack([jnp.isfinite(to_float32(table)).all() for table in jax.tree.leaves(tables)]).all()


def is_finite(run: Run) -> bool:
    """Whether the tables and the encoder's parameters hold finite numbers only."""
    return bool(_all_finite(run.state.tables))
