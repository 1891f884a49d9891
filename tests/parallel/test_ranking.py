"""Ranking a catalogue in parts: the lists of one device, ties and short lists included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.evaluation import ranking
from onebp_jax.parallel import make_layout, spread_top_k
from onebp_jax.parallel.sharding import shard_rows

K = 5


def tables(users, items, ties):
    """Vectors of few whole numbers, so that many scores are equal, or of real ones."""
    random = np.random.default_rng(items)
    draw = (lambda rows: random.integers(-1, 2, (rows, 3))) if ties else (lambda rows: random.normal(size=(rows, 3)))
    return [draw(rows).astype(np.float32) for rows in (users, items)]


@pytest.mark.parametrize(
    "items, count, ties", [(29, 4, True), (29, 4, False), (3, 2, True), (900, 4, True), (9, 8, True)]
)
def test_the_lists_are_those_of_one_device(items, count, ties):
    user, item = tables(21, items, ties)
    random = np.random.default_rng(1)
    seen = np.array(sorted({(int(r), int(i)) for r, i in random.integers(0, (7, items), (40, 2))}))
    # User 0 has nothing left, and not everybody is ranked.
    seen = np.concatenate([seen[seen[:, 0] > 0], np.stack([np.zeros(items, int), np.arange(items)], 1)])
    users = np.array([2, 3, 5, 7, 11, 13, 20])
    plan = ranking.plan(len(users), items, seen, byte_budget=4 * items * 3)
    best, found = ranking.top_k(jnp.asarray(user[users]), jnp.asarray(item), plan, K)
    layout = make_layout("shard_map", jax.devices()[:count], "sharded")
    parts = [shard_rows(table, layout) for table in (user, item)]
    spread_best, spread_found = spread_top_k(layout, users)(*parts, plan, K)
    np.testing.assert_array_equal(spread_found, found)
    np.testing.assert_allclose(spread_best, best, rtol=1e-6)
    assert (np.asarray(found)[0] == items).all()
