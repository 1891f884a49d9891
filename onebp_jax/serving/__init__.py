"""What to do with a finished run: recommend items, find similar ones, measure it, export its vectors; with the original ids."""

from onebp_jax.serving.export import export
from onebp_jax.serving.ids import parse_ids
from onebp_jax.serving.items import read_items, with_titles
from onebp_jax.serving.merge import merge
from onebp_jax.serving.recommend import evaluate, recommend, write_lists
from onebp_jax.serving.similar import similar_items, similar_users

__all__ = [
    "evaluate",
    "export",
    "merge",
    "parse_ids",
    "read_items",
    "recommend",
    "similar_items",
    "similar_users",
    "with_titles",
    "write_lists",
]
