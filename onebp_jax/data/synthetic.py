"""A synthetic data set whose latent item types are known.

Every item has a type. Popularity follows Zipf's law over the whole catalogue: the item of rank r has the weight
`r ** -zipf`. Every user has one majority type and a few minority types, and draws distinct items of each type by
popularity. The types are the truth that an analysis of the embeddings should find. With `days` users come several times, and
their tastes may move.
"""

from __future__ import annotations

import numpy as np

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.pairs import in_sorted, pair_keys
from onebp_jax.data.splits import SYNTHETIC, generator, per_user_ratio
from onebp_jax.data.visits import draw_visits, times_of
from onebp_jax.errors import UserError

FEWEST = 5  # the least number of pairs of a user
CHUNK = 2_000_000  # random numbers in memory at once
LARGE = 20_000  # with this many items of a type, drawing repeatedly costs less than a race of all items


def generate(
    num_users: int = 1000,
    num_items: int = 500,
    num_types: int = 6,
    interactions_per_user: float = 40,
    zipf: float = 1.0,
    majority: float = 0.7,
    minority_types: int = 2,
    test_fraction: float = 0.2,
    seed: int = 0,
    days: float = 0.0,
    drift: float = 0.0,
    visits: float = 8.0,
) -> Dataset:
    """Draws a data set; the same arguments give the same set.

    Args:
      num_users, num_items: `M`, `N`. Every item of `0..N-1` is in the catalogue, also if no user draws it.
      num_types: `K` latent types, each of `N // K` items or one more.
      interactions_per_user: mean of the Poisson number of pairs of a user (at least 5; fewer than drawn if a type
        runs out of items).
      zipf: exponent of the popularity; 0 = all items are equally popular.
      majority: share of the majority type in the pairs of a user; the minority types share the rest equally.
      minority_types: how many other types a user likes; with 0 all items are of the majority type.
      test_fraction: the share of each user's pairs in the test part, random, or with `days` the latest.
      seed: non-negative.
      days: how long the users are watched; 0: no times. Times are seconds from 0.
      drift: the probability that a user's tastes are dealt anew, to other types, at a visit after the first.
      visits: the mean number of a user's visits, at any time after the user's arrival in the first half of the days.
    Returns:
      A `Dataset` with truth `item_type int32[N]`, `user_majority_type int32[M]`, `user_type_share float32[M, K]`; with
      `drift` these are tastes at the first visit.
    Raises:
      UserError: an argument is out of its range.
    """
    _check_arguments(num_users, num_items, num_types, interactions_per_user, zipf, majority, minority_types, seed)
    _check_times(days, drift, visits)
    random = generator(seed, SYNTHETIC)
    item_type = random.permutation(num_items) % num_types
    weights = (1.0 + random.permutation(num_items)) ** -zipf
    liked = np.argsort(random.random((num_users, num_types)), axis=1)[:, : 1 + minority_types]
    shares = np.zeros((num_users, num_types))
    rest = 1 - majority if minority_types else 0.0
    np.put_along_axis(shares, liked, rest / max(minority_types, 1), axis=1)
    np.put_along_axis(shares, liked[:, :1], 1 - rest, axis=1)

    totals = np.maximum(random.poisson(interactions_per_user, num_users), FEWEST)
    if days:
        when = draw_visits(shares, totals, days, drift, visits, random)
        wanted = np.zeros((num_users, num_types), np.int64)
        np.add.at(wanted, when.user, when.counts)
        pairs = _draw(wanted, item_type, weights, random)
        times = times_of(pairs, item_type[pairs[:, 1]], when, random)
        train, test = per_user_ratio(pairs, test_fraction, seed, times)
        is_test = np.isin(pair_keys(pairs), pair_keys(test))
        train_times, test_times, kind = times[~is_test], times[is_test], "latest"
    else:
        pairs = _draw(random.multinomial(totals, shares), item_type, weights, random)
        train, test = per_user_ratio(pairs, test_fraction, seed)
        train_times, test_times, kind = None, None, "random"
    return Dataset(
        name="synthetic",
        train=train,
        test=test,
        user_ids=np.arange(num_users),
        item_ids=np.arange(num_items),
        split=f"per-user {kind} {100 * test_fraction:g} %, seed {seed}",
        train_times=train_times,
        test_times=test_times,
        truth={
            "item_type": item_type.astype(np.int32),
            "user_majority_type": liked[:, 0].astype(np.int32),
            "user_type_share": shares.astype(np.float32),
        },
    )


def _draw(counts: np.ndarray, item_type: np.ndarray, weights: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """`counts[user, type]` distinct items of each type, drawn by weight; `int32[P, 2]`, users ascending, items shuffled."""
    found = []
    for kind in range(counts.shape[1]):
        members = np.flatnonzero(item_type == kind).astype(np.int32)
        askers = np.flatnonzero(counts[:, kind]).astype(np.int32)
        wanted = np.minimum(counts[askers, kind], len(members))
        again = len(members) >= LARGE and wanted.max(initial=0) < len(members) // 10
        cost, draw = (wanted.sum(), _draw_again) if again else (len(askers) * len(members), _race)
        for part in np.array_split(np.arange(len(askers)), 1 + int(cost) // CHUNK):
            rows, places = draw(wanted[part], weights[members], random)
            found.append(np.stack([askers[part][rows], members[places]], axis=1))
    pairs = np.concatenate(found)
    return pairs[np.lexsort((random.random(len(pairs)), pairs[:, 0]))]


def _race(wanted: np.ndarray, weights: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`(rows, places)`: `wanted[r]` distinct places for row `r`, drawn one after another by weight without replacement.

    These are the places with the smallest `exponential / weight` (an exponential race).
    """
    races = random.standard_exponential((len(wanted), len(weights)), dtype=np.float32) / weights
    first = np.argsort(races, axis=1)[:, : wanted.max(initial=0)]
    rows, place = np.nonzero(np.arange(first.shape[1]) < wanted[:, None])
    return rows, first[rows, place]


def _draw_again(wanted: np.ndarray, weights: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """As `_race`, at a cost independent of the number of places: draws with replacement, and draws again for repeats."""
    edges = np.cumsum(weights)

    def draw(counts: np.ndarray) -> np.ndarray:
        rows = np.repeat(np.arange(len(wanted)), counts)
        places = np.minimum(np.searchsorted(edges, random.random(len(rows)) * edges[-1], "right"), len(edges) - 1)
        return _distinct(rows * len(weights) + places)

    def missing(*parts: np.ndarray) -> np.ndarray:
        return wanted - sum(np.bincount(part // len(weights), minlength=len(wanted)) for part in parts)

    first, later = draw(wanted), np.empty(0, np.int64)
    while (counts := missing(first, later)).any():
        new = draw(counts)
        later = _distinct(np.concatenate([later, new[~in_sorted(new, first)]]))
    kept = np.concatenate([first, later])
    return np.divmod(kept, len(weights))


def _distinct(keys: np.ndarray) -> np.ndarray:
    """As `np.unique`, but several times faster on millions of integers, of which `np.unique` makes a hash table."""
    keys = np.sort(keys)
    return keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys


def _check_arguments(
    num_users, num_items, num_types, interactions_per_user, zipf, majority, minority_types, seed
) -> None:
    rules = [
        ("num_users", num_users, _is_whole(num_users, 1), "an integer of 1 or more"),
        ("num_types", num_types, _is_whole(num_types, 1), "an integer of 1 or more"),
        ("num_items", num_items, _is_whole(num_items, 1), "an integer of 1 or more"),
        ("interactions_per_user", interactions_per_user, interactions_per_user >= FEWEST, f"{FEWEST} or more"),
        ("zipf", zipf, 0 <= zipf < np.inf, "0 or more"),
        ("majority", majority, 0 < majority <= 1, "a share above 0, at most 1"),
        ("minority_types", minority_types, _is_whole(minority_types, 0), "an integer of 0 or more"),
        ("seed", seed, _is_whole(seed, 0), "an integer of 0 or more"),
    ]
    _check_rules(rules)
    if num_items < FEWEST * num_types:  # else a user of one small type could not have FEWEST pairs
        raise UserError(
            f"synthetic.num_items={num_items}: expected at least {FEWEST} items for each of the {num_types} types; "
            f"use {FEWEST * num_types} items or fewer types"
        )
    if minority_types >= num_types:
        raise UserError(
            f"synthetic.minority_types={minority_types}: expected fewer than num_types = {num_types}; lower it"
        )
    if minority_types and majority < (1 - majority) / minority_types:
        raise UserError(f"synthetic.majority={majority}: expected no less than the share of a minority type; raise it")


def _check_times(days, drift, visits) -> None:
    rules = [
        ("days", days, 0 <= days < 1e6, "0 or more, below a million"),
        ("drift", drift, 0 <= drift <= 1, "a probability, from 0 to 1"),
        ("visits", visits, 1 <= visits < 1e6, "1 or more, below a million"),
    ]
    _check_rules(rules)
    if drift and not days:
        raise UserError(f"synthetic.drift={drift!r}: without times nothing moves; set days too")


def _check_rules(rules: list[tuple]) -> None:
    for name, value, good, expected in rules:
        if not good:
            raise UserError(f"synthetic.{name}={value!r}: expected {expected}; change it")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int | np.integer) and bool(value >= least)
