"""Where the pairs of a run come from: a data set in memory, or one whose training pairs are streamed from files.

In memory the batch of a step is made on the device, out of the step's number. In a stream, the host cuts an epoch into calls of
some steps and hands each call its batches, while the device still works on the one before and a thread reads ahead:

    files --epoch_batches--> [length, b, 2] --feed--> Batch[length, b] --scan--> State

A batch is a function of (seed, epoch, position), so a run goes on at any step, whatever was read before.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jax.sharding import PartitionSpec

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.device import one_pair_a_user, steps_per_epoch, to_device
from onebp_jax.data.evaluation_pairs import hold_out, split_of
from onebp_jax.data.splits import of_some_users
from onebp_jax.data.stream import epoch_batches
from onebp_jax.data.streamed import StreamedDataset, check_fits
from onebp_jax.errors import UserError
from onebp_jax.parallel import Layout, process_slice
from onebp_jax.types import Batch, Interactions

# Where `steps_per_call` is 0: enough that a call costs little, few enough that their batches do.
STREAMED_CALL = 100
# Stretches that a stream is cut into, see `data/stream.py`: so many processes can share it.
LANES = 8


class Feed(NamedTuple):
    """The batches of a call: `shape(length)` as `jax.ShapeDtypeStruct`, `batches(step, length)` as arrays; None in memory."""

    shape: Callable[[int], Batch | None]
    batches: Callable[[int, int], Batch | None]


class Source(NamedTuple):
    """What a run reads.

    Attributes:
      data: what samplers and encoders see of the training pairs. feed: see `Feed`.
      epoch_steps: steps in an epoch. call_steps: of a call, at most.
      watched: the split that evaluations read: "validation", "test"; empty where there is none to choose by.
      seen, held_out: pairs of that split to leave out of the lists, and to find. popularity: `int[N]`, of the items.
    """

    data: Interactions
    feed: Feed
    epoch_steps: int
    call_steps: int
    watched: str
    seen: np.ndarray
    held_out: np.ndarray
    popularity: np.ndarray


def source(config, each: str, dataset: Dataset | StreamedDataset, layout: Layout | None = None) -> Source:
    """The source of a run; `each` is the method's. Raises `UserError` where there is nothing to hold out or it cannot stream."""
    return (
        _streamed(config, each, dataset, layout)
        if isinstance(dataset, StreamedDataset)
        else _in_memory(config, each, dataset)
    )


def _in_memory(config, each: str, dataset: Dataset) -> Source:
    shape = dataset.num_users, dataset.num_items
    train, held_out, watched = dataset.train, of_some_users(dataset.test, config.eval_users, config.seed), "test"
    if config.protocol == "honest":
        train, held_out = hold_out(config, dataset)
        watched = "validation"
    data = to_device(train, *shape, dataset.user_features, dataset.item_features)
    data = one_pair_a_user(data) if each == "user" else data
    steps = steps_per_epoch(data.num_pairs, config.batch_size, config.drop_last)
    counts = np.bincount(train[:, 1], minlength=shape[1])
    none = Feed(lambda length: None, lambda step, length: None)
    return Source(data, none, steps, config.steps_per_call or steps, watched, train, held_out, counts)


def _streamed(config, each: str, dataset: StreamedDataset, layout: Layout | None) -> Source:
    if each == "user":
        raise UserError(
            f"{dataset.name}: an epoch of this method goes through users and a stream has pairs: stream_window=0"
        )
    if not config.read_test and not len(dataset.validation):
        raise UserError(
            f"{dataset.name}: a trial (read_test=False) needs a validation part, such as validation.parquet"
        )
    # Now, not after the training.
    check_fits(dataset, np.unique(of_some_users(dataset.test, config.eval_users, config.seed)[:, 0]))
    evaluated = *split_of(config, dataset, "validation"), dataset.item_counts
    steps = steps_per_epoch(dataset.stream.num_pairs, config.batch_size, config.drop_last)
    feed, watched = _feed(config, dataset, steps, layout), "validation" if len(dataset.validation) else ""
    return Source(_interactions(dataset), feed, steps, config.steps_per_call or STREAMED_CALL, watched, *evaluated)


def _interactions(dataset: StreamedDataset) -> Interactions:
    """What the device has of a stream: what users touched, or, where that is too large, how often items are in it."""
    shape, none = (dataset.num_users, dataset.num_items), jnp.zeros(0, jnp.int32)
    if dataset.touched is not None:
        starts, items = dataset.touched.row_starts, dataset.touched.sorted_items
        arrays = (jnp.asarray(array, jnp.int32) for array in (starts, items))
        return Interactions(none, none, *arrays, *shape, int(np.diff(starts).max()))
    logging.warning(
        "%s: what users touched does not fit in membership_bytes=%d: negatives may be items that their user touched",
        *(dataset.name, dataset.most_bytes),
    )
    counts = jnp.asarray(np.minimum(dataset.item_counts, np.iinfo(np.int32).max), jnp.int32)
    starts, items = jnp.zeros(shape[0] + 1, jnp.int32), jnp.zeros(1, jnp.int32)
    return Interactions(none, none, starts, items, *shape, 0, item_counts=counts)


def _feed(config, dataset: StreamedDataset, epoch_steps: int, layout: Layout | None) -> Feed:
    """The batches of a stream. Each of several processes reads its part of a batch; the compiled program puts them together."""
    part, parts = process_slice(layout) if layout else (0, 1)
    sharding = layout.sharding(PartitionSpec(None, *layout.mesh.axis_names)) if layout else None
    options = {"window": config.stream_window, "lanes": math.gcd(config.batch_size, LANES)}
    options |= {"process": part, "num_processes": parts}
    now = {"step": -1, "rows": iter(())}

    def start(step: int):
        epoch, place = divmod(step, epoch_steps)
        return epoch_batches(dataset.stream, config.batch_size, config.seed, epoch, start=place, **options)

    start(0)  # says at once what does not fit

    def shape(length: int) -> Batch:
        of_ids = jax.ShapeDtypeStruct((length, config.batch_size), jnp.int32, sharding=sharding)
        return Batch(of_ids, of_ids)

    def batches(step: int, length: int) -> Batch:
        if step != now["step"] or step % epoch_steps == 0:
            now["rows"] = start(step)
        columns = np.stack(list(itertools.islice(now["rows"], length))).transpose(2, 0, 1)
        now["step"] = step + length
        if layout is None:
            return Batch(*columns)
        whole = (length, config.batch_size)
        return Batch(*(jax.make_array_from_process_local_data(sharding, ids, whole) for ids in columns))

    return Feed(shape, batches)
