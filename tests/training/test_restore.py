"""A saved run goes on with any number of devices, whatever way its tables lay before."""

import jax
import numpy as np
import pytest

from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.methods.build import build_method
from onebp_jax.parallel import make_layout
from onebp_jax.training import checkpoint, runner

# 17 items on 8 devices: the last two of these hold padding only.
DATA = generate(num_users=31, num_items=17, num_types=3, minority_types=1, interactions_per_user=5)
CHAIN, LAST = [("shard_map", 4, "sharded"), ("pmap", 2, "replicated")], ("shard_map", 8, "sharded")


def prepared(layout):
    config = default_config()
    config.update({"dim": 4, "batch_size": 64, "epochs": 9, "method": "twobp", "optimizer": "rowwise"})
    layout = layout and make_layout(layout[0], jax.devices()[: layout[1]], layout[2])
    return runner.prepare(config, build_method(config), DATA, layout)


def on_host(run):
    """Tables, slots and best vectors without rows of padding."""
    sizes = {32: 31, 36: 31, 20: 17, 24: 17}
    arrays = [run.state.user, run.state.item, run.state.user_opt, run.state.item_opt, run.best]
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(arrays)]
    return [leaf[: sizes.get(len(leaf))] if leaf.ndim else leaf for leaf in leaves]


def assert_restored(folder, layout, saved):
    job, run = prepared(layout)
    run = checkpoint.restore(folder, run)
    for expected, found in zip(saved, on_host(run), strict=True):
        np.testing.assert_array_equal(found, expected)
    return job, run


def test_a_run_goes_on_with_other_devices(tmp_path):
    saved = ()
    for layout in CHAIN:
        job, run = assert_restored(tmp_path, layout, saved) if saved else prepared(layout)
        run, _ = runner.evaluate(job, job.advance(run, 1))
        checkpoint.save(tmp_path, run)
        saved = on_host(run)
    for layout in (LAST, None):
        assert assert_restored(tmp_path, layout, saved)[1].step == len(CHAIN)
    job, alone = prepared(None)
    for _ in CHAIN:
        alone, _ = runner.evaluate(job, job.advance(alone, 1))
    for expected, found in zip(on_host(alone), saved, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * max(1e-3, np.abs(expected).max()))
    found, expected = (each.progress.selection.value for each in (run, alone))
    assert found == pytest.approx(expected, rel=1e-6)


def test_damage_in_a_part_is_noticed_by_its_checksum(tmp_path):
    """Also where what was changed lies in rows that another device reads."""
    _, run = prepared(("shard_map", 4, "sharded"))
    table = np.asarray(run.state.user)
    whole = checkpoint._digest([table[:31]], {})
    assert checkpoint._digest([run.state.user], {}) == whole, "the padding counts for nothing"
    for row in (0, 13, 30):
        changed = table[:31].copy()
        changed[row, 2] = np.nextafter(changed[row, 2], np.float32(9))
        assert checkpoint._digest([changed], {}) != whole
    swapped = table[:31][::-1]
    assert checkpoint._digest([swapped], {}) != whole
