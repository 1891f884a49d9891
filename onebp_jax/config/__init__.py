"""A run's configuration: its fields and their checks, and the functions of the user that it may hold."""

from onebp_jax.config.fields import OPERATIONAL, OPTIONS, PARTS, as_plain, check_config, default_config, nearest

__all__ = ["OPERATIONAL", "OPTIONS", "PARTS", "as_plain", "check_config", "default_config", "nearest"]
