"""MovieLens-1M with users made of their histories and spectral vectors beside trained ones; chosen on validation.

Command:  onebp train --config=best_ml1m --workdir=runs/best_ml1m
Hardware: 2 shared CPU cores.
Time:     15 s of training beside other work.
Score:    test NDCG@20, honest, 3 seeds: .4179 +-.0004; trained on validation pairs too .4254 +-.0004; results/FRONTIER.md.
"""

from onebp_jax.config import default_config


def get_config():
    config = default_config()
    config.dataset = "ml-1m"
    config.method = "onebp_spectral"
    config.epochs = 16
    config.decay_epochs = 18
    config.eval_every = 2
    config.patience = 0
    config.batch_size = 128
    config.dim = 128
    config.temperature = 0.099
    config.learning_rate = 0.01
    config.l2 = 0.0
    config.update({"options": {"spectral_dim": 256, "spectral_weight": 0.4, "item_power": 0.4, "response": 0.25}})
    return config
