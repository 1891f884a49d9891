"""How a user who is made of a history grows event by event: what encoders promise to those who serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from onebp_jax.types import Array, Interactions


class Fold(NamedTuple):
    """A user as a sum over events. A new event costs one row, whatever the length of the history: `sums = keep * sums + message`.

    Attributes:
      messages: `f32[N, r]`, what an event with each item adds to its user's sum. The sum of no events is zero.
      vector: `vector(sums f32[n, r]) -> f32[n, e]`: the vectors of users with these sums, to be ranked against the items of
        `Encoder.vectors`.
      keep: the share of its sum that a user keeps at each new event, above 0; 1 if the order of events does not matter.
    """

    messages: Array
    vector: Callable[[Array], Array]
    keep: float = 1.0


def recency(data: Interactions, half_life: float) -> np.ndarray | None:
    """`f32[P]`, on the host: `2 ^ (-age / half_life)` for each of `sorted_items`, with the number of later events of its user as
    its age; None for a half-life of 0, which stands for no decay.

    Raises:
      ValueError: the order of events is not known.
    """
    if not half_life:
        return None
    if data.ages is None:
        raise ValueError(
            f"options.half_life={half_life}: the order of events is not known: split by time (split=time), or, for a file in the "
            "order of time, set validation=last"
        )
    return np.exp2(-np.asarray(data.ages) / half_life).astype(np.float32)


def kept(half_life: float) -> float:
    """`Fold.keep` for a half-life."""
    return 2 ** (-1 / half_life) if half_life else 1.0
