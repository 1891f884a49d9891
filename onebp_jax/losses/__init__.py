"""Losses: one number per row, from a user, a positive and negatives. See `onebp_jax.types.Loss` for the contract."""

from onebp_jax.losses.buir import buir
from onebp_jax.losses.debiased import dcl, hcl
from onebp_jax.losses.infonce import bpr, catalogue_softmax, infonce, sampled_softmax
from onebp_jax.losses.metric import cml, dpcml
from onebp_jax.losses.modern import ccl, directau
from onebp_jax.losses.sfcml import sfcml
from onebp_jax.losses.wrappers import repel, with_l2

__all__ = [
    "bpr",
    "buir",
    "catalogue_softmax",
    "ccl",
    "cml",
    "dcl",
    "directau",
    "dpcml",
    "hcl",
    "infonce",
    "repel",
    "sampled_softmax",
    "sfcml",
    "with_l2",
]
