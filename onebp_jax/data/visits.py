"""The time axis of the synthetic set: users come back, and their tastes move from visit to visit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

DAY = 86_400
MINUTE = 60


class Visits(NamedTuple):
    """`V` visits, sorted by user and time.

    Attributes:
      user: `int[V]`. start: `int[V]`, seconds. counts: `int[V, K]`, the pairs of each type.
    """

    user: np.ndarray
    start: np.ndarray
    counts: np.ndarray


def draw_visits(
    shares: np.ndarray, totals: np.ndarray, days: float, drift: float, per_user: float, random: np.random.Generator
) -> Visits:
    """Draws when users come and what they want then.

    A user arrives at any time of the first half of all days, and comes back at any time after. At each visit after the first,
    with the probability `drift`, the user's tastes are dealt to other types anew.

    Args:
      shares: `f[M, K]`, the tastes at the first visit. totals: `int[M]`, the pairs of each user.
      per_user: the mean number of visits.
    """
    number = 1 + random.poisson(per_user - 1, len(shares))
    user = np.repeat(np.arange(len(shares)), number)
    arrival = random.random(len(shares)) * days / 2
    start = arrival[user] + random.random(len(user)) * (days - arrival[user])
    start = (np.sort(user * days + start) - user * days) * DAY  # by user, then time
    tastes, is_first = shares[user], np.append(-1, user[:-1]) != user
    moves = (random.random(len(user)) < drift) & ~is_first
    tastes[moves] = random.permuted(tastes[moves], axis=1)
    # A visit without a move has the tastes of the last one that is the first or has one.
    tastes = tastes[np.maximum.accumulate(np.where(moves | is_first, np.arange(len(user)), 0))]
    # Each pair falls on any visit of its user.
    first = np.append(0, number.cumsum()[:-1])
    falls_on = np.repeat(first, totals) + (random.random(totals.sum()) * np.repeat(number, totals)).astype(np.int64)
    counts = random.multinomial(np.bincount(falls_on, minlength=len(user)), tastes)
    return Visits(user, start.astype(np.int64), counts)


def times_of(pairs: np.ndarray, kinds: np.ndarray, visits: Visits, random: np.random.Generator) -> np.ndarray:
    """`int[P]`: the time of each pair, a minute after the one before in its visit.

    Args:
      pairs: `int[P, 2]`, no more of each user and type than the visits want. kinds: `int[P]`, the type of each item.
    """
    types = visits.counts.shape[1]
    wanted = np.repeat(np.arange(visits.counts.size), visits.counts.ravel())
    visit, kind = np.divmod(wanted, types)
    slots = _in_groups(visits.user[visit] * types + kind, random)
    asked = _in_groups(pairs[:, 0] * types + kinds, random)
    # The n-th pair of a user and type takes the n-th place that the visits have for it.
    groups = (visits.user[visit] * types + kind)[slots]
    own = (pairs[:, 0] * types + kinds)[asked]
    nth = np.arange(len(own)) - np.searchsorted(own, own)
    taken = np.empty(len(pairs), np.int64)
    taken[asked] = visit[slots[np.searchsorted(groups, own) + nth]]
    order = np.lexsort((random.random(len(pairs)), taken))
    minute = np.empty(len(pairs), np.int64)
    minute[order] = np.arange(len(pairs)) - np.searchsorted(taken[order], taken[order])
    return visits.start[taken] + MINUTE * minute


def _in_groups(groups: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The order that sorts by group, at random within one."""
    return np.lexsort((random.random(len(groups)), groups))
