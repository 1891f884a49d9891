"""Lists: exact, the same in any company, and nearly the same by the index."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from onebp_jax.service.index import ItemIndex
from onebp_jax.service.model import Model
from onebp_jax.service.ranker import BLOCK, Asked, Ranker, best_rows


@pytest.mark.parametrize("count", [1, BLOCK - 1, BLOCK, 5 * BLOCK + 3, 40 * BLOCK])
@pytest.mark.parametrize("n", [1, 7, 100])
def test_best_rows_are_those_of_a_sort(count, n):
    scores = np.random.default_rng(count + n).normal(size=count).astype(np.float32)
    scores[::3] = -np.inf
    found = best_rows(scores, n)
    assert len(found) == min(n, count) and len(set(found)) == len(found)
    np.testing.assert_array_equal(np.sort(scores[found])[::-1], np.sort(scores)[::-1][:n])


def ask(model: Model, users: list[int], n: int = 10):
    """Lists of users who ask at the same time."""

    async def all_of_them():
        ranker = Ranker()
        histories = [model.live.snapshot(user) for user in users]
        asked = [Asked(model, one, np.array([*one.items, *one.others]), n) for one in histories]
        made = await asyncio.gather(*map(ranker.rank, asked))
        ranker.stop()
        return made, ranker.batches

    return asyncio.run(all_of_them())


def test_company_changes_no_bit(run_folder):
    model = Model(run_folder)
    together, batches = ask(model, list(range(30)))
    assert batches < 30
    for user, (rows, scores) in zip(range(30), together, strict=True):
        ((alone, same),), _ = ask(model, [user])
        np.testing.assert_array_equal(rows, alone)
        np.testing.assert_array_equal(scores, same)
        assert not set(rows) & set(model.live.snapshot(user).items)


def test_an_error_reaches_all_who_wait_and_the_thread_goes_on(run_folder):
    model = Model(run_folder)

    async def asks():
        ranker = Ranker()
        history = model.live.snapshot(0)
        bad = Asked(model, history, np.array([10**6]), 3)
        with pytest.raises(IndexError):
            await ranker.rank(bad)
        rows, _ = await ranker.rank(Asked(model, history, np.array([], np.int64), 3))
        ranker.stop()
        return rows

    assert len(asyncio.run(asks())) == 3


def test_the_index_finds_most_of_exact_lists():
    pytest.importorskip("usearch")
    random = np.random.default_rng(0)
    item = (random.normal(size=(3000, 16)) * random.lognormal(size=(3000, 1))).astype(np.float32)  # unequal lengths
    user = random.normal(size=(50, 16)).astype(np.float32)
    index = ItemIndex(item, user)
    exact = np.argsort(-(user @ item.T), axis=1)[:, :10]
    found = index.find(user, 10)
    share = np.mean([len(set(one) & set(two)) / 10 for one, two in zip(exact, found, strict=True)])
    assert share > 0.95 and index.recall == pytest.approx(share, abs=1e-6)
    assert index.find(user[:1], 10).shape == (1, 10) and index.find(user, 5000).shape[1] <= 3000


def test_lists_by_the_index_are_those_without(run_folder):
    pytest.importorskip("usearch")
    exact, _ = ask(Model(run_folder), list(range(20)))
    found, _ = ask(Model(run_folder, index=True), list(range(20)))
    for (rows, scores), (other, same) in zip(exact, found, strict=True):
        np.testing.assert_array_equal(rows, other)  # so few items are all found
        np.testing.assert_array_equal(scores, same)
