"""How a user who is made of a history grows event by event. A new event costs one row, whatever the length of the history.

    sums = keep * sums + message of the item          one row of sums for each of the `rates`
    user = vectors(total of the sums)

A fold is data, so that a run folder can hold it: with the items' vectors it is all that serving needs to know of a method.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from onebp_jax.ops.checks import check_not_negative
from onebp_jax.types import Array, Interactions

AnyArray = Array | np.ndarray


class Recency(NamedTuple):
    """How much an event counts after `age` later events of its user: `lasting + (1 - lasting) * 2 ^ (-age / half_life)`.

    Attributes:
      half_life: a number of events, >= 0; 0: all events count 1.
      lasting: the share of its weight that an event never loses, from 0 to 1.
    """

    half_life: float = 0.0
    lasting: float = 0.0

    def check(self) -> None:
        """Raises ValueError for a number out of range."""
        check_not_negative("half_life", self.half_life)
        if not 0 <= self.lasting <= 1:
            raise ValueError(f"lasting must be from 0 to 1, got {self.lasting}")
        if self.lasting and not self.half_life:
            raise ValueError(f"lasting={self.lasting} needs a half_life above 0: without one all events last")

    def of_ages(self, ages: np.ndarray) -> np.ndarray:
        """`f32[n]`: the weights of events with these ages; of any age, without a half-life."""
        if not self.half_life:
            return np.ones(len(ages), np.float32)
        fading = np.exp2(-np.asarray(ages) / self.half_life)
        return (self.lasting + (1 - self.lasting) * fading).astype(np.float32)

    def weights(self, data: Interactions) -> np.ndarray | None:
        """`f32[P]`, on the host: the weight of each of `sorted_items`; None without a half-life.

        Raises:
          ValueError: the order of events is not known.
        """
        if not self.half_life:
            return None
        if data.ages is None:
            raise ValueError(
                f"options.half_life={self.half_life}: the order of events is not known: split by time (split=time), or, for a "
                "file in the order of time, set validation=last"
            )
        return self.of_ages(np.asarray(data.ages))

    @property
    def rates(self) -> np.ndarray:
        """`f32[s, 2]`: for each sum of a user, its share in the total, and what it keeps at a new event."""
        fades = 2 ** (-1 / self.half_life) if self.half_life else 1.0
        both = [(self.lasting, 1.0), (1 - self.lasting, fades)]
        return np.array([(share, keep) for share, keep in both if share], np.float32)


# All events count alike.
ALIKE = Recency()


class Part(NamedTuple):
    """Some columns of a user's vector: the sum of the same columns of the items' vectors, weighted.

    Attributes:
      item_weight: `f32[N]`. column_weight: `f32[r]`.
      unit: whether the sum is rescaled to length one.
      share: the standard deviation that the user's scores with these columns have over all items; None to leave them as they
        are.
    """

    item_weight: AnyArray
    column_weight: AnyArray
    unit: bool = False
    share: float | None = None


class Fold(NamedTuple):
    """The parts of a user's vector, side by side as in the items' vectors, and how much an event counts."""

    parts: tuple[Part, ...]
    recency: Recency = ALIKE


def messages(fold: Fold, item: AnyArray) -> AnyArray:
    """`f32[N, e]`: what an event with each item adds to its user's sums, out of the items' vectors `f32[N, e]`."""
    xp = _module(item)
    made = [
        columns * part.item_weight[:, None] * part.column_weight
        for part, columns in zip(fold.parts, _columns(fold, item), strict=True)
    ]
    return xp.concatenate(made, 1)


def user_vectors(fold: Fold, item: AnyArray) -> Callable[[AnyArray], AnyArray]:
    """`vectors(totals f32[n, e]) -> f32[n, e]`: the vectors of users with these sums of messages; that of no events is zero."""
    spreads = [
        None if part.share is None else covariance(columns)
        for part, columns in zip(fold.parts, _columns(fold, item), strict=True)
    ]

    def vectors(totals: AnyArray) -> AnyArray:
        xp, made = _module(totals), []
        for part, covariances, columns in zip(fold.parts, spreads, _columns(fold, totals), strict=True):
            if part.unit:
                columns = columns / xp.maximum(xp.linalg.norm(columns, axis=1, keepdims=True), 1e-12)
            if covariances is not None:
                columns = part.share * columns / spread(columns, covariances)
            made.append(columns)
        return xp.concatenate(made, 1)

    return vectors


def covariance(item: AnyArray) -> AnyArray:
    """`f32[d, d]`: of the items' vectors."""
    centred = item - item.mean(0)
    return centred.T @ centred / len(item)


def spread(user: AnyArray, covariance: AnyArray) -> AnyArray:
    """`f32[n, 1]`: the standard deviation of each user's scores over all items; 1 where they are all the same."""
    xp = _module(user)
    variance = ((user @ covariance) * user).sum(1, keepdims=True)
    return xp.where(variance > 1e-12, xp.sqrt(xp.maximum(variance, 1e-12)), 1)


def _columns(fold: Fold, rows: AnyArray) -> list:
    return _module(rows).split(rows, np.cumsum([len(part.column_weight) for part in fold.parts])[:-1], axis=1)


def _module(array: AnyArray):
    return np if isinstance(array, np.ndarray) else jnp
