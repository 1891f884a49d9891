"""Small graphs of the tests of graph encoders, and A_hat of them as a dense matrix, by loops."""

import jax
import numpy as np

from onebp_jax.data.device import to_device

# Users 2 and 3 and items 1 and 5 have no pair.
PAIRS = np.array([[0, 2], [1, 0], [4, 3], [4, 6], [1, 2], [0, 4], [4, 2]])
NUM_USERS, NUM_ITEMS, DIM = 5, 7, 3
NODES = NUM_USERS + NUM_ITEMS


def interactions(encoder=None):
    """The pairs, with what the encoder makes of them."""
    data = to_device(PAIRS, NUM_USERS, NUM_ITEMS)
    return data if encoder is None else data.replace(prepared=encoder.prepare(data))


def adjacency(pairs, num_users, num_items, kind="symmetric"):
    """`float64[M + N, M + N]`, users first: the adjacency that the kind names."""
    size = num_users + num_items
    plain = np.zeros((size, size))
    for user, item in pairs:
        plain[user, num_users + item] = plain[num_users + item, user] = 1
    if kind == "norm":
        plain += np.eye(size)
    degree = plain.sum(1)
    found = np.zeros((size, size))
    for one, other in zip(*np.nonzero(plain), strict=True):
        found[one, other] = 1 / (np.sqrt(degree[one] * degree[other]) if kind == "symmetric" else degree[one])
    return found + np.eye(size) if kind == "ngcf" else found


def tables(seed=0, dim=DIM, num_users=NUM_USERS, num_items=NUM_ITEMS):
    """Random rows of both tables, `f32`."""
    random = np.random.default_rng(seed)
    return [jax.numpy.asarray(random.normal(size=(rows, dim)), np.float32) for rows in (num_users, num_items)]
