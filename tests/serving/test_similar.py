"""Similar items and users: cosines, or distances where a method compares by distance, checked by brute force."""

import numpy as np
import pandas as pd
import pytest

from onebp_jax import serving
from onebp_jax.ops.geometry import ranked_by_dot
from onebp_jax.training.run_folder import Trained

RANDOM = np.random.default_rng(0)
IDS = np.array([f"u{row}" for row in range(9)]), np.arange(100, 112)


def run_of(*shape, distance=False):
    user, item = (RANDOM.normal(size=each).astype(np.float32) for each in ((9, *shape), (12, shape[-1])))
    item[4] = 0
    if distance:
        user, item = (np.asarray(part) for part in ranked_by_dot(user, item))
    return Trained(None, {}, user, item, *IDS)


def cosine(one, other):
    size = np.linalg.norm(one) * np.linalg.norm(other)
    return one @ other / size if size else 0.0


def closeness(one, other):
    return -np.sum((one - other) ** 2)


def expected(vectors, ids, rows, k, score):
    lines = []
    for row in rows:
        best = [
            max(score(one, other) for one in np.atleast_2d(vectors[row]) for other in np.atleast_2d(vectors[place]))
            for place in range(len(vectors))
        ]
        order = [place for place in np.argsort(-np.array(best), kind="stable") if place != row]
        lines += [(ids[row], rank, ids[place], best[place]) for rank, place in enumerate(order[:k], 1)]
    return pd.DataFrame(lines, columns=["asked", "rank", "similar", "score"]).astype({"score": np.float32})


@pytest.mark.parametrize("distance", [False, True])
@pytest.mark.parametrize("shape", [(4,), (3, 4)], ids=["a vector", "several"])
@pytest.mark.parametrize("k", [1, 4, 50])
def test_similar_users_and_items_are_those_by_brute_force(shape, distance, k):
    run, rows = run_of(*shape, distance=distance), np.array([7, 0, 7])
    of_user, of_item = (run.user[..., :-2] / 2, run.item[:, :-2]) if distance else (run.user, run.item)
    score = closeness if distance else cosine
    for found, vectors, ids, name in (
        (serving.similar_users(run, rows, k), of_user, run.user_ids, "user"),
        (serving.similar_items(run, rows, k), of_item, run.item_ids, "item"),
    ):
        wanted = expected(vectors, ids, rows, k, score).rename(columns={"asked": name})
        assert list(found) == [name, "rank", "similar", "score"]
        pd.testing.assert_frame_equal(found, wanted, rtol=1e-4, atol=1e-5)


def test_all_rows_and_candidates():
    run = run_of(4)
    whole = serving.similar_items(run, None, 11)
    assert whole["item"].value_counts().tolist() == [11] * 12
    few = serving.similar_items(run, np.array([3, 5]), 11, items=np.array([5, 1, 0]))
    assert few.groupby("item")["similar"].apply(set).to_dict() == {103: {100, 101, 105}, 105: {100, 101}}
    assert serving.similar_users(run, None, 2)["user"].tolist() == [*np.repeat(IDS[0], 2)]


@pytest.mark.parametrize("shape", [(4,), (3, 4)], ids=["a vector", "several"])
def test_one_row_gives_the_list_that_it_has_among_all(shape):
    run = run_of(*shape)
    whole = serving.similar_users(run, None, 3)
    for row in range(9):
        one = serving.similar_users(run, np.array([row]), 3)
        same = whole[whole["user"] == IDS[0][row]].reset_index(drop=True)
        pd.testing.assert_frame_equal(one, same, rtol=1e-6, atol=1e-6)  # a cosine is at most 1
