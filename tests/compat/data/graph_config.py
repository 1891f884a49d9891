"""A config file as a user wrote it for 0.1.0: OneBP in front of LightGCN, which keeps a second state in its checkpoints."""

from onebp_jax.config import default_config


def get_config():
    """A tiny run on `clicks.csv`."""
    config = default_config()
    config.dataset = "tests/compat/data/clicks.csv"
    config.split = "time"
    config.dim, config.epochs, config.batch_size, config.steps_per_call = 4, 2, 32, 3
    config.method = "onebp_lightgcn"
    config.options.reading = "prestep"
    config.beta, config.learning_rate = 0.9, 1e-2
    return config
