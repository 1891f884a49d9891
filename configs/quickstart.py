"""A small synthetic set (1,000 users, 500 items, six latent types): OneBP in seconds, nothing to download.

Command:  python -m launch.compare --config=configs/quickstart.py --workdir=runs/quickstart
"""

from onebp_jax.config import default_config


def get_config():
    config = default_config()
    config.dataset = "synthetic"
    config.epochs = 200
    config.batch_size = 1024
    config.dim = 32
    config.learning_rate = 2e-3
    config.patience = 20
    return config
