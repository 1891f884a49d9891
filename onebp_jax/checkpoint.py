"""Checkpoints through orbax: atomic, the newest two kept, each whole in itself (the state, the best vectors, progress).

Damage on disk is found by a checksum over everything that was saved; a damaged newest checkpoint is set aside with a
warning that names it, and the one before is used.
"""

from __future__ import annotations

import errno
import json
import shutil
import zlib
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from onebp_jax.errors import RunFailed
from onebp_jax.parallel import processes
from onebp_jax.runner import Run
from onebp_jax.types import Tree

KEPT = 2
_FIELDS = ("user", "item", "user_opt", "item_opt", "sampler", "step")
_OPTIONAL = ("params", "params_opt", "before")  # saved where there is something in them


def _manager(folder: Path) -> ocp.CheckpointManager:
    alone = ocp.options.MultiprocessingOptions()
    if jax.process_count() > 1:
        # The first of several processes writes and reads for all: it must not wait for the others here.
        alone = ocp.options.MultiprocessingOptions(active_processes={0}, barrier_sync_key_prefix="lead")
    folder.mkdir(parents=True, exist_ok=True)
    options = ocp.CheckpointManagerOptions(
        max_to_keep=KEPT, create=False, enable_async_checkpointing=False, multiprocessing_options=alone
    )
    return ocp.CheckpointManager(folder.absolute(), options=options)


def _arrays(run: Run) -> dict:
    """What of a run is saved as arrays: all but the data and the root key, which the command gives again."""
    more = [name for name in _OPTIONAL if jax.tree.leaves(getattr(run.state, name))]
    return {name: getattr(run.state, name) for name in (*_FIELDS, *more)} | {"best": list(run.best)}


def _digest(arrays: Tree, progress: dict) -> int:
    digest = zlib.crc32(json.dumps(progress, sort_keys=True).encode())
    for leaf in jax.tree.leaves(arrays):
        digest = zlib.crc32(np.ascontiguousarray(leaf), digest)
    return digest


def save(folder: Path, run: Run) -> None:
    """Writes one checkpoint under the run's step; it appears under that name only when it is complete.

    Raises:
      OSError: no space left, or the folder cannot be written; earlier checkpoints are as they were.
    """
    arrays = jax.device_get(_arrays(run))
    note = {"progress": run.progress, "digest": _digest(arrays, run.progress)}
    args = ocp.args.Composite(arrays=ocp.args.PyTreeSave(arrays), note=ocp.args.JsonSave(note))
    try:
        with _manager(folder) as manager:
            if run.step not in manager.all_steps():
                manager.save(run.step, args=args, force=True)
    except OSError:
        raise
    except Exception as error:
        # The storage layer reports a full disk as an error of its own.
        if "No space left" in str(error):
            raise OSError(errno.ENOSPC, "No space left on device", str(folder)) from error
        raise


def restore(folder: Path, run: Run) -> Run:
    """The newest sound checkpoint in the structure of `run` (a fresh one), in host memory; `run` itself where there is none.

    Raises:
      RunFailed: there are checkpoints, and every one of them is damaged.
    """
    if not folder.is_dir():
        return run
    template = jax.device_get(_arrays(run))
    with _manager(folder) as manager:
        steps = sorted(manager.all_steps(), reverse=True)
    for step in steps:
        try:
            arrays, progress = _read(folder, step, template)
        except Exception as error:  # whatever a damaged file makes the storage layer raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            logging.warning("checkpoint %s is damaged (%s): trying the one before it", folder / str(step), reason)
            aside = folder / f"damaged-{step}"
            shutil.rmtree(aside, ignore_errors=True)
            (folder / str(step)).rename(aside)
            continue
        best = tuple(arrays.pop("best"))
        return Run(run.state._replace(**arrays), best, progress)
    # Those set aside by an earlier call count: the run must not begin anew as if it had never been.
    if steps or any(folder.glob("damaged-*")):
        raise RunFailed(f"every checkpoint in {folder} is damaged: start again in another --workdir")
    return run


def _read(folder: Path, step: int, template: Tree) -> tuple[Tree, dict]:
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), template)
    arrays = ocp.args.PyTreeRestore(item=template, restore_args=as_numpy)
    with _manager(folder) as manager:
        saved = manager.restore(step, args=ocp.args.Composite(arrays=arrays, note=ocp.args.JsonRestore()))
    if _digest(saved.arrays, saved.note["progress"]) != saved.note["digest"]:
        raise ValueError("its checksum does not match")
    return saved.arrays, saved.note["progress"]


def of_lead(run: Run) -> Run:
    """What the first of several processes has restored, in all of them."""
    arrays = processes.from_lead(_arrays(run))
    best = tuple(arrays.pop("best"))
    return Run(run.state._replace(**arrays), best, processes.plain_from_lead(run.progress))
