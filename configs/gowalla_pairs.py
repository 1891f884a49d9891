"""Gowalla on LightGCN's split with batches of pairs, the settings of results/quality.md: OneBP, dim 64, batch 2048.

Command:  onebp train --config=gowalla_pairs --workdir=runs/gowalla_pairs
Hardware: 2 shared CPU cores.
Time:     1.9 s per epoch on one core, 2.8 s per evaluation; two minutes in all.
Score:    test NDCG@20 .1223, R@20 .1538 honest (1 seed, epoch 40 of 40, still rising).
"""

from onebp_jax.config import default_config


def get_config():
    config = default_config()
    config.dataset = "gowalla"
    config.epochs = 40
    config.batch_size = 2048
    config.dim = 64
    config.normalize = True
    config.temperature = 0.1
    config.shared_negatives = 512
    config.optimizer = "rowwise"
    config.learning_rate = 3e-3
    config.l2 = 0.0
    config.beta = 0.97
    config.patience = 10
    config.eval_every = 5
    return config
