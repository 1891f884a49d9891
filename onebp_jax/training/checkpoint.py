"""Checkpoints through orbax: atomic, the newest two kept, each whole in itself (the state, the best vectors, progress).

Every process writes the rows that its devices hold, and reads those that they shall hold: as many as before or others. So the
folder must be one that all processes see. Damage on disk is found by a checksum over everything that was saved; a damaged newest
checkpoint is set aside with a warning that names it, and the one before is used.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import json
import logging as stdlib_logging
import math
import shutil
import sys
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from absl import logging

from onebp_jax.errors import RunFailed
from onebp_jax.parallel import processes
from onebp_jax.training.runner import Progress, Run
from onebp_jax.types import Array, Tree

KEPT = 2
_FIELDS = ("user", "item", "user_opt", "item_opt", "sampler", "step")
_OPTIONAL = ("params", "params_opt", "pre_step")  # saved where there is something in them
_SAVED_AS = {"pre_step": "before"}  # the name that 0.1.0 gave it


def _manager(folder: Path, alone: bool = False) -> ocp.CheckpointManager:
    """The storage layer's manager; `alone`, it waits for no other process."""
    options = ocp.options.MultiprocessingOptions()
    if alone:
        me = jax.process_index()
        options = ocp.options.MultiprocessingOptions(me, {me}, barrier_sync_key_prefix=f"process{me}")
    options = ocp.CheckpointManagerOptions(
        max_to_keep=KEPT, create=False, enable_async_checkpointing=False, multiprocessing_options=options
    )
    return ocp.CheckpointManager(folder.absolute(), options=options)


def _arrays(run: Run) -> dict:
    """What of a run is saved as arrays: all but the data and the root key, which the command gives again."""
    more = [name for name in _OPTIONAL if jax.tree.leaves(getattr(run.state, name))]
    return {_SAVED_AS.get(name, name): getattr(run.state, name) for name in (*_FIELDS, *more)} | {
        "best": list(run.best)
    }


@jax.jit
def _sums(arrays: list[Array]) -> Array:
    """`u32[arrays]`, a checksum each: the bits of its numbers times odd weights that differ by place, summed modulo `2**32`.

    The order of the sum does not matter, nor do zeros: arrays in parts, padded or not, have the sum of the whole one.
    """

    def of(array: Array) -> Array:
        if array.dtype == bool:
            array = array.astype(jnp.uint8)
        bits = jax.lax.bitcast_convert_type(array, f"uint{8 * array.dtype.itemsize}").astype(jnp.uint32)
        place = jnp.zeros((), jnp.uint32)
        for axis in range(array.ndim):
            step = math.prod(array.shape[axis + 1 :]) % 2**32
            place += jax.lax.broadcasted_iota(jnp.uint32, array.shape, axis) * jnp.uint32(step)
        mixed = place * jnp.uint32(0x9E3779B1)
        return jnp.sum(bits * (mixed ^ (mixed >> 15) | 1), dtype=jnp.uint32)

    return jnp.stack([of(array) for array in arrays])


def _digest(arrays: Tree, progress: dict) -> list[int]:
    return [zlib.crc32(json.dumps(progress, sort_keys=True).encode()), *_sums(jax.tree.leaves(arrays)).tolist()]


def save(folder: Path, run: Run) -> None:
    """Writes one checkpoint under the run's step; it appears under that name only when it is complete. All processes call it.

    Raises:
      OSError: no space left, or the folder cannot be written; earlier checkpoints are as they were.
    """
    arrays = _arrays(run)
    progress = run.progress.to_json()
    note = {"progress": progress, "digest": _digest(arrays, progress)}
    args = ocp.args.Composite(arrays=ocp.args.PyTreeSave(arrays), note=ocp.args.JsonSave(note))
    folder.mkdir(parents=True, exist_ok=True)
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
    """The newest sound checkpoint in the structure of `run`, a fresh one, and where the arrays of that lie, which are given
    up; `run` itself where there is none. All processes call it.

    Raises:
      RunFailed: there are checkpoints, and every one of them is damaged.
    """
    steps = processes.lead_does(lambda: _steps(folder))
    form = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
    forms = jax.tree.map(form, _arrays(run))
    if steps:
        # There may be no room for both.
        jax.tree.map(lambda leaf: leaf.delete(), _arrays(run))
    for step in steps:
        found, reason = None, ""
        with _without_complaints():
            try:
                found = _read(folder, step, forms)
            except Exception as error:  # whatever a damaged file makes the storage layer raise
                reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            if reason:
                gc.collect()
        if not processes.any_of(bool(reason)):
            arrays, note = found
            if _digest(arrays, note["progress"]) == note["digest"]:
                best = tuple(arrays.pop("best"))
                for name, saved in _SAVED_AS.items():
                    if saved in arrays:
                        arrays[name] = arrays.pop(saved)
                return Run(run.state._replace(**arrays), best, Progress.from_json(note["progress"]))
            reason = "its checksum does not match"
        processes.lead_does(lambda step=step, reason=reason: _set_aside(folder, step, reason))
    # Those set aside by an earlier call count: the run must not begin anew as if it had never been.
    if steps or processes.lead_does(lambda: any(folder.glob("damaged-*"))):
        raise RunFailed(f"every checkpoint in {folder} is damaged: start again in another --workdir")
    return run


def _steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in a folder, the newest first."""
    if not folder.is_dir():
        return []
    with _manager(folder, alone=True) as manager:
        return sorted(manager.all_steps(), reverse=True)


def _set_aside(folder: Path, step: int, reason: str) -> None:
    reason = reason or "another process cannot read it"
    logging.warning("checkpoint %s is damaged (%s): trying the one before it", folder / str(step), reason)
    aside = folder / f"damaged-{step}"
    shutil.rmtree(aside, ignore_errors=True)
    (folder / str(step)).rename(aside)


@contextlib.contextmanager
def _without_complaints() -> Iterator[None]:
    """Where one file cannot be read, the storage layer leaves other reads half done: what Python says of them is of no use."""
    _pass_over_half_done_reads()
    logger = stdlib_logging.getLogger("asyncio")
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    finally:
        logger.disabled = False


@functools.cache
def _pass_over_half_done_reads() -> None:
    """For good, because their answers come late and from another thread."""
    hook = sys.unraisablehook

    def of_others(found) -> None:
        code = getattr(found.object, "cr_code", None)
        if not (code and "orbax" in code.co_filename) and str(found.exc_value) != "Event loop is closed":
            hook(found)

    sys.unraisablehook = of_others


def _read(folder: Path, step: int, forms: Tree) -> tuple[dict, dict]:
    """The arrays of a checkpoint and what was noted beside them, without waiting for other processes."""
    # A table in parts has rows of zeros at its end, as many as the devices need: here perhaps more or fewer than were saved.
    place = lambda form: ocp.ArrayRestoreArgs(
        sharding=form.sharding, global_shape=form.shape, dtype=form.dtype, strict=False
    )
    arrays = ocp.args.PyTreeRestore(item=forms, restore_args=jax.tree.map(place, forms))
    with _manager(folder, alone=True) as manager:
        saved = manager.restore(step, args=ocp.args.Composite(arrays=arrays, note=ocp.args.JsonRestore()))
    return saved.arrays, saved.note
