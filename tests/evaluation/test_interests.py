"""Interest usage: against a loop, and where one vector takes all or all are used alike."""

import math

import numpy as np
import pytest

from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.evaluation.interests import interest_usage
from onebp_jax.training.train import train


def test_against_a_loop():
    random = np.random.default_rng(0)
    user, item = random.normal(size=(6, 3, 4)), random.normal(size=(9, 4))
    pairs = np.array([[u, i] for u in range(5) for i in range(9) if random.random() < 0.5])
    entropies, dead = [], []
    for u in sorted(set(pairs[:, 0])):
        best = [max(range(3), key=lambda k, i=i, u=u: user[u, k] @ item[i]) for v, i in pairs if v == u]
        shares = [best.count(k) / len(best) for k in range(3)]
        entropies.append(-sum(s * math.log(s) for s in shares if s) / math.log(3))
        dead += [share == 0 for share in shares]
    found = interest_usage(user, item, pairs)
    assert found == {"entropy": pytest.approx(np.mean(entropies)), "dead": pytest.approx(np.mean(dead))}


def test_the_extremes():
    item = np.eye(2)
    everything = np.array([[0, 0], [0, 1]])
    assert interest_usage(np.eye(2)[None], item, everything) == {"entropy": pytest.approx(1), "dead": 0}
    assert interest_usage(np.array([[[1, 1], [-1, -1]]]), item, everything) == {"entropy": 0, "dead": 0.5}
    with pytest.raises(ValueError, match="several vectors per user"):
        interest_usage(np.eye(2), item, everything)


@pytest.mark.parametrize("several", [1, 2])
def test_a_run_says_how_its_vectors_are_used_where_there_are_several(several, tmp_path):
    config = default_config()
    config.update({"method": "onebp_k", "epochs": 1, "dim": 4, "batch_size": 64})
    config.options.num_interests = several
    result = train(config, generate(num_users=40, num_items=30, interactions_per_user=8, seed=1), tmp_path)
    assert ("interest_usage" in result) == (several > 1)
