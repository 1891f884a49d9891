"""`train`: a run in a folder, from its configuration to its result files, resumable at any moment.

config, data --> Run -- epochs, evaluations --> metrics.jsonl, checkpoints/ -- choose an epoch --> result.json
"""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path

import numpy as np
from absl import logging

from onebp_jax.config import as_plain, check_config
from onebp_jax.data import evaluation_pairs
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.fingerprint import fingerprint
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.errors import Interrupted, RunFailed, UserError
from onebp_jax.evaluation import protocols
from onebp_jax.evaluation.interests import interest_usage
from onebp_jax.evaluation.measure import measure
from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.build import build_method
from onebp_jax.parallel import Layout, log_placement, processes
from onebp_jax.training import checkpoint, run_folder, runner
from onebp_jax.training.placement import Placement
from onebp_jax.training.progress import progress
from onebp_jax.training.runner import Job, Run
from onebp_jax.training.signals import caught_signals
from onebp_jax.training.versions import versions
from onebp_jax.types import Array

_HINT = "the tables have grown out of range: try a lower learning_rate or a higher temperature"


def train(config, dataset: Dataset | StreamedDataset, workdir: str | Path, layout: Layout | None = None) -> dict:
    """Runs the run of `config` in `workdir`: begins it, goes on with it, or reads back its result if it has ended.

    Args:
      config: a `ConfigDict` with every field of `onebp_jax.config.default_config`.
      dataset: train and test pairs (the latter may be missing for a trial, `read_test=False`, and in a `StreamedDataset` set).
      workdir: the run's own folder; `onebp_jax.training.run_folder` says what is written there.
      layout: the devices to train on, from `onebp_jax.parallel.make_layout`; None for one. A run may go on with another one.

    Returns:
      The contents of `result.json`.

    Raises:
      UserError: a configuration, data set or folder that cannot be used; nothing was written over.
      RunFailed: a loss that is not finite, or no sound checkpoint; the last good checkpoint is kept.
      Interrupted: a signal came; the run is saved and the same call goes on.
    """
    check_config(config)
    workdir = Path(workdir)
    method = build_method(config)
    if config.read_test and not len(dataset.test) and isinstance(dataset, Dataset):
        raise UserError(f"{dataset.name} has no test pairs: give a test file, or a split that makes one")
    data, lead = fingerprint(dataset), processes.is_lead()
    how = (layout.driver, layout.sharded, layout.count) if layout else None
    processes.check_same(as_plain(config) | {"data": data, "--parallel, --tables or --num_devices": how})
    with contextlib.ExitStack() as held:

        def begun() -> dict | None:
            held.enter_context(run_folder.locked(workdir))
            run_folder.check(workdir, config, data)
            return run_folder.read_result(workdir) if (workdir / "result.json").exists() else None

        if found := processes.lead_does(begun):
            return found
        if isinstance(method, Baseline):
            if layout and lead:
                logging.warning(
                    "method=%s has no steps to collectives: one device computes it", as_plain(config)["method"]
                )
            tables = _closed_form(config, method, dataset)
            if lead:
                run_folder.begin(workdir, config, data)
            return _finish(config, dataset, workdir, *tables)
        job, run = runner.prepare(config, method, dataset, layout)
        processes.lead_does(lambda: run_folder.begin(workdir, config, data))
        if processes.any_of(not (workdir / "config.json").exists()):
            raise UserError(f"--workdir={workdir}: not all processes see it: give a folder that they share")
        run = checkpoint.restore(workdir / "checkpoints", run)
        if lead:
            if run.step:
                logging.info("%s: goes on from its checkpoint of step %d", workdir, run.step)
            run_folder.cut_lines(workdir / "metrics.jsonl", run.step)
        run = _loop(job, run, workdir)
        return _finish(config, dataset, workdir, run.best, run.progress, run.step // job.epoch_steps, job.placed)


def _closed_form(config, method: Baseline, dataset: Dataset | StreamedDataset) -> tuple[tuple, dict]:
    """The tables of a method without training, and its progress; a trial keeps the validation pairs from it."""
    shape = dataset.num_users, dataset.num_items
    if config.read_test:
        return method.tables(dataset.train, *shape), {}
    kept, held_out = evaluation_pairs.hold_out(config, dataset)
    tables = method.tables(kept, *shape)
    metrics = measure(dataset, kept, held_out, *tables)
    return tables, {"selection": protocols.record(protocols.start(), 0, metrics)[0]}


def _loop(job: Job, run: Run, workdir: Path) -> Run:
    """Trains until done, evaluating by epochs and saving by the clock; leaves a checkpoint of the end."""
    config, folder, note = job.config, workdir / "checkpoints", ""
    if not runner.is_done(job, run):
        log_placement(run.state)
        run = job.compile(run, runner.next_length(job, run))
    saved, pause = time.monotonic(), config.checkpoint_seconds
    with caught_signals() as caught, progress(config.epochs, job.epoch_steps, run.step) as say:
        while not runner.is_done(job, run):
            try:
                run = job.advance(run, runner.next_length(job, run))
            except RunFailed as error:
                raise RunFailed(f"{error}: {_HINT}") from None
            epoch, rest = divmod(run.step, job.epoch_steps)
            if not rest and (epoch % config.eval_every == 0 or epoch == config.epochs):
                run, note = _evaluate(job, run, workdir / "metrics.jsonl")
            say(run.step, runner.mean_loss(run), note)
            now, done = time.monotonic(), runner.is_done(job, run)
            stop = processes.largest(caught[0] if caught else 0)
            if processes.any_of(stop or done or now - saved >= pause):
                if not runner.is_finite(run):
                    raise RunFailed(f"a table is not finite after step {run.step}: {_HINT}")
                checkpoint.save(folder, run)
                saved = time.monotonic()
                # A large run must not live for its checkpoints: they get a twentieth of its time, unless 0 asks for all.
                pause = config.checkpoint_seconds and max(config.checkpoint_seconds, 20 * (saved - now))
            if stop and not done:
                name = signal.Signals(stop).name
                raise Interrupted(stop, f"stopped by {name} after step {run.step}, saved: the same command goes on")
    return run


def _evaluate(job: Job, run: Run, path: Path) -> tuple[Run, str]:
    """One evaluation, its line in `metrics.jsonl`, and what to say about it."""
    run, metrics = runner.evaluate(job, run)
    selection, seconds = run.progress["selection"], run.progress["seconds"]
    line = {
        "step": run.step,
        "epoch": run.step // job.epoch_steps,
        "split": job.watched or None,
        "seconds": round(seconds["train"] + seconds["eval"], 3),
        "loss": runner.mean_loss(run),
        "metrics": metrics,
    }
    if processes.is_lead():
        run_folder.append_line(path, line)
    if not metrics:
        return run, ""
    value = metrics[protocols.CRITERION]
    return run, f"{job.watched} {protocols.CRITERION} {value:.4f} (best at epoch {selection['epoch']})"


def _finish(
    config,
    dataset: Dataset | StreamedDataset,
    workdir: Path,
    tables: tuple[Array, Array],
    progress: dict,
    epochs_done: int = 0,
    placed: Placement | None = None,
) -> dict:
    """Measures the chosen vectors on the test set (a trial does not) and writes `embeddings.npz`, then `result.json`."""
    metrics, streamed = {}, isinstance(dataset, StreamedDataset)
    seen, test = evaluation_pairs.split_of(config, dataset, "test")
    if config.read_test and len(test):
        metrics = processes.plain_from_lead(measure(dataset, seen, test, *tables, placed and placed.rank))
    chosen = not streamed or len(dataset.validation)
    selection = progress.get("selection", protocols.start())
    seconds = progress.get("seconds", {"train": 0.0, "eval": 0.0, "compile": 0.0})
    result = {
        "method": as_plain(config)["method"],
        "dataset": config.dataset,
        "split": dataset.split,
        "protocol": config.protocol,
        "selection": _selection(config, epochs_done) if chosen else "none: the last epoch, there is no validation part",
        "seed": config.seed,
        "epoch": selection["epoch"],
        "epochs_done": epochs_done,
        "num_users": dataset.num_users,
        "num_items": dataset.num_items,
        "test_users": len(np.unique(test[:, 0])),
        "dim": config.dim if epochs_done else tables[1].shape[1],
        "optimizer": config.optimizer,
        "transform": as_plain(config)["transform"],
        "table_dtype": config.table_dtype,
        "metrics": metrics,
        "validation": {protocols.CRITERION: selection["value"]} if chosen and config.protocol == "honest" else {},
        "seconds": seconds | {"per_epoch": seconds["train"] / max(1, epochs_done)},
        "versions": versions(),
    }
    if streamed:
        result["stream"] = {"window": config.stream_window, "touched_items_known": dataset.touched is not None}
    if config.protocol == "paper_oracle" and selection["oracle"]:
        result["metrics"] = metrics | {name: value for name, (value, _) in selection["oracle"].items()}
        result["metric_epochs"] = {name: epoch for name, (_, epoch) in selection["oracle"].items()}
        result["metrics_at_epoch"] = metrics
    user, item = placed.on_host(tables) if placed else tables
    if not processes.is_lead():
        return result
    if user.ndim == 3 and user.shape[1] > 1 and len(seen):
        result["interest_usage"] = interest_usage(user, item, seen)
    ids = {"user_ids": dataset.user_ids, "item_ids": dataset.item_ids}
    run_folder.write_atomically(workdir / "embeddings.npz", lambda file: np.savez(file, user=user, item=item, **ids))
    run_folder.write_json(workdir / "result.json", result)
    return result


def _selection(config, epochs_done: int) -> str:
    """How the metrics of a result came about, for a person."""
    if not config.read_test:
        return f"a trial: {protocols.CRITERION} on validation, the test set was not read"
    return protocols.SELECTION[config.protocol] if epochs_done else "none: nothing was trained"
