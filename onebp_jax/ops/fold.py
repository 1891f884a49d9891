"""How a user who is made of a history grows event by event: what encoders promise to those who serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from onebp_jax.types import Array


class Fold(NamedTuple):
    """A user as a sum over events. A new event costs one row, whatever the length of the history.

    Attributes:
      messages: `f32[N, r]`, what an event with each item adds to its user's sum. The sum of no events is zero.
      vector: `vector(sums f32[n, r]) -> f32[n, e]`: the vectors of users with these sums, to be ranked against the items of
        `Encoder.vectors`.
    """

    messages: Array
    vector: Callable[[Array], Array]
