"""Checkpoints through orbax: written atomically, the newest two kept. Each holds the state, the best vectors and the progress.

Every process writes the rows that its devices hold, and reads the rows that its devices need, which may be others than before.
So all processes must see the folder. A checksum over everything that was saved finds damage on disk. A damaged checkpoint is
set aside with a warning that names it, and the one before is used.
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
from onebp_jax.training.run import Progress, Run
from onebp_jax.types import Array, Tree

KEPT = 2
_FIELDS = ("user", "item", "user_opt", "item_opt", "sampler", "step")
_OPTIONAL = ("params", "params_opt", "pre_step", "context")  # saved where there is something in them
_SAVED_AS = {"pre_step": "before"}  # the name that 0.1.0 gave it


def _manager(folder: Path, alone: bool = False) -> ocp.CheckpointManager:
    """The manager of orbax. If `alone`, it waits for no other process."""
    options = ocp.options.MultiprocessingOptions()
    if alone:
        me = jax.process_index()
        options = ocp.options.MultiprocessingOptions(me, {me}, barrier_sync_key_prefix=f"process{me}")
    options = ocp.CheckpointManagerOptions(
        max_to_keep=KEPT, create=False, enable_async_checkpointing=False, multiprocessing_options=options
    )
    return ocp.CheckpointManager(folder.absolute(), options=options)


def _arrays(run: Run) -> dict:
    """The arrays of a run that are saved: all but the root key, which the configuration gives again."""
    # An array without numbers cannot be saved, and need not be: the rows of users that are made of their histories.
    full = lambda name: any(leaf.size for leaf in jax.tree.leaves(getattr(run.state, name)))
    names = [name for name in _FIELDS if full(name) or not jax.tree.leaves(getattr(run.state, name))]
    names += filter(full, _OPTIONAL)
    return {_SAVED_AS.get(name, name): getattr(run.state, name) for name in names} | {"best": list(run.best)}


@jax.jit
def _sums(arrays: list[Array]) -> Array:
    """`u32[arrays]`, one checksum per array: the bits of each number times an odd weight of its place, summed modulo `2**32`.

    Neither the order of the sum nor zeros matter. So an array has the same checksum whether it is sharded, padded or neither.
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
    """Writes one checkpoint, named by the run's step. The name appears only when it is complete. All processes call it.

    Raises:
      OSError: no space left, or the folder cannot be written. Earlier checkpoints stay as they are.
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
        # orbax reports a full disk as an error of its own.
        if "No space left" in str(error):
            raise OSError(errno.ENOSPC, "No space left on device", str(folder)) from error
        raise


def restore(folder: Path, run: Run) -> Run:
    """The newest sound checkpoint, or `run` itself if there is none. All processes call it.

    Args:
      run: a fresh run. It gives the structure of the result and the devices of its arrays; its own arrays are deleted.

    Raises:
      RunFailed: there are checkpoints, and all of them are damaged.
    """
    steps = processes.lead_does(lambda: _steps(folder))
    form = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
    forms = jax.tree.map(form, _arrays(run))
    if steps:
        # The devices may have no room for both.
        jax.tree.map(lambda leaf: leaf.delete(), _arrays(run))
    for step in steps:
        found: tuple[dict, dict] | None = None
        reason = ""
        with _without_complaints():
            try:
                found = _read(folder, step, forms)
            except Exception as error:  # orbax raises many kinds of errors for a damaged file
                reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            if reason:
                gc.collect()
        if not processes.any_of(bool(reason)) and found is not None:
            arrays, note = found
            if _digest(arrays, note["progress"]) == note["digest"]:
                best = tuple(arrays.pop("best"))
                for name, saved in _SAVED_AS.items():
                    if saved in arrays:
                        arrays[name] = arrays.pop(saved)
                return Run(run.state._replace(**arrays), best, Progress.from_json(note["progress"]))
            reason = "its checksum does not match"
        processes.lead_does(lambda step=step, reason=reason: _set_aside(folder, step, reason))
    # Checkpoints that an earlier call set aside count too: the run must not silently begin again.
    if steps or processes.lead_does(lambda: any(folder.glob("damaged-*"))):
        raise RunFailed(f"every checkpoint in {folder} is damaged: start again in another run folder")
    return run


def _steps(folder: Path) -> list[int]:
    """The steps of the checkpoints in a folder, newest first."""
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
    """Silences what Python says about the reads that orbax leaves half done when one file cannot be read."""
    _silence_half_done_reads()
    logger = stdlib_logging.getLogger("asyncio")
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    finally:
        logger.disabled = False


@functools.cache
def _silence_half_done_reads() -> None:
    """For the rest of the process, because these errors come late and from another thread."""
    hook = sys.unraisablehook

    def of_others(found) -> None:
        code = getattr(found.object, "cr_code", None)
        if not (code and "orbax" in code.co_filename) and str(found.exc_value) != "Event loop is closed":
            hook(found)

    sys.unraisablehook = of_others


def _read(folder: Path, step: int, forms: Tree) -> tuple[dict, dict]:
    """The arrays of a checkpoint and the note beside them, without waiting for other processes."""
    # A sharded table ends with rows of zeros. Their number depends on the devices and may differ from what was saved.
    place = lambda form: ocp.ArrayRestoreArgs(
        sharding=form.sharding, global_shape=form.shape, dtype=form.dtype, strict=False
    )
    arrays = ocp.args.PyTreeRestore(item=forms, restore_args=jax.tree.map(place, forms))
    with _manager(folder, alone=True) as manager:
        saved = manager.restore(step, args=ocp.args.Composite(arrays=arrays, note=ocp.args.JsonRestore()))
    return saved.arrays, saved.note
