"""`train`: a run in a folder, from its configuration to its result files, resumable at any moment.

config, data --> Run -- epochs, evaluations --> metrics.jsonl, checkpoints/ -- choose an epoch --> result.json

With `refit` a second phase follows, in the folder `refit`: all pairs, from a fresh start, for the chosen number of epochs. Its
vectors are those of the run; the metrics are of the first phase, which is honest.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import numpy as np
from absl import logging

from onebp_jax.config import as_plain, check_config
from onebp_jax.config.by_size import closed
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.evaluation_pairs import all_train_pairs, hold_out
from onebp_jax.data.fingerprint import fingerprint
from onebp_jax.data.grow import all_for_training
from onebp_jax.data.matched_ids import say_matched
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.errors import UserError
from onebp_jax.evaluation import protocols
from onebp_jax.evaluation.measure import measure
from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.build import build_method
from onebp_jax.parallel import Layout, processes
from onebp_jax.training import run_folder, runner
from onebp_jax.training.events import check_tensorboard
from onebp_jax.training.feed import make_feed
from onebp_jax.training.loop import train_in
from onebp_jax.training.result import Outcome, test_metrics, write_result
from onebp_jax.training.run import Progress, Seconds
from onebp_jax.training.run_folder import Trained
from onebp_jax.training.warm import identity


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
    check_tensorboard(config)
    if not isinstance(dataset, Dataset | StreamedDataset):
        raise UserError(f"dataset={dataset!r:.80}: expected a Dataset, as onebp_jax.data.load returns")
    config = closed(config, dataset)
    check_is_layout(layout)
    workdir, method, config = Path(workdir), build_method(config), _with_hold_out(config)
    _check_given(config, method, dataset, init)
    if isinstance(dataset, Dataset):
        dataset = run_folder.as_then(workdir, dataset)
    data = fingerprint(dataset) | ({"init": identity(init)} if init else {})
    devices = (layout.driver, layout.sharded, layout.num_devices) if layout else None
    processes.check_same(as_plain(config) | {"data": data, "parallel, tables or num_devices": devices})
    with contextlib.ExitStack() as held:

        def begun() -> dict | None:
            held.enter_context(run_folder.locked(workdir))
            run_folder.check(workdir, config, data)
            return run_folder.read_result(workdir) if run_folder.has_ended(workdir, config) else None

        if found := processes.lead_does(begun):
            return found

        def begin() -> None:
            processes.lead_does(lambda: run_folder.begin(workdir, config, data))
            if processes.any_of(not (workdir / "config.json").exists()):
                raise UserError(f"workdir={workdir}: not all processes see it: give a folder that they share")

        given = method, layout, init
        whole = all_for_training(dataset) if _refits(config) and isinstance(dataset, Dataset) else None
        if whole and not isinstance(method, Baseline):
            # What all pairs make impossible is said now, not after the first phase.
            feed = make_feed(_last(config, 1), method.epoch_unit, whole, layout)
            runner.checked_data(config, method, feed.data, whole.user_ids, layout)
        outcome = _phase(config, dataset, workdir, *given, begin)
        metrics, refitted = test_metrics(config, dataset, outcome), None
        if whole:
            epochs = outcome.progress.selection.epoch
            what = "" if isinstance(method, Baseline) else f" for {epochs} epochs, from a fresh start"
            logging.info("refit: on all %d pairs%s", len(whole.train), what)
            refitted = _phase(_last(config, epochs), whole, workdir / "refit", *given)
        return write_result(config, dataset, workdir, outcome, metrics, refitted)


def check_is_layout(layout: object) -> None:
    """Raises `UserError` unless it is a layout or None."""
    if not isinstance(layout, Layout | None):
        raise UserError(f"layout={layout!r:.80}: expected a layout, as onebp_jax.parallel.make_layout returns, or None")


def _with_hold_out(config):
    """The configuration that runs: with `split="none"` and no refit nothing is held out."""
    if config.split != "none" or config.refit or not config.read_test or not config.validation_fraction:
        return config
    logging.info(
        "split=none: nothing is held out, so all epochs=%d are trained and there are no metrics; refit=True chooses the number "
        "of epochs on validation first",
        config.epochs,
    )
    return _changed(config, validation_fraction=0.0)


def _changed(config, **fields):
    made = config.copy_and_resolve_references()
    made.update(fields)
    return made


def _last(config, epochs: int):
    """The configuration of the second phase: nothing is held out, the last epoch counts."""
    return _changed(config, epochs=max(1, epochs), validation_fraction=0.0, refit=False)


def _refits(config) -> bool:
    """A trial of a search needs no second phase."""
    return config.refit and config.read_test


def _check_given(config, method, dataset: Dataset | StreamedDataset, init: Trained | None) -> None:
    """Raises `UserError` for data or a start that this configuration cannot use."""
    needs_test = config.read_test and (config.split, config.protocol) != ("none", "honest")
    if isinstance(dataset, Dataset) and needs_test and not len(dataset.test):
        raise UserError(
            f"{dataset.name} has no test pairs: give a test file, or a split that makes one; split='none' trains on all pairs"
        )
    if init and isinstance(method, Baseline):
        raise UserError(
            f"init: method={as_plain(config)['method']!r} is not trained, so it begins with nothing: leave it out"
        )
    if init:
        say_matched(dataset.name, init, dataset)


def _phase(
    config, dataset, folder: Path, method, layout: Layout | None, init: Trained | None, begin=lambda: None
) -> Outcome:
    """One phase of a run: it trains in `folder`, which `begin` takes possession of once nothing speaks against the run."""
    if isinstance(method, Baseline):
        if layout and processes.is_lead():
            logging.warning("method=%s has no steps to spread: one device computes it", as_plain(config)["method"])
        outcome = _closed_form(config, method, dataset)
        begin()
        return outcome
    job, run = runner.prepare(config, method, dataset, layout, init)
    begin()
    return train_in(folder, job, run)


def _closed_form(config, method: Baseline, dataset: Dataset | StreamedDataset) -> Outcome:
    """The tables of a method without training. In a trial it does not see the validation pairs."""
    shape, held_out = (dataset.num_users, dataset.num_items), None
    kept = all_train_pairs(dataset)
    if isinstance(dataset, Dataset) and not config.read_test:
        kept, held_out = hold_out(config, dataset)
    elif isinstance(dataset, StreamedDataset):
        held_out = None if config.read_test else dataset.validation
        kept = np.concatenate([kept, dataset.validation]) if config.read_test else kept
    started = time.perf_counter()
    tables = method.tables(kept, *shape)
    progress = Progress(protocols.start(), seconds=Seconds(train=time.perf_counter() - started))
    if held_out is None:
        return Outcome(tables, progress)
    selection, _ = protocols.record(progress.selection, 0, measure(dataset, kept, held_out, *tables))
    return Outcome(tables, progress._replace(selection=selection))
