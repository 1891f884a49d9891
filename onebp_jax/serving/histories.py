"""What users did: histories that grow, and the histories that training knew."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from onebp_jax.ops.fold import Fold


@dataclass(slots=True)
class History:
    """What a user did, oldest first.

    Attributes:
      sums: `f32[s, e]`, one row for each of `Recency.rates`.
      items: the rows of the items, each of them once. weights, times: of each event; a weight below 0: the user dislikes the
        item; -inf for an event of training whose time is not known.
      others: further items that the user is known to have, such as those of a test part, which are no part of the sums.
      have: the items as a set.
      vector: `f32[e]`, of a user as training left it, in place of the sums; None otherwise.
    """

    sums: np.ndarray
    items: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    have: set[int] = field(init=False)
    vector: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.have = set(self.items)

    def copy(self) -> History:
        """The same, with lists of its own; sums are never changed in place."""
        return History(self.sums, list(self.items), list(self.weights), list(self.times), list(self.others))

    def insert(self, place: int, item: int, weight: float, time: float) -> None:
        """Puts an event into a place; the sums stay."""
        self.items.insert(place, item)
        self.weights.insert(place, weight)
        self.times.insert(place, time)
        self.have.add(item)

    def remove(self, item: int) -> None:
        """Takes the event of an item out; the sums stay."""
        place = self.items.index(item)
        for values in (self.items, self.weights, self.times):
            del values[place]
        self.have.remove(item)


class Messages:
    """What an event with each item adds to the sums of a user, as `onebp_jax.ops.fold.messages`, for a few items at a time."""

    def __init__(self, fold: Fold, item: np.ndarray):
        """
        Args:
          item: `f32[N, e]`.
        """
        self._item, widths = item, [len(part.column_weight) for part in fold.parts]
        self._part = np.repeat(np.arange(len(widths)), widths)
        self._column = np.concatenate([np.asarray(part.column_weight) for part in fold.parts])
        self._weight = np.stack([np.asarray(part.item_weight) for part in fold.parts], 1)

    def one(self, item: int) -> np.ndarray:
        """`f32[e]`, of the item in a row."""
        return self._item[item] * self._weight[item][self._part] * self._column

    def many(self, items: list[int]) -> np.ndarray:
        """`f32[n, e]`."""
        rows = np.array(items, np.int64)
        return self._item[rows] * self._weight[rows][:, self._part] * self._column


class ByUser:
    """The items of each user, in an order, and their times."""

    def __init__(self, pairs: np.ndarray, count: int, keys: np.ndarray | None = None, times: np.ndarray | None = None):
        """
        Args:
          pairs: `int[P, 2]`, rows of users and items. count: the number of users. keys: `[P]`, what orders the pairs of a user.
          times: `[P]`, numbers or dates.
        """
        order = np.lexsort((np.arange(len(pairs)) if keys is None else keys, pairs[:, 0]))
        self.items, self.count = pairs[order, 1], count
        self._starts = np.searchsorted(pairs[order, 0], np.arange(count + 1))
        if times is None:
            times = np.full(len(pairs), -np.inf)
        elif times.dtype.kind == "M":
            times = times.astype("datetime64[ns]").astype(np.int64) / 1e9
        self._times = times[order].astype(np.float64)

    def items_of(self, user: int) -> list[int]:
        """None of a user whom training did not know."""
        return self.items[self._of(user)].tolist()

    def times_of(self, user: int) -> list[float]:
        """Parallel to `items_of`: numbers as in the data, of dates the seconds since 1970; -inf where unknown."""
        return self._times[self._of(user)].tolist()

    def _of(self, user: int) -> slice:
        return slice(self._starts[user], self._starts[user + 1]) if user < self.count else slice(0)


def as_ids(ids: list) -> np.ndarray:
    """Integers, or Python objects if some are text."""
    return np.array(ids, np.int64 if all(isinstance(one, int) for one in ids) else object)
