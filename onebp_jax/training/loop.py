"""The loop of a run: trains until done, evaluates by epochs, saves by the clock, and goes on where a folder's checkpoints end."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from absl import logging

from onebp_jax.errors import Interrupted, RunFailed
from onebp_jax.evaluation import protocols
from onebp_jax.parallel import log_placement, processes
from onebp_jax.training import checkpoint, run_folder, runner
from onebp_jax.training.events import Log, event_log
from onebp_jax.training.progress import progress
from onebp_jax.training.result import Outcome
from onebp_jax.training.run import Job, Run
from onebp_jax.training.signals import caught_signals

_HINT = "the tables have grown out of range: lower learning_rate, or raise temperature"


def train_in(folder: Path, job: Job, run: Run) -> Outcome:
    """Trains in a folder, from its newest checkpoint or, if there is none, from `run`. It leaves a checkpoint of the end.

    An evaluation that only the end of the run calls for (the last epoch, between two of `eval_every`) is not part of the
    checkpoint. So a run with more epochs goes on from there as if it had never ended.

    Raises:
      RunFailed, Interrupted: see `train`.
    """
    run = _resumed(folder, job, run)
    path, config = folder / "metrics.jsonl", job.config
    if not runner.is_done(job, run):
        log_placement(run.state)
        run = job.compile(run, runner.next_length(job, run))
    with event_log(folder, config.tensorboard and processes.is_lead(), run.step) as log:
        run = _loop(folder, job, run, log)
        epochs_done = run.step // job.epoch_steps
        if epochs_done % config.eval_every:
            run, _ = _evaluate(job, run, path, log)
    return Outcome(run.best, run.progress, epochs_done, job.rank, job.fold)


def _resumed(folder: Path, job: Job, run: Run) -> Run:
    run = checkpoint.restore(folder / "checkpoints", run)
    if processes.is_lead():
        folder.mkdir(exist_ok=True)
        if run.step:
            logging.info("%s: goes on from its checkpoint of step %d", folder, run.step)
        run_folder.cut_lines(folder / "metrics.jsonl", run.step, job.config.eval_every)
    return run


def _loop(folder: Path, job: Job, run: Run, log: Log) -> Run:
    config, note = job.config, ""
    saved, pause = time.monotonic(), config.checkpoint_seconds
    with caught_signals() as caught, progress(config.epochs, job.epoch_steps, run.step) as say:
        while not runner.is_done(job, run):
            try:
                run = job.advance(run, runner.next_length(job, run))
            except RunFailed as error:
                raise RunFailed(f"{error}: {_HINT}") from None
            epoch, rest = divmod(run.step, job.epoch_steps)
            if not rest and epoch % config.eval_every == 0:
                run, note = _evaluate(job, run, folder / "metrics.jsonl", log)
            say(run.step, runner.mean_loss(run), note, runner.earliest_end(job, run))
            now, done = time.monotonic(), runner.is_done(job, run)
            stop = processes.largest(caught[0] if caught else 0)
            if processes.any_of(bool(stop) or done or now - saved >= pause):
                if not runner.is_finite(run):
                    raise RunFailed(f"a table is not finite after step {run.step}: {_HINT}")
                checkpoint.save(folder / "checkpoints", run)
                saved = time.monotonic()
                # Checkpoints of a large run take at most a twentieth of its time, unless 0 asks for one after every call.
                pause = config.checkpoint_seconds and max(config.checkpoint_seconds, 20 * (saved - now))
            if stop and not done:
                name = signal.Signals(stop).name
                raise Interrupted(stop, f"stopped by {name} after step {run.step}, saved: the same command goes on")
    return run


def _evaluate(job: Job, run: Run, path: Path, log: Log) -> tuple[Run, str]:
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
        log(line)
    if not metrics:
        return run, ""
    value = metrics[protocols.CRITERION]
    return run, f"{job.watched} {protocols.CRITERION} {value:.4f} (best at epoch {selection.epoch})"
