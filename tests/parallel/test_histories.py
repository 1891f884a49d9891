"""Users made of their histories on several devices: each device packs the histories of its own part of the batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.config import default_config
from onebp_jax.data.device import on_host, one_history_a_user
from onebp_jax.engine.batches import batch_at
from onebp_jax.engine.step import make_step
from onebp_jax.methods.build import build_method
from onebp_jax.parallel import check_layout, distribute, gather_to_host, make_layout, replicate, shard_state

USERS, ITEMS, BATCH, STEPS = 37, 29, 16, 4


def interactions():
    random = np.random.default_rng(0)
    pairs = [
        (user, item)
        for user in range(USERS)
        for item in random.permutation(ITEMS)[: 1 + random.integers(1 + user // 3)]
    ]
    return one_history_a_user(on_host(np.array(pairs), USERS, ITEMS), BATCH)


@functools.cache
def begun(shared):
    config = default_config()
    config.update(method="onebp_history", dim=8, batch_size=BATCH, learning_rate=1e-2, shared_negatives=shared)
    method = build_method(config)
    return method, *make_step(method)[0](jax.random.key(3), interactions())


def steps_of(method):
    def steps(*collectives):
        step = make_step(method, *collectives)[1]

        def program(state, data):
            body = lambda state, _: step(state, batch_at(state.key, state.step, data, BATCH), data)
            return jax.lax.scan(body, state, length=STEPS)

        return program

    return steps


@pytest.mark.parametrize(
    "driver, count, tables, shared",
    [("pmap", 4, "replicated", 0), ("shard_map", 8, "sharded", 10), ("jit", 2, "sharded", 0)],
)
def test_many_devices_compute_what_one_does(driver, count, tables, shared):
    method, state, data = begun(shared)
    expected, infos = jax.jit(steps_of(method)())(state, data)
    layout = make_layout(driver, jax.devices()[:count], tables)
    check_layout(method, layout, BATCH, state)
    program = jax.jit(distribute(steps_of(method), layout))
    found, spread = program(shard_state(state, layout), replicate(data, layout))
    np.testing.assert_allclose(gather_to_host(found.item, ITEMS), expected.item, atol=1e-6)
    assert not np.allclose(state.item, expected.item, atol=1e-2), "the steps change the table"
    np.testing.assert_allclose(spread.loss, infos.loss, rtol=1e-5)
    assert spread.examples.tolist() == infos.examples.tolist()
    assert sum(infos.examples.tolist()[:3]) == jnp.size(data.sorted_items), "three steps are an epoch"
