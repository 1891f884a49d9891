"""What happens to a row that repeats in one batch: the rules, and sums over equal ids (without a sort on a CPU).

A row occurs `n` times in the batch, with targets `v_1 .. v_n` in batch order. It moves from `u` to

    sequential   beta^n u + (1 - beta) sum_r beta^(n-r) v_r     Eq. 6 of the paper, once per interaction, in order
    expected     beta^n u + (1 - beta^n) mean_r v_r             the mean of `sequential` over all orders
    mean         beta u + (1 - beta) mean_r v_r                 one move per batch, whatever `n` is
    last         beta u + (1 - beta) v_n                        what the authors' code does; it drops n - 1 targets

Each rule is a pair of weights: `keep`, the factor on the old row, and `weight[r]`, the factor on target `r`, so that
the new row is `keep * u + sum_r weight[r] v_r`. All four rules agree if no row repeats.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp

from onebp_jax.ops.gpu import for_gpu
from onebp_jax.ops.repeated import Runs, runs
from onebp_jax.types import Array

RULES = ("expected", "sequential", "mean", "last")


class Groups(NamedTuple):
    """Groups of equal ids: `leader i32[n]`, for each position the position that leads its group; `n` for padding.

    `runs` are the sorted ids where sums have a fixed order (`onebp_jax.ops.repeated`); then the first position leads.
    """

    leader: Array
    runs: Runs | None = None

    @property
    def is_leader(self) -> Array:
        """`bool[n]`: true at exactly one occurrence of each id."""
        return self.leader == jnp.arange(self.leader.shape[0], dtype=jnp.int32)

    def sum(self, values: Array) -> Array:
        """`[n, ...]`: at a leader, the sum of `values [n, ...]` over its group. The other entries have no meaning."""
        if self.runs is not None:
            return self.runs.sum(values)
        count = values.shape[0]
        return values.at[jnp.where(self.is_leader, count, self.leader)].add(values, mode="drop")

    def spread(self, values: Array) -> Array:
        """`[n, ...]`: for each member, the value of the leader of its group."""
        return values.at[self.leader].get(mode="clip")

    def sizes(self, dtype) -> Array:
        """`[n]`: for each member, the size of its group; at least 1, also for padding."""
        if self.runs is not None:
            return (self.runs.last - self.runs.first + 1).astype(dtype)
        return jnp.maximum(self.spread(self.sum(jnp.ones(self.leader.shape, dtype))), 1)

    def is_latest(self) -> Array:
        """`bool[n]`: true at the last occurrence of each id."""
        positions = jnp.arange(self.leader.shape[0], dtype=jnp.int32)
        if self.runs is not None:
            return self.runs.order.at[self.runs.last].get(mode="clip") == positions
        return self.spread(jnp.zeros_like(positions).at[self.leader].max(positions, mode="drop")) == positions


def group(ids: Array, slots: Array) -> tuple[Groups, Array]:
    """Groups equal ids in O(n): every occurrence writes its position into `slots i32[rows]`; the one that stays is the leader.

    `slots` is scratch space, one number per table row. Its old content is never read. Returns the groups and the slots. On a
    GPU, where it is left to chance which write stays, ids are sorted first.
    """
    count = ids.shape[0]
    if for_gpu() and count:
        found, slots = runs(ids, slots)
        leader = jnp.where(ids < slots.shape[0], found.order.at[found.first].get(mode="clip"), count)
        return Groups(leader, found), slots
    positions = jnp.arange(count, dtype=jnp.int32)
    slots = slots.at[ids].set(positions, mode="drop")
    leader = slots.at[ids].get(mode="fill", fill_value=count)
    return Groups(leader), slots


def _occurrences_after(ids: Array) -> Array:
    """`i32[n]`: how many later positions of the batch have the same id. It needs a stable sort; only `sequential` calls it."""
    order = jnp.argsort(ids, stable=True)
    ordered = ids[order]
    end = jnp.searchsorted(ordered, ordered, side="right").astype(jnp.int32)
    after = end - 1 - jnp.arange(ids.shape[0], dtype=jnp.int32)
    return jnp.zeros_like(after).at[order].set(after, unique_indices=True)


def weights(rule: str, beta: float, ids: Array, groups: Groups, dtype) -> tuple[Array, Array]:
    """`(keep [n], weight [n])` of a rule, by the formulas at the head of this module."""
    ones = jnp.ones(ids.shape, dtype)
    if rule == "last":
        return beta * ones, (1 - beta) * groups.is_latest().astype(dtype)
    count = groups.sizes(dtype)
    if rule == "mean":
        return beta * ones, (1 - beta) / count
    # If beta is near 1 (1 - 1e-6), 1 - beta^n loses its digits in float32; expm1 keeps them.
    log_beta = math.log(beta) if beta > 0 else -math.inf
    moved = -jnp.expm1(log_beta * count)
    if rule == "expected":
        return 1 - moved, moved / count
    return 1 - moved, (1 - beta) * jnp.power(jnp.asarray(beta, dtype), _occurrences_after(ids).astype(dtype))
