"""MovieLens-100k at the settings of the authors' README: batch 1024, dim 32, Adam 5e-4, coupled L2 1e-5, beta .99, 5 negatives.

Command:  onebp train --config=ml100k --workdir=runs/ml100k
Hardware: 2 shared CPU cores.
Time:     19 ms per epoch (31 to 36 beside other work) and 7 ms per evaluation; patience ends the run after about 1,200 epochs,
          half a minute.
Score:    test NDCG@20 .4342 ±.0024 honest (5 seeds); .4522 ±.0009 paper_oracle, 2000 epochs (the paper: .4501).
"""

from onebp_jax.config import default_config


def get_config():
    config = default_config()
    config.dataset = "ml-100k"
    config.epochs = 2000
    config.batch_size = 1024
    config.dim = 32
    config.learning_rate = 5e-4
    config.l2 = 1e-5
    config.beta = 0.99
    config.num_negatives = 5
    config.drop_last = True
    config.eval_every = 5
    config.patience = 40
    return config
