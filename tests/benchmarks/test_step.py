"""Benchmarks: what counts as moved, the floor's program, and curves of quality against time."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.benchmarks import quality
from onebp_jax.benchmarks import step as step_benchmark
from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.data.device import to_device
from onebp_jax.engine.step import make_step
from onebp_jax.errors import UserError
from onebp_jax.methods.build import build_method

INSTALLED = importlib.util.find_spec("implicit") is not None


def config_of(**fields):
    config = default_config()
    config.update({"dim": 4, "batch_size": 8, "num_negatives": 3, **fields})
    return config


@pytest.mark.parametrize(
    "fields, rows",
    [
        ({"method": "onebp"}, {"user": 8, "item": 0}),
        ({"method": "twobp"}, {"user": 0, "item": 0}),
        ({"method": "onebp", "optimizer": "rowwise"}, {"user": 8, "item": 32}),
        ({"method": "twobp", "optimizer": "rowwise", "shared_negatives": 5}, {"user": 8, "item": 13}),
        ({"method": "user_only", "optimizer": "rowwise"}, {"user": 8, "item": 8}),
        # A sampler of its own draws other negatives than the fields say; a graph passes whole tables.
        ({"method": "in_batch", "optimizer": "rowwise"}, {"user": 8, "item": 16}),
        ({"method": "onebp_lightgcn", "optimizer": "rowwise"}, {"user": 8, "item": 0}),
    ],
)
def test_rows_that_a_step_updates(fields, rows):
    config = config_of(**fields)
    method, data = build_method(config), to_device(np.array([[0, 1], [1, 2], [2, 0]]), 3, 12)
    state, data = make_step(method)[0](jax.random.key(0), data)
    assert step_benchmark.touched_rows(method, config, state, data) == rows


def test_bytes_that_a_step_moves():
    """Rows once each way; a table that goes whole once each way, and its dense gradient."""
    arrays = {"user": [jnp.zeros((10, 4))], "item": [jnp.zeros((20, 4)), jnp.zeros(20)]}
    by_rows = 2 * (8 * 16 + 32 * 16 + 32 * 4)
    assert step_benchmark.bytes_per_step(arrays, {"user": 8, "item": 32}) == by_rows
    whole = 2 * 8 * 16 + 2 * (20 * 16 + 20 * 4) + 2 * 20 * 16
    assert step_benchmark.bytes_per_step(arrays, {"user": 8, "item": 0}) == whole


def test_the_floor_touches_the_rows_of_the_step_and_no_others():
    rows = {"user": 2, "item": 3}
    ids = {"user": jnp.array([[1, 2]]), "item": jnp.array([[0, 4, 5]])}
    arrays = {"user": [jnp.zeros((4, 2))], "item": [jnp.zeros((6, 2)), jnp.zeros(6)]}
    touched = step_benchmark.floor_program(rows)(arrays, ids)
    for tower, moved in (("user", [1, 2]), ("item", [0, 4, 5])):
        for array in touched[tower]:
            assert np.flatnonzero(np.asarray(array).reshape(len(array), -1)[:, 0]).tolist() == moved


@pytest.fixture(scope="module")
def dataset():
    return generate(num_users=60, num_items=40, seed=1)


def test_a_step_of_an_unrolled_loop_has_about_as_many_kernels_and_flops(dataset):
    """Also where the steps of an epoch are no whole number of turns."""
    config = config_of(batch_size=32)
    one, three = (step_benchmark.benchmark_step(config, dataset, 1, unroll) for unroll in (1, 3))
    for column in ("kernels", "flops"):
        assert 0.8 * one[column] < three[column] < 1.2 * one[column]


def test_an_unrolled_loop_has_two_turns(dataset):
    with pytest.raises(UserError, match="^unroll=100: expected at most "):
        step_benchmark.benchmark_step(config_of(batch_size=32), dataset, 1, 100)


def test_our_curve_has_a_point_an_evaluation(dataset):
    config = config_of(method="onebp", epochs=4, eval_every=2, batch_size=256)
    curve = quality.own_curve(config, dataset, "onebp", lambda line: None)
    assert [epoch for epoch, _, _ in curve.points] == [0, 2, 4]
    assert 0 < curve.points[0][1] < curve.points[1][1] < curve.points[2][1] and curve.compile_s > 0
    value = curve.best[2]
    assert curve.seconds_to(value) is None and curve.seconds_to(0.0) == curve.points[0][1]


def test_what_is_not_trained_has_one_point(dataset):
    curve = quality.own_curve(config_of(method="spectral", dim=8), dataset, "spectral", lambda line: None)
    ((epoch, seconds, value),) = curve.points
    assert epoch == 0 and seconds > 0 and 0 < value <= 1


@pytest.mark.skipif(not INSTALLED, reason="the package implicit (extra `bench`) is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["als", "bpr"])
def test_a_peers_curve(kind, dataset):
    curve = quality.implicit_curve(kind, dataset, 2, lambda line: None, factors=4, iterations=4)
    assert [count for count, _, _ in curve.points] == [2, 4] and 0 < curve.best[2] <= 1


def test_programs_are_timed_in_turn_after_one_call_to_warm_up():
    calls = []

    def call(name):
        return lambda carry: (calls.append(name), carry + 1)[1]

    seconds = step_benchmark.median_seconds([call("a"), call("b")], [jnp.int32(0), jnp.int32(0)], 3)
    assert calls == ["a", "b"] * 4 and len(seconds) == 2 and min(seconds) > 0
