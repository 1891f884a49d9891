"""Two-tower recommenders in JAX with one backpropagation.

    from onebp_jax import Recommender

    model = Recommender(method="onebp").fit("clicks.csv")      # or a DataFrame, a SciPy CSR matrix, a Dataset
    model.recommend(["ann", "bob"], k=10)                      # a frame: user, rank, item, score
    model.similar_items("a film")
    model.save("models/clicks")

`onebp_jax.serving.recommender.Recommender` is a thin skin over the rooms of the package: `data` reads, `methods` composes,
`training` trains in a folder, `serving` recommends. Nothing is imported before it is used. Rooms and data flow: WORKSPACE.md;
the contracts: `onebp_jax.types`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from onebp_jax.compat.moved import install as _install

if TYPE_CHECKING:
    from onebp_jax import benchmarks as benchmarks
    from onebp_jax import config as config
    from onebp_jax import data as data
    from onebp_jax import encoders as encoders
    from onebp_jax import engine as engine
    from onebp_jax import errors as errors
    from onebp_jax import evaluation as evaluation
    from onebp_jax import experiments as experiments
    from onebp_jax import losses as losses
    from onebp_jax import methods as methods
    from onebp_jax import ops as ops
    from onebp_jax import parallel as parallel
    from onebp_jax import samplers as samplers
    from onebp_jax import serving as serving
    from onebp_jax import training as training
    from onebp_jax import types as types
    from onebp_jax import updaters as updaters
    from onebp_jax.data.dataset import Dataset as Dataset
    from onebp_jax.errors import UserError as UserError
    from onebp_jax.serving.recommender import Recommender as Recommender

__version__ = "0.3.0.dev0"
__all__ = ["Dataset", "Recommender", "UserError", "__version__"]

# Name -> the module that has it.
_NAMES = {
    "Dataset": "onebp_jax.data.dataset",
    "Recommender": "onebp_jax.serving.recommender",
    "UserError": "onebp_jax.errors",
}
_ROOMS = (
    *("benchmarks", "config", "data", "encoders", "engine", "errors", "evaluation", "experiments", "losses", "methods"),
    *("ops", "parallel", "samplers", "serving", "training", "types", "updaters"),
)

_install()


def __getattr__(name: str):
    """Imports a room, or the module of a name, when it is first used."""
    if name in _ROOMS:
        return importlib.import_module(f"onebp_jax.{name}")
    if name not in _NAMES:
        raise AttributeError(f"module 'onebp_jax' has no attribute {name!r}")
    globals()[name] = found = getattr(importlib.import_module(_NAMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS, *(name for name in globals() if name.startswith("__"))})
