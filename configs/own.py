"""Your own data: users made of their histories, spectral vectors beside trained ones, settings by the size of the data.

Command:  onebp train --config=own --config.dataset=clicks.csv --config.refit=True --workdir=runs/own
Hardware: 2 shared CPU cores.
Time:     15 to 23 s of training on ML-1M, 2 s on ML-100k, beside other work; not measured on larger sets.
Score:    test NDCG@20, trained on validation too, 3 seeds: ML-100k .4544 +-.0006, ML-1M .4254 +-.0004, last.fm .2290 +-.0007.
"""

from onebp_jax.config.by_size import own_config


def get_config():
    return own_config()
