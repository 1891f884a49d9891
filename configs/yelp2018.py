"""Yelp2018, LightGCN's split: users made of their histories, spectral vectors beside trained ones; chosen on validation.

Command:  onebp train --config=yelp2018 --workdir=runs/yelp2018
Hardware: 2 shared CPU cores.
Time:     27 to 43 s per epoch and 22 to 134 s for the spectral vectors, with much other work on the machine.
Score:    test NDCG@20 .0619 +-.0001, R@20 .0749, trained on validation pairs too (3 seeds); results/FRONTIER.md.
"""

from onebp_jax.config import default_config


def get_config():
    config = default_config()
    config.dataset = "yelp2018"
    config.method = "onebp_spectral"
    config.epochs = 16
    config.decay_epochs = 18
    config.eval_every = 4
    config.patience = 0
    config.batch_size = 1024
    config.dim = 512
    config.temperature = 0.1
    config.learning_rate = 0.004
    config.l2 = 0.0
    config.shared_negatives = 16384
    config.hide_touched = True
    config.item_updater = "on_sphere"
    config.cpu_threads = 0
    config.update(
        {
            "options": {
                "smoothing": 1.0,
                "spectral_dim": 1024,
                "spectral_weight": 0.1,
                "item_power": 0.4,
            }
        }
    )
    return config
