"""The time to make the top-k lists of all users, beside another library that makes the same lists from the same vectors.

    ratio = seconds / peer_seconds            (medians; the two take turns in one process, compile time apart)

The vectors are random; the training pairs of a data set are left out. `same` is the share of places in the lists at which both
name the same item; items whose scores differ only by rounding may change places.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import jax
import numpy as np

from onebp_jax.benchmarks.peers import load_implicit, user_items
from onebp_jax.data.dataset import Dataset
from onebp_jax.errors import UserError, one_of
from onebp_jax.evaluation import ranking
from onebp_jax.parallel import Layout, shard_tables, spread_top_k

# Below this share of equal places the two do not compute the same thing, so a ratio of their times means nothing.
ENOUGH = 0.999

Lists = Callable[[], np.ndarray]


def random_tables(num_users: int, num_items: int, dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`(user f32[M, d], item f32[N, d])` of independent standard normal numbers."""
    random = np.random.default_rng(seed)
    user = random.standard_normal((num_users, dim), np.float32)
    return user, random.standard_normal((num_items, dim), np.float32)


def ours(
    user: np.ndarray, item: np.ndarray, seen: np.ndarray, k: int, layout: Layout | None = None
) -> tuple[Lists, float]:
    """`(lists, compile_s)`: a function that makes the lists `int[M, k]` with `ranking.top_k`, and its compile time.

    The function is compiled once, for one device or for those of a layout, and the tables are placed once.
    """
    plan = ranking.plan(len(user), len(item), seen)
    arrays = (*shard_tables(layout, user, item), *plan.seen[:3])
    top_k = spread_top_k(layout, np.arange(len(user))) if layout else ranking.top_k

    def lists(user, item, rows, item_ids, starts):
        return top_k(user, item, plan._replace(seen=ranking.Seen(rows, item_ids, starts, plan.seen.width)), k)[1]

    started = time.perf_counter()
    compiled = jax.jit(lists).lower(*arrays).compile()
    return lambda: np.asarray(compiled(*arrays)), time.perf_counter() - started


def numpy_lists(user: np.ndarray, item: np.ndarray, seen: np.ndarray, k: int, rows: int = 256) -> Lists:
    """The same in NumPy, `rows` users at a time: a product, `argpartition`, and a sort of the chosen items."""
    seen = seen[np.argsort(seen[:, 0], kind="stable")]

    def chunk(start: int) -> np.ndarray:
        scores = user[start : start + rows] @ item.T
        first, last = np.searchsorted(seen[:, 0], (start, start + rows))
        scores[seen[first:last, 0] - start, seen[first:last, 1]] = -np.inf
        chosen = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
        best = np.take_along_axis(scores, chosen, 1)
        order = np.argsort(-best, axis=1, kind="stable")
        listed = np.take_along_axis(best, order, 1) > -np.inf
        return np.where(listed, np.take_along_axis(chosen, order, 1), len(item))

    return lambda: np.concatenate([chunk(start) for start in range(0, len(user), rows)])


def implicit_lists(user: np.ndarray, item: np.ndarray, seen: np.ndarray, k: int) -> Lists:
    """The same by `recommend` of the package implicit, on all cores; raises `UserError` if it is not installed."""
    model = load_implicit().als(factors=user.shape[1], num_threads=os.cpu_count())
    model.user_factors, model.item_factors = user, item
    liked = user_items(seen, len(user), len(item))
    users = np.arange(len(user))

    def lists() -> np.ndarray:
        ids, scores = model.recommend(users, liked, N=k, filter_already_liked_items=True)
        # Where no item is left, it returns items with the lowest possible score.
        return np.where(scores > np.finfo(np.float32).min, ids, len(item))

    return lists


PEERS = {"implicit": implicit_lists, "numpy": numpy_lists}


def _seconds(function: Lists) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def benchmark_ranking(
    dataset: Dataset, dim: int, k: int, peer: str, repeats: int, layout: Layout | None = None
) -> dict[str, float]:
    """Times the lists of all users of a data set, ours and a peer's in turn.

    Args:
      dim: width of the random vectors. k: length of the lists. peer: a name of `PEERS`, or "none".
      layout: the devices that rank; None for one.

    Returns:
      `seconds` (median over `repeats`), `compile_s`, and with a peer `peer_seconds`, `ratio` and `same`.

    Raises:
      UserError: `k` above the catalogue, a peer that is unknown or not installed, or lists that are not the same.
    """
    if k > dataset.num_items:
        raise UserError(f"k={k}: {dataset.name} has {dataset.num_items} items; expected at most that many")
    if peer not in (known := (*PEERS, "none")):
        raise UserError(f"peer={peer!r}: expected {one_of(peer, known)}")
    tables = random_tables(dataset.num_users, dataset.num_items, dim)
    theirs = PEERS[peer](*tables, dataset.train, k) if peer in PEERS else None
    mine, compile_s = ours(*tables, dataset.train, k, layout)
    lists = mine()  # also warms up
    if theirs is None:
        return {"seconds": statistics.median(_seconds(mine) for _ in range(repeats)), "compile_s": compile_s}
    same = float((lists == theirs()).mean())
    if same < ENOUGH:
        raise UserError(f"peer={peer}: only {same:.4f} of the places of the lists are the same; nothing to compare")
    times = [(_seconds(mine), _seconds(theirs)) for _ in range(repeats)]
    seconds, peer_seconds = (statistics.median(column) for column in zip(*times, strict=True))
    return {
        "seconds": seconds,
        "compile_s": compile_s,
        "peer_seconds": peer_seconds,
        "ratio": seconds / peer_seconds,
        "same": same,
    }
