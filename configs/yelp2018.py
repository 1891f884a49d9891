"""Yelp2018 on LightGCN's split (common in the literature; not comparable with the paper's tables): dim 64, batch 2048.

Command:  onebp train --config=yelp2018 --workdir=runs/yelp2018
Hardware: 2 shared CPU cores.
Time:     3.5 s per epoch on one core, with other work on the machine; three minutes in all.
Score:    test NDCG@20 .0503, R@20 .0623 honest (1 seed, epoch 40 of 40); the settings are those of gowalla.py, not tuned.
"""

from onebp_jax.config import default_config


def get_config():
    config = default_config()
    config.dataset = "yelp2018"
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
