"""On a GPU no row has two writers that add: the programs that are made for one, without one, for each method and updater."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.configs import config_of

from onebp_jax import methods
from onebp_jax.data import Features
from onebp_jax.data.device import for_epochs, on_host
from onebp_jax.engine.step import make_step
from onebp_jax.evaluation import ranking
from onebp_jax.methods.build import build_method
from onebp_jax.ops.gpu import trace_for_gpu
from onebp_jax.training.runner import make_scan
from onebp_jax.types import Method
from onebp_jax.updaters import DUPLICATE_RULES

NUM_USERS, NUM_ITEMS, BATCH = 30, 40, 8
HISTORIES = ("onebp_history", "onebp_spectral")
ROWS = {"optimizer": "rowwise"}
FIELDS = {
    **{name: {"method": name} for name in methods.NAMED},
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
    "pre-step": {"method": "onebp_lightgcn", "options": {"reading": "prestep"}},
    "features of both": {"method": "onebp_features", "options": {"towers": "both"}},
    "streaming": {"method": "in_batch", "options": {"correction": "streaming", "mask_known": True}},
}
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


def programs(fields, pairs):
    """The traced scan of a method, and what makes its vectors and its context; None for one that is not trained."""
    more = {"shared_negatives": 16} if fields["method"] in HISTORIES else {}
    config = config_of(dim=4, batch_size=BATCH, num_negatives=2, **more, **fields)
    method = build_method(config)
    if not isinstance(method, Method):
        return None
    init, _ = make_step(method)
    data = on_host(pairs, NUM_USERS, NUM_ITEMS, side(NUM_USERS), side(NUM_ITEMS))
    state, data = init(jax.random.key(0), for_epochs(data, method.epoch_unit, BATCH))
    scan = make_scan(lambda collectives: make_step(method, collectives)[1], BATCH, False)
    found = [scan.trace(state, data, length=3), jax.jit(method.encoder.vectors).trace(state.tables, data)]
    if method.encoder.refresh:
        found.append(jax.jit(method.encoder.refresh).trace(state.tables, data))
    return found


@pytest.mark.parametrize("name", FIELDS)
def test_a_training_step_adds_to_no_row_twice(name, pairs):
    with trace_for_gpu(True):
        for traced in programs(FIELDS[name], pairs) or []:
            assert adding_twice(traced) == []


def test_a_second_writer_would_be_seen(pairs):
    with trace_for_gpu(False):
        assert adding_twice(programs(FIELDS["twobp"], pairs)[0])


def test_ranking_adds_to_no_row_twice(pairs):
    plan = ranking.plan(NUM_USERS, NUM_ITEMS, pairs)
    rank = jax.jit(lambda user, item: ranking.top_k(user, item, plan, 5))
    assert adding_twice(rank.trace(jnp.zeros((NUM_USERS, 4)), jnp.zeros((NUM_ITEMS, 4)))) == []
