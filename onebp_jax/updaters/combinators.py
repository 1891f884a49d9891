"""Updaters that are made of other updaters."""

from __future__ import annotations

from onebp_jax.types import Array, Signal, Tree, Updater


def chain(*updaters: Updater) -> Updater:
    """Applies updaters one after another to the same table. Each has its own state, and all read the same signal.

    Example: `chain(gradient(adam(1e-3)), moving_average(0.99))` takes a gradient step and then an aggregation step.
    """

    def init(table: Array) -> Tree:
        return tuple(updater.init(table) for updater in updaters)

    def update(signal: Signal, state: Tree, table: Array, **extra) -> tuple[Array, Tree]:
        new = []
        for updater, own in zip(updaters, state, strict=True):
            table, own = updater.update(signal, own, table, **extra)
            new.append(own)
        return table, tuple(new)

    reads = {field for updater in updaters for field in updater.reads}
    return Updater(init, update, reads=tuple(sorted(reads)))
