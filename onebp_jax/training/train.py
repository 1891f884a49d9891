"""`train`: a run in a folder, from its configuration to its result files, resumable at any moment.

config, data --> Run -- epochs, evaluations --> metrics.jsonl, checkpoints/ -- choose an epoch --> result.json
"""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path

from absl import logging

from onebp_jax.config import as_plain, check_config
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.evaluation_pairs import hold_out
from onebp_jax.data.fingerprint import fingerprint
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.errors import Interrupted, RunFailed, UserError
from onebp_jax.evaluation import protocols
from onebp_jax.evaluation.measure import measure
from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.build import build_method
from onebp_jax.parallel import Layout, log_placement, processes
from onebp_jax.training import checkpoint, run_folder, runner
from onebp_jax.training.progress import progress
from onebp_jax.training.result import Outcome, write_result
from onebp_jax.training.run import Job, Progress, Run
from onebp_jax.training.run_folder import Trained
from onebp_jax.training.signals import caught_signals
from onebp_jax.training.warm import identity

_HINT = "the tables have grown out of range: try a lower learning_rate or a higher temperature"


def train(
    config,
    dataset: Dataset | StreamedDataset,
    workdir: str | Path,
    layout: Layout | None = None,
    init: Trained | None = None,
) -> dict:
    """Begins the run of `config` in `workdir`, goes on with it, or reads back its result if it has ended.

    Args:
      config: a `ConfigDict` with every field of `onebp_jax.config.default_config`.
      dataset: train and test pairs. Test pairs may be missing for a trial (`read_test=False`) and in a `StreamedDataset`.
      workdir: the run's own folder; `onebp_jax.training.run_folder` says what is written there.
      layout: the devices to train on, from `onebp_jax.parallel.make_layout`; None for one. A run may go on with another one.
      init: a finished run, from `run_folder.read_run`. Its vectors are the first rows of the users and items that have the same
        original ids; the others begin as usual, and optimiser states begin anew. Give it again to go on with the run.

    Returns:
      The contents of `result.json`.

    Raises:
      UserError: a configuration, data set or folder that cannot be used; nothing was overwritten.
      RunFailed: a loss that is not finite, or no sound checkpoint; the last good checkpoint is kept.
      Interrupted: a signal came; the run is saved, and the same call goes on.
    """
    check_config(config)
    if not isinstance(dataset, Dataset | StreamedDataset):
        raise UserError(f"dataset={dataset!r:.80}: expected a Dataset, as onebp_jax.data.load returns")
    workdir, method = Path(workdir), build_method(config)
    no_test = (
        isinstance(dataset, Dataset) and not len(dataset.test) and (config.split, config.protocol) != ("none", "honest")
    )
    if config.read_test and no_test:
        raise UserError(f"{dataset.name} has no test pairs: give a test file, or a split that makes one")
    if init and isinstance(method, Baseline):
        raise UserError(
            f"init: method={as_plain(config)['method']!r} is not trained, so it begins with nothing: leave it out"
        )
    data = fingerprint(dataset) | ({"init": identity(init)} if init else {})
    devices = (layout.driver, layout.sharded, layout.num_devices) if layout else None
    processes.check_same(as_plain(config) | {"data": data, "parallel, tables or num_devices": devices})
    with contextlib.ExitStack() as held:

        def begun() -> dict | None:
            held.enter_context(run_folder.locked(workdir))
            run_folder.check(workdir, config, data)
            return run_folder.read_result(workdir) if (workdir / "result.json").exists() else None

        if found := processes.lead_does(begun):
            return found
        if isinstance(method, Baseline):
            if layout and processes.is_lead():
                logging.warning("method=%s has no steps to spread: one device computes it", as_plain(config)["method"])
            outcome = _closed_form(config, method, dataset)
            if processes.is_lead():
                run_folder.begin(workdir, config, data)
        else:
            job, run = runner.prepare(config, method, dataset, layout, init)
            outcome = _loop(job, _begin(job, run, workdir, data), workdir)
        return write_result(config, dataset, workdir, outcome)


def _closed_form(config, method: Baseline, dataset: Dataset | StreamedDataset) -> Outcome:
    """The tables of a method without training. In a trial it does not see the validation pairs."""
    shape = dataset.num_users, dataset.num_items
    if config.read_test or isinstance(dataset, StreamedDataset):
        return Outcome(method.tables(dataset.train, *shape))
    kept, held_out = hold_out(config, dataset)
    tables = method.tables(kept, *shape)
    selection, _ = protocols.record(protocols.start(), 0, measure(dataset, kept, held_out, *tables))
    return Outcome(tables, Progress(selection))


def _begin(job: Job, run: Run, workdir: Path, data: dict) -> Run:
    """Takes possession of the run folder; returns the run of its newest checkpoint, or `run` if there is none."""
    processes.lead_does(lambda: run_folder.begin(workdir, job.config, data))
    if processes.any_of(not (workdir / "config.json").exists()):
        raise UserError(f"workdir={workdir}: not all processes see it: give a folder that they share")
    run = checkpoint.restore(workdir / "checkpoints", run)
    if processes.is_lead():
        if run.step:
            logging.info("%s: goes on from its checkpoint of step %d", workdir, run.step)
        run_folder.cut_lines(workdir / "metrics.jsonl", run.step)
    return run


def _loop(job: Job, run: Run, workdir: Path) -> Outcome:
    """Trains until done, evaluates by epochs, saves by the clock, and leaves a checkpoint of the end."""
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
            if processes.any_of(bool(stop) or done or now - saved >= pause):
                if not runner.is_finite(run):
                    raise RunFailed(f"a table is not finite after step {run.step}: {_HINT}")
                checkpoint.save(folder, run)
                saved = time.monotonic()
                # Checkpoints of a large run take at most a twentieth of its time, unless 0 asks for one after every call.
                pause = config.checkpoint_seconds and max(config.checkpoint_seconds, 20 * (saved - now))
            if stop and not done:
                name = signal.Signals(stop).name
                raise Interrupted(stop, f"stopped by {name} after step {run.step}, saved: the same command goes on")
    return Outcome(run.best, run.progress, run.step // job.epoch_steps, job.rank)


def _evaluate(job: Job, run: Run, path: Path) -> tuple[Run, str]:
    """One evaluation, its line in `metrics.jsonl`, and what to say about it."""
    run, metrics = runner.evaluate(job, run)
    selection, seconds = run.progress.selection, run.progress.seconds
    line = {
        "step": run.step,
        "epoch": run.step // job.epoch_steps,
        "split": job.watched or None,
        "seconds": round(seconds.train + seconds.eval, 3),
        "loss": runner.mean_loss(run),
        "metrics": metrics,
    }
    if processes.is_lead():
        run_folder.append_line(path, line)
    if not metrics:
        return run, ""
    value = metrics[protocols.CRITERION]
    return run, f"{job.watched} {protocols.CRITERION} {value:.4f} (best at epoch {selection.epoch})"
