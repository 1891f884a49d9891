"""Users who touched so many items that a sampler finds no negatives for them: their pairs are not trained on."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from onebp_jax.types import Batch, Interactions, Method

# More users than this share are no exception: then it is the method's options that do not fit the data.
_MOST = 0.25


def leave_out(method: Method, data: Interactions, user_ids: np.ndarray) -> Interactions:
    """Host data in which the users whom a sampler of the method lacks negatives for are `left_out`.

    Their pairs stay in the rows that samplers, encoders and evaluations read. If they are more than a quarter of the users with
    pairs, nobody is left out, and the sampler's `check` refuses the data.

    Args:
      user_ids: the original ids, by row.

    Raises:
      ValueError: that of the sampler, with some of the users.
    """
    users, lacking = np.diff(data.row_starts) > 0, np.zeros(data.num_users, bool)
    for one in filter(None, (method, method.pre_step)):
        lacking |= users & one.sampler.lacking(data)
    if not lacking.any():
        return data
    if lacking.sum() <= _MOST * users.sum():
        return data.replace(left_out=lacking)
    try:
        for one in filter(None, (method, method.pre_step)):
            one.sampler.check(data)
    except ValueError as error:
        raise ValueError(f"{error}; such users: {some_of(lacking, user_ids)}") from error
    return data


def some_of(users: np.ndarray, user_ids: np.ndarray) -> str:
    """The original ids of the first of the users `bool[M]`: `a, b, c, ..`."""
    rows = np.flatnonzero(users)
    return ", ".join(str(one) for one in user_ids[rows[:3]]) + (", .." if len(rows) > 3 else "")


def without_left_out(batch: Batch, data: Interactions) -> Batch:
    """The batch with padding in place of the pairs of users who are left out."""
    if data.left_out is None:
        return batch
    out = data.left_out.at[batch.user_ids].get(mode="fill", fill_value=False)
    return Batch(jnp.where(out, data.num_users, batch.user_ids), jnp.where(out, data.num_items, batch.positive_ids))
