"""MovieLens-1M for tables of many methods: as configs/ml1m.py, with less patience, for equal trials of each.

Command:  python -m launch.reproduce --table=2 --config=configs/ml1m_table.py --workdir=runs/table2_ml1m --trials=9 --seeds=0,1,2
Hardware: 2 shared CPU cores.
Time:     up to five minutes a run and 15 runs a row for OneBP (1.5 s an epoch); an estimate from configs/ml1m.py.
Score:    written by the command; the paper prints test NDCG@20 .4036 for OneBP and .3780 for MF (paper_oracle).
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
    config.eval_every = 2
    config.patience = 5
    return config
