"""One evaluation: equal to a slow full computation, over users with held-out pairs only, popularity as a floor."""

import gzip
import math
import os
from pathlib import Path

import numpy as np
import pytest

from onebp_jax import data
from onebp_jax.config import default_config
from onebp_jax.evaluation import KS, evaluator
from onebp_jax.methods.build import build_method

NUM_USERS, NUM_ITEMS, LENGTHS = 25, 30, (1, 5, 40)


def drawn(seed):
    """`(user, item, seen, held_out)`: whole numbers (many ties), disjoint pairs; some users hold out nothing."""
    random = np.random.default_rng(seed)
    user, item = (random.integers(-2, 3, (rows, 3)).astype(np.float32) for rows in (NUM_USERS, NUM_ITEMS))
    kind = random.choice(3, size=(NUM_USERS, NUM_ITEMS), p=[0.5, 0.3, 0.2])
    kind[kind == 2] *= np.repeat(np.arange(NUM_USERS) % 4 > 0, NUM_ITEMS).reshape(kind.shape)[kind == 2]
    seen, held_out = (random.permutation(np.argwhere(kind == value)).astype(np.int32) for value in (1, 2))
    return user, item, seen, held_out


def slow_evaluation(scores, seen, held_out, popularity, ks):
    """Every metric from `scores [M, N]`, user by user: a full sort, then sums written out."""
    num_users, num_items = scores.shape
    hidden, wanted = ([set() for _ in range(num_users)] for _ in range(2))
    for sets, pairs in ((hidden, seen), (wanted, held_out)):
        for user, item in pairs.tolist():
            sets[user].add(item)
    users = [user for user in range(num_users) if wanted[user]]
    lists = []
    for user in users:
        row = scores[user].tolist()
        left = [item for item in range(num_items) if item not in hidden[user]]
        lists.append(sorted(left, key=lambda item, row=row: (-row[item], item))[: max(ks)])
    result = {}
    for k in ks:
        sums = dict.fromkeys(("P", "R", "F1", "NDCG", "HR", "MRR", "MAP"), 0.0)
        counts = [0] * num_items
        for user, items in zip(users, lists, strict=True):
            n, found, gain, precisions, first = len(wanted[user]), 0, 0.0, 0.0, 0
            for rank, item in enumerate(items[:k], 1):
                counts[item] += 1
                if item in wanted[user]:
                    found += 1
                    first = first or rank
                    gain += 1 / math.log2(rank + 1)
                    precisions += found / rank
            best_gain = sum(1 / math.log2(rank + 1) for rank in range(1, min(n, k) + 1))
            values = (found / k, found / n, 2 * found / (k + n), gain / best_gain, float(found > 0))
            values += (1 / first if first else 0.0, precisions / min(n, k))
            for name, value in zip(sums, values, strict=True):
                sums[name] += value / len(users)
        result |= {f"{name}@{k}": value for name, value in sums.items()}
        shown, ranks = sum(counts), range(1, num_items + 1)
        result[f"Coverage@{k}"] = sum(count > 0 for count in counts) / num_items
        lorenz = sum((2 * rank - num_items - 1) * count for rank, count in zip(ranks, sorted(counts), strict=True))
        result[f"Gini@{k}"] = lorenz / (num_items * shown)
        total = int(popularity.sum()) + num_items
        result[f"AvgPop@{k}"] = sum(count * int(p) for count, p in zip(counts, popularity, strict=True)) / shown
        novelty = [count * -math.log2((int(p) + 1) / total) for count, p in zip(counts, popularity, strict=True)]
        result[f"Novelty@{k}"] = sum(novelty) / shown
    return result


def popularity_baseline():
    config = default_config()
    config.method = "popularity"
    return build_method(config)


def close(found, expected, tolerance=1e-12):
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name] == pytest.approx(expected[name], rel=tolerance, abs=tolerance), name


@pytest.mark.parametrize("seed", range(3))
def test_equals_a_slow_full_computation(seed):
    user, item, seen, held_out = drawn(seed)
    assert len(np.unique(held_out[:, 0])) < NUM_USERS
    popularity = np.bincount(seen[:, 1], minlength=NUM_ITEMS)
    found = evaluator(seen, held_out, (NUM_USERS, NUM_ITEMS), popularity, LENGTHS)(user, item)
    close(found, slow_evaluation(user @ item.T, seen, held_out, popularity, LENGTHS))


def test_when_every_user_holds_something_out():
    user, item, seen, held_out = drawn(3)
    seen = seen[seen[:, 1] != 0]
    everyone = np.stack([np.arange(NUM_USERS), np.zeros(NUM_USERS, int)], 1)
    held_out = np.unique(np.concatenate([held_out, everyone]), axis=0)
    popularity = np.bincount(seen[:, 1], minlength=NUM_ITEMS)
    found = evaluator(seen, held_out, (NUM_USERS, NUM_ITEMS), popularity, LENGTHS)(user, item)
    close(found, slow_evaluation(user @ item.T, seen, held_out, popularity, LENGTHS))


def test_users_without_held_out_pairs_do_not_count():
    user, item, seen, held_out = drawn(4)
    without = np.setdiff1d(np.arange(NUM_USERS), held_out[:, 0])
    assert len(without) >= 6
    popularity = np.arange(NUM_ITEMS)
    shape = (NUM_USERS, NUM_ITEMS)
    expected = evaluator(seen, held_out, shape, popularity, LENGTHS)(user, item)
    changed = user.copy()
    changed[without] = -7 * user[without] + 1
    fewer = seen[~np.isin(seen[:, 0], without)]
    assert evaluator(fewer, held_out, shape, popularity, LENGTHS)(changed, item) == expected


def test_the_worked_numbers():
    user = np.array([[9, 8, 7, 6, 5, 4], [1, 9, 3, 8, 5, 2], [5, 4, 3, 2, 1, 0]], np.float32) / 10
    seen, held_out = np.array([[0, 0], [1, 3], [2, 1]]), np.array([[0, 1], [0, 4], [0, 5], [1, 1]])
    found = evaluator(seen, held_out, (3, 6), np.ones(6, int), (2, 3))(user, np.eye(6, dtype=np.float32))
    names = [f"{name}@{k}" for k in (2, 3) for name in ("P", "R", "F1", "NDCG")]
    expected = [0.5, 0.666667, 0.533333, 0.806574, 0.333333, 0.666667, 0.416667, 0.734639]
    assert [found[name] for name in names] == pytest.approx(expected, rel=0, abs=5.1e-7)


def test_the_same_numbers_in_any_order_of_the_pairs():
    user, item, seen, held_out = drawn(5)
    popularity = np.bincount(seen[:, 1], minlength=NUM_ITEMS)
    evaluate = [
        evaluator(one, other, (NUM_USERS, NUM_ITEMS), popularity)
        for one, other in ((seen, held_out), (seen[::-1], held_out[::-1]))
    ]
    assert evaluate[0](user, item) == evaluate[1](user, item)


def test_the_default_lengths_are_those_of_the_paper():
    user, item, seen, held_out = drawn(6)
    found = evaluator(seen, held_out, (NUM_USERS, NUM_ITEMS), np.ones(NUM_ITEMS, int))(user, item)
    assert KS == (5, 10, 20)
    assert {int(name.split("@")[1]) for name in found} == set(KS)
    assert all(isinstance(value, float) for value in found.values())


def test_popularity_tables_rank_by_popularity():
    _, _, seen, held_out = drawn(7)
    counts = np.bincount(seen[:, 1], minlength=NUM_ITEMS)
    tables = popularity_baseline().tables(seen, NUM_USERS, NUM_ITEMS)
    found = evaluator(seen, held_out, (NUM_USERS, NUM_ITEMS), counts, LENGTHS)(*tables)
    close(found, slow_evaluation(np.tile(counts, (NUM_USERS, 1)), seen, held_out, counts, LENGTHS))


def test_nobody_with_held_out_pairs_is_an_error():
    user, item, seen, held_out = drawn(8)
    with pytest.raises(ValueError, match="no user has a test item"):
        evaluator(seen, held_out[:0], (NUM_USERS, NUM_ITEMS), np.ones(NUM_ITEMS, int))(user, item)


def test_tables_that_are_not_numbers_find_nothing_and_do_not_crash():
    user, item, seen, held_out = drawn(9)
    evaluate = evaluator(seen, held_out, (NUM_USERS, NUM_ITEMS), np.ones(NUM_ITEMS, int), (5,))
    found = evaluate(np.full_like(user, np.nan), item)
    assert {name: found[name] for name in ("P@5", "NDCG@5", "MAP@5", "Coverage@5")} == {
        "P@5": 0,
        "NDCG@5": 0,
        "MAP@5": 0,
        "Coverage@5": 0,
    }


def read_lines(path):
    """`int[P, 2]` of a text file with a user and the user's items in every line."""
    pairs = []
    with gzip.open(path, "rt") as file:
        for line in file:
            user, *items = map(int, line.split())
            pairs += [(user, item) for item in items]
    return np.array(pairs)


def test_popularity_on_movielens():
    root = os.environ.get("ONEBP_DATA_DIR")
    folder = Path(root or "") / "ml-100k"
    if not root or not folder.is_dir():
        pytest.skip("set ONEBP_DATA_DIR to a data root that holds ml-100k to run this test")
    train, test = (read_lines(folder / f"{part}.txt.gz") for part in ("train", "test"))
    counts = np.bincount(train[:, 1], minlength=1682)
    expected = slow_evaluation(np.tile(counts, (943, 1)), train, test, counts, KS)

    loaded = data.load("ml-100k", root, download=False)
    shape = loaded.num_users, loaded.num_items
    assert (shape, len(loaded.train), len(loaded.test)) == ((943, 1682), 80_000, 20_000)
    tables = popularity_baseline().tables(loaded.train, *shape)
    popularity = np.bincount(loaded.train[:, 1], minlength=shape[1])
    close(evaluator(loaded.train, loaded.test, shape, popularity)(*tables), expected, 1e-11)
