"""MovieLens-1M for tables of many methods: configs/ml1m.py with less patience, for equal trials of each.

Command:  onebp reproduce --experiment=table2 --config=ml1m_table --workdir=runs/table2_ml1m --trials=5 --seeds=0,1,2
          (the rows in the results: --methods=onebp,twobp,hcl,dcl,pns,hars,dns,cml,ease,itemknn,popularity,onebp_spectral;
          with one seed: sfcml, dpcml, two_stage, buir, ials; lightgcn and ngcf otherwise, see results/table2.md)
Hardware: one of 2 shared CPU cores, with other work on the machine.
Time:     6 to 33 minutes per row (5 trials and 6 runs).
Score:    test NDCG@20, paper_oracle, 3 seeds: OneBP .4039 (the paper .4036), MF .3833 (.3780),
          onebp_spectral .4198; results/table2.md.
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
