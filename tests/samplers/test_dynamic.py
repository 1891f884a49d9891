"""Hard negatives: the best of the candidates, by score, by group, by distance."""

import jax
import numpy as np
import pytest
from support.sampler_cases import batch_of, crowd, fixed_view, interactions

from onebp_jax.samplers import dynamic, hardest_distance, uniform
from onebp_jax.types import Batch

CROWD, TOUCHED = crowd(5)
RANDOM = np.random.default_rng(0)
USER, SEVERAL, ITEM = RANDOM.normal(size=(6, 3)), RANDOM.normal(size=(6, 2, 3)), RANDOM.normal(size=(23, 3))
BATCH = batch_of([0, 3, 6, 4, 3, 5, 1, 2], CROWD)
KEY = jax.random.key(2)
SCORES = {
    "dot": lambda u, v: max(float(one @ v) for one in np.atleast_2d(u)),
    "distance": lambda u, v: max(-float(((one - v) ** 2).sum()) for one in np.atleast_2d(u)),
}


def drawn(sampler, batch=BATCH, view=None, data=CROWD):
    """The ids, compiled: operation by operation takes longer."""
    return np.asarray(jax.jit(lambda key: sampler.sample(key, (), batch, data, view)[0].ids)(KEY))


def best(ids, user, score, count):
    return sorted(ids, key=lambda item: -score(user, ITEM[item]))[:count]


@pytest.mark.parametrize("user", [USER, SEVERAL], ids=["one vector", "several"])
@pytest.mark.parametrize("name", ["dot", "distance", "hardest"])
def test_the_best_of_the_candidates(name, user):
    """Against loops over the same candidates; `hardest_distance` compares distances whatever the model scores by."""
    candidates = drawn(uniform(5)).tolist()
    sampler = hardest_distance(3, 5) if name == "hardest" else dynamic(3, 5)
    view = fixed_view(user, ITEM, "dot" if name == "hardest" else name)
    ids = drawn(sampler, view=view).tolist()
    score = SCORES["distance" if name == "hardest" else name]
    for row, u in enumerate(BATCH.user_ids.tolist()):
        assert ids[row] == ([23] * 3 if u == 6 else best(candidates[row], user[u], score, 3))


def test_the_best_of_every_group():
    users = Batch(*(np.tile(ids, 3) for ids in BATCH))
    groups = drawn(uniform(5), users).reshape(3, 8, 5).tolist()
    ids = drawn(dynamic(3, 5, "groups"), view=fixed_view(USER, ITEM)).tolist()
    for row, u in enumerate(BATCH.user_ids.tolist()):
        expected = [23] * 3 if u == 6 else [best(group[row], USER[u], SCORES["dot"], 1)[0] for group in groups]
        assert ids[row] == expected


def test_as_many_candidates_as_negatives_are_uniform_negatives():
    plain = np.sort(drawn(uniform(5)))
    for sampler in (dynamic(5, 5), hardest_distance(5, 5)):
        ids = drawn(sampler, view=fixed_view(USER, ITEM))
        np.testing.assert_array_equal(np.sort(ids), plain)


def test_all_untouched_items_as_candidates_give_the_true_best():
    users = [0, 4]
    for user, count in zip(users, (23, 5), strict=True):
        ids = drawn(dynamic(5, count), batch_of([user] * 2, CROWD), fixed_view(USER, ITEM))
        untouched = set(range(23)) - TOUCHED[user]
        assert ids.tolist() == [best(untouched, USER[user], SCORES["dot"], 5)] * 2


def test_the_worked_example():
    data = interactions([{5}], 6)
    view = fixed_view([[0.5, 0.5]], [[2, 0], [0.4, 0.4], [0.6, 0.5], [-1, 0], [1.5, -0.2], [9, 9]])
    for sampler, expected in ((dynamic(2, 5), [0, 4]), (hardest_distance(2, 5), [2, 1])):
        assert drawn(sampler, batch_of([0], data, 5), view, data).tolist() == [expected]


def test_equal_scores_give_distinct_items():
    ids = drawn(dynamic(5, 5), view=fixed_view(0 * USER, ITEM))
    np.testing.assert_array_equal(ids, drawn(uniform(5)))


def test_bad_arguments_and_users_with_too_few_items_are_refused():
    for make in (dynamic, hardest_distance):
        with pytest.raises(ValueError, match="num_candidates must be at least num_negatives=5, got 4"):
            make(5, 4)
        with pytest.raises(ValueError, match="one only 5 of 23"):
            make(5, 6).check(CROWD)
    with pytest.raises(ValueError, match="rule must be one of topk, groups, got 'best'"):
        dynamic(5, 10, "best")
