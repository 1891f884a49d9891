"""Encoders: from table rows to the vectors that are scored. See `onebp_jax.types.Encoder` for the contract."""

from onebp_jax.compat.renamed import renamed_names
from onebp_jax.encoders.aggregate import aggregate
from onebp_jax.encoders.beside import beside_spectral
from onebp_jax.encoders.buir import buir
from onebp_jax.encoders.embedding import embedding, xavier_normal
from onebp_jax.encoders.euclidean import euclidean
from onebp_jax.encoders.features import FeatureTower, features
from onebp_jax.encoders.lightgcn import lightgcn
from onebp_jax.encoders.multi_interest import multi_interest
from onebp_jax.encoders.ngcf import ngcf
from onebp_jax.encoders.stop_user_gradient import stop_user_gradient

__all__ = [
    "FeatureTower",
    "aggregate",
    "beside_spectral",
    "buir",
    "stop_user_gradient",
    "embedding",
    "euclidean",
    "features",
    "lightgcn",
    "multi_interest",
    "ngcf",
    "xavier_normal",
]

__getattr__ = renamed_names(__name__, {"detached": "stop_user_gradient"})
