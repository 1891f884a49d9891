"""What a program sends: known collectives to the byte, then real steps."""

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from onebp_jax.config import default_config
from onebp_jax.data.device import to_device
from onebp_jax.engine.step import make_step
from onebp_jax.methods.build import build_method
from onebp_jax.parallel import make_layout, replicate, shard_state
from onebp_jax.parallel.traffic import exchanged
from onebp_jax.training.runner import make_scan

COUNT = 4
WHOLE, ROWS = PartitionSpec(), PartitionSpec("data")
ROUND = [(device, (device + 1) % COUNT) for device in range(COUNT)]


def compiled(body, in_spec, out_spec, shape=(64, 8), dtype=jnp.float32, mesh=None):
    mesh = mesh or Mesh(np.array(jax.devices()[:COUNT]), ("data",))
    program = jax.shard_map(body, mesh=mesh, in_specs=in_spec, out_specs=out_spec, check_vma=False)
    return jax.jit(program).lower(jnp.zeros(shape, dtype)).compile()


@pytest.mark.parametrize(
    "kind, body, specs, dtype, sent",
    [
        # A result of 64 x 8 numbers, of which a device has a quarter.
        ("all-gather", lambda x: jax.lax.all_gather(x, "data", tiled=True), (ROWS, WHOLE), jnp.float32, 2048 * 3 / 4),
        ("all-gather", lambda x: jax.lax.all_gather(x, "data", tiled=True), (ROWS, WHOLE), jnp.int16, 1024 * 3 / 4),
        ("all-reduce", lambda x: jax.lax.psum(x, "data"), (WHOLE, WHOLE), jnp.float32, 2 * 2048 * 3 / 4),
        (
            "reduce-scatter",
            lambda x: jax.lax.psum_scatter(x, "data", scatter_dimension=0, tiled=True),
            (WHOLE, ROWS),
            jnp.float32,
            2048 * 3 / 4,
        ),
        (
            "all-to-all",
            lambda x: jax.lax.all_to_all(x, "data", split_axis=1, concat_axis=0, tiled=True),
            (ROWS, ROWS),
            jnp.float32,
            512 * 3 / 4,
        ),
        ("collective-permute", lambda x: jax.lax.ppermute(x, "data", ROUND), (ROWS, ROWS), jnp.float32, 512),
    ],
)
def test_one_collective_counts_what_its_formula_says(kind, body, specs, dtype, sent):
    assert exchanged(compiled(body, *specs, dtype=dtype)) == {kind: sent}


def test_a_loop_counts_as_often_as_it_runs_and_is_divided_by_its_steps():
    def body(x):
        def inner(x, _):
            return x + jax.lax.psum(x[:8].sum(), "data"), x[0, 0]

        x, _ = jax.lax.scan(lambda x, _: jax.lax.scan(inner, x, length=3), x, length=5)
        return jax.lax.all_gather(x, "data", tiled=True)

    program = compiled(body, ROWS, WHOLE)
    assert exchanged(program) == {"all-gather": 2048 * 3 / 4, "all-reduce": 15 * 2 * 4 * 3 / 4}
    assert exchanged(program, 5) == {"all-gather": 2048 * 3 / 4 / 5, "all-reduce": 3 * 2 * 4 * 3 / 4}


def test_groups_are_those_of_the_collective_and_one_device_sends_nothing():
    mesh = Mesh(np.array(jax.devices()[:COUNT]).reshape(2, 2), ("data", "other"))
    by_pairs = compiled(lambda x: jax.lax.psum(x, "data"), WHOLE, WHOLE, mesh=mesh)
    assert exchanged(by_pairs) == {"all-reduce": 2 * 2048 / 2}
    alone = compiled(lambda x: jax.lax.psum(x, "data"), WHOLE, WHOLE, mesh=Mesh(np.array(jax.devices()[:1]), ("data",)))
    assert exchanged(alone) == {}


def test_other_ways_to_write_the_same():
    """Starts without their ends, tuples, tiles in layouts, groups as a grid, branches, wrapped starts: as on GPUs and TPUs."""
    text = """HloModule wide, num_partitions=8

%wrapped (p: f32[4,2]) -> f32[4,2] {
  ROOT %all-to-all.1 = f32[4,2]{1,0} all-to-all(%p), replica_groups=[1,8]<=[8]
}

%little (p: f32[2]) -> f32[2] {
  ROOT %all-reduce.9 = f32[2]{0:T(256)} all-reduce(%p), replica_groups={}, to_apply=%add
}

%much (p: f32[2]) -> f32[2] {
  %all-reduce.8 = f32[2]{0} all-reduce(%p), replica_groups={}, to_apply=%add
  ROOT %all-reduce.7 = f32[2]{0} all-reduce(%all-reduce.8), replica_groups={}, to_apply=%add
}

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

ENTRY %main (p: f32[2,4]) -> f32[16,4] {
  %ag = (bf16[2,4]{1,0:T(8,128)(2,1)S(1)}, bf16[16,4]{1,0:T(8,128)(2,1)}) all-gather-start(%p), replica_groups=[1,8]<=[8]
  %agd = bf16[16,4]{1,0} all-gather-done(%ag)
  %two = ((f32[1], s32[3]), (f32[8], s32[24])) all-gather-start(%a, %b), replica_groups={{0,1,2,3,4,5,6,7}}
  %ar = (f32[8]{0}, f32[]) all-reduce-start(%c, %d), replica_groups=[4,2]<=[8], to_apply=%add
  %cp = (f32[3], f32[3], u32[], u32[]) collective-permute-start(%e), source_target_pairs={{0,1}}
  %as = ((f32[4,2]), f32[4,2], u32[]) async-start(%f), calls=%wrapped
  %br = f32[2] conditional(%g, %h, %i), branch_computations={%little, %much}
  ROOT %done = f32[16,4] copy(%agd), metadata={op_name="all-gather(of things)"}
}
"""
    assert exchanged(SimpleNamespace(as_text=lambda: text)) == {
        "all-gather": (128 + 32 + 96) * 7 / 8,
        "all-reduce": 36 + 2 * (2 * 8 * 7 / 8),
        "all-to-all": 32 * 7 / 8,
        "collective-permute": 12,
    }


BATCH, DIM, NEGATIVES = 32, 16, 3
SHARE = (COUNT - 1) / COUNT  # of what lies in batch order a device sends or misses


@partial(jax.jit, static_argnums=(0, 1))
def pairs(num_users, num_items):
    ids = jnp.arange(2 * num_users, dtype=jnp.int32)
    return jnp.stack([ids // 2, (ids * 7) % num_items], axis=1)


def sent_by_a_step(method, how, tables, times=1, **fields):
    """By kind, and the sum; `times` as many users, items and pairs."""
    config = default_config()
    config.update(
        {
            "method": method,
            "dim": DIM,
            "batch_size": BATCH,
            "num_negatives": NEGATIVES,
            "optimizer": "rowwise",
            **fields,
        }
    )
    method, users, items = build_method(config), 64 * times, 40 * times
    data = to_device(np.asarray(pairs(users, items)), users, items)
    state, data = make_step(method)[0](jax.random.key(0), data)
    layout = make_layout(how, jax.devices()[:COUNT], tables)
    scan = make_scan(lambda spread: make_step(method, spread)[1], BATCH, False, layout)
    found = exchanged(scan.lower(shard_state(state, layout), replicate(data, layout), length=3).compile(), 3)
    return found | {"all": sum(found.values())}


VECTORS = BATCH * DIM * 4  # bytes of a vector a row of the batch
MEAN = 2 * 4 * SHARE  # the mean loss, one number


STUDY = pytest.mark.study


@pytest.mark.parametrize("times", [pytest.param(1, marks=STUDY), 10])
@pytest.mark.parametrize(
    "how, tables",
    [
        *[("pmap", "replicated"), ("shard_map", "sharded")],
        *[pytest.param(*each, marks=STUDY) for each in (("shard_map", "replicated"), ("pmap", "sharded"))],
    ],
)
def test_what_a_step_sends_grows_with_the_batch_and_not_with_the_tables(how, tables, times):
    """Which tower sends what, to the byte: no formula has the size of a table."""
    sent = {method: sent_by_a_step(method, how, tables, times) for method in ("onebp", "twobp")}
    grads = (1 + NEGATIVES) * VECTORS * SHARE
    if tables == "replicated":
        # Nothing of a user: TwoBP sends his gradients beside those of the items.
        assert sent["onebp"] == {"all-gather": grads, "all-reduce": MEAN, "all": grads + MEAN}
        assert sent["twobp"]["all"] - sent["onebp"]["all"] == VECTORS * SHARE
        return
    # Rows are read where they lie: all ids to all devices, sums of rows back.
    ids, rows = (2 + NEGATIVES) * BATCH * 4 * SHARE, (2 + NEGATIVES) * VECTORS * SHARE
    assert sent["twobp"] == {
        "all-gather": ids + rows,
        "all-reduce": MEAN,
        "reduce-scatter": rows,
        "all": ids + 2 * rows + MEAN,
    }
    # No gradients of users, but the new rows of their items go to all.
    assert sent["onebp"] == {
        "all-gather": ids + grads,
        "all-reduce": 2 * VECTORS * SHARE + MEAN,
        "reduce-scatter": rows,
        "all": ids + grads + rows + 2 * VECTORS * SHARE + MEAN,
    }


@pytest.mark.parametrize("how", ["shard_map", pytest.param("pmap", marks=STUDY)])
def test_rows_that_all_devices_ask_for_are_sent_once(how):
    """Shared negatives of tables in parts: as a sum, whatever the number of devices."""
    shared = 8
    for method, rows in (("onebp", 5 * BATCH), ("twobp", 4 * BATCH)):
        sent = sent_by_a_step(method, how, "sharded", shared_negatives=shared)
        assert sent["all"] == 4 * SHARE * (2 * BATCH + DIM * (rows + 4 * shared)) + MEAN
