"""Several methods and seeds of one configuration: a run for each, and one table of all."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np
from absl import logging

from onebp_jax.config import OPTIONS, PARTS, as_plain, check_config, default_config
from onebp_jax.config.by_size import closed, is_open, own_row
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.evaluation_pairs import all_train_pairs
from onebp_jax.data.grow import all_for_training
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.errors import UserError, one_of
from onebp_jax.evaluation import protocols
from onebp_jax.evaluation.measure import measure
from onebp_jax.experiments import report
from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.build import build_method, check_method, options_of
from onebp_jax.methods.named import NAMED
from onebp_jax.parallel import Layout
from onebp_jax.training import run_folder
from onebp_jax.training.feed import make_feed
from onebp_jax.training.folder_kinds import check_kind
from onebp_jax.training.run_data import with_pairs_of
from onebp_jax.training.runner import checked_data
from onebp_jax.training.train import train


def variant(config, spec: str, seed: int, named: str = "spec", own=None) -> ml_collections.ConfigDict:
    """The configuration of one row.

    If its method is another one than that of the config, options of the config that it does not know are left out, with a word.

    Args:
      config: what the row changes. spec: `method` or `method:field=value:options.name=value`. seed: the row's own.
      named: what the spec was made from, for the beginning of errors.
      own: what a row of the method `own` changes; None: there is no such row.
    """
    where = f"{named}={spec!r}"
    method, *changes = spec.split(":")
    base = own if own and method == "own" else config
    made = ml_collections.ConfigDict(base, convert_dict=True).copy_and_resolve_references()
    options = made.options
    assert isinstance(options, ml_collections.ConfigDict)
    made.method = method if base is config else base.method
    made.seed = seed
    if made.method != base.method:
        _leave_out_options(made, as_plain(base)["method"])
    for change in changes:
        field, given, text = change.partition("=")
        if field not in fields():
            raise UserError(f"{where}: {change!r} is not FIELD=VALUE of the config, expected {one_of(field, fields())}")
        if not given or not text and field.startswith("options."):
            raise UserError(f"{where}: {field} has no value, as in {field}=VALUE")
        within, name = (options, field.removeprefix("options.")) if "." in field else (made, field)
        try:
            within[name] = literal(text)
        except TypeError as error:
            kind = OPTIONS[name] if within is options else type(within[name])
            raise UserError(f"{where}: {field}={text} is of another type, expected {kind.__name__}") from error
    try:
        check_config(made)
        check_method(made)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return made


def _leave_out_options(config, of: str) -> None:
    """Unsets the options that the method of the config does not know; they were meant for the method `of`."""
    if config.method not in NAMED:
        return  # which is said when the method is built
    known = options_of(NAMED[config.method])
    if left := [name for name, value in config.options.items() if value is not None and name not in known]:
        config.options.update(dict.fromkeys(left))
        names = ", ".join(f"options.{name}" for name in left)
        logging.info("row %s: %s of the config are for method=%s and do not count", config.method, names, of)


def fields() -> list[str]:
    """The names that a row or a trial may change: the fields of the config, and `options.NAME` of a method."""
    return [name for name in default_config() if name != "options"] + [f"options.{name}" for name in OPTIONS]


def literal(text: str) -> Any:
    """The value of a Python literal; of any other text, the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def check_runs(
    runs: Iterable[tuple[str, ml_collections.ConfigDict, Path]],
    dataset: Dataset | StreamedDataset,
    layout: Layout | None = None,
) -> None:
    """Raises `UserError` for the first run that the data or the devices do not allow, before any run begins.

    Nothing is compiled, except for sharded tables. Runs that hold out the same pairs share one pass over the data. A run that
    has ended is not checked.

    Args:
      runs: `(name, config, folder)` of each.
    """
    seen = {}
    for name, config, folder in runs:
        if (folder / "result.json").exists():
            continue
        config = closed(config, dataset)
        try:
            method = build_method(config)
            if isinstance(method, Baseline):
                all_train_pairs(dataset)  # raises for a stream that does not fit
                continue
            held_out = (
                config[field]
                for field in ("protocol", "seed", "validation_fraction", "validation", "eval_users", "read_test")
            )
            source = (method.epoch_unit, *held_out)
            if source not in seen:
                seen[source] = make_feed(config, method.epoch_unit, dataset, layout).data
            checked_data(config, method, seen[source], dataset.user_ids, layout)
        except UserError as error:
            raise UserError(f"spec={name!r}: {error}") from error


def compare(
    config,
    dataset: Dataset | StreamedDataset,
    workdir: Path,
    specs: Sequence[str],
    seeds: Sequence[int],
    layout=None,
    say=print,
    later: Dataset | None = None,
) -> str:
    """Trains each variant with each seed in `workdir/VARIANT-seedS` (a finished run is read back); returns Markdown.

    Args:
      config, dataset, layout: as for `train`. specs: as for `variant`.
      later: interactions that no run has seen; the vectors of all runs are measured on those of them that `dataset` has not.
    """
    check_rows(config, specs, seeds)
    after = _new_pairs(dataset, later) if later else None
    check_kind(workdir, "a comparison")
    folder = lambda spec, seed: workdir / f"{spec.replace(':', '-')}-seed{seed}"
    own = own_row(config)
    if any(_is_own(spec) for spec in specs) and not is_open(config):
        logging.info("row own: the config own, with the data, the seed and the evaluation of the given one only")
    configs = {spec: [variant(config, spec, seed, own=own) for seed in seeds] for spec in specs}
    check_runs([(spec, configs[spec][0], folder(spec, seeds[0])) for spec in specs], dataset, layout)
    rows, timing, on_later = [], [], []
    for spec in specs:
        row, results = _row(spec, configs[spec][0]), []
        for one in configs[spec]:
            say(f"{spec}, seed {one.seed}")
            results.append(train(one, dataset, folder(spec, one.seed), layout))
        rows.append((row, [result["metrics"] for result in results]))
        timing.append((row, [_timing(result) for result in results]))
        if after:
            runs = [run_folder.read_run(folder(spec, seed)) for seed in seeds]
            found = [measure(after, after.train, after.test, run.user, run.item) for run in runs]
            on_later.append((row, found))
    first = f"{config.dataset} ({dataset.split}), protocol {config.protocol}: {protocols.SELECTION[config.protocol]}."
    count = f"{len(seeds)} seeds, mean ± sd." if len(seeds) > 1 else f"1 seed ({seeds[0]})."
    lines = [f"{first} {count}\n", report.table(rows), "", report.table(timing, tuple(timing[0][1][0]), digits=2)]
    if after:
        users = len(np.unique(after.test[:, 0]))
        lines += [
            "",
            f"On {len(after.test)} later pairs of {users} users ({after.name}), without all pairs of the data:\n",
        ]
        lines.append(report.table(on_later))
    return "\n".join(lines)


def check_rows(config, specs: Sequence[str], seeds: Sequence[int]) -> None:
    """Raises `UserError` for rows that no data allow: it can be called before the data are read."""
    for what, given in (("methods", specs), ("seeds", seeds)):
        if not given or len(set(given)) < len(given):
            raise UserError(f"{what}={','.join(map(str, given))}: expected one or more, each of them once")
    if not config.read_test:
        raise UserError("read_test=False: a comparison measures on the test set; a sweep does not")
    for spec in specs:
        variant(config, spec, seeds[0], own=own_row(config))


def _is_own(spec: str) -> bool:
    return spec.partition(":")[0] == "own"


def _new_pairs(dataset: Dataset | StreamedDataset, later: Dataset) -> Dataset:
    """The data set with all its pairs as the train part, and what only `later` has as the test part."""
    if not isinstance(dataset, Dataset):
        raise UserError(f"later={later.name}: expected stream_window=0, it needs all pairs in memory")
    after = with_pairs_of(all_for_training(dataset), later)
    if not len(after.test):
        raise UserError(
            f"later={later.name}: it has no new pair of users and items that {dataset.name} has; give later data"
        )
    return after


def _row(spec: str, config) -> str:
    """The name of a row: the spec, and the parts that the configuration itself exchanges."""
    plain = as_plain(config)
    parts = [f"{part}={plain[part]}" for part in PARTS if plain[part] and f":{part}=" not in spec]
    return spec + (f" ({', '.join(parts)})" if parts else "")


def _timing(result: dict) -> dict[str, float]:
    seconds = result["seconds"]
    return {
        "epoch chosen": result["epoch"],
        "epochs done": result["epochs_done"],
        "ms an epoch": 1e3 * seconds["per_epoch"],
        "prepare s": seconds.get("prepare", 0.0),
        "train s": seconds["train"],
        "eval s": seconds["eval"],
        "compile s": seconds["compile"],
    }
