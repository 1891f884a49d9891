"""On a GPU the order of writers changes no bit: for each method and updater, in programs for one, made and run without one.

The text of a program for CUDA shows what may add to a row twice. What writes to a row twice is seen when the program runs, traced
as for a GPU, on the CPU (`support.writes`); so is a `unique_indices` that is not true.
"""

import re
from typing import get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.configs import config_of
from support.writes import watch

from onebp_jax import methods
from onebp_jax.data import Features
from onebp_jax.data.device import for_epochs, on_host
from onebp_jax.engine.step import make_step, prepare_data
from onebp_jax.evaluation import ranking
from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.build import build_method
from onebp_jax.ops.gpu import trace_for_gpu
from onebp_jax.parallel import DRIVERS, TABLES, make_layout
from onebp_jax.training.placement import place
from onebp_jax.training.runner import make_scan
from onebp_jax.types import Batch
from onebp_jax.updaters import DUPLICATE_RULES

NUM_USERS, NUM_ITEMS, BATCH, LENGTH = 30, 40, 16, 3
HISTORIES = ("onebp_history", "onebp_spectral")
ROWS = {"optimizer": "rowwise"}
UNTRAINED = [name for name, method in methods.NAMED.items() if get_type_hints(method)["return"] is Baseline]
FIELDS = {
    **{name: {"method": name} for name in methods.NAMED if name not in UNTRAINED},
    **{f"onebp {rule}": {"method": "onebp", "duplicates": rule} for rule in DUPLICATE_RULES},
    **{
        f"rowwise {name}": {"method": "twobp", **ROWS, "transform": name}
        for name in ("adam", "row_adagrad", "row_adam")
    },
    "rowwise with counts": {"method": "twobp", **ROWS, "row_counts": True},
    "bfloat16": {"method": "onebp", **ROWS, "table_dtype": "bfloat16"},
    "shared": {"method": "onebp", "shared_negatives": 16, "negative_alpha": 0.75, "hide_touched": True},
    "l2 of rows": {"method": "lightgcn", "loss": "bpr_l2"},
    "leave one out": {"method": "onebp_history", "options": {"leave_one_out": True, "smoothing": 0.5}},
    "history ccl": {"method": "onebp_history", "options": {"row_loss": "ccl"}},
    "usage bonus": {"method": "onebp_k", "options": {"usage_bonus": 0.1, "repel": 0.1}},
    "ball of touched rows": {"method": "cml", **ROWS},
    "pre-step": {"method": "onebp_lightgcn", "options": {"reading": "prestep"}},
    "features of both": {"method": "onebp_features", "options": {"towers": "both"}},
    "streaming": {"method": "in_batch", "options": {"correction": "streaming", "mask_known": True}},
}
SPREAD, LAYOUTS = {"method": "onebp", **ROWS}, [f"{driver} {tables}" for driver in DRIVERS for tables in TABLES]
# Where a row has several writers, and it does not matter which of them comes last: an item takes any of its places, and is looked
# up by way of the same places.
HARMLESS = {("samplers.membership", "_marked")}
SCATTER = re.compile(r'"stablehlo\.scatter"\(.*?<\{(.*?)\}> \(\{(.*?)\}\) :', re.DOTALL)


def side(rows):
    random = np.random.default_rng(rows)
    return Features(
        random.normal(size=(rows, 2)).astype(np.float32), random.integers(0, 5, (rows, 3), np.int32), 4, ("a", "b")
    )


def adding_twice(traced):
    """The scatters of a program for a GPU that may add to one number twice."""
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert len(SCATTER.findall(text)) == text.count('"stablehlo.scatter"(')
    return [
        where
        for where, what in SCATTER.findall(text)
        if "unique_indices = true" not in where and "stablehlo.add" in what
    ]


@pytest.fixture(scope="module")
def pairs():
    random = np.random.default_rng(0)
    found = np.stack([random.integers(0, NUM_USERS, 200), random.integers(0, NUM_ITEMS, 200)], 1)
    return np.unique(found, axis=0)


def programs(fields, pairs, layout=None):
    """`(traced, arguments)` of what makes a method's vectors, its context, and its scan, which takes its state away."""
    more = {"shared_negatives": 16} if fields["method"] in HISTORIES else {}
    config = config_of(dim=4, batch_size=BATCH, num_negatives=2, **more, **fields)
    method = build_method(config)
    data = on_host(pairs, NUM_USERS, NUM_ITEMS, side(NUM_USERS), side(NUM_ITEMS))
    data = prepare_data(method, for_epochs(data, method.epoch_unit, BATCH))
    state, data = place(method, jax.random.key(0), data, layout)
    given = state.tables, data
    encoded = [made for made in (method.encoder.vectors, method.encoder.refresh) if made]
    scan = make_scan(lambda collectives: make_step(method, collectives)[1], BATCH, False, layout)
    of_scan = scan.trace(state, data, length=LENGTH), (state, data)
    return [*((jax.jit(made).trace(*given), given) for made in encoded), of_scan]


@pytest.mark.parametrize("name", FIELDS)
def test_a_training_step_adds_to_no_row_twice(name, pairs):
    with trace_for_gpu(True):
        for traced, _ in programs(FIELDS[name], pairs):
            assert adding_twice(traced) == []


@pytest.fixture
def order_matters(monkeypatch):
    return watch(monkeypatch)


@pytest.mark.parametrize("name", FIELDS)
def test_the_order_of_writers_changes_no_bit(name, pairs, order_matters):
    with trace_for_gpu(True):
        run(programs(FIELDS[name], pairs))
    assert set(order_matters()) <= HARMLESS


def run(made):
    for traced, arguments in made:
        traced.lower().compile()(*arguments)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_device_adds_to_a_row_twice(layout, pairs):
    with trace_for_gpu(True):
        for traced, _ in programs(SPREAD, pairs, layout_of(layout)):
            assert adding_twice(traced) == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nor_on_several_devices(layout, pairs, order_matters):
    with trace_for_gpu(True):
        run(programs(SPREAD, pairs, layout_of(layout)))
    assert order_matters() == []


def layout_of(name):
    driver, tables = name.split()
    return make_layout(driver, jax.devices()[:2], tables)


def test_nor_with_the_batches_of_a_stream(order_matters):
    """Batches that the host gives, with repeated pairs and padding; nothing is known of what users touched."""
    ids = np.random.default_rng(0).integers(0, 6, (2, LENGTH, BATCH), np.int32)
    ids[:, -1, -3:] = [[NUM_USERS], [NUM_ITEMS]]
    method = build_method(config_of(method="onebp", dim=4, batch_size=BATCH, num_negatives=2))
    init, step = make_step(method)
    with trace_for_gpu(True):
        state, data = init(jax.random.key(0), on_host(np.zeros((1, 2), np.int32), NUM_USERS, NUM_ITEMS))
        scan = make_scan(lambda collectives: step, BATCH, False)
        scan(state, data, LENGTH, Batch(*jnp.asarray(ids)))
    assert order_matters() == []


@pytest.mark.parametrize("name", UNTRAINED)
def test_nor_in_what_is_not_trained(name, pairs, order_matters):
    """The tables, which some make on the device, and the ranking of them."""
    with trace_for_gpu(True), jax.disable_jit():
        user, item = build_method(config_of(method=name, dim=4)).tables(pairs, NUM_USERS, NUM_ITEMS)
        plan = ranking.plan(NUM_USERS, NUM_ITEMS, pairs)
        ranking.top_k(jnp.asarray(user), jnp.asarray(item), plan, 5)
    assert order_matters() == []


def test_two_that_add_would_be_seen(pairs):
    with trace_for_gpu(False):
        assert adding_twice(programs(FIELDS["twobp"], pairs)[-1][0])


@pytest.mark.parametrize("layout", [None, *LAYOUTS])
def test_a_second_writer_would_be_seen(layout, pairs, order_matters):
    """The programs for a CPU, where rows are added one after another and the last write to a row stays."""
    with trace_for_gpu(False):
        *_, made = programs(SPREAD, pairs, layout and layout_of(layout))
        run([made])
    assert set(order_matters()) >= {("updaters.duplicates", "group"), ("updaters.duplicates", "sum")}


@pytest.mark.parametrize(
    "ids, values, unique, seen",
    [
        ([1, 1], [2.0, 2.0], False, False),
        ([1, 1], [2.0, 3.0], False, True),
        ([1, 1], [0.0, -0.0], False, True),
        ([1, 1], [2.0, 2.0], True, True),
        ([1, 2], [2.0, 3.0], True, False),
        ([3, 3], [2.0, 3.0], False, False),  # past the end
    ],
)
def test_what_counts_as_a_second_writer(ids, values, unique, seen, order_matters):
    jnp.zeros(3).at[jnp.array(ids)].set(jnp.array(values), unique_indices=unique)
    assert bool(order_matters()) == seen
    jnp.zeros(3).at[jnp.array(ids)].add(jnp.array(values), unique_indices=unique)
    assert bool(order_matters()) == (ids == [1, 1])
