"""Your own data: users made of their histories, spectral vectors beside trained ones, settings by the size of the data.

Command:  onebp train --config=own --config.dataset=clicks.csv --config.refit=True --workdir=runs/own
Hardware: 2 shared CPU cores.
Time:     TIME
Score:    SCORE
"""

from onebp_jax.config.by_size import own_config


def get_config():
    return own_config()
