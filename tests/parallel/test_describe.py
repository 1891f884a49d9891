"""Where arrays lie, in words and in bytes, with tables copied and in parts."""

import jax
import pytest

from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.data.device import to_device
from onebp_jax.engine.step import make_step
from onebp_jax.methods.build import build_method
from onebp_jax.parallel import bytes_per_device, describe, described, log_placement, make_layout, shard_state

USERS, ITEMS, DIM = 60, 40, 8
SCRATCH = 4  # bytes a row, to group repeated ids
TABLES = USERS * (DIM * 4 + SCRATCH) + ITEMS * (3 * DIM * 4 + SCRATCH)


@pytest.fixture(scope="module")
def state():
    config = default_config()
    config.update({"dim": DIM, "optimizer": "rowwise"})
    dataset = generate(num_users=USERS, num_items=ITEMS, seed=1)
    data = to_device(dataset.train, USERS, ITEMS)
    return make_step(build_method(config))[0](jax.random.key(0), data)[0]


def test_bytes_fall_with_the_devices_where_tables_are_in_parts(state):
    assert set(bytes_per_device(state).values()) == {TABLES + 4}  # and one counter of Adam
    for count in (2, 4):
        copied, parts = (
            shard_state(state, make_layout("shard_map", jax.devices()[:count], tables))
            for tables in ("replicated", "sharded")
        )
        assert bytes_per_device(copied) == dict.fromkeys(range(count), TABLES + 4)
        assert bytes_per_device(parts) == dict.fromkeys(range(count), TABLES // count + 4)


def test_every_array_is_described(state):
    table = f"item: float32[{ITEMS}, {DIM}]"
    assert f"{table}, 1,280 bytes on a device, on one device" in described(state)
    place = lambda count, tables: shard_state(state, make_layout("shard_map", jax.devices()[:count], tables))
    copied, parts = described(place(4, "replicated")), described(place(4, "sharded"))
    assert [line.split(":")[0] for line in copied] == [
        *("item", "item_opt[0]", "item_opt[1][1].mu", "item_opt[1][1].nu", "user", "user_opt")
    ]
    assert copied[0] == f"{table}, 1,280 bytes on a device, a copy on each of 4"
    assert parts[0] == f"{table}, 320 bytes on a device, rows 0..9 on 0, 10..19 on 1, 20..29 on 2, 30..39 on 3"
    # Sixty rows and four more of padding.
    assert "user: float32[64, 8], 256 bytes on a device, rows 0..7 on 0" in described(place(8, "sharded"))[4]


def test_many_devices_are_not_listed_one_by_one(state, monkeypatch):
    monkeypatch.setattr(describe, "_LISTED", 3)
    parts = described(shard_state(state, make_layout("shard_map", jax.devices()[:4], "sharded")))
    assert parts[0].endswith("1/4 of the rows on each of 4")


def test_the_log_names_the_mesh_and_keeps_silent_for_one_device(state, monkeypatch):
    said = []
    monkeypatch.setattr(describe.logging, "info", lambda text, *values: said.append(text % values))
    log_placement(state)
    assert said == []
    placed = shard_state(state, make_layout("pmap", jax.devices()[:2]))
    log_placement(placed)
    assert said == ["mesh data=2", *described(placed)]
