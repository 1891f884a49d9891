"""Configurations of small runs."""

from onebp_jax.config import default_config


def config_of(**fields):
    """The default configuration with other values."""
    config = default_config()
    config.update(fields)
    return config
