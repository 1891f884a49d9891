"""What the tables of the paper try for each method: the spaces of settings from which trials are drawn."""

from __future__ import annotations

from onebp_jax.experiments.search_space import Range, Space

# The spaces: of all trained methods, what some of them have besides, and of the methods without training.
COMMON = {"learning_rate": Range(1e-4, 1e-2, log=True), "l2": (0.0, 1e-6, 1e-5, 1e-4)}
BETA = {"beta": (0.9, 0.99, 0.999)}
# Users with their whole histories: a row of a batch is a user, so batches are smaller.
HISTORIES = {"dim": (64, 128), "batch_size": (32, 64, 128), "temperature": (0.1, 0.125, 0.15)}
MORE = {
    "onebp": BETA,
    "user_only": BETA,
    "onebp_lightgcn": BETA,
    "onebp_ngcf": BETA,
    "onebp_k": BETA,
    "cml": {"options.margin": (0.5, 1.0, 1.5, 2.0)},
    "dpcml": {"options.margin": (0.5, 1.0, 1.5, 2.0)},
    "sfcml": {"options.margin": (0.5, 1.0, 1.5, 2.0), "batch_size": (64, 256, 1024)},
    "onebp_history": HISTORIES,
    "onebp_spectral": HISTORIES
    | {
        "options.spectral_dim": (64, 128, 256),
        "options.spectral_weight": (0.2, 0.4, 0.6),
        "options.response": (0.0, 0.25),
    },
}
UNTRAINED = {
    "popularity": {},
    "itemknn": {
        "options.num_neighbours": Range(10, 1000, log=True),
        "options.shrink": (0.0, 10.0, 100.0),
        "options.similarity": ("cosine", "jaccard"),
    },
    "ease": {"options.ease_l2": Range(10.0, 3000.0, log=True)},
    "bspm": {
        "dim": (16, 32, 64, 128, 256),
        "options.lowpass_weight": Range(0.0, 1.0),
        "options.sharpening": Range(0.0, 1.0),
    },
    "spectral": {
        "dim": Range(16, 256, log=True),
        "options.item_power": Range(0.2, 0.6),
        "options.response": (0.0, 0.25, 0.5),
    },
    "ials": {
        "dim": Range(16, 256, log=True),
        "options.ials_l2": Range(1e-3, 3e-2, log=True),
        "options.unobserved_weight": Range(0.03, 1.0, log=True),
    },
}


def space_of(method: str) -> Space:
    """The space of settings that is searched for a method."""
    return UNTRAINED[method] if method in UNTRAINED else COMMON | MORE.get(method, {})
