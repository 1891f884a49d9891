"""The same step on many devices: batches spread over them, tables copied or sharded by rows; several processes."""

from onebp_jax.parallel.describe import bytes_per_device, described, log_placement
from onebp_jax.parallel.distribute import check_layout, distribute
from onebp_jax.parallel.layout import DRIVERS, TABLES, Layout, make_layout
from onebp_jax.parallel.ranking import spread_top_k
from onebp_jax.parallel.sharding import (
    gather_to_host,
    init_sharded,
    process_slice,
    replicate,
    shard_state,
    shard_tables,
)
from onebp_jax.parallel.traffic import exchanged

__all__ = [
    "DRIVERS",
    "TABLES",
    "Layout",
    "bytes_per_device",
    "check_layout",
    "described",
    "distribute",
    "exchanged",
    "shard_state",
    "shard_tables",
    "log_placement",
    "init_sharded",
    "make_layout",
    "replicate",
    "spread_top_k",
    "process_slice",
    "gather_to_host",
]
