"""A run's configuration: its fields and their checks, and the user's own functions that it may hold."""

from onebp_jax.config.fields import OPERATIONAL, PARTS, check_config, default_config
from onebp_jax.config.options import OPTIONS
from onebp_jax.config.plain import as_plain
from onebp_jax.errors import nearest

__all__ = ["OPERATIONAL", "OPTIONS", "PARTS", "as_plain", "check_config", "default_config", "nearest"]
