"""A user who touched (nearly) all items: too few are left as negatives, so the user's pairs are not trained on."""

import functools

import jax
import numpy as np
import pandas as pd
import pytest
from support.configs import config_of

from onebp_jax.data import Dataset, load_streamed
from onebp_jax.data.device import on_host
from onebp_jax.data.evaluation_pairs import split_of
from onebp_jax.engine.left_out import leave_out
from onebp_jax.errors import UserError
from onebp_jax.methods.build import build_method
from onebp_jax.methods.parts import SAMPLERS
from onebp_jax.parallel import make_layout
from onebp_jax.serving.recommend import recommend
from onebp_jax.training import run_folder, runner
from onebp_jax.training.train import train

USERS, ITEMS, KEEN = 12, 20, 6


def pairs_of(keen=(KEEN,), left=1) -> np.ndarray:
    """Each user touched five items; the keen ones all but the last `left`."""
    made = {(user, (user * 3 + item) % ITEMS) for user in range(USERS) for item in range(5)}
    made -= {(user, item) for user in keen for item in range(ITEMS - left, ITEMS)}
    return np.array(sorted(made | {(user, item) for user in keen for item in range(ITEMS - left)}), np.int32)


def data_set(**kwargs) -> Dataset:
    test = np.array([(KEEN, ITEMS - 1), (0, 10)], np.int32)
    users, items = (np.array([f"{kind}{row}" for row in range(count)]) for kind, count in (("u", USERS), ("i", ITEMS)))
    return Dataset("keen", pairs_of(**kwargs), test, users, items, "given")


small = functools.partial(config_of, dim=4, batch_size=16, epochs=2, validation_fraction=0.0, num_negatives=4, l2=0.0)


@pytest.fixture(scope="module")
def streamed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keen")
    for part, pairs in (("train", pairs_of()), ("test", data_set().test)):
        frame = pd.DataFrame(
            {"user": [f"u{user}" for user in pairs[:, 0]], "item": [f"i{item}" for item in pairs[:, 1]]}
        )
        frame.to_parquet(folder / f"{part}.parquet", index=False, row_group_size=30)
    return load_streamed(folder, 1 << 20)


def tables_of(config, dataset, layout=None):
    """The original ids, and both tables before and after two epochs."""
    job, run = runner.prepare(config, build_method(config), dataset, layout)
    before = jax.tree.map(np.array, run.state.tables[:2])
    for _ in range(2 * job.epoch_steps):
        run = job.advance(run, 1)
    return dataset.user_ids.tolist(), before, jax.tree.map(np.array, run.state.tables[:2])


@pytest.mark.parametrize(
    ("method", "reader", "left"),
    [("onebp", "memory", 1), ("onebp", "stream", 1), ("pns", "memory", 0)],
)
def test_only_that_user_stays_as_it_began(streamed, caplog, method, reader, left):
    config = small(method=method, stream_window=64 if reader == "stream" else 0)
    ids, before, after = tables_of(config, streamed if reader == "stream" else data_set(left=left))
    moved = [user for user, a, b in zip(ids, before[0], after[0], strict=True) if (a != b).any()]
    assert sorted(moved) == sorted({f"u{user}" for user in range(USERS)} - {f"u{KEEN}"})
    assert np.isfinite(after[1]).all()
    assert f"1 of {USERS} users" in caplog.text and f"negatives: u{KEEN};" in caplog.text
    assert f"their {ITEMS - left} of" in caplog.text


@pytest.mark.parametrize("reader", ["memory", "stream"])
def test_two_devices_leave_out_the_same(streamed, reader):
    config = small(stream_window=64 if reader == "stream" else 0)
    dataset = streamed if reader == "stream" else data_set()
    one, two = (tables_of(config, dataset, layout)[2] for layout in (None, make_layout("shard_map", jax.devices()[:2])))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_a_method_without_negatives_of_its_own_trains_on_all(caplog):
    _, before, after = tables_of(small(method="in_batch"), data_set())
    assert (before[0][KEEN] != after[0][KEEN]).any() and "negatives:" not in caplog.text


def test_the_user_is_still_evaluated_and_known(tmp_path):
    dataset, config = data_set(), small()
    result = train(config, dataset, tmp_path)
    assert result["metrics"]["R@20"] == 1, "one item is left for the user, the other test user has all in 20"
    seen, wanted = split_of(config, dataset, "test")
    assert KEEN in wanted[:, 0] and (seen[:, 0] == KEEN).sum() == ITEMS - 1
    run = run_folder.read_run(tmp_path)
    lists = recommend(run, np.array([KEEN]), 5, seen)
    assert lists["item"].tolist() == [f"i{ITEMS - 1}"]


def test_many_such_users_are_refused():
    with pytest.raises(
        UserError,
        match="num_negatives=4, but .* users have fewer items left untouched, one only 1 of 20.*; such users: u0, u1, u2, ..$",
    ):
        tables_of(small(), data_set(keen=(0, 1, 2, 3)))
    with pytest.raises(UserError, match="12 users touched every item.*; such users: u0, u1, u2, ..$"):
        tables_of(small(method="pns"), data_set(keen=(0, 1, 2, 3), left=0))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_who_is_left_out_does_not_stop_a_sampler(sampler):
    data = on_host(pairs_of(left=0), USERS, ITEMS)
    config = small(method="onebp", sampler=sampler, batch_size=8)
    method = build_method(config)
    left = leave_out(method, data, data_set().user_ids)
    method.sampler.check(left)
    try:
        method.sampler.check(data)
    except ValueError:
        assert np.flatnonzero(left.left_out).tolist() == [KEEN]
    else:
        assert left.left_out is None
