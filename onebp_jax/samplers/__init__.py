"""Samplers of negatives, inside the compiled step. See `onebp_jax.types.Sampler` for the contract."""

from onebp_jax.compat.renamed import renamed_names
from onebp_jax.samplers.auc_optimal import auc_optimal
from onebp_jax.samplers.bayesian import bayesian
from onebp_jax.samplers.cross_batch import cross_batch
from onebp_jax.samplers.dynamic import dynamic, hardest_distance
from onebp_jax.samplers.exclude_cold_items import exclude_cold_items
from onebp_jax.samplers.in_batch import in_batch
from onebp_jax.samplers.mixed import mixed
from onebp_jax.samplers.popularity import popularity
from onebp_jax.samplers.shared import shared
from onebp_jax.samplers.trivial import full_catalogue, none
from onebp_jax.samplers.two_stage import two_stage
from onebp_jax.samplers.uniform import uniform

__all__ = [
    "auc_optimal",
    "bayesian",
    "cross_batch",
    "dynamic",
    "full_catalogue",
    "hardest_distance",
    "exclude_cold_items",
    "in_batch",
    "mixed",
    "none",
    "popularity",
    "shared",
    "two_stage",
    "uniform",
]

__getattr__ = renamed_names(__name__, {"without_new": "exclude_cold_items"})
