"""A small synthetic set (1,000 users, 500 items, six latent types): OneBP in seconds, without a download.

Command:  onebp compare --config=quickstart --workdir=runs/quickstart
Hardware: 2 shared CPU cores.
Time:     about 2 s of training per method, plus 2 to 6 s of compilation.
Score:    test NDCG@20 .498 own, .501 onebp, .509 twobp, .178 popularity (seed 0, honest).
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
