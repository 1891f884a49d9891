"""Penalties on a whole table, for `gradient(tx, penalty)`: `penalty(table) -> f32[]`; its gradient is added at every step.

They are added to the *mean* loss of a batch. Some sources sum over their batch of `B` rows: there the same weight is `B` times
weaker, so divide it by `B`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from onebp_jax.ops.checks import check_choice, check_not_negative
from onebp_jax.ops.rows import row_sums
from onebp_jax.types import Array

Penalty = Callable[[Array], Array]


def dcrs(weight: float, low: float, high: float, form: str = "code") -> Penalty:
    """Diversity control of DPCML: it keeps the squared distances between the `K` vectors of a user between two thresholds.

        code    mean over users and K x K entries of  max(0, low - D_ab) + max(0, D_ab - high),   terms with a = b are 0
        paper   mean over users of  max(0, low - delta) + max(0, delta - high),   delta = sum_{a,b} D_ab / (2 K (K - 1))

    Args:
      weight: >= 0. low, high: thresholds, `0 <= low <= high` (the source's code has no penalty if they are equal).
      form: "code" or "paper"; their formulas differ.

    Returns:
      A penalty on tables `f32[M, K, d]`; 0 if `K = 1`.

    Raises:
      ValueError: a negative weight, thresholds out of order, or an unknown form; when traced, a table with fewer or more axes.

    Source: Bao et al. 2022, The Minority Matters: A Diversity-Promoting Collaborative Metric Learning Algorithm.
    """
    check_not_negative("weight", weight)
    check_choice("form", form, ("code", "paper"))
    if not 0 <= low <= high < math.inf:
        raise ValueError(f"thresholds must be 0 <= low <= high, got low={low}, high={high}")
    outside = lambda values: jax.nn.relu(low - values) + jax.nn.relu(values - high)

    def penalty(table: Array) -> Array:
        if table.ndim != 3:
            raise ValueError(f"dcrs needs several vectors per user, [M, K, d], but this table is {table.shape}")
        rows, several, _ = table.shape
        if several == 1:
            return jnp.zeros(())
        pairs = [(a, b) for a in range(several) for b in range(a)]
        squares = [row_sums((table[:, a] - table[:, b]) ** 2)[:, 0] for a, b in pairs]
        if form == "paper":
            return weight * jnp.mean(outside(sum(squares) / (several * (several - 1))))
        # Each pair stands for two of the K x K entries.
        total = jnp.asarray(sum(jnp.sum(outside(one)) for one in squares))
        return weight * 2 * total / (rows * several**2)

    return penalty


def covariance(weight: float, form: str = "squared") -> Penalty:
    """Covariance between the dimensions of a table: `weight *` the sum over `i != j` of `C_ij^2`, or of `C_ij`.

        C = (X - mean)^T (X - mean) / rows

    Args:
      weight: >= 0.
      form: "squared", or "signed", as in the authors' code; the signed sum may be negative, so it is not a norm.

    Returns:
      A penalty on tables `f32[rows, .., d]`. The source uses the rows of both towers together; this uses one table.

    Raises:
      ValueError: a negative weight, or an unknown form.

    Source: Hsieh et al. 2017, Collaborative Metric Learning.
    """
    check_not_negative("weight", weight)
    check_choice("form", form, ("squared", "signed"))

    def penalty(table: Array) -> Array:
        rows = table.reshape(-1, table.shape[-1])
        rows = rows - jnp.mean(rows, 0)
        matrix = jnp.matmul(rows.T, rows, precision=jax.lax.Precision.HIGHEST) / len(rows)
        matrix = jnp.where(jnp.eye(len(matrix), dtype=bool), 0, matrix)
        return weight * jnp.sum(matrix**2 if form == "squared" else matrix)

    return penalty
