"""Updaters of every kind, for the tests of what they all promise."""

import optax

from onebp_jax.types import Signal, Updater
from onebp_jax.updaters import (
    DUPLICATE_RULES,
    TRANSFORMS,
    adam,
    ball,
    chain,
    constrained,
    covariance,
    gradient,
    moving_average,
    nearest_interest,
    rowwise,
    sphere,
    with_target,
)

ROWS, DIM = 11, 4


def of_two_vectors(updater):
    """An updater of tables `[rows, 2, d]` on the tables of these tests, `[rows, 2 d]`."""
    split = lambda values: None if values is None else values.reshape(-1, 2, DIM // 2)

    def update(signal, state, table, **extra):
        targets = None if signal.targets is None else signal.targets[:, : DIM // 2]
        new, state = updater.update(Signal(signal.ids, split(signal.grads), targets), state, split(table), **extra)
        return new.reshape(table.shape), state

    return Updater(lambda table: updater.init(split(table)), update, updater.reads)


UPDATERS: dict[str, Updater] = {
    **{f"moving_average {rule}": moving_average(0.9, rule) for rule in DUPLICATE_RULES},
    "gradient sgd": gradient(optax.sgd(0.1)),
    "gradient momentum": gradient(optax.sgd(0.1, momentum=0.9)),
    "gradient adam": gradient(adam(0.01)),
    "gradient adam l2": gradient(adam(0.01, 0.1)),
    "rowwise adam": rowwise(adam(0.01, 0.1)),
    "rowwise momentum": rowwise(optax.sgd(0.1, momentum=0.9)),
    "rowwise row_adagrad": rowwise(TRANSFORMS["row_adagrad"](0.1)),
    "rowwise row_adam": rowwise(TRANSFORMS["row_adam"](0.01)),
    "rowwise row_counts": rowwise(adam(0.01, 0.1), row_counts=True),
    "chain of averages": chain(moving_average(0.9), moving_average(0.5, "last")),
    "chain gradient average": chain(gradient(adam(0.01)), moving_average(0.9)),
    "chain average gradient": chain(moving_average(0.9, "mean"), gradient(optax.sgd(0.1))),
    "chain of none": chain(),
    "gradient with a penalty": gradient(adam(0.01), covariance(0.1)),
    "in the ball": constrained(gradient(optax.sgd(0.1)), ball(1.5)),
    "on the sphere": constrained(moving_average(0.9), sphere(), rows="touched"),
    "with_target": of_two_vectors(with_target(gradient(adam(0.01)), 0.9)),
    "nearest_interest": of_two_vectors(nearest_interest(moving_average(0.9), 0.1, 0.1)),
}
