"""Yelp2018, the paper's split: users made of their histories, spectral vectors beside trained ones; chosen on validation.

Command:  onebp train --config=best_yelp2018_paper --workdir=runs/best_yelp2018_paper
Hardware: 2 shared CPU cores.
Time:     12 to 15 s per epoch, with much other work on the machine.
Score:    test NDCG@20 .0989 +-.0001, R@20 .1178, trained on validation pairs too (3 seeds; the paper .0827); honest .0943;
          results/FRONTIER.md.
"""

from onebp_jax.config import default_config


def get_config():
    config = default_config()
    config.dataset = "yelp2018-paper"
    config.method = "onebp_spectral"
    config.epochs = 16
    config.decay_epochs = 18
    config.eval_every = 4
    config.patience = 0
    config.batch_size = 1024
    config.dim = 256
    config.temperature = 0.08
    config.learning_rate = 0.004
    config.l2 = 0.0
    config.shared_negatives = 8192
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
