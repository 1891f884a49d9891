"""The same step on many devices: batches spread over them, tables copied to each or spread by rows; several processes."""

from onebp_jax.parallel.describe import bytes_per_device, described, log_placement
from onebp_jax.parallel.distribute import (
    DRIVERS,
    TABLES,
    Layout,
    check_layout,
    distribute,
    lay_out,
    lay_out_tables,
    made,
    make_layout,
    replicate,
    take_part,
    take_up,
)
from onebp_jax.parallel.ranking import spread_top_k
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
    "lay_out",
    "lay_out_tables",
    "log_placement",
    "made",
    "make_layout",
    "replicate",
    "spread_top_k",
    "take_part",
    "take_up",
]
