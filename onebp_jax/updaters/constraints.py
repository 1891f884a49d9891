"""Updaters that keep the rows of a table inside a set: the unit ball of CML, the unit sphere of SFCML and DPCML."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from onebp_jax.ops.checks import check_choice, check_positive
from onebp_jax.ops.geometry import inverse_length
from onebp_jax.ops.rows import row_sums, take, to_float32
from onebp_jax.types import Array, Signal, Tree, Updater
from onebp_jax.updaters.rounding import to_storage

ROWS = ("all", "touched")


def ball(radius: float = 1.0) -> Callable[[Array], Array]:
    """`project(rows [.., d])`: vectors longer than `radius` are cut to it, others keep their bits."""
    check_positive("radius", radius)

    def project(rows: Array) -> Array:
        squares = row_sums(rows * rows)
        return jnp.where(squares > radius**2, rows * (radius * jax.lax.rsqrt(squares)), rows)

    return project


def sphere(radius: float = 1.0) -> Callable[[Array], Array]:
    """`project(rows [.., d])`: every vector is rescaled to length `radius` (a vector of zeros stays one)."""
    check_positive("radius", radius)
    return lambda rows: rows * (radius * inverse_length(rows))


def constrained(updater: Updater, project: Callable[[Array], Array], rows: str = "all") -> Updater:
    """Any updater, after whose every update the rows are projected.

    Args:
      updater: of a table `f32[rows, .., d]`. project: on vectors `f32[.., d]`, such as `ball()` and `sphere()`.
      rows: "all", the whole table at each step, as the sources do, which also brings in rows that begin outside; or "touched",
        those of the signal, enough where all rows begin inside and the updater moves no others.

    Returns:
      An `Updater` that reads what the given one reads and has its state.

    Raises:
      ValueError: an unknown `rows`.
    """
    check_choice("rows", rows, ROWS)

    def update(signal: Signal, state: Tree, table: Array, **extra) -> tuple[Array, Tree]:
        table, state = updater.update(signal, state, table, **extra)
        if rows == "all":
            return to_storage(project(to_float32(table)), table.dtype), state
        # Rows without a partner are not touched where only partners are read.
        ids = signal.ids if "grads" in updater.reads else signal.ids[: signal.targets.shape[0]]
        # A repeated row is written with the same bits each time.
        return table.at[ids].set(to_storage(project(take(table, ids)), table.dtype), mode="drop"), state

    return Updater(updater.init, update, updater.reads)
