"""The same steps on 1, 2, 4 and 8 devices: tables and losses are those of one device, whatever drives them."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.config import default_config
from onebp_jax.data.device import to_device
from onebp_jax.engine.batches import batch_at
from onebp_jax.engine.step import first_tables, make_step
from onebp_jax.methods.build import build_method
from onebp_jax.parallel import (
    check_layout,
    distribute,
    gather_to_host,
    init_sharded,
    make_layout,
    replicate,
    shard_state,
)

# Odd sizes, so that sharded tables need padding; 37 users in batches of 64 rows, so that users repeat across devices.
USERS, ITEMS, BATCH, STEPS = 37, 29, 64, 4


@functools.cache
def interactions():
    random = np.random.default_rng(0)
    pairs = np.array(sorted({(user, int(item)) for user in range(USERS) for item in random.integers(0, ITEMS, 6)}))
    random.shuffle(pairs)
    assert len(pairs) % BATCH, "the last batch of an epoch is a partial one"
    return to_device(pairs, USERS, ITEMS)


def config_of(method, optimizer="dense", **fields):
    config = default_config()
    config.update(method=method, optimizer=optimizer, dim=8, batch_size=BATCH, learning_rate=1e-2)
    options = {name.removeprefix("options_"): fields.pop(name) for name in list(fields) if name.startswith("options_")}
    config.options.update(options)
    config.update(fields)
    return config


def begin(config):
    """The method, and a fresh state and the interactions apart."""
    method = build_method(config)
    return method, *make_step(method)[0](jax.random.key(3), interactions())


def steps_of(method, drop_last=False):
    """`steps(spread) -> program(state, data) -> (state, infos)`."""

    def steps(*spread):
        step = make_step(method, *spread)[1]

        def program(state, data):
            def body(state, _):
                batch = batch_at(state.key, state.step, data, BATCH, drop_last)
                return step(state, batch, data)

            return jax.lax.scan(body, state, length=STEPS)

        return program

    return steps


@functools.cache
def alone(method, optimizer, fields=()):
    parts, state, data = begin(config_of(method, optimizer, **dict(fields)))
    return jax.jit(steps_of(parts)())(state, data)


def spread(method, optimizer, how, count, tables, fields=()):
    config = config_of(method, optimizer, **dict(fields))
    parts, state, data = begin(config)
    layout = make_layout(how, jax.devices()[:count], tables)
    check_layout(parts, layout, BATCH, state)
    laid_out = shard_state(state, layout)
    new, info = jax.jit(distribute(steps_of(parts), layout))(laid_out, replicate(data, layout))
    for before, after in zip(jax.tree.leaves(laid_out), jax.tree.leaves(new), strict=True):
        assert after.sharding.is_equivalent_to(before.sharding, before.ndim), "how arrays lie must stay"
    return new, info


def assert_same(one, other):
    """Tables, parameters and slots are equal but for the order of float32 sums: to 1e-6 of the largest number.

    Scratch (whole numbers a row) holds what is never read, and so do the bank's slots of padded rows in a sampler's state; so do
    the rows that make a table a multiple of the devices.
    """
    for name in ("user", "item", "params", "user_opt", "item_opt", "params_opt"):
        pairs = zip(jax.tree.leaves(getattr(one, name)), jax.tree.leaves(getattr(other, name)), strict=True)
        for expected, found in pairs:
            if jnp.issubdtype(expected.dtype, jnp.floating):
                scale = max(1e-3, float(jnp.max(jnp.abs(expected))))
                found = np.asarray(found)[: len(expected)] if expected.ndim else found
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * scale, err_msg=name)


METHODS, OPTIMIZERS = ("onebp", "twobp", "user_only"), ("dense", "rowwise")
DRIVERS, COUNTS, TABLES = ("pmap", "shard_map", "jit"), (1, 2, 4, 8), ("replicated", "sharded")
EVERY = list(itertools.product(METHODS, OPTIMIZERS, DRIVERS, COUNTS, TABLES))
# Every value, and the optimizers with both layouts of tables.
SOME = [
    *[("onebp", "dense", "pmap", 4, "replicated"), ("onebp", "rowwise", "shard_map", 4, "sharded")],
    *[("twobp", "rowwise", "pmap", 8, "sharded"), ("user_only", "dense", "jit", 2, "sharded")],
    ("user_only", "rowwise", "shard_map", 2, "replicated"),
]


def check(method, optimizer, how, count, tables):
    expected, losses = alone(method, optimizer)
    found, info = spread(method, optimizer, how, count, tables)
    assert_same(expected, found)
    np.testing.assert_allclose(info.loss, losses.loss, rtol=1e-6)
    np.testing.assert_array_equal(info.examples, losses.examples)


@pytest.mark.parametrize("method, optimizer, how, count, tables", SOME)
def test_many_devices_compute_what_one_does(method, optimizer, how, count, tables):
    check(method, optimizer, how, count, tables)


@pytest.mark.study
@pytest.mark.parametrize("method, optimizer, how, count, tables", [each for each in EVERY if each not in SOME])
def test_many_devices_compute_what_one_does_everywhere(method, optimizer, how, count, tables):
    check(method, optimizer, how, count, tables)


# What else may be in a step: a graph with parameters, shared negatives, a bank of vectors, samplers that look at scores, several
# vectors a user, a slow copy, projections, a whole step before the own one.
OTHERS = [
    ("ngcf", "replicated", {}),
    ("cbns", "sharded", {"options_bank_size": 100, "options_warmup": 2}),
]
MORE_OTHERS = [
    ("onebp", "sharded", {"shared_negatives": 16, "negative_alpha": 0.5, "hide_touched": True}),
    ("onebp_k", "sharded", {"options_num_interests": 3}),
    ("onebp_lightgcn", "replicated", {"options_reading": "prestep"}),
    ("dns", "sharded", {}),
    ("buir", "sharded", {}),
    ("cml", "replicated", {"options_covariance": 0.1}),
]


def check_other(method, tables, fields):
    fields = tuple(fields.items())
    expected, losses = alone(method, "dense", fields)
    found, info = spread(method, "dense", "shard_map", 2, tables, fields)
    assert_same(expected, found)
    np.testing.assert_allclose(info.loss, losses.loss, rtol=2e-6)


@pytest.mark.parametrize("method, tables, fields", OTHERS)
def test_other_methods(method, tables, fields):
    check_other(method, tables, fields)


@pytest.mark.study
@pytest.mark.parametrize("method, tables, fields", MORE_OTHERS)
def test_more_methods(method, tables, fields):
    check_other(method, tables, fields)


@pytest.mark.parametrize(
    "method, how, tables, fields, words",
    [
        (
            "directau",
            "pmap",
            "replicated",
            {},
            r"the loss directau compares .*: use driver=jit$",
        ),
        ("lightgcn", "shard_map", "sharded", {}, "the encoder lightgcn reads other .*: use tables=replicated$"),
        (
            "cml",
            "shard_map",
            "sharded",
            {"options_covariance": 0.1},
            "user rows cannot be sharded.*tables=replicated$",
        ),
        ("onebp", "pmap", "replicated", {"batch_size": 30}, "batch_size=30: expected a multiple of the 4 devices"),
    ],
)
def test_what_cannot_be_spread_is_refused(method, how, tables, fields, words):
    config = config_of(method, **fields)
    parts, state, _ = begin(config)
    with pytest.raises(ValueError, match=words):
        check_layout(parts, make_layout(how, jax.devices()[:4], tables), config.batch_size, state)


def test_a_device_holds_its_part_of_the_rows_and_of_the_slots():
    _, state, _ = begin(config_of("twobp"))
    layout = make_layout("shard_map", jax.devices()[:4], "sharded")
    laid_out = shard_state(state, layout)
    for leaf in jax.tree.leaves((laid_out.user, laid_out.user_opt)):
        if leaf.ndim:
            assert {shard.data.shape[0] for shard in leaf.addressable_shards} == {10}, "37 rows on 4 devices"
    np.testing.assert_array_equal(gather_to_host(laid_out.user, USERS), state.user)


@pytest.mark.parametrize("method, optimizer", [("onebp", "dense"), ("twobp", "rowwise"), ("onebp_k", "dense")])
def test_a_state_made_on_many_devices_is_the_one_made_on_one(method, optimizer):
    parts, state, data = begin(config_of(method, optimizer))
    layout = make_layout("shard_map", jax.devices()[:4], "sharded")
    found = init_sharded(functools.partial(first_tables, parts), layout, jax.random.key(3), replicate(data, layout))
    for expected, leaf in zip(jax.tree.leaves(shard_state(state, layout)), jax.tree.leaves(found), strict=True):
        assert leaf.sharding.is_equivalent_to(expected.sharding, leaf.ndim)
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            np.testing.assert_array_equal(leaf, expected)


def test_no_device_makes_more_than_its_part():
    parts, _, _ = begin(config_of("twobp"))
    layout = make_layout("shard_map", jax.devices()[:8], "sharded")
    wide = interactions().replace(num_users=80_000)
    build = jax.jit(lambda key, data: first_tables(parts, key, data).user, out_shardings=layout.rows)
    memory = build.lower(jax.random.key(0), wide).compile().memory_analysis()
    # What is made of a row is three times as wide at most; a whole table would be eight parts.
    assert memory.output_size_in_bytes + memory.temp_size_in_bytes < 5 * (80_000 * 8 * 4) // 8


def test_unknown_drivers_are_refused():
    with pytest.raises(ValueError, match="driver must be one of pmap, shard_map, jit, got 'ray'"):
        make_layout("ray")
    with pytest.raises(ValueError, match="tables must be one of replicated, sharded, got 'split'"):
        make_layout("jit", tables="split")


@pytest.mark.parametrize("devices", ["x", [], [0], 3])
def test_a_layout_is_made_of_devices(devices):
    with pytest.raises(ValueError, match="^devices=.*: expected one or more devices, as jax.devices"):
        make_layout("pmap", devices)
