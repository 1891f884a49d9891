"""How a user who is made of a history grows event by event: what encoders promise to those who serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from onebp_jax.ops.checks import check_not_negative
from onebp_jax.types import Array, Interactions


class Fold(NamedTuple):
    """A user as a sum over events. A new event costs one row, whatever the length of the history: `sums = keep * sums + message`.

    Attributes:
      messages: `f32[N, r]`, what an event with each item adds to its user's sums. The sums of no events are zero.
      vector: `vector(sums f32[n, r]) -> f32[n, e]`: the vectors of users with these sums, to be ranked against the items of
        `Encoder.vectors`.
      keep: `f32[r]`, the share of the sums that a user keeps at each new event; None for all of them: the order of events does
        not matter.
    """

    messages: Array
    vector: Callable[[Array], Array]
    keep: Array | None = None


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
        fading = np.exp2(-np.asarray(data.ages) / self.half_life)
        return (self.lasting + (1 - self.lasting) * fading).astype(np.float32)

    def fold(self, fold: Fold) -> Fold:
        """The fold of a sum in which all events count 1, with these weights: a sum that lasts, beside one that fades."""
        if not self.half_life:
            return fold
        width = fold.messages.shape[1]
        messages = jnp.concatenate([self.lasting * fold.messages, (1 - self.lasting) * fold.messages], 1)
        keep = jnp.repeat(jnp.array([1.0, 2 ** (-1 / self.half_life)]), width)
        return Fold(messages, lambda sums: fold.vector(sums[:, :width] + sums[:, width:]), keep)


# All events count alike.
ALIKE = Recency()
