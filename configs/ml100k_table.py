"""MovieLens-100k for tables of many methods: configs/ml100k.py with fewer epochs and less patience, for equal trials of each.

Command:  onebp reproduce --experiment=table2 --config=ml100k_table --workdir=runs/table2 --trials=9 --seeds=0,1,2
Hardware: 2 shared CPU cores.
Time:     2 to 15 minutes per row on one core (15 runs each); LightGCN 27, NGCF 40, with --config.epochs=200.
Score:    test NDCG@20, paper_oracle, 3 seeds: OneBP .4503 (the paper .4501), MF .4318 (.4183); results/table2.md.
"""

from onebp_jax.config import default_config


def get_config():
    config = default_config()
    config.dataset = "ml-100k"
    config.epochs = 1500
    config.batch_size = 1024
    config.dim = 32
    config.learning_rate = 5e-4
    config.l2 = 1e-5
    config.beta = 0.99
    config.num_negatives = 5
    config.drop_last = True
    config.eval_every = 5
    config.patience = 30
    return config
