"""Logs larger than memory -> a folder that training streams from.

One set of ibis expressions does what `onebp_jax.data.load` does in memory, on DuckDB or on Spark:

    prepare(["logs/"], "prepared", Rules(split="time", min_user_items=5))
    prepare(["logs/"], "prepared", Rules(split="time", min_user_items=5), engine="spark://host:7077")

The folder is laid out as `onebp_jax.data.prepared` says. It needs the extra `prepare`, for Spark also the extra `spark`.
"""

from onebp_jax.preparation.prepare import prepare
from onebp_jax.preparation.rules import Rules

__all__ = ["Rules", "prepare"]
