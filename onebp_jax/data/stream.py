"""Training pairs that do not fit in memory: an epoch of shuffled batches from the row groups of Parquet files.

The order of an epoch: a seeded permutation puts the row groups of all files one after another, in a line of `P` pairs
that is never stored. The line is cut into `lanes` equal parts (their lengths differ by one pair at most), and each lane
into windows of `window / lanes` pairs. The pairs of a window are permuted (exactly, each order equally likely). The
batch of a step is the next `batch_size / lanes` pairs of every lane, lane after lane:

    lane 0   [ window 0 | window 1 | .. ]      batch of step t = rows t*q .. (t+1)*q of lane 0, then of lane 1, ..,
    lane 1   [ window 0 | window 1 | .. ]                        q = batch_size / lanes
    ..

So a batch holds only pairs of one window of each lane, chosen from `window` pairs in all. If the files are sorted by user,
the window should therefore span many row groups. Only the last step has padding (user `M`, item `N`), at the end of each
lane's rows.

The number of lanes does not depend on the number of processes, so any number of processes sees the same global batches. Each
process reads only the row groups of its own lanes. A row group on the border of two lanes is read for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from onebp_jax.data.pairs import pair_keys, row_places, split_keys
from onebp_jax.data.splits import ROW_GROUPS, WINDOW, generator
from onebp_jax.data.stream_index import Stream, read_group
from onebp_jax.errors import UserError


def epoch_batches(
    stream: Stream,
    batch_size: int,
    seed: int,
    epoch: int,
    *,
    start: int = 0,
    window: int = 1 << 23,
    lanes: int = 8,
    process: int = 0,
    num_processes: int = 1,
    prefetch: bool = True,
) -> Iterator[np.ndarray]:
    """The `ceil(P / batch_size)` batches of one epoch, in an order that depends on the arguments alone.

    Every pair comes once per epoch; a pair that is in the files twice comes twice. The order is a function of the files, of
    (seed, epoch), and of `batch_size`, `window` and `lanes`; a resumed run must keep them all.

    Memory: 16 bytes per pair in the process's part of the window (the window in use and the next one), 8 more bytes per pair
    of one lane's window while it is permuted, and one row group per lane, kept because the next window continues in it.

    Args:
      stream: from `open_stream`.
      batch_size: rows of a global batch, a multiple of `lanes`.
      seed, epoch: 0 or more.
      start: the step in the epoch to begin with; the windows before it are not read.
      window: pairs that are shuffled together, in all lanes; rounded down to whole batches, at least one.
      lanes: a multiple of `num_processes`.
      process, num_processes: the part of each global batch to return: the rows from `process * batch_size / num_processes`
        to those of the next process.
      prefetch: whether a thread reads the next window while this one is used.
    Returns:
      An iterator of `int32[batch_size / num_processes, 2]`, columns user and item.
    Raises:
      UserError: arguments do not fit together; while iterating, a file can no longer be read.
    """
    steps = -(-stream.num_pairs // batch_size) if batch_size > 0 else 0
    for wrong, what in (
        (batch_size < 1 or lanes < 1 or batch_size % lanes, "batch_size a multiple of lanes"),
        (num_processes < 1 or lanes % num_processes, "lanes a multiple of num_processes"),
        (not 0 <= process < num_processes, "0 <= process < num_processes"),
        (window < 1 or epoch < 0, "window of 1 or more, epoch of 0 or more"),
        (not 0 <= start <= steps, f"start of 0 to {steps}, the steps of an epoch"),
    ):
        if wrong:
            given = f"{batch_size=} {lanes=} {num_processes=} {process=} {window=} {epoch=} {start=}"
            raise UserError(f"{given}: expected {what}; change one of them")
    own = range(process * lanes // num_processes, (process + 1) * lanes // num_processes)
    steps_a_window = max(1, min(window // batch_size, steps))
    first, skipped = divmod(start, steps_a_window)
    order = generator(seed, ROW_GROUPS, epoch).permutation(len(stream.groups))
    rows = batch_size // lanes
    windows = _windows(stream, order, seed, epoch, lanes, own, steps_a_window * rows, first)
    return _batches(_ahead(windows) if prefetch else windows, rows, skipped, steps - start)


def _batches(windows: Iterator[np.ndarray], rows: int, skipped: int, steps: int) -> Iterator[np.ndarray]:
    """`steps` batches with `rows` rows of every lane, after the first `skipped` batches."""
    for pairs in windows:
        for begin in range(skipped * rows, pairs.shape[1], rows)[:steps]:
            yield pairs[:, begin : begin + rows].reshape(-1, 2)
            steps -= 1
        skipped = 0


def _windows(
    stream: Stream, order: np.ndarray, seed: int, epoch: int, lanes: int, own: range, size: int, first: int
) -> Iterator[np.ndarray]:
    """The permuted windows of the `own` lanes, from window `first` on: `int32[own lanes, size, 2]`, padded at the end."""
    ends = np.cumsum(stream.groups[order, 2])
    cuts = [stream.num_pairs * lane // lanes for lane in range(lanes + 1)]
    held = {}  # lane -> the row group in which it stopped and will continue
    for number in range(first, -(-stream.num_pairs // (lanes * size))):
        pairs = np.empty((len(own), size, 2), np.int32)
        pairs[...] = stream.num_users, stream.num_items
        for row, lane in enumerate(own):
            low, high = (min(cuts[lane] + begin, cuts[lane + 1]) for begin in (number * size, (number + 1) * size))
            places = generator(seed, WINDOW, epoch, lane, number).permutation(high - low)
            place = int(np.searchsorted(ends, low, side="right"))
            while low < high:
                group = dict(held.values()).get(place)
                if group is None:
                    group = read_group(stream, order[place])
                held[lane] = place, group
                begin = ends[place] - len(group)
                piece = group[low - begin : high - begin]
                pairs[row, places[: len(piece)]] = piece
                places, low, place = places[len(piece) :], low + len(piece), place + 1
        yield pairs


def _ahead(items: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same items; a thread makes the next one while one is used, and its exceptions are raised here."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


class UserItemIndex(NamedTuple):
    """The items of each user, as in `Interactions`.

    Attributes:
      row_starts: `[M+1]`, int32, or int64 from 2**31 pairs on.
      sorted_items: `int32[distinct pairs]`; in `row_starts[u]:row_starts[u+1]` ascending, no item twice.
      duplicates: how many repeated pairs were left out.
    """

    row_starts: np.ndarray
    sorted_items: np.ndarray
    duplicates: int


def train_csr(stream: Stream, max_bytes: int) -> UserItemIndex | None:
    """The items of each user, in two passes over the files (count, fill); None if `4 (P + M + 1)` is above `max_bytes`.

    Beside the result it takes 24 bytes per user, one row group, and for sorting about 2**20 pairs, or those of one user.

    Without the index there is no exact membership test. Then use negatives that need none (shared by the batch, or in the
    batch, with `mask_known` off), or accept that a negative is one of the `n_u` items of its user with probability `n_u / N`.
    """
    if 4 * (stream.num_pairs + stream.num_users + 1) > max_bytes:
        return None
    counts = np.zeros(stream.num_users, np.int64)
    for group in range(len(stream.groups)):
        np.add.at(counts, read_group(stream, group, (0,))[:, 0], 1)
    starts = np.concatenate([[0], np.cumsum(counts)])
    items, free = np.empty(starts[-1], np.int32), starts[:-1].copy()
    for group in range(len(stream.groups)):
        by_user, of_group = split_keys(np.sort(pair_keys(read_group(stream, group))))
        users, lengths = np.unique(by_user, return_counts=True)
        items[row_places(free[users], lengths)] = of_group
        free[users] += lengths
    closed = _sort_rows(starts, items)
    narrow = np.int32 if closed[-1] <= np.iinfo(np.int32).max else np.int64
    return UserItemIndex(closed.astype(narrow), items[: closed[-1]], len(items) - int(closed[-1]))


def _sort_rows(starts: np.ndarray, items: np.ndarray, at_a_time: int = 1 << 20) -> np.ndarray:
    """Sorts every row and drops repeated items, in place, about `at_a_time` pairs at a time; returns the new row starts."""
    closed, user, users = np.zeros_like(starts), 0, len(starts) - 1
    while user < users:
        until = max(user + 1, int(np.searchsorted(starts, starts[user] + at_a_time, side="right")) - 1)
        rows = np.repeat(np.arange(until - user), np.diff(starts[user : until + 1]))
        keys = np.sort(rows << 32 | items[starts[user] : starts[until]])
        keys = keys[np.diff(keys, prepend=-1) != 0]
        kept = closed[user]  # at most starts[user]: nothing is overwritten before it is sorted
        items[kept : kept + len(keys)] = keys & 0xFFFFFFFF
        closed[user + 1 : until + 1] = kept + np.searchsorted(keys, np.arange(1, until - user + 1) << 32)
        user = until
    return closed
