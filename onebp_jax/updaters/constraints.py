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
    """`project(rows [.., d])`: vectors longer than `radius` are rescaled to that length, all others stay the same to the bit."""
    check_positive("radius", radius)

    def project(rows: Array) -> Array:
        squares = row_sums(rows * rows)
        return jnp.where(squares > radius**2, rows * (radius * jax.lax.rsqrt(squares)), rows)

    return project


def sphere(radius: float = 1.0) -> Callable[[Array], Array]:
    """`project(rows [.., d])`: every vector is rescaled to length `radius`, except that zeros stay zeros."""
    check_positive("radius", radius)
    return lambda rows: rows * (radius * inverse_length(rows))


def constrained(updater: Updater, project: Callable[[Array], Array], rows: str = "all") -> Updater:
    """Projects the rows after every update of another updater.

    Args:
      updater: updates a table `f32[rows, .., d]`. project: a function of vectors `f32[.., d]`, such as `ball()` or `sphere()`.
      rows: "all" projects the whole table at each step, as the sources do; this also moves rows that begin outside of the
        set. "touched" projects only the rows of the signal. It is enough if all rows begin inside and the updater moves no
        other rows.

    Returns:
      An `Updater` with the same state and the same `reads` as the given one.

    Raises:
      ValueError: an unknown `rows`.
    """
    check_choice("rows", rows, ROWS)

    def update(signal: Signal, state: Tree, table: Array, **extra) -> tuple[Array, Tree]:
        table, state = updater.update(signal, state, table, **extra)
        if rows == "all":
            return to_storage(project(to_float32(table)), table.dtype), state
        ids = signal.ids
        if "grads" not in updater.reads:
            # An updater that reads only targets does not touch rows without a partner.
            assert signal.targets is not None
            ids = ids[: signal.targets.shape[0]]
        # A repeated row is written several times, each time with the same bits.
        return table.at[ids].set(to_storage(project(take(table, ids)), table.dtype), mode="drop"), state

    return Updater(updater.init, update, updater.reads)
