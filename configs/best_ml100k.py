"""MovieLens-100k with users made of their histories and spectral vectors beside trained ones; chosen on validation.

Command:  onebp train --config=best_ml100k --workdir=runs/best_ml100k
Hardware: 2 shared CPU cores.
Time:     about 1 s of training beside other work.
Score:    test NDCG@20, honest, 3 seeds: .4377 +-.0019; trained on validation pairs too .4514 +-.0033; results/FRONTIER.md.
"""

from onebp_jax.config import default_config


def get_config():
    config = default_config()
    config.dataset = "ml-100k"
    config.method = "onebp_spectral"
    config.epochs = 30
    config.decay_epochs = 30
    config.eval_every = 2
    config.patience = 0
    config.batch_size = 64
    config.dim = 64
    config.temperature = 0.15
    config.learning_rate = 0.0295
    config.l2 = 0.0
    config.update({"options": {"spectral_dim": 32, "spectral_weight": 0.108, "item_power": 0.458}})
    return config
