"""What a run reads: the pairs to train on, in memory or streamed from files, and the pairs that evaluations look for.

In memory, the batch of a step is made on the device from the number of the step. In a stream, the host cuts an epoch into
calls of some steps and hands the batches to each call, while the device still works on the call before and a thread reads ahead:

    files --epoch_batches--> [length, b, 2] --feed.batches--> Batch[length, b] --scan--> State

A batch is a function of (seed, epoch, position), so a run goes on at any step, whatever was read before.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jax.sharding import PartitionSpec

from onebp_jax.data.ages import ages
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.device import for_epochs, on_host
from onebp_jax.data.evaluation_pairs import hold_out, split_of
from onebp_jax.data.pairs import item_counts
from onebp_jax.data.splits import of_some_users
from onebp_jax.data.stream import epoch_batches
from onebp_jax.data.streamed import StreamedDataset, check_fits
from onebp_jax.engine.batches import steps_per_epoch
from onebp_jax.errors import UserError, as_user_error
from onebp_jax.ops.csr import need_rows
from onebp_jax.parallel import Layout, process_slice
from onebp_jax.types import Batch, Interactions

# Where `steps_per_call` is 0: enough steps that a call costs little, few enough that their batches fit in memory.
STREAMED_CALL = 100
# A stream is cut into this many lanes (see `data/stream.py`); up to so many processes can share it.
LANES = 8


class Feed(NamedTuple):
    """What a run reads.

    Attributes:
      data: what samplers and encoders see of the training pairs, as NumPy arrays.
      epoch_steps: steps in an epoch. call_steps: most steps in a call.
      watched: the split that evaluations read, "validation" or "test"; empty if there is none to choose by.
      seen, held_out: `int[n, 2]`, the pairs to leave out of the lists, and the pairs to find.
      popularity: `int[N]`, training pairs of each item.
      batch_form: `batch_form(length)`, the batches of a call as `jax.ShapeDtypeStruct`; None if the device makes them.
      batches: `batches(step, length)`, the batches of a call as arrays `[length, b]`; None if the device makes them.
    """

    data: Interactions
    epoch_steps: int
    call_steps: int
    watched: str
    seen: np.ndarray
    held_out: np.ndarray
    popularity: np.ndarray
    batch_form: Callable[[int], Batch | None] = lambda length: None
    batches: Callable[[int, int], Batch | None] = lambda step, length: None


def make_feed(config, epoch_unit: str, dataset: Dataset | StreamedDataset, layout: Layout | None = None) -> Feed:
    """The feed of a run.

    Args:
      epoch_unit: that of the method.

    Raises:
      UserError: nothing can be held out, or this method or configuration cannot be streamed.
    """
    if isinstance(dataset, StreamedDataset):
        return _streamed(config, epoch_unit, dataset, layout)
    return _in_memory(config, epoch_unit, dataset)


def _in_memory(config, epoch_unit: str, dataset: Dataset) -> Feed:
    shape = dataset.num_users, dataset.num_items
    train, held_out, watched = dataset.train, of_some_users(dataset.test, config.eval_users, config.seed), "test"
    if config.protocol == "honest":
        watched = "validation" if config.validation_fraction else ""
        train, held_out = hold_out(config, dataset) if watched else (train, held_out[:0])
    data = on_host(train, *shape, dataset.user_features, dataset.item_features, ages(config, dataset, train))
    data = for_epochs(data, epoch_unit, config.batch_size)
    steps = steps_per_epoch(data.num_pairs, config.batch_size, config.drop_last)
    popularity = item_counts(train, dataset.num_items)
    data = data.replace(epoch_steps=steps)
    return Feed(data, steps, config.steps_per_call or steps, watched, train, held_out, popularity)


def _streamed(config, epoch_unit: str, dataset: StreamedDataset, layout: Layout | None) -> Feed:
    if epoch_unit == "user":
        raise UserError(
            f"{dataset.name}: an epoch of this method goes through users, and a stream has pairs: set stream_window=0"
        )
    if not config.read_test and not len(dataset.validation):
        raise UserError(
            f"{dataset.name}: a trial (read_test=False) needs a validation part, such as validation.parquet"
        )
    # Now, not after the training.
    check_fits(dataset, np.unique(of_some_users(dataset.test, config.eval_users, config.seed)[:, 0]))
    seen, held_out = split_of(config, dataset, "validation")
    data, num_pairs, made = _interactions(dataset), dataset.stream.num_pairs, {}
    if epoch_unit == "history":
        # The index of what users touched is all that such a run needs; the device makes its batches.
        as_user_error(need_rows)(data)
        data = for_epochs(data, epoch_unit, config.batch_size)
        num_pairs = data.num_pairs
    steps = steps_per_epoch(num_pairs, config.batch_size, config.drop_last)
    if epoch_unit == "pair":
        made = {"batch_form": _batch_form(config, layout), "batches": _batches(config, dataset, steps, layout)}
    return Feed(
        data=data.replace(epoch_steps=steps),
        epoch_steps=steps,
        call_steps=config.steps_per_call or STREAMED_CALL,
        watched="validation" if len(dataset.validation) else "",
        seen=seen,
        held_out=held_out,
        popularity=dataset.item_counts,
        **made,
    )


def _interactions(dataset: StreamedDataset) -> Interactions:
    """What is known of a stream: what users touched, or, if that is too large, how often each item occurs."""
    none = np.zeros(0, np.int32)
    known: dict[str, Any] = {"user_ids": none, "item_ids": none}
    known |= {"num_users": dataset.num_users, "num_items": dataset.num_items}
    if dataset.touched is not None:
        starts, items = (np.asarray(x, np.int32) for x in (dataset.touched.row_starts, dataset.touched.sorted_items))
        return Interactions(
            **known | {"row_starts": starts, "sorted_items": items, "max_row": int(np.diff(starts).max())}
        )
    logging.warning(
        "%s: what users touched does not fit in membership_bytes=%d: negatives may be items that their user touched",
        *(dataset.name, dataset.most_bytes),
    )
    counts = np.minimum(dataset.item_counts, np.iinfo(np.int32).max).astype(np.int32)
    known |= {"row_starts": np.zeros(dataset.num_users + 1, np.int32), "sorted_items": np.zeros(1, np.int32)}
    return Interactions(**known | {"max_row": 0, "item_counts": counts})


def _sharding(layout: Layout | None):
    return layout.sharding(PartitionSpec(None, *layout.mesh.axis_names)) if layout else None


def _batch_form(config, layout: Layout | None) -> Callable[[int], Batch]:
    def form(length: int) -> Batch:
        ids: Any = jax.ShapeDtypeStruct((length, config.batch_size), jnp.int32, sharding=_sharding(layout))
        return Batch(ids, ids)

    return form


def _batches(config, dataset: StreamedDataset, epoch_steps: int, layout: Layout | None) -> Callable[[int, int], Batch]:
    """The batches of a stream. Each process reads its part of a batch; the compiled program puts the parts together."""
    part, parts = process_slice(layout) if layout else (0, 1)
    options = {"window": config.stream_window, "lanes": math.gcd(config.batch_size, LANES)}
    options |= {"process": part, "num_processes": parts}

    def start(step: int):
        epoch, place = divmod(step, epoch_steps)
        return epoch_batches(dataset.stream, config.batch_size, config.seed, epoch, start=place, **options)

    start(0)  # arguments that do not fit are refused at once
    next_step, rows = -1, iter(())

    def batches(step: int, length: int) -> Batch:
        nonlocal next_step, rows
        if step != next_step or step % epoch_steps == 0:
            rows = start(step)
        columns = np.stack(list(itertools.islice(rows, length))).transpose(2, 0, 1)
        next_step = step + length
        if layout is None:
            return Batch(*columns)
        shape, sharding = (length, config.batch_size), _sharding(layout)
        return Batch(*(jax.make_array_from_process_local_data(sharding, ids, shape) for ids in columns))

    return batches
