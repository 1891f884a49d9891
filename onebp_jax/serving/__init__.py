"""What a trained run is for: recommendations with the original ids, measurements on any split, vectors to take away."""

from onebp_jax.serving.export import export
from onebp_jax.serving.merge import merge
from onebp_jax.serving.recommend import evaluate, parse_ids, recommend, write_lists

__all__ = ["evaluate", "export", "merge", "parse_ids", "recommend", "write_lists"]
