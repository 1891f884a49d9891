"""What to do with a finished run: recommend items, measure it on any split, export its vectors; with the original ids."""

from onebp_jax.serving.export import export
from onebp_jax.serving.merge import merge
from onebp_jax.serving.recommend import evaluate, parse_ids, recommend, write_lists

__all__ = ["evaluate", "export", "merge", "parse_ids", "recommend", "write_lists"]
