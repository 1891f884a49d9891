"""MovieLens-1M at the settings of the authors' README: batch 1024, dim 128, Adam 1e-3, coupled L2 1e-6, beta .99, 5 negatives.

Command:  onebp train --config=ml1m --workdir=runs/ml1m
Hardware: 2 shared CPU cores.
Time:     0.5 s per epoch (1.5 s beside other work); patience ends the run after 135 epochs, a minute and a half.
Score:    test NDCG@20 .3927 ±.0008 honest (2 seeds); .4038 ±.0006 paper_oracle, 200 epochs (the paper: .4036).
"""

from onebp_jax.config import default_config


def get_config():
    config = default_config()
    config.dataset = "ml-1m"
    config.epochs = 200
    config.batch_size = 1024
    config.dim = 128
    config.learning_rate = 1e-3
    config.l2 = 1e-6
    config.beta = 0.99
    config.num_negatives = 5
    config.drop_last = True
    config.patience = 20
    return config
