"""Gowalla on the split of the paper's own tables, at the settings of the authors' README: dim 1024, batch 1024, beta .999.

Command:  onebp train --config=gowalla_paper --workdir=runs/gowalla_paper
Hardware: 2 shared CPU cores.
Time:     0.31 s per step, 4.3 minutes per epoch.
Score:    not trained here; the paper prints test NDCG@20 .1536 (paper_oracle). Smaller widths: results/gowalla_paper.md.
"""

from onebp_jax.config import default_config


def get_config():
    config = default_config()
    config.dataset = "gowalla-paper"
    config.epochs = 200
    config.batch_size = 1024
    config.dim = 1024
    config.learning_rate = 5e-4
    config.l2 = 0.0
    config.beta = 0.999
    config.num_negatives = 5
    config.patience = 10
    config.drop_last = True
    config.steps_per_call = 20
    config.cpu_threads = 0
    config.eval_every = 5
    return config
