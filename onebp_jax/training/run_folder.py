"""The files of a run: `train` writes them, the other programs read them.

    config.json        the configuration, and what data it met
    metrics.jsonl      one line per evaluation
    checkpoints/       see `onebp_jax.training.checkpoint`
    refit/             checkpoints and evaluations of the second phase, see `train`
    interactions.npz   at the end: train int32[P, 2], test int32[T, 2], their times; not of a stream
    fold.npz           at the end, where users are sums over events: see `onebp_jax.training.fold_file`
    embeddings.npz     at the end: user f32[M, d], item f32[N, d], user_ids, item_ids, of the chosen epoch
    report.md          at the end, for a person, with curves.svg
    result.json        at the end: the metrics of the chosen epoch

`onebp_jax.training.files` writes them whole: a crash leaves the old file or the new one, never a half.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from onebp_jax.compat.moved import current_id
from onebp_jax.config import OPERATIONAL, as_plain, default_config
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.grow import all_for_training
from onebp_jax.errors import UserError, no_such
from onebp_jax.training import run_data
from onebp_jax.training.checked import check_pairs, check_result, check_vectors, damaged
from onebp_jax.training.files import append_line as append_line
from onebp_jax.training.files import cut_lines as cut_lines
from onebp_jax.training.files import read_json, read_npz, write_json, write_npz
from onebp_jax.training.files import write_atomically as write_atomically
from onebp_jax.training.folder_kinds import OURS, check_kind
from onebp_jax.training.folder_kinds import check_no_run as check_no_run
from onebp_jax.training.lock import locked as locked
from onebp_jax.training.run_data import absolute, difference, source_files

# A run that began with less of these goes on with more, as if it had had more from the start.
GROWING = {"epochs": "more epochs", "patience": "more patience", "refit": "a refit"}
_INTERACTIONS = ("train", "test", "train_times", "test_times")


def check(workdir: Path, config: ml_collections.ConfigDict, data: dict) -> None:
    """Raises `UserError` if a folder holds a run of another configuration or on other data, several runs, or files of no run."""
    check_kind(workdir, "one run")
    if not (workdir / "config.json").exists():
        found = [name for name in OURS if (workdir / name).exists()]
        if found:
            raise UserError(
                f"{workdir} holds {found[0]} but no config.json: nothing was touched, use another run folder"
            )
        return
    theirs, mine = _origin(workdir), absolute(as_plain(config))
    # A run made before a field existed was made with the field's default.
    plain = absolute(as_plain(default_config()) | theirs["config"])
    _same(workdir, mine, {name: _of_today(value) for name, value in plain.items()})
    if changed := difference(str(config.dataset), _as_json(data), theirs["data"]):
        raise UserError(
            f"{workdir} holds a run on other data: {changed}; nothing was touched: train in another run folder, and give "
            f"init={workdir} there to begin with the vectors of this run"
        )


def begin(workdir: Path, config: ml_collections.ConfigDict, data: dict) -> None:
    """Writes `config.json`, with absolute paths of a user's own files. From then on the folder belongs to this run.

    A folder whose run may go on with more epochs or patience gets these. A result that it holds stays until there is a new one.
    """
    path = workdir / "config.json"
    if not path.exists():
        files = source_files(str(config.dataset))
        record = {"config": absolute(as_plain(config)), "data": data} | ({"files": files} if files else {})
        write_json(path, record)
        return
    origin = _origin(workdir)
    grown = {field: config[field] for field in GROWING}
    if grown != (then := {field: _given(origin["config"], field) for field in GROWING}):
        if (workdir / "result.json").exists():
            result = read_result(workdir)
            if "epochs" not in result:  # one of 0.2.0, which does not say what its run was given
                write_json(workdir / "result.json", result | _end(result, then))
        write_json(path, origin | {"config": origin["config"] | grown})


def has_ended(workdir: Path, config: ml_collections.ConfigDict) -> bool:
    """Whether the folder holds the result of this configuration, not only of one with fewer epochs or less patience."""
    if not (workdir / "result.json").exists():
        return False
    then, result = _origin(workdir)["config"], read_result(workdir)
    wanted = {"epochs": config.epochs, "patience": config.patience}
    refits = config.refit and config.read_test
    return _end(result, then) == wanted and ("refit" in result) == refits


def _end(result: dict, plain: dict) -> dict:
    """What the run of a result was given, which an older result leaves to the config.json beside it."""
    return {field: result.get(field, _given(plain, field)) for field in ("epochs", "patience")}


def _given(plain: dict, field: str):
    """The value of a field in a config.json, which may be older than the field."""
    return plain.get(field, default_config()[field])


def read_result(workdir: Path) -> dict:
    """The contents of `result.json`; raises `UserError` if it is not the result of a run."""
    path = workdir / "result.json"
    result = read_json(path)
    check_result(path, result)
    return {"label": result["method"]} | result  # results of 0.2.0 have no label


def check_data(workdir: Path, data: dict) -> None:
    """Raises `UserError` if the run in `workdir` was made on other data than those with this fingerprint."""
    if changed := changes(workdir, data):
        raise UserError(f"{changed}: the run in {workdir} needs the data that it was made on")


def changes(workdir: Path, data: dict) -> str:
    """How the data with this fingerprint differ from those of the run, as a sentence; empty if they do not."""
    origin = _origin(workdir)
    # The data do not say what a run began with.
    then = {name: value for name, value in origin["data"].items() if name != "init"}
    return difference(origin["config"].get("dataset", "the data set"), _as_json(data), then)


def as_then(workdir: Path, dataset: Dataset) -> Dataset:
    """The data set as the run in `workdir` met it, see `run_data.as_then`; as it is if there is no run."""
    if not (workdir / "config.json").exists():
        return dataset
    return run_data.as_then(dataset, _origin(workdir)["data"].get("split"))


def source_is_untouched(workdir: Path) -> bool:
    """Whether a user's own files are as they were when the run was made, by name, size and time of the last change.

    True too if there are none, or they are gone.
    """
    origin = _origin(workdir)
    files = source_files(origin["config"].get("dataset", ""))
    return not files or files == origin.get("files")


def _of_today(value):
    """A value of a config.json, in which an older version may have named a function by a module that has moved."""
    return current_id(value) if isinstance(value, str) else value


def _origin(workdir: Path) -> dict:
    """The contents of `config.json`; raises `UserError` if another program wrote it."""
    path = workdir / "config.json"
    found = read_json(path)
    if not isinstance(found, dict) or not all(isinstance(found.get(part), dict) for part in ("config", "data")):
        raise UserError(f"{path} is not the config.json of a run: nothing was touched, use another run folder")
    return found


def _as_json(value: dict) -> dict:
    """What JSON would give back: it turns tuples into lists."""
    return json.loads(json.dumps(value))


def _same(workdir: Path, mine: dict, theirs: dict) -> None:
    mine = _as_json(mine)
    for field in sorted(set(mine) | set(theirs)):
        now, then = mine.get(field), theirs.get(field)
        if field in OPERATIONAL or now == then or (field in GROWING and _grows(field, now, then)):
            continue
        growing = f" (a run goes on with {GROWING[field]}, not without)" if field in GROWING else ""
        raise UserError(
            f"{workdir} holds a run with other configuration: {field} is {then!r} there and {now!r} here{growing}; "
            "nothing was touched, use another run folder"
        )


def _grows(field: str, now: Any, then: Any) -> bool:
    endless = lambda count: float("inf") if field == "patience" and not count else count
    return endless(now) > endless(then)


class Trained(NamedTuple):
    """A finished run, read back: its config and result, and the chosen tables with the original ids of their rows."""

    config: ml_collections.ConfigDict
    result: dict
    user: np.ndarray
    item: np.ndarray
    user_ids: np.ndarray
    item_ids: np.ndarray


def read_run(workdir: str | Path, argument: str = "workdir") -> Trained:
    """Reads the folder of a finished run; raises `UserError`, naming the argument, if it is none or the run has not ended."""
    workdir = Path(workdir)
    if not (workdir / "config.json").exists():
        runs = sorted(path.parent.name for path in workdir.glob("*/config.json"))
        there = f"; it holds the runs {', '.join(runs[:5])}{', ..' * (len(runs) > 5)}: give one of them" if runs else ""
        what = "not a run folder, it has no config.json" + there if workdir.is_dir() else no_such("folder", workdir)
        raise UserError(f"{argument}={workdir}: {what}")
    if not (workdir / "result.json").exists():
        raise UserError(
            f"{argument}={workdir}: the run has not ended: give the same onebp train command again to finish it"
        )
    config = default_config()
    try:
        with config.unlocked():
            config.update(_origin(workdir)["config"])
    except (AttributeError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise damaged(workdir / "config.json", f"a field has a value of another type ({error})") from error
    path, result = workdir / "embeddings.npz", read_result(workdir)
    tables = read_npz(path, ("user", "item", "user_ids", "item_ids"))
    check_vectors(path, result, **tables)
    return Trained(config, result, **tables)


def write_dataset(workdir: Path, dataset: Dataset) -> None:
    """Writes `interactions.npz`, so that the run can be used without the files that it was trained on."""
    arrays = {name: getattr(dataset, name) for name in _INTERACTIONS}
    write_npz(workdir / "interactions.npz", {name: array for name, array in arrays.items() if array is not None})


def read_dataset(workdir: str | Path, run: Trained) -> Dataset | None:
    """The data set of a finished run, out of its folder alone, without side information.

    Of a run that was refitted, the train part is all pairs, and there is no test part: its vectors have seen both.

    Args:
      run: of `read_run`.

    Returns:
      None if the run was streamed, or made before run folders held their interactions.

    Raises:
      UserError: the file does not hold the pairs of the run.
    """
    path, origin = Path(workdir) / "interactions.npz", _origin(Path(workdir))
    if not path.exists():
        return None
    pairs: dict[str, Any] = read_npz(path)
    check_pairs(path, pairs, origin["data"])
    pairs = {name: pairs[name] for name in _INTERACTIONS if name in pairs}
    name, split = str(run.config.dataset), origin["data"].get("split", "given")
    dataset = Dataset(name=name, user_ids=run.user_ids, item_ids=run.item_ids, split=split, **pairs)
    return all_for_training(dataset) if run.result.get("refit") else dataset
